//! Reads of the log that clients share. A thousand clients that come back from the same place, or nearly the same, cost a few
//! statements: the first one reads, the others wait for it and take their rows from memory.
//!
//! What is read is a stretch: all rows of some tables between two places. It begins at the mark before the cursor, or at
//! the oldest cursor that waits, so that a client with another cursor finds its rows in it too. It never ends behind the
//! hub's own cursor. So the hub knows which policies hold up to its end, and no statement has to ask.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep};

use crate::feed::catalog::Oid;
use crate::feed::{Cursor, LogRow, Rest, Snapshot};
use crate::limits::{
    HISTORY_WAIT_MAX, SHARED_READ_BYTES_MAX, SHARED_READ_KEPT, SHARED_READS_BYTES_MAX,
    SHARED_READS_KEPT_MAX, SHARED_READS_MAX,
};
use crate::metrics::Metrics;

use super::super::turns::{Asker, Crowded, Turn, Turns};
use super::HistoryError;

/// What a client needs.
#[derive(Clone, Debug)]
pub(super) struct Want {
    /// What it has.
    pub from: Arc<Cursor>,
    /// The batch that it is in the middle of.
    pub rest: Option<Rest>,
    /// Of which tables.
    pub rels: Vec<Oid>,
    /// Up to where the hub knows what may be seen.
    pub known: Arc<Cursor>,
}

/// The tables of a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rels {
    /// Every one.
    All,
    /// These.
    Some(Vec<Oid>),
}

impl Rels {
    fn have(&self, rels: &[Oid]) -> bool {
        match self {
            Self::All => true,
            Self::Some(own) => rels.iter().all(|rel| own.contains(rel)),
        }
    }
}

/// Bytes of stretches that are in memory, with those that only a client still has.
#[derive(Debug)]
struct Weight {
    all: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    bytes: usize,
}

impl Weight {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        let all = self.all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.metrics.shared_read_bytes.set(all as i64);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        let all = self.all.fetch_sub(self.bytes, Ordering::Relaxed) - self.bytes;
        self.metrics.shared_read_bytes.set(all as i64);
    }
}

/// All rows of some tables between two places of the log.
#[derive(Debug)]
pub(super) struct Stretch {
    rels: Rels,
    from: Snapshot,
    end: Arc<Cursor>,
    /// In the order of `seq`.
    rows: Vec<LogRow>,
    read_at: Instant,
    _weight: Weight,
}

impl Stretch {
    fn serves(&self, want: &Want) -> bool {
        let from = &want.from.snapshot;
        let goes_on = match &want.rest {
            Some(rest) => rest.end == self.end,
            None => self.end.snapshot.covers(from) && !from.covers(&self.end.snapshot),
        };
        goes_on
            && self.end.epoch == want.from.epoch
            && self.rels.have(&want.rels)
            && from.covers(&self.from)
            && want.known.snapshot.covers(&self.end.snapshot)
    }

    /// The place behind it.
    pub fn end(&self) -> &Arc<Cursor> {
        &self.end
    }

    /// Where the rows behind the change `seq` begin.
    pub fn behind(&self, seq: i64) -> usize {
        self.rows.partition_point(|row| row.seq <= seq)
    }

    /// The first row of `rels` from number `at` on that `from` has not seen, and the number of the one behind it.
    pub fn next(&self, at: usize, from: &Snapshot, rels: &[Oid]) -> Option<(&LogRow, usize)> {
        let rows = self.rows.get(at..)?;
        let place = rows
            .iter()
            .position(|row| rels.contains(&row.rel) && !from.sees(row.xid))?;
        Some((&rows[place], at + place + 1))
    }
}

/// A stretch while it is read.
pub(super) struct Growing {
    rows: Vec<LogRow>,
    weight: Weight,
}

impl Growing {
    /// Takes a row; whether it is still small enough to be shared.
    pub fn push(&mut self, row: LogRow) -> bool {
        self.weight.add(size_of::<LogRow>() + 32 + row.bytes());
        self.rows.push(row);
        self.weight.bytes <= SHARED_READ_BYTES_MAX
            && self.weight.all.load(Ordering::Relaxed) <= SHARED_READS_BYTES_MAX
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// The oldest first.
    kept: VecDeque<Arc<Stretch>>,
    /// Where reads began and ended that were too large to be shared, and of which tables.
    too_large: VecDeque<(Snapshot, Arc<Cursor>, Vec<Oid>)>,
    /// The newest cursor behind which something is known to be pruned. What it covers is lost too.
    lost: Option<Arc<Cursor>>,
    /// Of those that wait for their turn to read.
    waiting: Vec<(u64, Want)>,
    serial: u64,
}

impl Inner {
    fn is_lost(&self, from: &Cursor) -> bool {
        let lost = self.lost.as_ref();
        lost.is_some_and(|c| c.epoch == from.epoch && c.snapshot.covers(&from.snapshot))
    }

    fn forget_old(&mut self) {
        let is_old = |s: &Arc<Stretch>| s.read_at.elapsed() >= SHARED_READ_KEPT;
        self.kept.retain(|stretch| !is_old(stretch));
        if self.kept.is_empty() {
            self.too_large.clear();
        }
    }
}

/// What is known without a question to the database.
pub(super) enum Known {
    /// The rows.
    Rows(Arc<Stretch>),
    /// What is behind the cursor was pruned.
    Lost,
    /// They are too many to be shared.
    TooLarge,
    /// Nothing yet.
    Nothing,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// One reads at a time: what it finds is most often what the next one needs.
    turn: Arc<Turns>,
    bytes: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

/// One that waits for its turn; it is forgotten with this.
pub(super) struct Waiting<'a> {
    shared: &'a Shared,
    serial: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let serial = self.serial;
        self.shared.lock().waiting.retain(|(own, _)| *own != serial);
    }
}

impl Shared {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            inner: Mutex::default(),
            turn: Turns::new("shared_read", 1, metrics.clone()),
            bytes: Arc::default(),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is known any more.
    pub fn forget_all(&self) {
        let mut inner = self.lock();
        inner.kept.clear();
        inner.too_large.clear();
        inner.lost = None;
    }

    /// What is known for `want`.
    pub fn find(&self, want: &Want) -> Known {
        let mut inner = self.lock();
        inner.forget_old();
        let newest = inner.kept.iter().rev().find(|stretch| stretch.serves(want));
        if let Some(stretch) = newest {
            self.metrics.shared_reads.inc();
            return Known::Rows(stretch.clone());
        }
        let from = &want.from.snapshot;
        let is_within = |(begin, end, rels): &(Snapshot, Arc<Cursor>, Vec<Oid>)| {
            end.epoch == want.from.epoch
                && from.covers(begin)
                && end.snapshot.covers(from)
                && *rels == want.rels
        };
        if inner.is_lost(&want.from) {
            Known::Lost
        } else if want.rest.is_some() || inner.too_large.iter().any(is_within) {
            Known::TooLarge
        } else {
            Known::Nothing
        }
    }

    /// Waits for its turn to read. Those that read meanwhile know of it.
    ///
    /// # Errors
    /// [`HistoryError::Busy`] when that takes too long.
    pub async fn take_turn(
        &self,
        want: &Want,
        asker: &Asker,
    ) -> Result<(Waiting<'_>, Turn), HistoryError> {
        let waiting = {
            let mut inner = self.lock();
            inner.serial += 1;
            let serial = inner.serial;
            inner.waiting.push((serial, want.clone()));
            Waiting {
                shared: self,
                serial,
            }
        };
        match self.turn.take(asker, HISTORY_WAIT_MAX).await {
            Ok(turn) => Ok((waiting, turn)),
            Err(Crowded) => Err(HistoryError::Busy),
        }
    }

    /// The tables to read for `want`, and for all others that wait there. When there have been several such reads it is
    /// the whole log.
    pub fn rels_for(&self, want: &Want) -> Rels {
        let inner = self.lock();
        let other = |stretch: &&Arc<Stretch>| {
            let all = Want {
                rels: Vec::new(),
                ..want.clone()
            };
            stretch.serves(&all)
        };
        if inner.kept.iter().filter(other).count() >= SHARED_READS_MAX {
            return Rels::All;
        }
        let mut rels = want.rels.clone();
        for (_, other) in &inner.waiting {
            rels.extend(other.rels.iter().filter(|_| other.rest.is_none()));
        }
        rels.sort_unstable();
        rels.dedup();
        Rels::Some(rels)
    }

    /// The oldest of the cursors that wait, of those which `from` covers.
    pub fn oldest_waiting(&self, from: &Arc<Cursor>) -> Arc<Cursor> {
        let inner = self.lock();
        let mut oldest = from.clone();
        for (_, other) in &inner.waiting {
            let is_older = other.from.epoch == oldest.epoch
                && oldest.snapshot.covers(&other.from.snapshot)
                && !inner.is_lost(&other.from);
            if is_older {
                oldest = other.from.clone();
            }
        }
        oldest
    }

    /// Something behind this cursor has been pruned.
    pub fn note_lost(&self, from: &Arc<Cursor>) {
        let mut inner = self.lock();
        let newer =
            |lost: &Arc<Cursor>| lost.epoch != from.epoch || from.snapshot.covers(&lost.snapshot);
        if inner.lost.as_ref().is_none_or(newer) {
            inner.lost = Some(from.clone());
        }
    }

    /// What was to be read is too large to be shared.
    pub fn note_too_large(&self, begin: &Snapshot, end: &Arc<Cursor>, rels: &[Oid]) {
        self.metrics.limit("shared_read");
        let mut inner = self.lock();
        if inner.too_large.len() >= 64 {
            inner.too_large.pop_front();
        }
        let rels = rels.to_vec();
        inner
            .too_large
            .push_back((begin.clone(), end.clone(), rels));
    }

    /// Begins a stretch. Older ones make room for it.
    pub fn grow(&self) -> Growing {
        let mut inner = self.lock();
        while self.bytes.load(Ordering::Relaxed) > SHARED_READS_BYTES_MAX - SHARED_READ_BYTES_MAX
            && inner.kept.pop_front().is_some()
        {}
        Growing {
            rows: Vec::new(),
            weight: Weight {
                all: self.bytes.clone(),
                metrics: self.metrics.clone(),
                bytes: 0,
            },
        }
    }

    /// Keeps a stretch that has been read to its end, and in which nothing was missing.
    pub fn keep(
        self: &Arc<Self>,
        growing: Growing,
        rels: Rels,
        from: Snapshot,
        end: Arc<Cursor>,
    ) -> Arc<Stretch> {
        let stretch = Arc::new(Stretch {
            rels,
            from,
            end,
            rows: growing.rows,
            read_at: Instant::now(),
            _weight: growing.weight,
        });
        let mut inner = self.lock();
        if inner.kept.len() >= SHARED_READS_KEPT_MAX {
            self.metrics.limit("shared_reads");
            inner.kept.pop_front();
        }
        inner.kept.push_back(stretch.clone());
        drop(inner);
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            sleep(SHARED_READ_KEPT).await;
            if let Some(shared) = shared.upgrade() {
                shared.lock().forget_old();
            }
        });
        stretch
    }
}
