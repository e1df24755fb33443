//! What subscriptions ask about their windows and counts: what they show, whether they may join, whether they are exact.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use crate::feed::{Cursor, TopicId};
use crate::limits::RECEIPTS_MAX;
use crate::wire::message::ResetReason;

use super::super::Hub;
use super::publish::messages;
use crate::actor::message::*;

impl Handler<ShowDerived> for Hub {
    type Result = ResponseFuture<ShownNow>;

    fn handle(&mut self, show: ShowDerived, ctx: &mut Self::Context) -> Self::Result {
        let (answer, shown) = oneshot::channel();
        let broken = self.broken(show.topic, show.breaks);
        match (broken, self.derived.topics.get_mut(&show.topic)) {
            (Some(Next::Broken(reason)), _) => drop(answer.send(ShownNow::Broken(reason))),
            (None, Some(topic)) => {
                topic.asks.push(answer);
                self.derived.stale.insert(show.topic);
                self.settle_derived(ctx);
            }
            _ => drop(answer.send(ShownNow::Gone)),
        }
        // Unsaid when the stream has broken meanwhile: then the subscription has begun anew.
        Box::pin(async { shown.await.unwrap_or(ShownNow::Broken(ResetReason::Schema)) })
    }
}

impl Handler<JoinDerived> for Hub {
    type Result = ResponseFuture<Next>;

    fn handle(&mut self, join: JoinDerived, _: &mut Self::Context) -> Self::Result {
        let (answer, next) = oneshot::channel();
        let broken = self.broken(join.topic, join.breaks);
        match (broken, self.derived.topics.get_mut(&join.topic)) {
            (Some(broken), _) => drop(answer.send(broken)),
            (None, Some(topic)) => {
                self.derived.joining.insert(join.topic);
                topic.joins.push((join, answer));
                self.answer_joins();
            }
            (None, None) => drop(answer.send(Next::Gone)),
        }
        Box::pin(async { next.await.unwrap_or(Next::Broken(ResetReason::Schema)) })
    }
}

impl Hub {
    /// Why the stream of a topic does not go on for one that has seen it break so often.
    fn broken(&self, id: TopicId, seen: u64) -> Option<Next> {
        match self.topics.view(id) {
            None => Some(Next::Gone),
            Some((_, (breaks, reason))) if breaks != seen => Some(Next::Broken(reason)),
            Some(_) => None,
        }
    }

    /// Answers those that ask what a topic shows, and those that wait until it is exact.
    pub(super) fn answer_asks(&mut self, id: TopicId, is_exact: bool) {
        let own = self.cursor.clone();
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        let Some(shown) = topic.shown.clone() else {
            return;
        };
        let at = own.filter(|_| is_exact).unwrap_or(shown.at);
        if !topic.asks.is_empty() {
            let text: Arc<str> = at.to_string().into();
            for ask in topic.asks.drain(..) {
                let now = ShownNow::Rows(shown.rows.clone(), text.clone(), shown.since.clone());
                // The client may have gone.
                let _ = ask.send(now);
            }
        }
        let is_there =
            |at: &Cursor, asked: &Cursor| is_exact || at.snapshot.covers(&asked.snapshot);
        let receipts = std::mem::take(&mut topic.receipts);
        let (passed, ahead): (Vec<_>, Vec<_>) =
            (receipts.into_iter()).partition(|(_, _, asked)| is_there(&at, asked));
        topic.receipts = ahead;
        self.derived
            .passed
            .extend(passed.into_iter().map(|(shard, key, _)| (shard, key)));
    }

    /// Lets those join that have been shown rows. Not while frames are on their way, which they would get as well.
    pub(super) fn answer_joins(&mut self) {
        if self.derived.is_pushing {
            return;
        }
        for (shard, key) in std::mem::take(&mut self.derived.passed) {
            let refusal = None;
            self.tell(shard, Receipt { key, refusal });
        }
        let mut joined = Vec::new();
        for id in std::mem::take(&mut self.derived.joining) {
            let (Some(topic), Some((view, _))) =
                (self.derived.topics.get_mut(&id), self.topics.view(id))
            else {
                continue;
            };
            // It was shown rows of a stream that has not broken since: there are some.
            let Some(shown) = &topic.shown else {
                continue;
            };
            let cursor = shown.at.to_string();
            for (join, answer) in topic.joins.drain(..) {
                let missed = match Arc::ptr_eq(&join.has, &shown.rows) {
                    true => Vec::new(),
                    false => messages(id, &view, &cursor, &join.has, &shown.rows),
                };
                let frames = missed.into_iter().map(|(frame, ..)| frame).collect();
                joined.push((join, frames, answer));
            }
        }
        for (join, frames, answer) in joined {
            let told = Joined {
                key: join.key,
                topic: join.topic,
                reply: None,
                missed: Some(Missed::Frames(frames)),
                wanted: join.wanted,
            };
            self.tell(join.shard, told);
            // The client may have gone.
            let _ = answer.send(Next::Joined);
        }
    }

    /// Says when a topic is exact at this cursor, which the hub has reached.
    pub(in super::super) fn await_exact(
        &mut self,
        id: TopicId,
        (shard, key): (ShardId, SubscriptionKey),
        cursor: Arc<Cursor>,
    ) {
        let is_stale = self.derived.stale.contains(&id);
        let topic = self.derived.topics.get_mut(&id);
        match topic.filter(|_| is_stale) {
            Some(topic) if topic.receipts.len() >= RECEIPTS_MAX => {
                self.metrics.limit("receipts");
                let refusal = Some(("busy", "too many clients wait for a receipt; try again"));
                self.tell(shard, Receipt { key, refusal });
            }
            Some(topic) => topic.receipts.push((shard, key, cursor)),
            None if self.derived.is_pushing => self.derived.passed.push((shard, key)),
            None => {
                let refusal = None;
                self.tell(shard, Receipt { key, refusal });
            }
        }
    }
}
