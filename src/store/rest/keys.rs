//! Answers that are kept for `Idempotency-Key`. An answer is written in the transaction of the request itself: whatever is
//! killed, either both are there or neither is. The table is logged for that reason: after a crash of the server an unlogged one
//! would be empty, and a request that was committed would be carried out again.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;

use crate::limits::{IDEMPOTENCY_KEPT, STATEMENT_MAX};

use super::super::pool::{Doubt, Pool, StoreError};
use super::run::begin;

/// For another request with the same key: one that is still under way then is told so.
const CLAIM_MAX: Duration = Duration::from_millis(100);

// All names are qualified, also those of operators: functions of others run in these transactions.
const CLAIM: &str = "insert into plank.idempotency as i (principal, key, request) values ($1, $2, $3) \
    on conflict (principal, key) do update set request = excluded.request, status = null, headers = null, body = null, at = pg_catalog.now() \
      where i.at operator(pg_catalog.<) (pg_catalog.now() operator(pg_catalog.-) pg_catalog.make_interval(secs => $4)) returning 1";
const LOOK: &str = "select request, status, headers::pg_catalog.text, body from plank.idempotency \
    where principal operator(pg_catalog.=) $1 and key operator(pg_catalog.=) $2 \
      and at operator(pg_catalog.>=) (pg_catalog.now() operator(pg_catalog.-) pg_catalog.make_interval(secs => $3))";
const KEEP: &str = "update plank.idempotency set status = $3, headers = $4::pg_catalog.text::pg_catalog.json, body = $5 \
    where principal operator(pg_catalog.=) $1 and key operator(pg_catalog.=) $2";
const PRUNE: &str = "delete from plank.idempotency where at < now() - make_interval(secs => $1)";

/// Whose request it is, under which key, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Two clients never share a key.
    pub principal: String,
    /// As the client chose it.
    pub key: String,
    /// A hash of the request.
    pub request: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, if it has one.
    pub body: Option<String>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// It was for another request.
    Other,
    /// Its request is still under way.
    Busy,
    /// This was the answer.
    Kept(Kept),
}

/// What is known of a key, without waiting.
///
/// # Errors
/// When the database is away.
pub async fn look(pool: &Pool, key: &Key) -> Result<Known, StoreError> {
    let row = pool.run(async |client, _| {
        let kept = IDEMPOTENCY_KEPT.as_secs_f64();
        Ok(client
            .query_opt(LOOK, &[&key.principal, &key.key, &kept])
            .await?)
    });
    row.await?.map_or(Ok(Known::New), |row| known(&row, key))
}

fn known(row: &tokio_postgres::Row, key: &Key) -> Result<Known, StoreError> {
    if row.get::<_, &[u8]>(0) != key.request {
        return Ok(Known::Other);
    }
    let Some(status) = row.get::<_, Option<i32>>(1) else {
        return Ok(Known::Busy);
    };
    let headers = row.get::<_, Option<&str>>(2).unwrap_or("[]");
    Ok(Known::Kept(Kept {
        status: u16::try_from(status).unwrap_or(500),
        headers: serde_json::from_str(headers)
            .map_err(|e| StoreError::Internal(format!("kept headers are no list: {e}")))?,
        body: row.get(3),
    }))
}

/// Carries a request out, and keeps its answer with it; or gives the answer that was kept. `work` says what the answer is, also of
/// a refusal: then what it has written is taken back.
///
/// # Errors
/// When the database is away. Nothing was written, and nothing is kept.
pub async fn once(
    pool: &Pool,
    key: &Key,
    work: impl AsyncFn(&Transaction<'_>, &Doubt) -> Result<Result<Kept, Kept>, StoreError>,
) -> Result<Known, StoreError> {
    pool.run(async |client, doubt| {
        let mut transaction = begin(client).await?;
        let short = format!("set local lock_timeout = {}", CLAIM_MAX.as_millis());
        transaction.batch_execute(&short).await?;
        let kept_s = IDEMPOTENCY_KEPT.as_secs_f64();
        let claimed = transaction
            .query_opt(CLAIM, &[&key.principal, &key.key, &key.request, &kept_s])
            .await;
        match claimed {
            Ok(Some(_)) => {}
            Ok(None) => {
                let row = transaction
                    .query_opt(LOOK, &[&key.principal, &key.key, &kept_s])
                    .await?;
                return row.map_or(Ok(Known::Busy), |row| known(&row, key));
            }
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                return Ok(Known::Busy);
            }
            Err(error) => return Err(error.into()),
        }
        let long = format!("set local lock_timeout = {}", STATEMENT_MAX.as_millis());
        transaction.batch_execute(&long).await?;
        let savepoint = transaction.savepoint("work").await?;
        let answer = match work(&savepoint, doubt).await? {
            Ok(done) => {
                savepoint.commit().await?;
                done
            }
            Err(refused) => {
                savepoint.rollback().await?;
                refused
            }
        };
        let headers = serde_json::to_string(&answer.headers)
            .map_err(|e| StoreError::Internal(e.to_string()))?;
        let status = i32::from(answer.status);
        transaction
            .execute(
                KEEP,
                &[&key.principal, &key.key, &status, &headers, &answer.body],
            )
            .await?;
        doubt.commit(transaction).await?;
        Ok(Known::Kept(answer))
    })
    .await
}

/// Forgets the answers that have been kept for long enough.
///
/// # Errors
/// When the database is away.
pub async fn prune(pool: &Pool) -> Result<u64, StoreError> {
    let kept = IDEMPOTENCY_KEPT.as_secs_f64();
    pool.run(async |client, _| Ok(client.execute(PRUNE, &[&kept]).await?))
        .await
}
