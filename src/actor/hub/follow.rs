//! What the hub makes of the log: rows become changes, changes become frames, and frames go to the shards.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::dev::RecipientRequest;

use crate::feed::catalog::Oid;
use crate::feed::change_builder::BuildError;
use crate::feed::{Change, Cursor, LogOp, LogRow, Table, TopicId};
use crate::metrics::ChangeLabels;
use crate::wire::message::ResetReason;

use super::topics::Affected;
use super::turns::{Asking, Bounds, Step, Waiting};
use super::{Batch, Hub};
use crate::actor::message::*;

/// Pushes that the shards have not taken yet.
pub(super) type Sent = Vec<Pin<Box<RecipientRequest<Push>>>>;

/// What one chunk has brought so far.
#[derive(Default)]
pub(super) struct Turn {
    /// Changes that are not in the batch yet.
    changes: Vec<(Arc<Table>, Change)>,
    /// The same in the order in which they are put there; the first one may be half there.
    waiting: Waiting,
    asking: Asking,
    pub(super) sent: Sent,
}

impl Hub {
    /// Takes note of a chunk of the log before its rows are worked on.
    pub(super) fn open_batch(&mut self, chunk: &Chunk) {
        if self.batch.is_none() {
            // A chunk never comes before the listener was live.
            let from = self.cursor.as_ref().unwrap_or(&chunk.next);
            self.batch = Some(Batch::new(from.clone(), chunk.next.clone()));
        }
        self.window.push(&chunk.rows);
        self.traces.note(&chunk.rows, &self.metrics);
    }

    /// What was held back for the end of the batch.
    pub(super) fn finish_expanding(&mut self, turn: &mut Turn) {
        let Err(unclear) = self.builder.finish(&mut turn.changes) else {
            return;
        };
        for rel in unclear {
            if let Some(table) = self.catalog.get(rel).cloned() {
                self.untold(&table, i64::MAX, &BuildError::Unclear);
            }
        }
    }

    /// Sends what is ready of a chunk that has been worked on.
    pub(super) fn end_chunk(
        &mut self,
        next: Arc<Cursor>,
        last: bool,
        asked: u64,
        newest_at_us: Option<i64>,
        turn: &mut Turn,
    ) {
        let (frames, cursor) = match self.batch.as_mut() {
            Some(batch) if !last => (batch.ready(), None),
            _ => {
                let frames = self.batch.take().map(Batch::finish).unwrap_or_default();
                self.window.close(next.clone());
                self.answered = self.answered.max(asked);
                self.set_cursor(next);
                (frames, self.reached())
            }
        };
        self.metrics.window_bytes.set(self.window.bytes() as i64);
        if let Some(at_us) = newest_at_us {
            self.measure_lag(at_us);
        }
        self.push(frames, cursor.as_ref(), &mut turn.sent);
        if last {
            self.traces.end(&self.catalog, &self.metrics);
        }
        if cursor.is_some() {
            self.answer_receipts();
        }
    }

    pub(super) fn take(&mut self, row: LogRow, turn: &mut Turn) {
        match row.op {
            LogOp::Watch => self.watched(&row, turn),
            LogOp::Unwatch => {
                // Each subscription gets what was committed up to here, and then the end.
                self.settle(row.rel, turn);
                self.catalog.remove(row.rel);
                self.end(row.rel, turn);
            }
            LogOp::Reset => {
                self.settle(row.rel, turn);
                self.reset(row.rel, ResetReason::Schema);
            }
            // The listener comes back with it.
            LogOp::Renewed => {}
            LogOp::Insert | LogOp::Update | LogOp::Delete | LogOp::Truncate => {
                // A table that is not watched any more may still have rows in the log.
                let Some(table) = self.catalog.get(row.rel).cloned() else {
                    return self
                        .metrics
                        .canary
                        .hear(row.row.as_deref().unwrap_or_default());
                };
                let seq = row.seq;
                if let Err(error) = self.builder.push(row, &table, &mut turn.changes) {
                    self.untold(&table, seq, &error);
                }
            }
        }
    }

    /// The streams of a table end here: what was whole before goes out first, marked as the last.
    fn end(&mut self, root: Oid, turn: &mut Turn) {
        if let Some(batch) = &mut self.batch {
            let mut frames = batch.ready();
            frames.extend(
                self.topics
                    .affected(self.topics.ids(root))
                    .into_iter()
                    .filter_map(|affected| batch.end(affected.topic)),
            );
            self.push(frames, None, &mut turn.sent);
        }
        self.retire(root);
    }

    /// Puts everything of a table that came before this point into the batch.
    fn settle(&mut self, root: Oid, turn: &mut Turn) {
        let settled = self.builder.finish_of(root, &mut turn.changes);
        self.add(turn, Bounds::none());
        if let (Err(error), Some(table)) = (settled, self.catalog.get(root).cloned()) {
            self.untold(&table, i64::MAX, &error);
        }
    }

    /// Puts the changes into the batch, as far as the bounds let it.
    pub(super) fn add(&mut self, turn: &mut Turn, bounds: Bounds) -> Step {
        turn.waiting.extend(turn.changes.drain(..));
        while let Some((table, change)) = turn.waiting.front() {
            if turn.asking.concerned.is_none() {
                let labels = ChangeLabels {
                    table: table.quoted.clone(),
                    op: change.op.as_str(),
                };
                self.metrics.changes.get_or_create(&labels).inc();
            }
            let (topics, derived) = (&self.topics, &mut self.derived);
            let added = match &mut self.batch {
                Some(batch) => batch.add(topics, derived, table, change, &mut turn.asking, bounds),
                None => Ok(Step::Done),
            };
            match added {
                Ok(Step::Done) => {}
                Ok(step) => return step,
                Err(error) => {
                    let (table, seq) = (table.clone(), change.seq);
                    self.unreadable(&table, seq, &error);
                }
            }
            turn.waiting.pop_front();
            turn.asking = Asking::default();
            let text_bytes = self.batch.as_ref().map_or(0, Batch::text_bytes);
            let step = bounds.check(text_bytes);
            if step != Step::Done {
                return step;
            }
        }
        Step::Done
    }

    /// What happened to a table can't be told change by change.
    fn untold(&mut self, table: &Table, seq: i64, error: &BuildError) {
        self.builder.forget(table.rel);
        match error {
            BuildError::Row(error) => self.unreadable(table, seq, error),
            BuildError::Unclear => {
                self.metrics.limit("statement_order");
                log::warn!(
                    "order of what a statement did is unclear, clients are reset table={}",
                    table.quoted
                );
                self.reset(table.rel, ResetReason::Schema);
            }
        }
    }

    /// A row does not have the columns of the key, say because one was renamed: nobody can follow the table by key.
    fn unreadable(&mut self, table: &Table, seq: i64, error: &dyn std::error::Error) {
        let is_heard = |topic: &TopicId| self.batch.as_ref().is_none_or(|b| !b.is_muted(*topic));
        let is_news = self.topics.ids(table.rel).iter().any(is_heard);
        if is_news {
            let name = &table.quoted;
            log::error!(
                "rows do not fit the table as it was described, clients are reset table={name} seq={seq} error={error}"
            );
            self.reset(table.rel, ResetReason::Schema);
        }
    }

    /// A table is watched from here on, or watched in another way.
    fn watched(&mut self, row: &LogRow, turn: &mut Turn) {
        match row.row.as_deref().map(serde_json::from_str::<Table>) {
            Some(Ok(table)) => {
                self.settle(table.rel, turn);
                log::info!(
                    "table watched table={} key={}",
                    table.quoted,
                    table.key.join(",")
                );
                for stale in self.describe(table) {
                    self.end(stale, turn);
                }
            }
            Some(Err(error)) => {
                log::error!("table description unreadable rel={} error={error}", row.rel)
            }
            None => {}
        }
    }

    /// Takes the description of a table, which may be known already. Gives the tables that have lost their name to it.
    pub(super) fn describe(&mut self, table: Table) -> Vec<Oid> {
        let rel = table.rel;
        let stale = self.catalog.insert(table);
        if let Some(table) = self.catalog.get(rel).cloned() {
            self.check_policies(&table);
            let broken = self.topics.describe(&table);
            self.derived.describe(self.topics.ids(rel));
            self.break_streams(&broken, ResetReason::Schema);
        }
        stale
    }

    /// The author of a policy that can't be followed has to learn why it shows nothing.
    fn check_policies(&self, table: &Table) {
        for policy in &table.policies {
            if let Err(why) = policy.check(table) {
                log::error!(
                    "policy can't be followed, it shows no row table={} role={:?} op={} reason={why:?}",
                    table.quoted,
                    policy.role,
                    policy.op.as_str()
                );
            }
        }
    }

    /// The streams of a table have broken, and go on behind the batch that is under way.
    pub(super) fn reset(&mut self, root: Oid, reason: ResetReason) {
        let ids = self.topics.ids(root).to_vec();
        self.break_streams(&ids, reason);
    }

    pub(super) fn break_streams(&mut self, ids: &[TopicId], reason: ResetReason) {
        let cursor = self
            .batch
            .as_ref()
            .map_or(&self.cursor_text, Batch::cursor)
            .clone();
        for affected in self.topics.affected(ids) {
            let topic = affected.topic;
            self.topics.break_stream(topic, reason);
            if let Some(batch) = &mut self.batch {
                batch.mute(topic);
            }
            self.derived.restart(topic);
            for shard in affected.shards {
                let reset = Reset {
                    topic,
                    reason,
                    asked: affected.asked.clone(),
                    is_void: affected.is_void || affected.is_derived,
                    cursor: cursor.clone(),
                };
                self.tell(shard, reset);
            }
        }
    }

    /// A table is not watched any more.
    pub(super) fn retire(&mut self, root: Oid) {
        for Affected { topic, shards, .. } in self.topics.affected(self.topics.ids(root)) {
            if let Some(batch) = &mut self.batch {
                batch.mute(topic);
            }
            for shard in shards {
                self.tell(shard, Retire { topic });
            }
            self.topics.remove(topic);
            self.derived.remove(topic);
        }
        self.derived.measure(&self.metrics);
        self.metrics.topics.set(self.topics.len() as i64);
    }

    /// Sends frames to the shards that have subscribers of them.
    pub(super) fn push(&self, frames: Vec<TopicFrame>, cursor: Option<&Reached>, sent: &mut Sent) {
        let mut by_shard: HashMap<ShardId, Vec<TopicFrame>> = HashMap::new();
        let now = Instant::now();
        for frame in frames {
            self.topics.count(&frame, now);
            for shard in self.topics.shards(frame.topic) {
                by_shard.entry(shard).or_default().push(frame.clone());
            }
        }
        for (id, frames) in by_shard {
            if let Some(shard) = self.shards.get(&id) {
                sent.push(Box::pin(shard.push(Push {
                    frames,
                    cursor: cursor.cloned(),
                })));
            }
        }
    }

    /// How late the newest change of a batch was read.
    fn measure_lag(&self, at_us: i64) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let lag = now.saturating_sub(Duration::from_micros(at_us.unsigned_abs()));
        self.metrics.listener_lag_seconds.set(lag.as_secs_f64());
    }
}
