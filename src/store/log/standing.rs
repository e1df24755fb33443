//! What a node that does not read the log itself has to know of it, once, through the pool.

use deadpool_postgres::Object;
use tokio::time::{Instant, timeout_at};

use crate::feed::filter::kind::Letters;
use crate::feed::{Catalog, Epoch};
use crate::limits::STANDING_MAX;

use super::super::pool::{Pool, StoreError};

/// All watched tables, each as JSON.
pub(super) const TABLES: &str =
    "select d::text from plank.watched w, plank.describe(w.rel) d where d is not null";
/// Which letter of which case belongs to which.
pub(super) const LETTERS: &str = "select plank.letters()";

/// What comes of `work` on a connection within [`STANDING_MAX`], with the wait for it. A connection that does not answer is closed.
async fn ask<T>(
    pool: &Pool,
    work: impl AsyncFnOnce(&Object) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let until = Instant::now() + STANDING_MAX;
    let silent = || StoreError::Unavailable("PostgreSQL does not say which log it has".into());
    let got = timeout_at(until, pool.get()).await;
    let client = got.map_err(|_| silent())??;
    match timeout_at(until, work(&client)).await {
        Ok(done) => done,
        Err(_) => {
            client.discard();
            Err(silent())
        }
    }
}

/// Which log it is.
///
/// # Errors
/// When the database is away, or does not answer within [`STANDING_MAX`].
pub async fn epoch(pool: &Pool) -> Result<Epoch, StoreError> {
    let identity = async |client: &Object| {
        let row = client.query_one("select plank.identity()", &[]).await?;
        Ok(Epoch::of(row.get(0)))
    };
    ask(pool, identity).await
}

/// All watched tables.
///
/// # Errors
/// When the database is away or does not answer within [`STANDING_MAX`], or a description can't be read.
pub async fn catalog(pool: &Pool) -> Result<Catalog, StoreError> {
    ask(pool, describe).await
}

async fn describe(client: &Object) -> Result<Catalog, StoreError> {
    let letters = client.query_one(LETTERS, &[]).await?;
    let letters = letters.get::<_, Option<&str>>(0);
    let mut catalog = Catalog::new(letters.map(Letters::of_pairs).unwrap_or_default());
    for row in client.query(TABLES, &[]).await? {
        let table = serde_json::from_str(row.get(0)).map_err(|e| {
            StoreError::Internal(format!("the description of a table can't be read: {e}"))
        })?;
        // Two tables can't have one name at one time.
        let _ = catalog.insert(table);
    }
    Ok(catalog)
}
