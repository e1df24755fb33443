//! The windows and counts that are followed, each once for all that ask for the same. A change is put into the rows that are held;
//! what it does not tell is read by a task. [`publish`] sends the difference, at most every [`crate::limits::DERIVED_INTERVAL`].
//!
//! What clients have is always what the table is at a cursor: that of the hub between two batches, or that of a read which the hub
//! has reached. What comes meanwhile waits.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::feed::change_encoder::Unfit;
use crate::feed::derived::{Derived, Effect};
use crate::feed::filter::{Opened, Shape};
use crate::feed::{Change, Cursor, Table, TopicId, View};
use crate::limits::DERIVED_WAITING_BYTES_MAX;
use crate::metrics::Metrics;
use crate::store::history::Asker;

use crate::actor::message::{ShardId, ShownNow, SubscriptionKey};

mod ask;
mod draft;
mod exact;
mod join;
mod publish;
mod read;

use draft::{Rows, Written};
use exact::Waiting;
use join::Joining;

/// What the subscribers of a topic have.
#[derive(Clone, Debug)]
struct Shown {
    rows: Rows,
    /// They are exact here.
    at: Arc<Cursor>,
    /// Since when they have been these rows.
    since: Arc<Cursor>,
}

/// Rows that have been read, at a cursor that the hub may not have reached.
#[derive(Debug)]
struct Fresh {
    derived: Derived,
    at: Arc<Cursor>,
    /// The question to the listener that was asked for the sake of it, or 0.
    asked: u64,
}

/// A change that came while the rows were being read, or the hub was not there yet.
#[derive(Debug)]
struct Late {
    table: Arc<Table>,
    change: Change,
    shape: Shape,
}

impl Late {
    /// Bytes that it takes, about.
    fn bytes(&self) -> usize {
        let of = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let change = &self.change;
        256 + of(&change.key) + of(&change.row) + of(&change.old)
    }
}

/// One of them.
#[derive(Debug)]
struct Topic {
    /// For whom it is read.
    asker: Asker,
    /// The rows at the hub's own cursor; none when they have to be read.
    held: Option<Derived>,
    /// The number of the read that is under way.
    reading: Option<u64>,
    fresh: Option<Fresh>,
    late: VecDeque<Late>,
    late_bytes: usize,
    /// There were too many of those.
    has_missed: bool,
    /// None before the first read, and after the stream has broken.
    shown: Option<Shown>,
    /// What they get next, which is written on another thread.
    written: Option<Written>,
    /// Whether `held` may be other rows than those.
    is_changed: bool,
    /// The newest change in it, in microseconds of Unix time.
    at_us: i64,
    /// Before it nothing is sent.
    publish_from: Instant,
    /// Before it nothing is read.
    read_from: Instant,
    failures: u32,
    /// When the first of these reads began.
    failing_since: Option<Instant>,
    /// Clients that wait to be shown the rows.
    asks: Vec<oneshot::Sender<ShownNow>>,
    /// Clients that have been, and wait to join.
    joins: Vec<Joining>,
    /// Clients that wait until it is exact at a cursor.
    receipts: Vec<Waiting>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct DerivedTopics {
    topics: HashMap<TopicId, Topic>,
    /// Those that are not exact at the hub's cursor.
    stale: BTreeSet<TopicId>,
    /// Whose turn is the next one.
    first: TopicId,
    /// Of the last read that has begun.
    number: u64,
    /// Bytes of all rows that are held, as of the last look.
    bytes: usize,
    /// Frames are on their way to the shards.
    is_pushing: bool,
    /// Those that clients wait to be shown, and that have been read.
    showing: BTreeSet<TopicId>,
    /// Those that clients wait to join.
    joining: BTreeSet<TopicId>,
    /// Clients that are told, when those have been taken, that theirs is exact.
    passed: Vec<(ShardId, SubscriptionKey)>,
    /// One more than there are clients that wait until theirs is exact.
    counter: Arc<()>,
    /// When it is looked at next.
    wakes_at: Option<Instant>,
}

impl Topic {
    fn new(asker: Asker) -> Self {
        let now = Instant::now();
        Self {
            asker,
            held: None,
            reading: None,
            fresh: None,
            late: VecDeque::new(),
            late_bytes: 0,
            has_missed: false,
            shown: None,
            written: None,
            is_changed: false,
            at_us: 0,
            publish_from: now,
            read_from: now,
            failures: 0,
            failing_since: None,
            asks: Vec::new(),
            joins: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// The rows have to be read.
    fn lose(&mut self) {
        (self.held, self.fresh, self.reading) = (None, None, None);
        self.forget_late();
    }

    fn forget_late(&mut self) {
        (self.late, self.late_bytes, self.has_missed) = (VecDeque::new(), 0, false);
    }

    /// A client waits for it, or follows it.
    fn is_wanted(&self) -> bool {
        self.shown.is_some() || !self.asks.is_empty()
    }

    fn wait(&mut self, table: &Arc<Table>, change: &Change, shape: Shape) {
        let late = Late {
            table: table.clone(),
            change: change.clone(),
            shape,
        };
        self.late_bytes += late.bytes();
        if self.late_bytes > DERIVED_WAITING_BYTES_MAX {
            self.has_missed = true;
            self.late = VecDeque::new();
        } else if !self.has_missed {
            self.late.push_back(late);
        }
    }

    /// Takes a change. True if the rows are other ones now, or not known.
    fn take(
        &mut self,
        view: &View,
        change: &Change,
        shape: Shape,
        opened: &Opened<'_>,
    ) -> Result<bool, Unfit> {
        let Some(held) = &mut self.held else {
            return Ok(true);
        };
        match held.apply(view, change, shape, opened)? {
            // What is read then is refused.
            _ if held.is_too_large() => self.held = None,
            Effect::Nothing => return Ok(false),
            Effect::Changed => self.is_changed = true,
            Effect::Lost => self.held = None,
        }
        self.at_us = self.at_us.max(change.at_us);
        Ok(true)
    }

    /// Whether what is held is what there is at the hub's cursor, and subscribers have it.
    fn is_exact(&self) -> bool {
        let is_read = self.held.is_some() && self.fresh.is_none() && self.late.is_empty();
        is_read && !self.is_changed && self.written.is_none()
    }

    fn bytes(&self) -> usize {
        let held = self.held.as_ref().map_or(0, Derived::bytes);
        held + self.fresh.as_ref().map_or(0, |fresh| fresh.derived.bytes())
    }
}

impl DerivedTopics {
    /// A subscription has got this topic.
    pub fn open(&mut self, id: TopicId, asker: impl FnOnce() -> Asker) {
        self.topics.entry(id).or_insert_with(|| {
            self.stale.insert(id);
            Topic::new(asker())
        });
    }

    /// Nobody follows it any more.
    pub fn remove(&mut self, id: TopicId) {
        self.topics.remove(&id);
        self.stale.remove(&id);
    }

    /// What is not exact at the hub's cursor.
    pub fn stale(&self) -> Arc<[TopicId]> {
        self.stale.iter().copied().collect()
    }

    /// The same, from the one whose turn it is.
    fn in_turn(&self) -> Vec<TopicId> {
        let behind = self.stale.range(self.first..);
        behind
            .chain(self.stale.range(..self.first))
            .copied()
            .collect()
    }

    /// Takes a change that shows through the filter of `view`.
    ///
    /// # Errors
    /// If a row of it does not fit the table.
    pub fn take(
        &mut self,
        id: TopicId,
        view: &View,
        change: &Change,
        shape: Shape,
        opened: &Opened<'_>,
    ) -> Result<(), Unfit> {
        let Some(topic) = self.topics.get_mut(&id) else {
            return Ok(());
        };
        let is_seen = |fresh: &Fresh| fresh.at.snapshot.sees(change.xid);
        match (&topic.reading, &topic.fresh) {
            // Those before it come first.
            (None, None) if !topic.late.is_empty() => topic.wait(&view.table, change, shape),
            (None, None) => {
                if topic.take(view, change, shape, opened)? {
                    self.stale.insert(id);
                }
            }
            (None, Some(fresh)) if is_seen(fresh) => {}
            _ => topic.wait(&view.table, change, shape),
        }
        Ok(())
    }

    /// A table is described anew: the places of its columns may be others. What clients have stays.
    pub fn describe(&mut self, ids: &[TopicId]) {
        for id in ids {
            if let Some(topic) = self.topics.get_mut(id) {
                topic.lose();
                self.stale.insert(*id);
            }
        }
    }

    /// The stream of a topic has broken: its subscribers ask again.
    pub fn restart(&mut self, id: TopicId) {
        if let Some(topic) = self.topics.get_mut(&id) {
            let receipts = std::mem::take(&mut topic.receipts).into_iter();
            // They wait on their shards until the subscriptions are live again.
            self.passed
                .extend(receipts.map(|waiting| (waiting.shard, waiting.key)));
            // Those that wait to be shown it ask again as well.
            *topic = Topic::new(topic.asker.clone());
            self.stale.insert(id);
        }
    }

    /// The database is away: what could not be read meanwhile was not to blame.
    pub fn forgive(&mut self) {
        for topic in self.topics.values_mut() {
            topic.failing_since = None;
        }
    }

    /// Bytes of the other topics that are read for the same principal as this one.
    fn bytes_of(&self, id: TopicId) -> usize {
        let Some(asker) = self.topics.get(&id).map(|topic| &topic.asker) else {
            return 0;
        };
        let others = self.topics.iter().filter(|(other, _)| **other != id);
        let own = others.filter(|(_, topic)| topic.asker == *asker);
        own.map(|(_, topic)| topic.bytes()).sum()
    }

    /// Sets the gauges.
    pub fn measure(&mut self, metrics: &Metrics) {
        self.bytes = self.topics.values().map(Topic::bytes).sum();
        metrics.derived.set(self.topics.len() as i64);
        metrics.derived_bytes.set(self.bytes as i64);
    }

    /// The earlier of what is planned and `at`, if that is to be planned.
    fn wake_in(&mut self, at: Instant) -> Option<Duration> {
        if self.wakes_at.is_some_and(|planned| planned <= at) {
            return None;
        }
        self.wakes_at = Some(at);
        Some(at.saturating_duration_since(Instant::now()))
    }
}
