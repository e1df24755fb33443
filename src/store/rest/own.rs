//! Which tables run nothing of other roles when they are read or written: the server's own role, or superusers, have defined all of
//! it. Their statements need no boundary, and stay prepared. See `plank.own_tables` in V9__rest.sql.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::feed::catalog::Oid;
use crate::limits::{OWN_MAX, OWN_REFRESH};

use super::super::pool::{Pool, StoreError};

/// What is known of one database; all clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Own(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    tables: HashSet<Oid>,
    /// When it was asked for; none as long as nothing is known.
    since: Option<Instant>,
    is_asking: bool,
}

impl Own {
    /// Whether a table is one of them. False as long as that is not known. It is asked for again beside the caller where it is old.
    pub fn has(&self, rel: Oid, pool: &Pool) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = known.since.map(|since| since.elapsed());
        if age.is_none_or(|age| age > OWN_REFRESH) && !known.is_asking {
            known.is_asking = true;
            tokio::spawn(ask(self.clone(), pool.clone()));
        }
        age.is_some_and(|age| age < OWN_MAX) && known.tables.contains(&rel)
    }
}

/// Asks once.
async fn ask(own: Own, pool: Pool) {
    const TABLES: &str = "select t from plank.own_tables() t";
    let began = Instant::now();
    // What is being altered right now is known by the next look.
    let asked = async {
        let client = pool.get().await?;
        let prepared = client.prepare_cached(TABLES).await?;
        Ok::<_, StoreError>(client.query(&prepared, &[]).await?)
    };
    let asked = asked.await;
    let mut known = own.0.lock().unwrap_or_else(PoisonError::into_inner);
    known.is_asking = false;
    match asked {
        Ok(rows) => {
            known.tables = rows.iter().map(|row| row.get(0)).collect();
            known.since = Some(began);
        }
        Err(error) => log::debug!("tables of its own not known reason=\"{error}\""),
    }
}
