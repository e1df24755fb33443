//! What a subscription waits for that catches up: its turn, room in the socket, the end of the client.

use std::rc::Rc;

use tokio::sync::{Mutex, Notify};

use crate::feed::TopicId;

use super::connection::Conn;

/// What those wait for that catch up: only such a client has it.
#[derive(Debug, Default)]
pub(in crate::actor) struct CatchUps {
    /// One subscription of a socket catches up at a time, or a hundred of them would have a piece each.
    turn: Mutex<()>,
    /// The socket has room again, or is over.
    changed: Notify,
}

/// A client has gone, or is being closed.
#[derive(Clone, Copy, Debug)]
pub struct Over;

impl Conn {
    fn catch_ups(&self) -> Rc<CatchUps> {
        let mut catch_ups = self.catch_ups.borrow_mut();
        catch_ups.get_or_insert_with(Rc::default).clone()
    }

    /// Runs the catch-up of the subscription `serial` on `topic` when it is its turn; ends it, also while it waits, when the
    /// client is gone, has taken the subscription back, or it has begun anew.
    pub async fn in_turn(&self, serial: u64, topic: TopicId, catch_up: impl Future<Output = ()>) {
        let own = self.catch_ups();
        let take_turn = async {
            let _turn = own.turn.lock().await;
            catch_up.await;
        };
        self.while_wanted(serial, topic, take_turn).await;
    }

    /// The same for what takes nothing of the socket: it waits for no turn. None when it was ended.
    pub async fn while_wanted<T>(
        &self,
        serial: u64,
        topic: TopicId,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            () = self.until(|conn| conn.is_over() || !conn.has(serial, topic)) => None,
            done = work => Some(done),
        }
    }

    /// Waits until the socket has taken everything.
    ///
    /// # Errors
    /// [`Over`] when nothing will be written any more.
    pub async fn room(&self) -> Result<(), Over> {
        self.until(|conn| conn.is_over() || !conn.is_blocked())
            .await;
        if self.is_over() { Err(Over) } else { Ok(()) }
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let own = self.catch_ups();
        loop {
            let changed = own.changed.notified();
            // What happens from here on is heard.
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    /// Something has changed that they wait for.
    pub(in crate::actor) fn tell_catch_ups(&self) {
        if let Some(catch_ups) = &*self.catch_ups.borrow() {
            catch_ups.changed.notify_waiters();
        }
    }
}
