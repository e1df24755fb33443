//! What a client asks about a subscription: is it live? The answer comes behind everything that it had missed.

use bytes::Bytes;

use crate::wire::message;

use super::conn::Conn;
use super::local::Local;
use super::subscription::named;

impl Local {
    /// Whether the subscription is live, or is none: then there is nothing to wait for. Else a `pong` follows when it is.
    pub(super) fn ping(&self, conn: &Conn, id: &str) -> bool {
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

    /// The socket of a client has taken everything: answers what it has asked meanwhile.
    pub(super) fn answer_pings(&self, conn: &Conn) {
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
