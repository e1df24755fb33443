//! Clients that have been shown rows join their topic, with what has changed in it meanwhile.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::feed::TopicId;
use crate::limits::TURN_MAX;
use crate::wire::message::ResetReason;

use super::super::Hub;
use super::draft::{Draft, Messages, Rows};
use crate::actor::message::*;

/// One of them.
#[derive(Debug)]
pub(super) struct Joining {
    join: JoinDerived,
    /// What has changed since it was shown rows, as far as that has been written.
    frames: Vec<Bytes>,
    answer: oneshot::Sender<Next>,
}

impl Joining {
    /// It has these rows now, after these messages.
    fn take(&mut self, messages: &Messages, rows: &Rows) {
        let frames = messages.iter().map(|(frame, ..)| frame.clone());
        self.frames.extend(frames);
        self.join.has = rows.clone();
    }
}

impl Handler<JoinDerived> for Hub {
    type Result = ResponseFuture<Next>;

    fn handle(&mut self, join: JoinDerived, ctx: &mut Self::Context) -> Self::Result {
        let (answer, next) = oneshot::channel();
        let joining = Joining {
            join,
            frames: Vec::new(),
            answer,
        };
        self.put_joining(joining);
        self.answer_joins(ctx);
        Box::pin(async { next.await.unwrap_or(Next::Broken(ResetReason::Schema)) })
    }
}

impl Hub {
    fn put_joining(&mut self, joining: Joining) {
        let id = joining.join.topic;
        let broken = self.broken(id, joining.join.breaks);
        // A client that has gone does not mind.
        match (broken, self.derived.topics.get_mut(&id)) {
            (Some(broken), _) => drop(joining.answer.send(broken)),
            (None, None) => drop(joining.answer.send(Next::Gone)),
            (None, Some(topic)) => {
                topic.joins.push(joining);
                self.derived.joining.insert(id);
            }
        }
    }

    /// Lets those join that have been shown rows, and answers those that are exact by now. Not in the middle of a batch, and not
    /// while frames are on their way, which they would get as well.
    pub(in super::super) fn answer_joins(&mut self, ctx: &mut <Self as Actor>::Context) {
        if self.derived.is_pushing || self.batch.is_some() {
            return;
        }
        let is_any = !self.derived.joining.is_empty() || !self.derived.passed.is_empty();
        if is_any {
            // A heartbeat must not carry an older cursor than what they are told.
            self.advance();
        }
        for (shard, key) in std::mem::take(&mut self.derived.passed) {
            let refusal = None;
            self.tell(shard, Receipt { key, refusal });
        }
        let until = Instant::now() + TURN_MAX;
        while let Some(id) = self.derived.joining.pop_first() {
            self.join_topic(id, ctx);
            if Instant::now() >= until && !self.derived.joining.is_empty() {
                self.metrics.limit("hub_turn");
                return self.settle_at(Instant::now(), ctx);
            }
        }
    }

    fn join_topic(&mut self, id: TopicId, ctx: &mut <Self as Actor>::Context) {
        let (Some(topic), Some((view, _))) =
            (self.derived.topics.get_mut(&id), self.topics.view(id))
        else {
            return;
        };
        // It was shown rows of a stream that has not broken since: there are some.
        let Some(shown) = topic.shown.clone() else {
            return;
        };
        let mut ready = Vec::new();
        // Those that were shown the same rows get the same messages.
        let mut groups: Vec<(Rows, Vec<Joining>)> = Vec::new();
        for joining in topic.joins.drain(..) {
            let has = joining.join.has.clone();
            if Arc::ptr_eq(&has, &shown.rows) {
                ready.push(joining);
                continue;
            }
            match groups.iter_mut().find(|(rows, _)| Arc::ptr_eq(rows, &has)) {
                Some((_, group)) => group.push(joining),
                None => groups.push((has, vec![joining])),
            }
        }
        for (has, mut group) in groups {
            let draft = Draft::new(id, &view, &shown.at, &has, &shown.rows);
            if draft.is_short() {
                let messages = draft.write();
                group
                    .iter_mut()
                    .for_each(|j| j.take(&messages, &shown.rows));
                ready.append(&mut group);
                continue;
            }
            let (written, rows) = (spawn_blocking(move || draft.write()), shown.rows.clone());
            ctx.spawn(written.into_actor(self).map(move |written, hub, ctx| {
                for mut joining in group {
                    match &written {
                        Ok(messages) => joining.take(messages, &rows),
                        // It panicked, and would again: the client begins anew.
                        Err(_) => continue,
                    }
                    hub.put_joining(joining);
                }
                hub.answer_joins(ctx);
            }));
        }
        for Joining {
            join,
            frames,
            answer,
        } in ready
        {
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
}
