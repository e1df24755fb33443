//! The topics. The hub turns each batch of the log into one frame per topic, and hands it to the shards that have
//! subscribers of it. It never touches a socket and never talks SQL.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

use crate::auth::Viewer;
use crate::feed::filter::Filter;
use crate::feed::{
    Catalog, ChangeBuilder, Cursor, Derivation, Right, Subject, Table, View, Window,
};
use crate::health::{Health, Part};
use crate::limits::{HUB_MAILBOX_MAX, STATEMENT_KEYS_MAX, WINDOW_BYTES_MAX};
use crate::metrics::Metrics;
use crate::store::History;
use crate::trace::Spans;
use crate::wire::message::{BROKEN_CLAIM, Refusal, Subscribe as Wanted};

use crate::actor::message::TopicRequest;
use crate::actor::message::*;
use crate::actor::poll_request::PollRequest;

mod batch;
mod budget;
mod derivation;
mod derived;
mod follow;
mod index;
mod load;
mod receipts;
mod recent;
mod resume;
mod topics;
mod traces;
mod turns;

use batch::Batch;
use derived::DerivedTopics;
use receipts::Receipts;
use recent::Looks;
use resume::Pending;
use topics::Topics;
use traces::Traces;
use turns::Work;

/// There is no such table, or it is not watched, or may not be read.
const UNKNOWN_TABLE: &str = "unknown_table";

/// The actor.
pub struct Hub {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shards: HashMap<ShardId, ShardLink>,
    catalog: Catalog,
    topics: Topics,
    /// Where the last whole batch ended; none before the listener is live for the first time.
    cursor: Option<Arc<Cursor>>,
    /// The same as text, and whether all shards know it.
    cursor_text: Arc<str>,
    cursor_is_told: bool,
    /// Whether the listener follows the log.
    live: bool,
    batch: Option<Batch>,
    /// The rest of the chunk that is under way.
    work: Option<Work>,
    builder: ChangeBuilder,
    /// The recent batches, for those who come back.
    window: Window,
    /// Asks the listener to look now.
    poll_request: Arc<PollRequest>,
    /// How many of these questions the last whole batch has answered.
    answered: u64,
    looks: Looks,
    /// What came while the listener was away, or in the middle of a batch, or is ahead of the hub.
    pending: VecDeque<Pending>,
    receipts: Receipts,
    /// What is told of the traces of writers.
    traces: Traces,
    /// The windows and counts that are followed.
    derived: DerivedTopics,
    /// Where tasks read them.
    history: History,
}

impl Hub {
    /// A hub without topics; `catalog` has no tables yet.
    pub fn new(
        catalog: Catalog,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        poll_request: Arc<PollRequest>,
        history: History,
        spans: Spans,
    ) -> Self {
        Self {
            traces: Traces::new(spans),
            derived: DerivedTopics::default(),
            history,
            poll_request,
            answered: 0,
            looks: Looks::default(),
            window: Window::new(WINDOW_BYTES_MAX),
            metrics,
            health,
            shards: HashMap::new(),
            catalog,
            topics: Topics::default(),
            cursor: None,
            cursor_text: "".into(),
            cursor_is_told: true,
            live: false,
            batch: None,
            work: None,
            builder: ChangeBuilder::new(STATEMENT_KEYS_MAX),
            pending: VecDeque::new(),
            receipts: Receipts::default(),
        }
    }

    /// Every message to a shard but `Push` goes this way: in order, and bounded by the number of subscriptions.
    fn tell(&self, shard: ShardId, message: impl Into<ToShard>) {
        if let Some(shard) = self.shards.get(&shard) {
            shard.tell(message);
        }
    }

    fn set_cursor(&mut self, cursor: Arc<Cursor>) {
        if self.cursor.as_ref() != Some(&cursor) {
            self.cursor_text = cursor.to_string().into();
            self.cursor = Some(cursor);
            self.cursor_is_told = false;
        }
    }

    /// Tells the shards the cursor for their heartbeats, but not in the middle of a batch.
    fn advance(&mut self) {
        if self.cursor_is_told || self.cursor.is_none() || self.batch.is_some() {
            return;
        }
        self.cursor_is_told = true;
        if let Some(cursor) = self.reached() {
            for shard in self.shards.values() {
                let cursor = cursor.clone();
                shard.tell(Advance { cursor });
            }
        }
    }

    /// Up to where everything has been pushed; none in the middle of a batch, and before the first one.
    fn reached(&self) -> Option<Reached> {
        let is_between = self.batch.is_none() && self.cursor.is_some();
        is_between.then(|| Reached {
            cursor: self.cursor_text.clone(),
            stale: self.derived.stale(),
        })
    }

    /// What a subscription is about. A table that its principal may not see is as unknown as one that does not exist.
    fn subject_of(
        &self,
        wanted: &Wanted,
        viewer: &Viewer,
    ) -> Result<(Arc<Table>, Subject), Refusal> {
        let table = self.catalog.resolve(&wanted.table);
        let (table, grant) = match (table, viewer) {
            (Some(table), Viewer::One(principal)) => {
                let grant = table.grant(&**principal, Right::Select);
                let grant =
                    grant.map_err(|e| Refusal::of(&wanted.id, BROKEN_CLAIM, e.to_string()))?;
                (Some(table).filter(|_| grant.is_some()), grant)
            }
            (table, _) => (table, None),
        };
        let table = table.ok_or_else(|| {
            let message = format!(
                "there is no watched table {:?} that you may read",
                wanted.table
            );
            Refusal::of(&wanted.id, UNKNOWN_TABLE, message)
        })?;
        let derivation = derivation::of(wanted, table)?;
        let counts = matches!(derivation, Some(Derivation::Counts(_)));
        let mut named = wanted.columns.iter().flatten().filter(|_| !counts);
        if let Some(name) = named.find(|name| !table.has_column(name)) {
            let message = format!("the table {} has no column {name:?}", table.quoted);
            let refusal = Refusal::of(&wanted.id, "unknown_column", message);
            return Err(refusal.at("columns"));
        }
        let filter = match &wanted.filter {
            Some(_) if !table.old_rows => {
                let message = format!(
                    "the table {} logs no old rows, and without them nobody knows when a row has left a filter; its owner has to call plank.watch with old_rows",
                    table.quoted
                );
                return Err(Refusal::of(&wanted.id, "bad_filter", message).at("filter"));
            }
            Some(expr) => {
                let bound = Filter::bind(expr, table);
                Some(Arc::new(bound.map_err(|e| Refusal::filter(&wanted.id, e))?))
            }
            None => None,
        };
        if wanted.conflate && derivation.is_none() && table.key.is_empty() {
            let message = format!(
                "the table {} has no primary key, so there is no newest change of each key",
                table.quoted
            );
            return Err(Refusal::of(&wanted.id, "no_key", message).at("conflate"));
        }
        // Of a window, and of counts, only the newest is ever told.
        let conflates = wanted.conflate && derivation.is_none();
        let columns = wanted.columns.clone();
        let subject = Subject::new(table.rel, columns, filter, grant, conflates);
        Ok((table.clone(), subject.deriving(derivation)))
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(HUB_MAILBOX_MAX);
        self.health.tick(Part::Hub);
        ctx.run_interval(Duration::from_secs(1), |hub, _| {
            hub.health.tick(Part::Hub);
            hub.advance();
            hub.answer_receipts();
            hub.refuse_overdue();
        });
    }
}

impl Handler<Attach> for Hub {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        if let Some(cursor) = self.reached() {
            attach.shard.tell(Advance { cursor });
        }
        self.shards.insert(attach.id, attach.shard);
    }
}

impl Handler<Live> for Hub {
    type Result = ();

    fn handle(&mut self, live: Live, ctx: &mut Self::Context) {
        if live.broken.is_some() {
            (self.batch, self.work) = (None, None);
            self.traces.clear();
            self.builder = ChangeBuilder::new(STATEMENT_KEYS_MAX);
            self.catalog.clear();
        }
        self.finish_work(ctx);
        // The listener gives up its old cursor a moment later than the hub, which must not go back to it.
        let is_behind = |own: &Arc<Cursor>| !live.cursor.snapshot.covers(&own.snapshot);
        if live.broken.is_some()
            || (self.batch.is_none() && !self.cursor.as_ref().is_some_and(is_behind))
        {
            let cursor = Arc::new(live.cursor);
            if live.broken.is_some() || self.cursor.as_ref() != Some(&cursor) {
                self.window.restart(cursor.clone());
            }
            self.set_cursor(cursor);
        }
        self.catalog.take_letters(&live.catalog);
        for table in live.catalog.into_tables() {
            for stale in self.describe((*table).clone()) {
                self.retire(stale);
            }
        }
        self.live = true;
        if let Some(reason) = live.broken {
            for root in self.topics.roots() {
                match self.catalog.get(root) {
                    Some(_) => self.reset(root, reason),
                    None => self.retire(root),
                }
            }
        }
        self.answer_pending();
        self.answer_receipts();
        self.settle_derived(ctx);
        self.advance();
    }
}

impl Handler<AwaitReceipt> for Hub {
    type Result = ();

    fn handle(&mut self, receipt: AwaitReceipt, _: &mut Self::Context) {
        self.await_receipt(receipt);
    }
}

impl Handler<Lost> for Hub {
    type Result = ();

    fn handle(&mut self, _: Lost, _: &mut Self::Context) {
        self.live = false;
        self.derived.forgive();
        self.release_recent();
    }
}

impl Handler<Chunk> for Hub {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, chunk: Chunk, ctx: &mut Self::Context) -> Self::Result {
        self.begin(chunk, ctx)
    }
}

impl Handler<Subscribe> for Hub {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, _: &mut Self::Context) {
        self.subscribe(subscribe);
    }
}

impl Handler<Replay> for Hub {
    type Result = ResponseFuture<Next>;

    fn handle(&mut self, replay: Replay, _: &mut Self::Context) -> Self::Result {
        self.replay(replay)
    }
}

impl Handler<Describe> for Hub {
    type Result = Option<(View, TopicRequest)>;

    fn handle(&mut self, describe: Describe, _: &mut Self::Context) -> Self::Result {
        self.topics.described(describe.topic)
    }
}

impl Handler<Find> for Hub {
    type Result = ResponseFuture<Result<Found, Refusal>>;

    fn handle(&mut self, find: Find, _: &mut Self::Context) -> Self::Result {
        self.find(find)
    }
}

impl Handler<FindTable> for Hub {
    type Result = MessageResult<FindTable>;

    fn handle(&mut self, find: FindTable, _: &mut Self::Context) -> Self::Result {
        let table = || self.catalog.resolve(&find.name).cloned();
        MessageResult(self.cursor.is_some().then(table))
    }
}

impl Handler<ListTables> for Hub {
    type Result = MessageResult<ListTables>;

    fn handle(&mut self, list: ListTables, _: &mut Self::Context) -> Self::Result {
        let is_seen = |table: &&Arc<Table>| match &list.viewer {
            Viewer::Everybody => true,
            Viewer::One(principal) => table.may(&**principal, Right::Select),
        };
        let listed = || {
            let mut tables: Vec<_> = self.catalog.iter().filter(is_seen).cloned().collect();
            tables.sort_by(|a, b| a.quoted.cmp(&b.quoted));
            Listed {
                version: self.catalog.version(),
                tables,
            }
        };
        MessageResult(self.cursor.is_some().then(listed))
    }
}

impl Handler<FindHeaviest> for Hub {
    type Result = MessageResult<FindHeaviest>;

    fn handle(&mut self, _: FindHeaviest, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.topics.heaviest(Instant::now()))
    }
}

impl Handler<Left> for Hub {
    type Result = ();

    fn handle(&mut self, left: Left, _: &mut Self::Context) {
        for (topic, count) in left.topics {
            self.topics.leave(topic, left.shard, count);
            if !self.topics.has(topic) {
                self.derived.remove(topic);
            }
        }
        self.metrics.topics.set(self.topics.len() as i64);
        self.derived.measure(&self.metrics);
    }
}

impl Handler<Drain> for Hub {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        for shard in self.shards.values() {
            shard.tell(Drain);
        }
    }
}

impl Handler<Stop> for Hub {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
