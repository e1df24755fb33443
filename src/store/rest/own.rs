//! Which tables run nothing of other roles when they are read or written: the server's own role, or superusers, have defined all of
//! it. Their statements need no boundary, and stay prepared. See `plank.own_tables` in V9__rest.sql.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::feed::catalog::Oid;
use crate::limits::{OWN_ANSWER_MAX, OWN_MAX, OWN_REFRESH};

use super::super::pool::{Pool, StoreError};

/// What is known of one database; all clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Own(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: Mutex<Known>,
    /// One asks at a time; the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    tables: HashSet<Oid>,
    /// When it was asked for; none as long as nothing is known.
    since: Option<Instant>,
}

impl Own {
    /// Sees to it that [`Self::has`] knows. What is older than [`OWN_REFRESH`] is asked for again beside the caller; for what is about to
    /// be too old it waits. The caller has no connection yet: this may need one.
    pub async fn refresh(&self, pool: &Pool) {
        let age = self.age();
        if age.is_none_or(|age| age > OWN_MAX - OWN_REFRESH) {
            self.ask(pool, OWN_MAX - OWN_REFRESH).await;
        } else if age.is_some_and(|age| age > OWN_REFRESH) && self.0.asking.try_lock().is_ok() {
            let (own, pool) = (self.clone(), pool.clone());
            tokio::spawn(async move { own.ask(&pool, OWN_REFRESH).await });
        }
    }

    /// Whether a table is one of them. False as long as that is not known, or is older than [`OWN_MAX`].
    pub fn has(&self, rel: Oid) -> bool {
        let known = self.known();
        known.since.is_some_and(|since| since.elapsed() < OWN_MAX) && known.tables.contains(&rel)
    }

    fn age(&self) -> Option<Duration> {
        self.known().since.map(|since| since.elapsed())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, unless another one has just done so.
    async fn ask(&self, pool: &Pool, older_than: Duration) {
        const TABLES: &str = "select t from plank.own_tables() t";
        let _asking = self.0.asking.lock().await;
        if self.age().is_some_and(|age| age < older_than) {
            return;
        }
        // What is altered from now on is known by the next look.
        let began = Instant::now();
        let asked = async {
            let client = pool.get().await?;
            let prepared = client.prepare_cached(TABLES).await?;
            Ok::<_, StoreError>(client.query(&prepared, &[]).await?)
        };
        match timeout(OWN_ANSWER_MAX, asked).await {
            Ok(Ok(rows)) => {
                let mut known = self.known();
                known.tables = rows.iter().map(|row| row.get(0)).collect();
                known.since = Some(began);
            }
            Ok(Err(error)) => {
                log::debug!("tables of plank's own role not known reason=\"{error}\"")
            }
            Err(_) => {
                log::debug!("tables of plank's own role not known reason=\"no answer in time\"")
            }
        }
    }
}
