//! Between two batches: what has changed is sent, what was read is taken over, what has to be read is asked for.

use std::sync::Arc;

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

use crate::feed::filter::Opened;
use crate::feed::{Cursor, TopicId, View};
use crate::limits::{DERIVED_INTERVAL, TURN_MAX};
use crate::wire::message::ResetReason;

use super::super::Hub;
use super::super::resume::Standing;
use super::draft::{Draft, Messages, Rows, Written};
use super::{Fresh, Shown};
use crate::actor::message::{BatchPosition, TopicFrame};
use crate::actor::transport::shared_frame::SharedFrame;

impl Hub {
    /// Looks at all that are not exact. Between two batches; else it is done at the end of the batch.
    pub(in super::super) fn settle_derived(&mut self, ctx: &mut <Self as Actor>::Context) {
        if self.batch.is_some() {
            return;
        }
        let (mut frames, until) = (Vec::new(), Instant::now() + TURN_MAX);
        let stale = self.derived.in_turn();
        let is_any = !stale.is_empty();
        for id in stale {
            if Instant::now() >= until {
                // It is the turn of this one when the mailbox has been looked at.
                self.metrics.limit("hub_turn");
                self.derived.first = id;
                self.settle_at(Instant::now(), ctx);
                break;
            }
            self.take_over(id, &mut frames, ctx);
            self.apply_late(id, until, ctx);
            self.send_written(id, &mut frames);
            self.publish_changed(id, &mut frames, ctx);
            self.read_derived(id, ctx);
            let is_exact = self.note_exact(id);
            self.note_waiting(id, is_exact);
        }
        if is_any {
            self.derived.measure(&self.metrics);
        }
        if !frames.is_empty() {
            let (mut sent, reached) = (Vec::new(), self.reached());
            self.push(frames, reached.as_ref(), &mut sent);
            self.derived.is_pushing = true;
            let taken = join_all(sent).into_actor(self);
            ctx.spawn(taken.map(|_, hub, ctx| {
                hub.derived.is_pushing = false;
                // Before the next ones are.
                hub.answer_asks();
                hub.answer_joins(ctx);
                hub.settle_derived(ctx);
            }));
        }
        self.answer_asks();
        self.answer_joins(ctx);
    }

    /// Settles again at this moment.
    pub(super) fn settle_at(&mut self, at: Instant, ctx: &mut <Self as Actor>::Context) {
        if let Some(wait) = self.derived.wake_in(at) {
            ctx.run_later(wait, |hub, ctx| {
                hub.derived.wakes_at = None;
                hub.settle_derived(ctx);
            });
        }
    }

    /// Sends what was read, if the hub has reached it, and puts into it what came behind it.
    fn take_over(
        &mut self,
        id: TopicId,
        frames: &mut Vec<TopicFrame>,
        ctx: &mut <Self as Actor>::Context,
    ) {
        let topic = self.derived.topics.get_mut(&id);
        let Some(fresh) = topic
            .filter(|topic| !self.derived.is_pushing && topic.written.is_none())
            .and_then(|t| t.fresh.take())
        else {
            return;
        };
        let Fresh {
            mut derived,
            at,
            asked,
        } = fresh;
        let standing = self.place(&at, asked);
        let (Some(topic), Some((view, _))) =
            (self.derived.topics.get_mut(&id), self.topics.view(id))
        else {
            return;
        };
        match standing {
            Standing::Known => {}
            // A server that is not the one that the log was read from.
            Standing::Nowhere => return topic.lose(),
            Standing::Ahead(asked) => {
                topic.fresh = Some(Fresh { derived, at, asked });
                return;
            }
        }
        let rows = derived.shown();
        topic.held = Some(derived);
        topic.is_changed = false;
        topic.late.retain(|late| {
            let is_behind = !at.snapshot.sees(late.change.xid);
            topic.late_bytes -= if is_behind { 0 } else { late.bytes() };
            is_behind
        });
        self.publish(id, &view, rows, at, frames, ctx);
    }

    /// Puts what came while the rows were read into them, until the turn is over.
    fn apply_late(&mut self, id: TopicId, until: Instant, ctx: &mut <Self as Actor>::Context) {
        let (Some(topic), Some((view, _))) =
            (self.derived.topics.get_mut(&id), self.topics.view(id))
        else {
            return;
        };
        if topic.reading.is_some() || topic.fresh.is_some() {
            return;
        }
        if topic.has_missed {
            return topic.lose();
        }
        while let Some(late) = topic.late.pop_front() {
            topic.late_bytes -= late.bytes();
            let opened = Opened::new(&late.table, &late.change);
            let taken = opened.map(|opened| topic.take(&view, &late.change, late.shape, &opened));
            if !matches!(taken, Ok(Ok(_))) {
                return self.break_derived(id, ResetReason::Schema);
            }
            if Instant::now() >= until && !topic.late.is_empty() {
                self.metrics.limit("hub_turn");
                return self.settle_at(Instant::now(), ctx);
            }
        }
    }

    /// Sends what has changed, at the hub's own cursor.
    fn publish_changed(
        &mut self,
        id: TopicId,
        frames: &mut Vec<TopicFrame>,
        ctx: &mut <Self as Actor>::Context,
    ) {
        let is_pushing = self.derived.is_pushing;
        let (Some(topic), Some(cursor)) = (self.derived.topics.get_mut(&id), self.cursor.clone())
        else {
            return;
        };
        let may_send = !is_pushing && topic.written.is_none() && topic.late.is_empty();
        let Some(held) = topic.held.as_mut().filter(|_| topic.is_changed && may_send) else {
            return;
        };
        if topic.publish_from > Instant::now() {
            let at = topic.publish_from;
            return self.settle_at(at, ctx);
        }
        topic.is_changed = false;
        let rows = held.shown();
        if let Some((view, _)) = self.topics.view(id) {
            self.publish(id, &view, rows, cursor, frames, ctx);
        }
    }

    /// Sends the difference between what the subscribers have and these rows. A long one when it has been written.
    fn publish(
        &mut self,
        id: TopicId,
        view: &View,
        rows: Rows,
        at: Arc<Cursor>,
        frames: &mut Vec<TopicFrame>,
        ctx: &mut <Self as Actor>::Context,
    ) {
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        let Some(shown) = &topic.shown else {
            let since = at.clone();
            topic.shown = Some(Shown { rows, at, since });
            return;
        };
        let draft = Draft::new(id, view, &at, &shown.rows, &rows);
        if draft.is_short() {
            let messages = draft.write();
            return self.send(id, messages, rows, at, frames);
        }
        self.derived.number += 1;
        let number = self.derived.number;
        topic.written = Some(Written {
            number,
            rows,
            at,
            messages: None,
        });
        let written = spawn_blocking(move || draft.write()).into_actor(self);
        ctx.spawn(written.map(move |written, hub, ctx| {
            hub.take_written(id, number, written);
            hub.settle_derived(ctx);
        }));
    }

    fn take_written(&mut self, id: TopicId, number: u64, messages: Result<Messages, JoinError>) {
        let topic = self.derived.topics.get_mut(&id);
        let written = topic.and_then(|topic| topic.written.as_mut());
        // Or the stream has broken meanwhile.
        let Some(written) = written.filter(|written| written.number == number) else {
            return;
        };
        match messages {
            Ok(messages) => written.messages = Some(messages),
            Err(error) => {
                log::error!(
                    "changes of a window not written, its clients begin anew error={error}"
                );
                self.break_derived(id, ResetReason::Schema);
            }
        }
    }

    /// Sends what has been written on another thread.
    fn send_written(&mut self, id: TopicId, frames: &mut Vec<TopicFrame>) {
        if self.derived.is_pushing {
            return;
        }
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        match topic.written.take() {
            Some(Written {
                rows,
                at,
                messages: Some(messages),
                ..
            }) => self.send(id, messages, rows, at, frames),
            unwritten => topic.written = unwritten,
        }
    }

    fn send(
        &mut self,
        id: TopicId,
        messages: Messages,
        rows: Rows,
        at: Arc<Cursor>,
        frames: &mut Vec<TopicFrame>,
    ) {
        let breaks = self.topics.view(id).map_or(0, |(_, (breaks, _))| breaks);
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        let Some(shown) = &mut topic.shown else {
            return;
        };
        let at_us = std::mem::take(&mut topic.at_us);
        for (frame, changes, sent) in messages {
            topic.publish_from = Instant::now() + DERIVED_INTERVAL;
            shown.since = at.clone();
            frames.push(TopicFrame {
                topic: id,
                begins: BatchPosition {
                    from: shown.at.clone(),
                    end: at.clone(),
                    sent,
                    breaks,
                },
                frame: SharedFrame::new(frame),
                changes,
                at_us,
            });
        }
        (shown.rows, shown.at) = (rows, at);
    }

    /// Notes whether it is exact.
    fn note_exact(&mut self, id: TopicId) -> bool {
        // One that no client wants by now is read when one does.
        let topic = self.derived.topics.get(&id);
        let is_exact = topic.is_some_and(super::Topic::is_exact);
        if is_exact || topic.is_none() {
            self.derived.stale.remove(&id);
        }
        if is_exact {
            self.cursor_is_told = false;
        }
        is_exact
    }
}
