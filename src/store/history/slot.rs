//! The few connections for those who catch up, and who has one of them.

use std::sync::Arc;

use deadpool_postgres::{Object, PoolError, Timeouts};

use crate::config::Server;
use crate::limits::{CONNECT_MAX, HISTORY_WAIT_MAX};

use super::super::driven;
use super::super::lease::Leases;
use super::super::pool::trouble;
use super::super::session::Session;
use super::super::turns::{Asker, Crowded, Turn, Turns};
use super::HistoryError;

/// One of the few connections. One that is dropped in the middle of a statement is closed: the next one must not wait
/// for the rest of it.
pub(super) struct Slot {
    object: Option<Object>,
    /// None for a question that takes a moment. Behind the connection: that has to be free when its place is.
    turn: Option<Arc<Turn>>,
}

/// Waits for a place.
pub(super) async fn place(turns: &Arc<Turns>, asker: &Asker) -> Result<Arc<Turn>, HistoryError> {
    let turn = turns.take(asker, HISTORY_WAIT_MAX).await;
    turn.map(Arc::new).map_err(|Crowded| HistoryError::Busy)
}

impl Slot {
    /// Waits for its turn, and takes a connection.
    pub(super) async fn take(
        pool: &deadpool_postgres::Pool,
        turns: &Arc<Turns>,
        asker: &Asker,
        config: &tokio_postgres::Config,
    ) -> Result<Self, HistoryError> {
        Self::on(pool, place(turns, asker).await?, config).await
    }

    /// Takes a connection for one that has its place.
    pub(super) async fn on(
        pool: &deadpool_postgres::Pool,
        turn: Arc<Turn>,
        config: &tokio_postgres::Config,
    ) -> Result<Self, HistoryError> {
        let mut slot = Self::look(pool, config).await?;
        slot.turn = Some(turn);
        Ok(slot)
    }

    /// Takes a connection for a question that takes a moment.
    pub(super) async fn look(
        pool: &deadpool_postgres::Pool,
        config: &tokio_postgres::Config,
    ) -> Result<Self, HistoryError> {
        match pool.get().await {
            Ok(object) => Ok(Self {
                object: Some(object),
                turn: None,
            }),
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => {
                Err(HistoryError::Busy)
            }
            Err(error) => Err(HistoryError::Away(trouble(&error, config))),
        }
    }

    /// Whether another one waits that should have its place.
    pub(super) fn is_wanted(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.is_wanted())
    }

    /// Its place, for a read that begins anew on another connection.
    pub(super) fn turn(&self) -> Option<Arc<Turn>> {
        self.turn.clone()
    }

    pub(super) fn client(&self) -> &deadpool_postgres::Client {
        self.object.as_ref().expect("there until it is dropped")
    }

    /// The connection can be used by the next one.
    pub(super) fn done(mut self) {
        drop(self.object.take());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
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
    // Its reads may take long, and have a patience of their own.
    let leases = Leases::default();
    driven::pool(server, name, size, session, timeouts, leases)
}
