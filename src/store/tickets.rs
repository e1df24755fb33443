//! Tickets: what a browser opens a WebSocket with, on any node, once. The table has their hashes only.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::Json;

use crate::auth::Principal;
use crate::limits::TICKET_TTL;

use super::pool::{Pool, StoreError};

/// How a ticket is written: so many hexadecimal digits.
const DIGITS: usize = 64;

/// Keeps a ticket for a principal, and forgets expired ones.
///
/// # Errors
/// When the database is away.
pub async fn give(pool: &Pool, principal: &Principal) -> Result<String, StoreError> {
    // Two of 122 random bits each, of the operating system's own source.
    let ticket = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string());
    let ticket = ticket.concat();
    let client = pool.get().await?;
    let sql = "with over as (delete from plank.ticket where expires < now()) \
        insert into plank.ticket (hash, principal, expires) values ($1, $2, now() + $3::float8 * interval '1 second')";
    let statement = client.prepare_cached(sql).await?;
    let principal = serde_json::to_value(principal)
        .map_err(|e| StoreError::Internal(format!("a principal is no JSON: {e}")))?;
    let ttl_s = TICKET_TTL.as_secs_f64();
    client
        .execute(&statement, &[&hash(&ticket), &Json(principal), &ttl_s])
        .await?;
    Ok(ticket)
}

/// Whose a ticket is; none if it is none, has been used, or is over. From now on it is used.
///
/// # Errors
/// When the database is away.
pub async fn take(pool: &Pool, ticket: &str) -> Result<Option<Principal>, StoreError> {
    if ticket.len() != DIGITS {
        return Ok(None);
    }
    let client = pool.get().await?;
    let sql = "delete from plank.ticket where hash = $1 returning principal, expires >= now()";
    let statement = client.prepare_cached(sql).await?;
    let found = client.query_opt(&statement, &[&hash(ticket)]).await?;
    let Some(row) = found.filter(|row| row.get(1)) else {
        return Ok(None);
    };
    let Json(principal): Json<Value> = row.get(0);
    let principal = serde_json::from_value::<Principal>(principal)
        .map_err(|e| StoreError::Internal(format!("a ticket is of nobody: {e}")))?;
    Ok((!principal.is_over()).then_some(principal))
}

fn hash(ticket: &str) -> Vec<u8> {
    Sha256::digest(ticket.as_bytes()).to_vec()
}
