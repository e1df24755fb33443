//! What `plank doctor` has to know of a replica.

use tokio_postgres::types::{ToSql, Type};

use super::super::replica::IDENTITY;
use super::{Inspector, text};

/// The log of the primary, in words that are secret, and how far its WAL is on disk.
const PRIMARY: &str = "select plank.identity(), pg_current_wal_flush_lsn()::text";

/// Whether it follows another server, and whether plank is there.
const REPLICA: &str = "select pg_is_in_recovery(), to_regclass('plank.meta') is not null, \
    case when pg_is_in_recovery() then pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn())::float8 end";

/// Where the primary is.
pub struct PrimaryPlace {
    identity: String,
    flushed: String,
}

/// A replica.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaFacts {
    /// Whether it follows another server.
    pub is_standby: bool,
    /// Whether plank is installed there.
    pub has_schema: bool,
    /// Whether it has the log of the primary.
    pub is_same: bool,
    /// Whether it has seen the last failover.
    pub is_same_timeline: bool,
    /// How far it is behind.
    pub behind_bytes: f64,
}

impl Inspector {
    /// Asked of the primary.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn primary_place(&self) -> Result<PrimaryPlace, String> {
        let row = self.one(PRIMARY).await?;
        Ok(PrimaryPlace {
            identity: row.get(0),
            flushed: row.get(1),
        })
    }

    /// Asked of the replica.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn replica(&self, primary: &PrimaryPlace) -> Result<ReplicaFacts, String> {
        let params = [(&primary.flushed as &(dyn ToSql + Sync), Type::TEXT)];
        let rows = self.client.query_typed(REPLICA, &params).await;
        let rows = rows.map_err(text)?;
        let row = rows.first().ok_or("the answer has no row")?;
        let (is_standby, has_schema): (bool, bool) = (row.get(0), row.get(1));
        let identity = match is_standby && has_schema {
            true => self.one(IDENTITY).await?.get::<_, Option<String>>(0),
            false => None,
        };
        let parts =
            |identity: &str| -> Vec<String> { identity.split('/').map(str::to_owned).collect() };
        let (own, other) = (
            parts(&primary.identity),
            parts(&identity.unwrap_or_default()),
        );
        let is_equal = |i: usize| own.get(i).is_some() && own.get(i) == other.get(i);
        Ok(ReplicaFacts {
            is_standby,
            has_schema,
            is_same: is_equal(0) && is_equal(1) && is_equal(3),
            is_same_timeline: is_equal(2),
            behind_bytes: row.get::<_, Option<f64>>(2).unwrap_or(0.0),
        })
    }
}
