//! Between two batches: what has changed is sent, what was read is taken over, what has to be read is asked for.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::feed::derived::{Derivation, Entry, diff};
use crate::feed::filter::Opened;
use crate::feed::{Cursor, TopicId, View};
use crate::limits::{CHUNK_BYTES, DERIVED_INTERVAL, TURN_MAX};
use crate::wire::message::{Changes, ResetReason};

use super::super::Hub;
use super::super::resume::Standing;
use super::{Fresh, Shown};
use crate::actor::message::{BatchPosition, TopicFrame};
use crate::actor::transport::shared_frame::SharedFrame;

/// The messages from some rows to others, with the changes in each and those before it.
pub(super) fn messages(
    id: TopicId,
    view: &View,
    cursor: &str,
    old: &[Arc<Entry>],
    new: &[Arc<Entry>],
) -> Vec<(Bytes, usize, usize)> {
    let is_window = matches!(view.derivation.as_deref(), Some(Derivation::Window(_)));
    let (mut messages, mut sent) = (Vec::new(), 0);
    let (mut open, mut text) = (Changes::new(id, cursor), String::new());
    let steps = diff::steps(old, new);
    for (i, step) in steps.iter().enumerate() {
        text.clear();
        step.write_json(&mut text, is_window);
        open.push(&text);
        let is_last = i + 1 == steps.len();
        if is_last || open.len() >= CHUNK_BYTES {
            let full = std::mem::replace(&mut open, Changes::new(id, cursor));
            let count = full.count();
            messages.push((full.finish(is_last), count, sent));
            sent += count;
        }
    }
    messages
}

impl Hub {
    /// Looks at all that are not exact. Between two batches; else it is done at the end of the batch.
    pub(in super::super) fn settle_derived(&mut self, ctx: &mut <Self as Actor>::Context) {
        if self.derived.stale.is_empty() || self.batch.is_some() {
            return;
        }
        let (mut frames, until) = (Vec::new(), Instant::now() + TURN_MAX);
        for id in self.derived.in_turn() {
            if Instant::now() >= until {
                // It is the turn of this one when the mailbox has been looked at.
                self.metrics.limit("hub_turn");
                self.derived.first = id;
                self.settle_at(Instant::now(), ctx);
                break;
            }
            self.take_over(id, &mut frames);
            self.publish_changed(id, &mut frames, ctx);
            self.read_derived(id, ctx);
            self.note_exact(id);
        }
        self.derived.measure(&self.metrics);
        if !frames.is_empty() {
            let (mut sent, reached) = (Vec::new(), self.reached());
            self.push(frames, reached.as_ref(), &mut sent);
            self.derived.is_pushing = true;
            let taken = join_all(sent).into_actor(self);
            ctx.spawn(taken.map(|_, hub, ctx| {
                hub.derived.is_pushing = false;
                hub.answer_joins();
                hub.settle_derived(ctx);
            }));
        }
        self.answer_joins();
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
    fn take_over(&mut self, id: TopicId, frames: &mut Vec<TopicFrame>) {
        let topic = self.derived.topics.get_mut(&id);
        let Some(fresh) = topic
            .filter(|_| !self.derived.is_pushing)
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
        let late = std::mem::take(&mut topic.late);
        let has_missed = topic.has_missed;
        topic.forget_late();
        if has_missed {
            topic.held = None;
        }
        let mut is_unfit = false;
        for late in late
            .iter()
            .filter(|late| !at.snapshot.sees(late.change.xid))
        {
            let opened = Opened::new(&late.table, &late.change);
            let taken = opened.map(|opened| topic.take(&view, &late.change, late.shape, &opened));
            is_unfit |= !matches!(taken, Ok(Ok(_)));
        }
        self.publish(id, &view, rows, at, frames);
        if is_unfit {
            self.break_derived(id, ResetReason::Schema);
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
        let Some(held) = topic
            .held
            .as_mut()
            .filter(|_| topic.is_changed && !is_pushing)
        else {
            return;
        };
        if topic.publish_from > Instant::now() {
            let at = topic.publish_from;
            return self.settle_at(at, ctx);
        }
        topic.is_changed = false;
        let rows = held.shown();
        if let Some((view, _)) = self.topics.view(id) {
            self.publish(id, &view, rows, cursor, frames);
        }
    }

    /// Sends the difference between what the subscribers have and these rows.
    fn publish(
        &mut self,
        id: TopicId,
        view: &View,
        rows: Arc<[Arc<Entry>]>,
        at: Arc<Cursor>,
        frames: &mut Vec<TopicFrame>,
    ) {
        let breaks = self.topics.view(id).map_or(0, |(_, (breaks, _))| breaks);
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            return;
        };
        let Some(shown) = &mut topic.shown else {
            let since = at.clone();
            topic.shown = Some(Shown { rows, at, since });
            return;
        };
        let messages = messages(id, view, &at.to_string(), &shown.rows, &rows);
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

    /// Notes that it is exact, if it is, and answers those that wait for that.
    fn note_exact(&mut self, id: TopicId) {
        let Some(topic) = self.derived.topics.get_mut(&id) else {
            self.derived.stale.remove(&id);
            return;
        };
        // One that no client wants by now is read when one does.
        let is_exact = topic.held.is_some() && topic.fresh.is_none() && !topic.is_changed;
        if is_exact {
            self.derived.stale.remove(&id);
            self.cursor_is_told = false;
        }
        self.answer_asks(id, is_exact);
    }
}
