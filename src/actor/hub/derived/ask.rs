//! What subscriptions ask about their windows and counts: what they show.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use crate::feed::TopicId;
use crate::wire::message::ResetReason;

use super::super::Hub;
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

impl Hub {
    /// Why the stream of a topic does not go on for one that has seen it break so often.
    pub(super) fn broken(&self, id: TopicId, seen: u64) -> Option<Next> {
        match self.topics.view(id) {
            None => Some(Next::Gone),
            Some((_, (breaks, reason))) if breaks != seen => Some(Next::Broken(reason)),
            Some(_) => None,
        }
    }

    /// What becomes of those that wait for a topic which has been looked at.
    pub(super) fn note_waiting(&mut self, id: TopicId, is_exact: bool) {
        let own = self.cursor.clone();
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        let Some(shown) = &topic.shown else {
            return;
        };
        if !topic.asks.is_empty() {
            self.derived.showing.insert(id);
        }
        let at = own.filter(|_| is_exact).unwrap_or(shown.at.clone());
        let passed = topic
            .receipts
            .extract_if(.., |waiting| is_exact || waiting.is_there(&at));
        self.derived
            .passed
            .extend(passed.map(|waiting| (waiting.shard, waiting.key)));
    }

    /// Answers those that ask what a topic shows. Not in the middle of a batch, and not while frames are on their way: the cursor that
    /// they are shown is told to all shards first, and a heartbeat with it must not overtake those.
    pub(super) fn answer_asks(&mut self) {
        if self.derived.is_pushing || self.batch.is_some() || self.derived.showing.is_empty() {
            return;
        }
        // A heartbeat must not carry an older cursor than `subscribed`.
        self.advance();
        for id in std::mem::take(&mut self.derived.showing) {
            let is_exact = !self.derived.stale.contains(&id);
            let own = self.cursor.clone().filter(|_| is_exact);
            let Some(topic) = self.derived.topics.get_mut(&id) else {
                continue;
            };
            // Or the stream has broken meanwhile, and those that ask learn that.
            let Some(shown) = topic.shown.clone() else {
                continue;
            };
            let text: Arc<str> = own.unwrap_or(shown.at).to_string().into();
            for ask in topic.asks.drain(..) {
                let now = ShownNow::Rows(shown.rows.clone(), text.clone(), shown.since.clone());
                // The client may have gone.
                let _ = ask.send(now);
            }
        }
    }
}
