//! What a node that does not read the log itself has to know of it, once, through the pool.

use crate::feed::filter::kind::Letters;
use crate::feed::{Catalog, Epoch};

use super::super::pool::{Pool, StoreError};

/// All watched tables, each as JSON.
pub(super) const TABLES: &str =
    "select d::text from plank.watched w, plank.describe(w.rel) d where d is not null";
/// Which letter of which case belongs to which.
pub(super) const LETTERS: &str = "select plank.letters()";

/// Which log it is.
///
/// # Errors
/// When the database is away.
pub async fn epoch(pool: &Pool) -> Result<Epoch, StoreError> {
    let client = pool.get().await?;
    let row = client.query_one("select plank.identity()", &[]).await?;
    Ok(Epoch::of(row.get(0)))
}

/// All watched tables.
///
/// # Errors
/// When the database is away, or a description can't be read.
pub async fn catalog(pool: &Pool) -> Result<Catalog, StoreError> {
    let client = pool.get().await?;
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
