//! How a subscription becomes live on its shard: what the hub answers to it, and the ways back.

use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;

use crate::feed::TopicId;
use crate::feed::change_encoder::Unfit;
use crate::wire::close::CloseCode;
use crate::wire::message::{self, BROKEN_CLAIM, Refusal, ResetReason, Subscribe as Wanted};

use super::connection::Conn;
use super::encode::Encoder;
use super::state::ShardState;
use super::subscription::{State, Subscription};
use crate::actor::message::{Joined, Missed, Started, SubscriptionKey};

impl ShardState {
    /// A subscription of this topic on its hub has no owner here.
    fn unclaimed(&self, topic: TopicId) {
        *self.left.borrow_mut().entry(topic).or_default() += 1;
    }

    /// The client and the place of a subscription for which the hub has an answer, unless it is gone or was taken back.
    fn claim(&self, key: SubscriptionKey, topic: TopicId) -> Option<(Rc<Conn>, usize)> {
        let Some((conn, place)) = self.find(key) else {
            self.unclaimed(topic);
            return None;
        };
        if conn.subscriptions().borrow()[place].is_cancelled {
            conn.subscriptions().borrow_mut().remove(place);
            self.metrics.subscriptions.dec();
            self.unclaimed(topic);
            return None;
        }
        Some((conn, place))
    }

    /// A subscription belongs to a topic from here on.
    pub(in crate::actor) fn join(&self, joined: Joined) {
        let Joined {
            key,
            topic,
            reply,
            missed,
            wanted,
        } = joined;
        // The end of a catch-up is no first answer: a subscription that is gone by now has left its topic already.
        let claimed = match &reply {
            Some(_) => self.claim(key, topic),
            None => self.find(key),
        };
        let Some((conn, place)) = claimed else {
            return;
        };
        if let Some(reply) = reply {
            if conn.shares(topic, key.serial, missed.is_none()) {
                self.unclaimed(topic);
                return self.ask_again(key, wanted, true);
            }
            self.reply(&conn, reply);
        }
        if let Some(missed) = missed
            && self.give(&conn, topic, missed).is_err()
        {
            // It is of this topic until it has left it.
            conn.subscriptions().borrow_mut()[place].state = State::CatchingUp(topic);
            return self.restart(key, ResetReason::Schema, wanted);
        }
        let mut subscriptions = conn.subscriptions().borrow_mut();
        let is_first = !subscriptions.iter().any(|s| s.is_live(topic));
        subscriptions[place].state = State::Live {
            topic,
            from: self.head(),
        };
        if is_first {
            let mut topics = self.topics.borrow_mut();
            topics.entry(topic).or_default().push(key.slot);
        }
        let joined = &mut subscriptions[place];
        // A stream can't ask, so it is told each time.
        let is_awaited = take(&mut joined.is_awaited) || conn.socket().is_one_way();
        let (is_derived, is_one_way) = (joined.is_derived, conn.socket().is_one_way());
        let pong = is_awaited.then(|| message::pong(Some(&joined.id)));
        drop(subscriptions);
        match pong {
            // What was committed before the question may not be there yet.
            Some(_) if is_derived && !is_one_way => self.await_now(key, topic),
            Some(pong) => self.reply(&conn, pong),
            None => {}
        }
    }

    /// Writes the last of what a client has missed.
    fn give(&self, conn: &Conn, topic: TopicId, missed: Missed) -> Result<(), Unfit> {
        let (rows, view, cursor) = match missed {
            Missed::Rows { rows, view, cursor } => (rows, view, cursor),
            Missed::Frames(frames) => {
                for frame in frames {
                    self.reply(conn, frame);
                }
                return Ok(());
            }
        };
        let mut encoder = Encoder::new(topic, view, cursor);
        let mut frames = Vec::new();
        for row in rows {
            frames.extend(encoder.push(row)?);
        }
        let (last, count) = encoder.finish(false)?;
        frames.extend(last);
        for frame in frames {
            self.reply(conn, frame);
        }
        self.metrics.deliveries.inc_by(count as u64);
        Ok(())
    }

    /// A subscription has to catch up before it joins its topic.
    pub(in crate::actor) fn claim_catch_up(&self, started: Started) -> Option<(Rc<Conn>, Started)> {
        let (key, topic) = (started.key, started.topic);
        let (conn, place) = self.claim(key, topic)?;
        if conn.shares(topic, key.serial, false) {
            self.unclaimed(topic);
            self.ask_again(key, started.wanted, true);
            return None;
        }
        {
            let mut subscriptions = conn.subscriptions().borrow_mut();
            let subscription = &mut subscriptions[place];
            subscription.state = State::CatchingUp(topic);
            if started.view.derivation.is_some() {
                // The newest of each key is all that it ever gets. With a cursor it begins anew, and needs the rows.
                (subscription.is_derived, subscription.conflates) = (true, false);
                subscription.wants_snapshot |= started.wanted.since.is_some();
            }
        }
        Some((conn, started))
    }

    /// Tells a client that a subscription has to begin anew, and asks the hub for it again.
    pub(in crate::actor) fn restart(
        &self,
        key: SubscriptionKey,
        reason: ResetReason,
        mut wanted: Arc<Wanted>,
    ) {
        let Some((conn, place)) = self.find(key) else {
            return;
        };
        {
            let mut subscriptions = conn.subscriptions().borrow_mut();
            let own = subscriptions[place].topic();
            let is_other =
                |s: &Subscription| s.serial != key.serial && own.is_some_and(|t| s.is_live(t));
            let was_last = !subscriptions.iter().any(is_other);
            self.leave(key.slot, &subscriptions[place], was_last);
            subscriptions[place].state = State::Requested;
            if subscriptions[place].is_cancelled {
                subscriptions.remove(place);
                self.metrics.subscriptions.dec();
                return;
            }
        }
        conn.tell_catch_ups();
        self.reply(&conn, message::reset(&wanted.id, reason));
        Arc::make_mut(&mut wanted).since = None;
        self.ask_again(key, wanted, false);
    }

    pub(super) fn ask_again(&self, key: SubscriptionKey, wanted: Arc<Wanted>, alone: bool) {
        let Some((conn, _)) = self.find(key) else {
            return;
        };
        if let Err(refusal) = self.ask(key, &conn, wanted, alone) {
            self.refuse(key, &refusal);
        }
    }

    /// A subscription catches up from here on.
    pub(in crate::actor) fn note_catch_up(&self, key: SubscriptionKey, topic: TopicId) {
        let mut catching_up = self.catching_up.borrow_mut();
        catching_up.entry(topic).or_default().push(key);
    }

    /// Its catch-up has ended.
    pub(in crate::actor) fn forget_catch_up(&self, key: SubscriptionKey, topic: TopicId) {
        let mut catching_up = self.catching_up.borrow_mut();
        if let Some(keys) = catching_up.get_mut(&topic) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                catching_up.remove(&topic);
            }
        }
    }

    /// Whether a subscription catches up on this topic.
    pub(in crate::actor) fn catches_up(&self, key: SubscriptionKey, topic: TopicId) -> bool {
        self.find(key)
            .is_some_and(|(conn, place)| conn.subscriptions().borrow()[place].is_catching_up(topic))
    }

    /// The table of a subscription that catches up is not watched any more.
    pub(in crate::actor) fn retire(&self, key: SubscriptionKey) {
        let Some((conn, place)) = self.find(key) else {
            return;
        };
        let gone = conn.subscriptions().borrow_mut().remove(place);
        self.forget(key.slot, &gone, false);
        self.reply(&conn, message::unsubscribed(&gone.id));
    }

    /// A subscription can't be had.
    pub(in crate::actor) fn refuse(&self, key: SubscriptionKey, refusal: &Refusal) {
        let Some((conn, place)) = self.find(key) else {
            return;
        };
        let refused = conn.subscriptions().borrow_mut().remove(place);
        self.forget(key.slot, &refused, false);
        if refusal.code == BROKEN_CLAIM {
            self.close(&conn, CloseCode::FORBIDDEN, &refusal.message);
        } else if !refused.is_cancelled {
            self.reply(&conn, message::error(refusal));
        }
    }
}
