//! The few connections for those who catch up, and who has one of them.

use deadpool_postgres::{Object, PoolError, Timeouts};

use crate::config::Server;
use crate::limits::{CONNECT_MAX, HISTORY_WAIT_MAX};

use super::super::connect;
use super::super::driven;
use super::super::session::Session;
use super::HistoryError;

/// One of the few connections. One that is dropped in the middle of a statement is closed: the next one must not wait
/// for the rest of it.
pub(super) struct Slot(Option<Object>);

impl Slot {
    /// Waits for its turn.
    pub(super) async fn take(pool: &deadpool_postgres::Pool) -> Result<Self, HistoryError> {
        match pool.get().await {
            Ok(object) => Ok(Self(Some(object))),
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => {
                Err(HistoryError::Busy)
            }
            Err(error) => Err(HistoryError::Away(connect::chain(&error))),
        }
    }

    pub(super) fn client(&self) -> &deadpool_postgres::Client {
        self.0.as_ref().expect("there until it is dropped")
    }

    /// The connection can be used by the next one.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// `size` connections that are set up as `session` says. Nothing is connected yet.
pub(super) fn pool(
    server: &Server,
    name: &str,
    size: usize,
    session: Session,
) -> Result<deadpool_postgres::Pool, String> {
    let timeouts = Timeouts {
        wait: Some(HISTORY_WAIT_MAX),
        create: Some(CONNECT_MAX),
        recycle: Some(CONNECT_MAX),
    };
    driven::pool(server, name, size, session, timeouts)
}
