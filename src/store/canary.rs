//! Writes the heartbeat row of the canary.

use tokio::time::timeout;
use uuid::Uuid;

use crate::limits::CANARY_MAX;

use super::pool::{Pool, StoreError};

/// One beat of this node.
///
/// # Errors
/// When the database is away, or does not answer within [`CANARY_MAX`].
pub async fn beat(pool: &Pool, node: Uuid, beat: i64) -> Result<(), StoreError> {
    let client = pool.get().await?;
    let sql = "select plank.beat($1::text::uuid, $2)";
    let node = node.to_string();
    let written = timeout(CANARY_MAX, client.execute(sql, &[&node, &beat])).await;
    match written {
        Ok(written) => written.map(|_| ()).map_err(StoreError::from),
        Err(_) => {
            // It may never answer: nobody else is to have this connection.
            client.discard();
            Err(StoreError::Unavailable("no answer to a heartbeat".into()))
        }
    }
}
