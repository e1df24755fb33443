//! What the refresher of live queries is told: by the listener, which tables have changed; by the shards, whose clients want to see
//! the result of a query as of now. Shared, since those who tell it never wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::feed::catalog::Oid;
use crate::feed::{Cursor, LogOp, LogRow, Snapshot};
use crate::limits::{LIVE_QUERY_XIDS_MAX, RECEIPT_WAIT_MAX, RECEIPTS_MAX};
use crate::metrics::Metrics;

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
    /// Whether a table is watched now, or is not any more.
    pub fn is_of_catalog(&self) -> bool {
        self.is_of_catalog
    }

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
    /// Rises when there may be other queries.
    catalog: u64,
    /// For which of these states the names are known.
    known: Option<u64>,
    /// Clients that wait.
    waiting: usize,
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

    /// There may be other queries, which clients learn of in a moment.
    pub fn may_have_other_queries(&self) {
        self.inner().catalog += 1;
    }

    /// Before the hub knows of what was read, and so a client: there may be a live query among it.
    pub fn announce(&self, touched: &Touched) {
        if touched.is_of_catalog() {
            self.may_have_other_queries();
        }
    }

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

    /// Changes may have been missed, and queries that were made or taken away.
    pub fn has_gap(&self) {
        let mut inner = self.inner();
        inner.catalog += 1;
        (inner.news.has_gap, inner.news.is_of_catalog) = (true, true);
        drop(inner);
        self.notify.notify_one();
    }

    // by the shards

    /// Whether there is a live query of this name, or may be one that is not known yet.
    pub fn may_be_query(&self, name: &str) -> bool {
        let inner = self.inner();
        inner.names.contains(name) || inner.known != Some(inner.catalog)
    }

    /// Asks for the result of a query as of now. Answered within [`RECEIPT_WAIT_MAX`].
    ///
    /// # Errors
    /// See [`Unseen`].
    pub async fn fresh(&self, name: &str, metrics: &Metrics) -> Fresh {
        let Some(_place) = Place::take(self) else {
            metrics.limit("receipts");
            let why = "too many clients wait for a receipt; try again";
            return Err(("busy", why.into()));
        };
        let (answer, answered) = oneshot::channel();
        let name = name.to_owned();
        self.inner().news.asks.push(Ask { name, answer });
        self.notify.notify_one();
        match timeout(RECEIPT_WAIT_MAX, answered).await {
            Ok(Ok(fresh)) => fresh,
            Ok(Err(_)) => Err(("busy", "the refresh was given up; try again".into())),
            Err(_) => {
                metrics.limit("receipts");
                let why = "the query was not refreshed in time; ask again";
                Err(("busy", why.into()))
            }
        }
    }

    // by the refresher

    /// Waits until there is something new.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }

    /// Takes what is new.
    pub fn take(&self) -> News {
        std::mem::take(&mut self.inner().news)
    }

    /// A number for the queries that there are, as far as is known here: one looks which these are.
    pub fn catalog(&self) -> u64 {
        self.inner().catalog
    }

    /// Everything before this transaction has been told; none before the first read.
    pub fn seen_xmin(&self) -> Option<u64> {
        self.inner().seen.as_ref().map(Snapshot::xmin)
    }

    /// These are the queries from now on; `catalog` was the number when one began to look. A change that was told before may be missing:
    /// look at the log.
    pub fn follow(&self, names: HashSet<String>, bases: HashSet<Oid>, catalog: u64) {
        let mut inner = self.inner();
        (inner.names, inner.bases, inner.known) = (names, bases, Some(catalog));
    }
}

/// One that waits.
struct Place<'a>(&'a RefreshRequest);

impl<'a> Place<'a> {
    /// None if too many wait.
    fn take(request: &'a RefreshRequest) -> Option<Self> {
        let mut inner = request.inner();
        let is_free = inner.waiting < RECEIPTS_MAX;
        inner.waiting += usize::from(is_free);
        // Made only if it is free: one that is dropped gives a place back.
        is_free.then(|| Self(request))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.inner().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::LimitLabel;

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

    #[actix_web::test]
    async fn nobody_waits_longer_than_the_bound_for_a_query_that_is_not_refreshed() {
        tokio::time::pause();
        let (request, metrics) = (RefreshRequest::default(), Metrics::default());
        let began = tokio::time::Instant::now();
        // Nobody refreshes: the database is away.
        let fresh = request.fresh("board", &metrics).await;
        assert_eq!(fresh.unwrap_err().0, "busy");
        assert_eq!(began.elapsed().as_secs(), RECEIPT_WAIT_MAX.as_secs());
        assert_eq!(request.inner().waiting, 0, "its place is free");
        let limit = "receipts";
        let reached = metrics.limits.get_or_create(&LimitLabel { limit }).get();
        assert_eq!(reached, 1);
        assert!(request.take().asks[0].answer.is_closed());
    }

    #[test]
    fn number_of_those_that_wait_is_bounded_and_who_gives_up_makes_room() {
        let request = RefreshRequest::default();
        let mut places: Vec<_> = (0..RECEIPTS_MAX).map(|_| Place::take(&request)).collect();
        assert!(Place::take(&request).is_none());
        places.pop();
        assert!(Place::take(&request).is_some());
    }

    #[test]
    fn name_may_be_a_query_until_a_look_that_began_later_does_not_find_it() {
        let request = RefreshRequest::default();
        assert!(request.may_be_query("board"), "nobody has looked");
        let look = request.catalog();
        request.follow(HashSet::new(), HashSet::new(), look);
        assert!(!request.may_be_query("board"));
        // It is made while one looks, and that look misses it.
        let look = request.catalog();
        request.may_have_other_queries();
        request.follow(HashSet::new(), HashSet::new(), look);
        assert!(request.may_be_query("board"));
        let look = request.catalog();
        request.follow(HashSet::from(["board".into()]), HashSet::new(), look);
        assert!(request.may_be_query("board") && !request.may_be_query("other"));
        request.has_gap();
        assert!(request.may_be_query("other"), "what was made may be missed");
    }
}
