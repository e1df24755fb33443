//! Whether what a principal may see is still what it was when it asked.

use deadpool_postgres::GenericClient;

use crate::feed::PolicyVersion;

/// As `plank.allow` has written it: a version that is gone never comes back. All policies of a role for an op are of the same
/// version, that of the last change to any of them.
const HOLDS: &str = "select coalesce(pg_catalog.bool_and(p.since::text = $4), false) from plank.policy p \
    where p.rel = $1::oid and p.role = $2 and p.op = $3";

/// Whether a policy holds, as of the snapshot of the connection.
///
/// # Errors
/// Those of the connection.
pub(super) async fn holds(
    client: &impl GenericClient,
    held: &PolicyVersion,
) -> Result<bool, tokio_postgres::Error> {
    let statement = client.prepare_cached(HOLDS).await?;
    let (role, since) = (&*held.role, held.since.to_string());
    let row = client
        .query_one(
            &statement,
            &[&held.rel, &role, &held.right.as_str(), &since],
        )
        .await?;
    Ok(row.get(0))
}
