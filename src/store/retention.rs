//! What has to be looked after now and then: how much of the log is kept, and which partitions there are. The rules
//! themselves are `plank.prune()` and its like, which any number of nodes may call.

use std::time::Duration;

use crate::config::Retention;
use crate::limits::{PRUNE_INTERVAL_MAX, PRUNE_INTERVAL_MIN};

use super::pool::{Pool, StoreError};

/// How large the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// Estimated from the numbers of the first and the last row.
    pub rows: i64,
    /// With indexes.
    pub bytes: i64,
}

/// How often to look.
pub fn interval(retention: Retention) -> Duration {
    (retention.keep / 56).clamp(PRUNE_INTERVAL_MIN, PRUNE_INTERVAL_MAX)
}

/// Makes this the retention of the database, for `plank.prune()` of every node and of people.
///
/// # Errors
/// When the database is away.
pub async fn configure(pool: &Pool, retention: Retention) -> Result<(), StoreError> {
    let client = pool.get().await?;
    let sql = "update plank.meta set keep = make_interval(secs => $1), rows_max = $2 \
        where (keep, rows_max) is distinct from (make_interval(secs => $1), $2)";
    client
        .execute(sql, &[&retention.keep.as_secs_f64(), &retention.rows_max])
        .await?;
    Ok(())
}

/// Opens the log again if it was full: true while that is under way. Call it again soon then.
///
/// # Errors
/// When the database is away.
pub async fn reopen(pool: &Pool) -> Result<bool, StoreError> {
    let client = pool.get().await?;
    Ok(client.query_one("select plank.reopen()", &[]).await?.get(0))
}

/// Looks at the watched tables that have been altered, dropped, or got other partitions or children.
///
/// # Errors
/// When the database is away.
pub async fn follow_tables(pool: &Pool) -> Result<(), StoreError> {
    let client = pool.get().await?;
    let sql = "select plank.follow_tables()";
    if client.query_one(sql, &[]).await?.get(0) {
        log::info!("tables were altered");
    }
    Ok(())
}

/// Prunes the log if it is time, and measures it.
///
/// # Errors
/// When the database is away.
pub async fn prune(pool: &Pool) -> Result<LogSize, StoreError> {
    let client = pool.get().await?;
    let pruned: bool = client.query_one("select plank.prune()", &[]).await?.get(0);
    if pruned {
        client.execute("select plank.prune_marks()", &[]).await?;
        log::info!("log pruned");
    }
    let row = client
        .query_one("select rows_estimated, bytes from plank.log_size()", &[])
        .await?;
    Ok(LogSize {
        rows: row.get(0),
        bytes: row.get(1),
    })
}
