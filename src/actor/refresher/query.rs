//! What the refresher knows of one query: whether it is due, and who waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::actor::refresh_request::{Fresh, Xids};
use crate::feed::Snapshot;
use crate::feed::catalog::Oid;
use crate::limits::{LIVE_QUERY_DEAR, LIVE_QUERY_TAKE_OVER};
use crate::store::live_query::{LiveQuery, Outcome};

/// The changes that a query has not been refreshed for.
#[derive(Clone, Debug, Default)]
pub(super) struct Dirt {
    /// Whose changes.
    xids: Xids,
    /// There may be others.
    is_unknown: bool,
}

impl Dirt {
    fn is_clean(&self) -> bool {
        self.xids.is_empty() && !self.is_unknown
    }

    fn add(&mut self, other: &Self) {
        self.xids.add_all(&other.xids);
        self.is_unknown |= other.is_unknown;
    }

    /// The first transaction that may be news, as `seen` is the first that the listener may not have read; none if that is not known.
    fn first(&self, seen: Option<u64>) -> Option<u64> {
        if self.is_unknown || self.xids.is_cut {
            return None;
        }
        let least = self.xids.list.iter().min().copied();
        seen.map(|seen| least.unwrap_or(seen).min(seen))
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) known: LiveQuery,
    dirt: Dirt,
    /// Not before.
    due: Instant,
    /// A refresh is under way, for these changes, since then.
    running: Option<(Dirt, Instant)>,
    /// How long the last one took.
    took: Duration,
    /// Another node has refreshed it last: that one comes first.
    is_of_another: bool,
    /// Who waits for the next refresh to begin.
    pub(super) asks: Vec<oneshot::Sender<Fresh>>,
}

impl Query {
    /// Of which nothing is known yet.
    pub(super) fn new(known: LiveQuery, now: Instant) -> Self {
        Self {
            took: known.took,
            known,
            dirt: Dirt {
                is_unknown: true,
                ..Dirt::default()
            },
            due: now,
            running: None,
            is_of_another: false,
            asks: Vec::new(),
        }
    }

    /// A client waits for the next refresh.
    pub(super) fn ask(&mut self, answer: oneshot::Sender<Fresh>) {
        if self.asks.len() == self.asks.capacity() {
            // While the database is away they come and go.
            self.asks.retain(|ask| !ask.is_closed());
        }
        self.asks.push(answer);
    }

    /// The tables of these changes have changed.
    pub(super) fn touch(&mut self, touched: &HashMap<Oid, Xids>, now: Instant) {
        let was_clean = self.dirt.is_clean();
        for xids in self.known.bases.iter().filter_map(|rel| touched.get(rel)) {
            self.dirt.xids.add_all(xids);
        }
        if was_clean && !self.dirt.is_clean() && self.is_of_another {
            self.due = self.due.max(now + LIVE_QUERY_TAKE_OVER);
        }
    }

    /// Changes may have been missed.
    pub(super) fn suspect(&mut self) {
        self.dirt.is_unknown = true;
    }

    /// Whether its refreshes take long.
    pub(super) fn is_dear(&self) -> bool {
        self.took > LIVE_QUERY_DEAR
    }

    /// Whether a refresh is under way.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// When it is to be refreshed, if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.running.is_none() && !self.dirt.is_clean() {
            true => Some(self.due),
            false => None,
        }
    }

    /// See [`Dirt::first`].
    pub(super) fn first(&self, seen: Option<u64>) -> Option<u64> {
        let mut all = self.dirt.clone();
        if let Some((under_way, _)) = &self.running {
            all.add(under_way);
        }
        all.first(seen)
    }

    /// Since when the refresh that is under way is.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.running.as_ref().map(|(_, begun)| *begun)
    }

    /// This node has refreshed it on behalf of another query.
    pub(super) fn was_refreshed(&mut self, place: &Snapshot) {
        self.is_of_another = false;
        self.has_seen(place);
    }

    /// A refresh begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.running = Some((std::mem::take(&mut self.dirt), now));
    }

    /// It has ended, in this way.
    pub(super) fn end(&mut self, outcome: &Outcome, now: Instant) {
        let (dirt, begun) = self.running.take().unwrap_or((Dirt::default(), now));
        match outcome {
            Outcome::Refreshed { place, pause, .. } => {
                self.took = now - begun;
                self.due = now + *pause;
                self.is_of_another = false;
                self.has_seen(place);
            }
            Outcome::Clean => {
                self.is_of_another |= !dirt.is_clean() && !dirt.is_unknown;
                self.due = now;
            }
            Outcome::Busy => {
                self.is_of_another = true;
                self.put_off(&dirt, now + LIVE_QUERY_TAKE_OVER);
            }
            Outcome::Early(wait) => self.put_off(&dirt, now + *wait),
            Outcome::Gone => {}
        }
    }

    /// It has come to nothing: it is tried again then.
    pub(super) fn fail(&mut self, until: Instant) {
        let (dirt, _) = self.running.take().unwrap_or((Dirt::default(), until));
        self.put_off(&dirt, until);
        self.dirt.is_unknown = true;
    }

    fn put_off(&mut self, dirt: &Dirt, until: Instant) {
        self.dirt.add(dirt);
        self.due = until;
    }

    /// Changes that came meanwhile, and that the refresh has seen.
    fn has_seen(&mut self, place: &Snapshot) {
        self.dirt.xids.list.retain(|xid| !place.sees(*xid));
    }
}
