//! What the refresher of live queries is told: by the listener, which tables have changed; by the shards, whose clients want to see
//! the result of a query as of now. Shared, since those who tell it never wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::feed::catalog::Oid;
use crate::feed::{Cursor, LogOp, LogRow, Snapshot};
use crate::limits::{LIVE_QUERY_XIDS_MAX, RECEIPTS_MAX};

/// The transactions that have changed a table. Their number is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xids {
    /// So many as are remembered, each once or a few times.
    pub list: Vec<u64>,
    /// There were more.
    pub is_cut: bool,
}

impl Xids {
    /// Adds one.
    pub fn add(&mut self, xid: u64) {
        if self.list.last() == Some(&xid) {
            return;
        }
        if self.list.len() >= LIVE_QUERY_XIDS_MAX {
            self.list.sort_unstable();
            self.list.dedup();
        }
        match self.list.len() < LIVE_QUERY_XIDS_MAX {
            true => self.list.push(xid),
            false => self.is_cut = true,
        }
    }

    /// Adds those of another.
    pub fn add_all(&mut self, other: &Self) {
        for xid in &other.list {
            self.add(*xid);
        }
        self.is_cut |= other.is_cut;
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.is_cut
    }
}

/// Which tables a read of the log has found changes of.
#[derive(Debug, Default)]
pub struct Touched {
    tables: HashMap<Oid, Xids>,
    /// A table is watched now, or is not any more.
    is_of_catalog: bool,
}

impl Touched {
    /// Notes a row of the log.
    pub fn take(&mut self, row: &LogRow) {
        self.is_of_catalog |= matches!(row.op, LogOp::Watch | LogOp::Unwatch);
        self.tables.entry(row.rel).or_default().add(row.xid);
    }
}

/// Why a query can't be seen as of now: a code of the protocol, and a text for people.
pub type Unseen = (&'static str, String);

/// Where the log stands behind the refresh; none if there is no such query.
pub type Fresh = Result<Option<Cursor>, Unseen>;

/// A client that waits for a refresh.
#[derive(Debug)]
pub struct Ask {
    /// The name of the query.
    pub name: String,
    /// Who is told.
    pub answer: oneshot::Sender<Fresh>,
}

/// What has happened since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Changes of tables that some query reads.
    pub touched: HashMap<Oid, Xids>,
    /// What was read before does not lead to what was read now.
    pub has_gap: bool,
    /// There may be other queries now.
    pub is_of_catalog: bool,
    /// Who waits.
    pub asks: Vec<Ask>,
}

#[derive(Debug, Default)]
struct Inner {
    news: News,
    /// The tables that some query reads.
    bases: HashSet<Oid>,
    /// The names of all queries.
    names: HashSet<String>,
    /// Whether they are known: nothing has come that may have changed them.
    is_known: bool,
    /// Where the listener stands.
    seen: Option<Snapshot>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct RefreshRequest {
    inner: Mutex<Inner>,
    notify: Notify,
}

impl RefreshRequest {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // by the listener

    /// A batch has been read, up to this place.
    pub fn has_read(&self, touched: Touched, next: &Snapshot) {
        let mut inner = self.inner();
        inner.seen = Some(next.clone());
        let mut is_news = touched.is_of_catalog;
        inner.news.is_of_catalog |= touched.is_of_catalog;
        for (rel, xids) in touched.tables {
            if inner.bases.contains(&rel) {
                inner.news.touched.entry(rel).or_default().add_all(&xids);
                is_news = true;
            }
        }
        drop(inner);
        if is_news {
            self.notify.notify_one();
        }
    }

    /// Changes may have been missed.
    pub fn has_gap(&self) {
        self.inner().news.has_gap = true;
        self.notify.notify_one();
    }

    // by the shards

    /// Whether there is a live query of this name, or may be one that is not known yet.
    pub fn may_be_query(&self, name: &str) -> bool {
        let inner = self.inner();
        inner.names.contains(name) || inner.news.is_of_catalog || !inner.is_known
    }

    /// Asks for the result of a query as of now.
    ///
    /// # Errors
    /// See [`Unseen`].
    pub async fn fresh(&self, name: &str) -> Fresh {
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = self.inner();
            if inner.news.asks.len() >= RECEIPTS_MAX {
                return Err((
                    "busy",
                    "too many clients wait for a receipt; try again".into(),
                ));
            }
            let name = name.to_owned();
            inner.news.asks.push(Ask { name, answer });
        }
        self.notify.notify_one();
        let lost = || Err(("busy", "the refresh was given up; try again".into()));
        answered.await.unwrap_or_else(|_| lost())
    }

    // by the refresher

    /// Waits until there is something new.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }

    /// Takes what is new.
    pub fn take(&self) -> News {
        let mut inner = self.inner();
        inner.is_known &= !inner.news.is_of_catalog;
        std::mem::take(&mut inner.news)
    }

    /// Everything before this transaction has been told; none before the first read.
    pub fn seen_xmin(&self) -> Option<u64> {
        self.inner().seen.as_ref().map(Snapshot::xmin)
    }

    /// These are the queries from now on. A change that was told before may be missing: look at the log.
    pub fn follow(&self, names: HashSet<String>, bases: HashSet<Oid>) {
        let mut inner = self.inner();
        (inner.names, inner.bases, inner.is_known) = (names, bases, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transactions_of_a_table_are_few_whatever_happens() {
        let mut xids = Xids::default();
        for xid in 0..LIVE_QUERY_XIDS_MAX as u64 {
            xids.add(xid);
            xids.add(xid);
        }
        assert_eq!((xids.list.len(), xids.is_cut), (LIVE_QUERY_XIDS_MAX, false));
        xids.add(5_000);
        assert_eq!((xids.list.len(), xids.is_cut), (LIVE_QUERY_XIDS_MAX, true));
    }
}
