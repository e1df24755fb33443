//! The topics. The hub turns each batch of the log into one frame per topic, and hands it to the shards that have
//! subscribers of it. It never touches a socket and never talks SQL.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use futures_util::future::join_all;

use crate::feed::change::Expander;
use crate::feed::{Catalog, Change, Cursor, LogOp, LogRow, Subject, Table};
use crate::health::{Health, Part};
use crate::limits::{HUB_MAILBOX_MAX, KEY_CHANGE_BYTES_MAX, PENDING_SUBSCRIPTIONS_MAX};
use crate::metrics::{ChangeLabels, Metrics};
use crate::wire::message::{self, Refusal, ResetReason, Subscribe as Wanted};

use super::message::*;
use super::shard::Shard;

mod batch;
mod topics;

use batch::Batch;
use topics::Topics;

/// The actor.
pub struct Hub {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shards: HashMap<ShardId, Addr<Shard>>,
    catalog: Catalog,
    topics: Topics,
    /// Where the last whole batch ended; none before the listener is live for the first time.
    cursor: Option<Cursor>,
    /// The same as text, and whether all shards know it.
    cursor_text: Arc<str>,
    cursor_is_told: bool,
    /// Whether the listener follows the log.
    live: bool,
    batch: Option<Batch>,
    expander: Expander,
    /// Subscriptions that came while the listener was away, or in the middle of a batch.
    pending: VecDeque<Subscribe>,
}

impl Hub {
    /// A hub without topics.
    pub fn new(metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self {
            metrics,
            health,
            shards: HashMap::new(),
            catalog: Catalog::default(),
            topics: Topics::default(),
            cursor: None,
            cursor_text: "".into(),
            cursor_is_told: true,
            live: false,
            batch: None,
            expander: Expander::default(),
            pending: VecDeque::new(),
        }
    }

    /// Every message to a shard but `Push` goes this way: in order, and bounded by the number of subscriptions.
    fn tell<M>(&self, shard: ShardId, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Shard: Handler<M>,
    {
        if let Some(shard) = self.shards.get(&shard) {
            shard.do_send(message);
        }
    }

    fn set_cursor(&mut self, cursor: Cursor) {
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
        for shard in self.shards.values() {
            shard.do_send(Advance {
                cursor: self.cursor_text.clone(),
            });
        }
    }

    fn answer_pending(&mut self) {
        while self.live && self.batch.is_none() {
            let Some(subscribe) = self.pending.pop_front() else {
                return;
            };
            self.join(subscribe);
        }
    }

    fn join(&mut self, Subscribe { shard, key, wanted }: Subscribe) {
        match self.subject_of(&wanted) {
            Err(refusal) => self.tell(shard, Refused { key, refusal }),
            Ok((table, subject)) => {
                let topic = self.topics.join(subject, &table, shard);
                self.metrics.topics.set(self.topics.len() as i64);
                let reply = message::subscribed(&wanted.id, topic, &table, &self.cursor_text);
                self.tell(shard, Joined { key, topic, reply });
            }
        }
    }

    fn subject_of(&self, wanted: &Wanted) -> Result<(Arc<Table>, Subject), Refusal> {
        let table = self.catalog.resolve(&wanted.table).ok_or_else(|| {
            let message = format!(
                "there is no watched table {:?} that you may read",
                wanted.table
            );
            Refusal::of(&wanted.id, "unknown_table", message)
        })?;
        if let Some(name) = wanted
            .columns
            .iter()
            .flatten()
            .find(|name| !table.has_column(name))
        {
            let message = format!("the table {} has no column {name:?}", table.quoted);
            return Err(Refusal::of(&wanted.id, "unknown_column", message));
        }
        Ok((
            table.clone(),
            Subject::new(table.rel, wanted.columns.clone()),
        ))
    }

    /// Takes a row of the log. What it means for the topics is in `changes` afterwards.
    fn take(&mut self, row: LogRow, changes: &mut Vec<(Arc<Table>, Change)>) {
        match row.op {
            LogOp::Watch => self.watched(&row),
            LogOp::Unwatch => {
                self.catalog.remove(row.rel);
                self.retire(row.rel);
            }
            LogOp::Reset => {
                if let Some(root) = self.catalog.root_of(row.rel).map(|table| table.rel) {
                    self.reset(root, ResetReason::Schema);
                }
            }
            _ => {
                // A table that is not watched any more may still have rows in the log.
                let Some(table) = self.catalog.root_of(row.rel).cloned() else {
                    return;
                };
                let seq = row.seq;
                if let Err(error) = self.expander.push(row, &table, changes) {
                    log::error!(
                        "log row unreadable table={} seq={seq} error={error}",
                        table.quoted
                    );
                    self.reset(table.rel, ResetReason::Schema);
                }
                if self.expander.held_bytes() > KEY_CHANGE_BYTES_MAX {
                    self.metrics.limit("key_change_bytes");
                    log::error!(
                        "statement changes too many keys, clients are reset table={}",
                        table.quoted
                    );
                    self.expander = Expander::default();
                    self.reset(table.rel, ResetReason::Schema);
                }
            }
        }
    }

    /// A table is watched from here on, or watched in another way.
    fn watched(&mut self, row: &LogRow) {
        let table = match row.row.as_deref().map(serde_json::from_str::<Table>) {
            Some(Ok(table)) => table,
            Some(Err(error)) => {
                return log::error!("table description unreadable rel={} error={error}", row.rel);
            }
            None => return,
        };
        log::info!(
            "table watched table={} key={}",
            table.quoted,
            table.key.join(",")
        );
        let rel = table.rel;
        let is_root = table.rel == table.root;
        self.catalog.insert(table);
        if let Some(table) = self.catalog.root_of(rel).filter(|_| is_root).cloned()
            && self.topics.describe(&table)
        {
            self.reset(rel, ResetReason::Schema);
        }
    }

    /// The streams of a table have broken, and go on from the end of this batch.
    fn reset(&mut self, root: u32, reason: ResetReason) {
        let cursor = self
            .batch
            .as_ref()
            .map_or(&self.cursor_text, Batch::cursor)
            .clone();
        for (topic, table, shards) in self.topics.of(root) {
            if let Some(batch) = &mut self.batch {
                batch.mute(topic);
            }
            for shard in shards {
                let (table, cursor) = (table.clone(), cursor.clone());
                self.tell(
                    shard,
                    Reset {
                        topic,
                        reason,
                        table,
                        cursor,
                    },
                );
            }
        }
    }

    fn retire(&mut self, root: u32) {
        for (topic, _, shards) in self.topics.of(root) {
            if let Some(batch) = &mut self.batch {
                batch.mute(topic);
            }
            for shard in shards {
                self.tell(shard, Retire { topic });
            }
            self.topics.remove(topic);
        }
        self.metrics.topics.set(self.topics.len() as i64);
    }

    /// Sends what is ready to the shards that have subscribers of it. Ready when all have taken it.
    fn push(
        &mut self,
        frames: Vec<TopicFrame>,
        cursor: Option<&Arc<str>>,
    ) -> impl Future<Output = ()> + use<> {
        let mut by_shard: HashMap<ShardId, Vec<TopicFrame>> = HashMap::new();
        for frame in frames {
            for shard in self.topics.shards(frame.topic) {
                by_shard.entry(shard).or_default().push(frame.clone());
            }
        }
        let send = |(id, frames)| {
            Some(self.shards.get(&id)?.send(Push {
                frames,
                cursor: cursor.cloned(),
            }))
        };
        let sent: Vec<_> = by_shard.into_iter().filter_map(send).collect();
        async move {
            // A shard that is gone has no sockets any more.
            join_all(sent).await;
        }
    }

    fn count(&self, table: &Table, change: &Change) {
        let labels = ChangeLabels {
            table: table.quoted.clone(),
            op: change.op.as_str(),
        };
        self.metrics.changes.get_or_create(&labels).inc();
    }

    /// How late the newest change of a batch was read.
    fn measure_lag(&self, at_us: i64) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let lag = now.saturating_sub(Duration::from_micros(at_us.unsigned_abs()));
        self.metrics.listener_lag_seconds.set(lag.as_secs_f64());
        self.health.set_lag(lag);
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
        });
    }
}

impl Handler<Attach> for Hub {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        if self.batch.is_none() && self.cursor.is_some() {
            attach.shard.do_send(Advance {
                cursor: self.cursor_text.clone(),
            });
        }
        self.shards.insert(attach.id, attach.shard);
    }
}

impl Handler<Live> for Hub {
    type Result = ();

    fn handle(&mut self, live: Live, _: &mut Self::Context) {
        let is_other_log = self
            .cursor
            .as_ref()
            .is_some_and(|c| c.epoch != live.cursor.epoch);
        if is_other_log {
            self.batch = None;
            self.expander = Expander::default();
        }
        if self.batch.is_none() {
            self.set_cursor(live.cursor);
        }
        if let Some(catalog) = live.catalog {
            self.catalog = catalog;
            self.topics.describe_all(&self.catalog);
        }
        self.live = true;
        if is_other_log {
            for root in self.topics.roots() {
                if self.catalog.root_of(root).is_some() {
                    self.reset(root, ResetReason::Epoch);
                } else {
                    self.retire(root);
                }
            }
        }
        self.answer_pending();
        self.advance();
    }
}

impl Handler<Lost> for Hub {
    type Result = ();

    fn handle(&mut self, _: Lost, _: &mut Self::Context) {
        self.live = false;
    }
}

impl Handler<Chunk> for Hub {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, chunk: Chunk, _: &mut Self::Context) -> Self::Result {
        if self.batch.is_none() {
            self.batch = Some(Batch::new(chunk.next.to_string().into()));
        }
        let newest_at_us = chunk.rows.iter().map(|row| row.at_us).max();
        let mut changes = Vec::with_capacity(chunk.rows.len());
        for row in chunk.rows {
            self.take(row, &mut changes);
        }
        if chunk.last {
            self.expander.finish(&mut changes);
        }
        for (table, change) in &changes {
            self.count(table, change);
            if let Some(batch) = &mut self.batch
                && let Err(error) = batch.add(&self.topics, table, change)
            {
                log::error!(
                    "log row unreadable table={} seq={} error={error}",
                    table.quoted,
                    change.seq
                );
                self.reset(table.rel, ResetReason::Schema);
            }
        }
        let (frames, cursor) = match self.batch.as_mut() {
            Some(batch) if !chunk.last => (batch.ready(), None),
            _ => {
                let frames = self.batch.take().map(Batch::finish).unwrap_or_default();
                self.set_cursor((*chunk.next).clone());
                (frames, Some(self.cursor_text.clone()))
            }
        };
        if let Some(at_us) = newest_at_us {
            self.measure_lag(at_us);
        }
        let pushed = self.push(frames, cursor.as_ref());
        if chunk.last {
            self.answer_pending();
        }
        Box::pin(pushed)
    }
}

impl Handler<Subscribe> for Hub {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, _: &mut Self::Context) {
        if self.live && self.batch.is_none() {
            return self.join(subscribe);
        }
        if self.pending.len() < PENDING_SUBSCRIPTIONS_MAX {
            return self.pending.push_back(subscribe);
        }
        self.metrics.limit("pending_subscriptions");
        let refusal = Refusal::of(
            &subscribe.wanted.id,
            "busy",
            "the database is away, and too many clients wait for it",
        );
        self.tell(
            subscribe.shard,
            Refused {
                key: subscribe.key,
                refusal,
            },
        );
    }
}

impl Handler<Left> for Hub {
    type Result = ();

    fn handle(&mut self, left: Left, _: &mut Self::Context) {
        for (topic, count) in left.topics {
            self.topics.leave(topic, left.shard, count);
        }
        self.metrics.topics.set(self.topics.len() as i64);
    }
}

impl Handler<Drain> for Hub {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        for shard in self.shards.values() {
            shard.do_send(Drain);
        }
    }
}
