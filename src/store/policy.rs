//! Whether what somebody may see is still what it was when he asked.

use deadpool_postgres::GenericClient;

use crate::feed::Held;

/// As `plank.allow` has written it: a version that is gone never comes back.
const HOLDS: &str = "select exists (select from plank.policy \
    where rel = $1::oid and role = $2 and op = $3 and since::text = $4)";

/// Whether a policy holds, as of the snapshot of the connection.
///
/// # Errors
/// Those of the connection.
pub(super) async fn holds(
    client: &impl GenericClient,
    held: &Held,
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
