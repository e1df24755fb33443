//! Reads whose tokens have been taken back (`plank.revoke`).

use super::pool::{Pool, StoreError};

/// With the oldest transaction that was under way: what commits later is read with it the next time.
const NEW: &str = "select pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text, r.sub, \
    pg_catalog.date_part('epoch', r.before)::float8 \
    from (values (1)) one left join plank.revoked r on r.version >= $1::text::xid8";

/// How far the list has been read.
#[derive(Debug)]
pub struct Place(String);

impl Default for Place {
    fn default() -> Self {
        Self("0".into())
    }
}

/// Subjects, and the time before which their tokens are not taken, in seconds since 1970.
pub type List = Vec<(String, f64)>;

/// What is new since a place, and the next place.
///
/// # Errors
/// When the database is away.
pub async fn read(pool: &Pool, since: &Place) -> Result<(List, Place), StoreError> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(NEW).await?;
    let rows = client.query(&statement, &[&since.0]).await?;
    let Some(first) = rows.first() else {
        return Ok((Vec::new(), Place::default()));
    };
    let next: String = first.get(0);
    // A database that was restored counts from elsewhere.
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let next = match number(&next) < number(&since.0) {
        true => Place::default(),
        false => Place(next),
    };
    let list = rows
        .iter()
        .filter_map(|row| Some((row.get::<_, Option<String>>(1)?, row.get(2))));
    Ok((list.collect(), next))
}
