//! What the hub tells a shard about subscriptions.

use std::rc::Rc;

use actix::prelude::*;

use crate::actor::catch_up;
use crate::actor::clients::connection::Conn;
use crate::actor::clients::subscription::Subscription;
use crate::actor::message::*;
use crate::feed::TopicId;
use crate::wire::close::CloseCode;
use crate::wire::message;

use super::Shard;

/// Clients are told to come back within this time after a restart, each at a moment of its own.
const RETRY_SPREAD_MS: u64 = 5_000;

impl Handler<ToShard> for Shard {
    type Result = ();

    fn handle(&mut self, message: ToShard, _: &mut Self::Context) {
        match message {
            ToShard::Advance(advance) => self.advance(advance),
            ToShard::Joined(joined) => self.join(joined),
            ToShard::Started(started) => self.start_catch_up(started),
            ToShard::Restart(restart) => self.restart(restart),
            ToShard::Receipt(receipt) => self.receipt(receipt),
            ToShard::Refused(refused) => self.refuse(refused),
            ToShard::Reset(reset) => self.reset(reset),
            ToShard::Retire(retire) => self.retire(retire),
            ToShard::Drain(Drain) => self.drain(),
        }
    }
}

impl Shard {
    fn advance(&mut self, advance: Advance) {
        self.cursor = Some(advance.cursor);
        if self.pending.is_empty() {
            self.begin();
        }
    }

    fn join(&mut self, joined: Joined) {
        // What is pending is from before, and not for this subscription.
        self.begin();
        self.state.join(joined);
    }

    fn start_catch_up(&mut self, started: Started) {
        if let Some((conn, started)) = self.state.claim_catch_up(started) {
            catch_up::start(self.state.clone(), conn, started);
        }
    }

    fn restart(&mut self, restart: Restart) {
        let Restart {
            key,
            reason,
            wanted,
        } = restart;
        self.state.restart(key, reason, wanted);
    }

    fn receipt(&mut self, Receipt { key, refusal }: Receipt) {
        // What is pending comes before the answer.
        self.begin();
        match refusal {
            None => self.state.receipt(key),
            Some((code, why)) => self.state.no_receipt(key, code, why),
        }
    }

    fn refuse(&mut self, Refused { key, refusal }: Refused) {
        self.state.refuse(key, &refusal);
    }

    fn reset(&mut self, reset: Reset) {
        self.flush();
        let state = &self.state;
        for (slot, conn) in self.members(reset.topic) {
            let mut again = Vec::new();
            for subscription in conn.subscriptions().borrow().iter() {
                if !subscription.is_live(reset.topic) {
                    continue;
                }
                let Subscription {
                    id,
                    serial,
                    wants_snapshot,
                    ..
                } = subscription;
                if *wants_snapshot || reset.is_void {
                    let key = SubscriptionKey {
                        slot,
                        serial: *serial,
                    };
                    again.push((key, reset.asked.again(id, *wants_snapshot)));
                    continue;
                }
                state.reply(&conn, message::reset(id, reset.reason));
                let table = &reset.asked.table;
                let subscribed =
                    message::subscribed(id, reset.topic, table, &table.key, &reset.cursor);
                state.reply(&conn, subscribed);
            }
            for (key, wanted) in again {
                state.restart(key, reset.reason, wanted);
            }
        }
        if reset.is_void {
            self.restart_catch_ups(&reset);
        }
    }

    fn retire(&mut self, retire: Retire) {
        self.flush();
        let state = &self.state;
        for (_, conn) in self.members(retire.topic) {
            let (head, is_full) = (state.head(), conn.is_blocked());
            for subscription in conn
                .subscriptions()
                .borrow_mut()
                .iter_mut()
                .filter(|s| s.is_live(retire.topic))
            {
                state.reply(&conn, message::unsubscribed(&subscription.id));
                state.metrics.subscriptions.dec();
                subscription.end(head);
            }
            if !is_full {
                conn.subscriptions().borrow_mut().retain(|s| !s.is_ending());
            }
        }
        state.topics.borrow_mut().remove(&retire.topic);
    }

    fn drain(&mut self) {
        self.flush();
        let state = &self.state;
        let (now, head) = (state.now(), state.head());
        for (_, conn) in state.conns.borrow().iter() {
            let reason = format!("{{\"retry_ms\":{}}}", fastrand::u64(0..RETRY_SPREAD_MS));
            conn.close(CloseCode::RESTART, &reason, head, now);
        }
    }

    /// Those that catch up learn of a reset when they ask for more. What may not be seen any more can't wait for that.
    fn restart_catch_ups(&self, reset: &Reset) {
        let keys = self.state.catching_up.borrow().get(&reset.topic).cloned();
        let mut again = Vec::new();
        for key in keys.into_iter().flatten() {
            let Some((conn, place)) = self.state.find(key) else {
                continue;
            };
            let subscription = &conn.subscriptions().borrow()[place];
            if subscription.is_catching_up(reset.topic) {
                let wanted = (reset.asked).again(&subscription.id, subscription.wants_snapshot);
                again.push((key, wanted));
            }
        }
        for (key, wanted) in again {
            self.state.restart(key, reset.reason, wanted);
        }
    }

    /// The clients that are subscribed to a topic.
    fn members(&self, topic: TopicId) -> Vec<(usize, Rc<Conn>)> {
        let (topics, conns) = (self.state.topics.borrow(), self.state.conns.borrow());
        topics
            .get(&topic)
            .into_iter()
            .flatten()
            .map(|slot| (*slot, conns[*slot].clone()))
            .collect()
    }
}
