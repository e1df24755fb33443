//! What a client asks about a subscription: is it live, and has it passed a place in the log? The answer comes behind everything
//! that was missed, and behind every change up to that place.

use std::rc::Rc;

use bytes::Bytes;

use crate::feed::{Cursor, TopicId};
use crate::wire::message::{self, Refusal};

use super::connection::Conn;
use super::state::ShardState;
use super::subscription::named;
use crate::actor::message::{AwaitReceipt, SubscriptionKey};

impl ShardState {
    /// Whether the subscription is live, or is none: then there is nothing to wait for. Else a `pong` follows when it is. One of a
    /// window is asked about at the hub: it has to be exact for everything that is committed by now.
    pub(in crate::actor) fn ping(&self, slot: usize, conn: &Conn, id: &str) -> bool {
        let derived = {
            let subscriptions = conn.subscriptions().borrow();
            let place = named(&subscriptions, id);
            place.and_then(|place| {
                Some((subscriptions[place].serial, subscriptions[place].derived()?))
            })
        };
        if let Some((serial, topic)) = derived {
            self.await_now(SubscriptionKey { slot, serial }, topic);
            return false;
        }
        self.is_there(conn, id)
    }

    /// The hub says when the window, or the counts, of a subscription are exact for everything that is committed by now.
    pub(super) fn await_now(&self, key: SubscriptionKey, topic: TopicId) {
        self.hub.do_send(AwaitReceipt {
            shard: self.id,
            key,
            cursor: None,
            derived: Some(topic),
        });
    }

    fn is_there(&self, conn: &Conn, id: &str) -> bool {
        let mut subscriptions = conn.subscriptions().borrow_mut();
        let Some(place) = named(&subscriptions, id) else {
            return true;
        };
        let subscription = &mut subscriptions[place];
        // While its socket is full it may fall behind, and what waits for it comes from the log, behind the answer.
        let is_there = subscription.is_joined() && !conn.is_blocked();
        subscription.is_awaited = !is_there;
        is_there
    }

    /// Whether the subscription is none: then there is nothing to wait for. Else the hub says when it has passed the cursor.
    pub(in crate::actor) fn await_receipt(
        &self,
        slot: usize,
        conn: &Conn,
        id: &str,
        cursor: Cursor,
    ) -> bool {
        let subscriptions = conn.subscriptions().borrow();
        let Some(place) = named(&subscriptions, id) else {
            return true;
        };
        let subscription = &subscriptions[place];
        let serial = subscription.serial;
        self.hub.do_send(AwaitReceipt {
            shard: self.id,
            key: SubscriptionKey { slot, serial },
            cursor: Some(cursor),
            derived: subscription.derived(),
        });
        false
    }

    /// Whether the subscription is about a live query, perhaps: then the answer waits for a refresh of its result.
    pub(in crate::actor) fn ping_query(
        self: &Rc<Self>,
        slot: usize,
        conn: &Conn,
        id: &str,
        cursor: Option<&Cursor>,
    ) -> bool {
        let mut subscriptions = conn.subscriptions().borrow_mut();
        let Some(place) = named(&subscriptions, id) else {
            return false;
        };
        let subscription = &mut subscriptions[place];
        let query = subscription.query.as_deref();
        let Some(query) = query.filter(|name| self.refresh_request.may_be_query(name)) else {
            return false;
        };
        let serial = subscription.serial;
        let key = SubscriptionKey { slot, serial };
        match cursor {
            None => self.refresh(key, query.to_owned()),
            // First the place that the client knows of: if it is none, it learns that.
            Some(cursor) => {
                subscription.refreshes_due += 1;
                self.hub.do_send(AwaitReceipt {
                    shard: self.id,
                    key,
                    cursor: Some(cursor.clone()),
                    derived: subscription.derived(),
                });
            }
        }
        true
    }

    /// Asks for the result of a live query as of now; then the subscription has to pass the place of that.
    fn refresh(self: &Rc<Self>, key: SubscriptionKey, query: String) {
        let state = self.clone();
        actix_rt::spawn(async move {
            let fresh = state.refresh_request.fresh(&query, &state.metrics).await;
            let found = state.find(key);
            let derived =
                found.and_then(|(conn, place)| conn.subscriptions().borrow()[place].derived());
            match fresh {
                Ok(Some(cursor)) => {
                    state.hub.do_send(AwaitReceipt {
                        shard: state.id,
                        key,
                        cursor: Some(cursor),
                        derived,
                    });
                }
                // There is no such query: it is a table as any other.
                Ok(None) => match derived {
                    Some(topic) => state.await_now(key, topic),
                    None => state.answer_receipt(key),
                },
                Err((code, why)) => state.tell_no_receipt(key, code, &why),
            }
        });
    }

    /// Every change up to the cursor that a client has asked about has been written, or waits for its socket.
    pub(in crate::actor) fn receipt(self: &Rc<Self>, key: SubscriptionKey) {
        let Some((conn, place)) = self.find(key) else {
            return;
        };
        let query = {
            let subscription = &mut conn.subscriptions().borrow_mut()[place];
            let is_due = subscription.refreshes_due > 0;
            subscription.refreshes_due -= u32::from(is_due);
            subscription.query.clone().filter(|_| is_due)
        };
        match query {
            Some(query) => self.refresh(key, query.into()),
            None => self.answer_receipt(key),
        }
    }

    fn answer_receipt(&self, key: SubscriptionKey) {
        let Some((conn, place)) = self.find(key) else {
            return;
        };
        let id = conn.subscriptions().borrow()[place].id.clone();
        if self.is_there(&conn, &id) {
            self.reply(&conn, message::pong(Some(&id)));
        }
    }

    /// It is not known when that will be.
    pub(in crate::actor) fn no_receipt(&self, key: SubscriptionKey, code: &'static str, why: &str) {
        if let Some((conn, place)) = self.find(key) {
            let due = &mut conn.subscriptions().borrow_mut()[place].refreshes_due;
            *due = due.saturating_sub(1);
        }
        self.tell_no_receipt(key, code, why);
    }

    fn tell_no_receipt(&self, key: SubscriptionKey, code: &'static str, why: &str) {
        if let Some((conn, place)) = self.find(key) {
            let id = conn.subscriptions().borrow()[place].id.clone();
            let refusal = Refusal::of(&id, code, why);
            self.reply(&conn, message::error(&refusal));
        }
    }

    /// The socket of a client has taken everything: answers what it has asked meanwhile.
    pub(in crate::actor) fn answer_pings(&self, conn: &Conn) {
        let answers: Vec<Bytes> = {
            let mut subscriptions = conn.subscriptions().borrow_mut();
            let awaited = subscriptions
                .iter_mut()
                .filter(|s| s.is_awaited && s.is_joined());
            awaited
                .map(|s| {
                    s.is_awaited = false;
                    message::pong(Some(&s.id))
                })
                .collect()
        };
        for answer in answers {
            self.reply(conn, answer);
        }
    }
}
