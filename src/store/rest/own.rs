//! Which tables are read and written without a boundary: nothing in the database can be defined by a role that is neither a superuser
//! nor the server's own. Their statements stay prepared. See `plank.own_tables` in V9__rest.sql.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Mutex as Turn;
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
    turn: Arc<Turn<()>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Each with whether it is written so as well.
    tables: HashMap<Oid, bool>,
    /// When it was asked for; none as long as nothing is known.
    since: Option<Instant>,
    /// When the last attempt ended.
    tried: Option<Instant>,
}

impl Own {
    /// Sees to it that the others know. What is older than [`OWN_REFRESH`] is asked for again beside the caller; for what is about to
    /// be too old it waits, up to [`OWN_ANSWER_MAX`]. The caller has no connection yet: this may need one.
    pub async fn refresh(&self, pool: &Pool) {
        let age = self.known().since.map(|since| since.elapsed());
        if age.is_none_or(|age| age > OWN_MAX - OWN_REFRESH) {
            let asked = async {
                let _turn = self.0.turn.lock().await;
                self.ask(pool).await;
            };
            let _ = timeout(OWN_ANSWER_MAX, asked).await;
        } else if age.is_some_and(|age| age > OWN_REFRESH)
            && let Ok(turn) = self.0.turn.clone().try_lock_owned()
        {
            let (own, pool) = (self.clone(), pool.clone());
            tokio::spawn(async move {
                own.ask(&pool).await;
                drop(turn);
            });
        }
    }

    /// Whether a table is read without a boundary. False as long as that is not known, or is older than [`OWN_MAX`].
    pub fn reads(&self, rel: Oid) -> bool {
        self.fresh(rel).is_some()
    }

    /// Whether it is written so.
    pub fn writes(&self, rel: Oid) -> bool {
        self.fresh(rel) == Some(true)
    }

    fn fresh(&self, rel: Oid) -> Option<bool> {
        let known = self.known();
        let is_fresh = known.since.is_some_and(|since| since.elapsed() < OWN_MAX);
        is_fresh.then(|| known.tables.get(&rel).copied()).flatten()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, unless another one has just done so, with success or without.
    async fn ask(&self, pool: &Pool) {
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < OWN_REFRESH);
        if is_recent(self.known().tried) {
            return;
        }
        // What is altered from now on is known by the next look.
        let began = Instant::now();
        let answer = tables(pool).await;
        let mut known = self.known();
        known.tried = Some(Instant::now());
        match answer {
            Ok(tables) => (known.tables, known.since) = (tables, Some(began)),
            Err(error) => log::debug!("own tables not known reason=\"{error}\""),
        }
    }
}

async fn tables(pool: &Pool) -> Result<HashMap<Oid, bool>, StoreError> {
    const TABLES: &str = "select t.rel, t.is_written from plank.own_tables() t";
    let client = pool.get().await?;
    let asked = async {
        let prepared = client.prepare_cached(TABLES).await?;
        client.query(&prepared, &[]).await
    };
    match timeout(OWN_ANSWER_MAX, asked).await {
        Ok(rows) => Ok(rows?.iter().map(|row| (row.get(0), row.get(1))).collect()),
        Err(_) => {
            // Its statement is still under way.
            client.discard();
            Err(StoreError::Unavailable("no answer in time".into()))
        }
    }
}
