//! Connections to the replica for the reads of requests.

use std::sync::Arc;

use deadpool_postgres::Object;

use crate::limits::{POOL_CONNECTIONS_MAX, POOL_WAIT_MAX, STATEMENT_MAX};
use crate::metrics::Metrics;

use super::super::pool::trouble;
use super::super::replica::{Replica, Unused};
use super::super::session::Session;
use super::super::turns::{Asker, Crowded, Turn, Turns};
use super::History;

/// As many as the pool has on the primary, and as fairly shared.
#[derive(Clone, Debug)]
pub(in super::super) struct Requests {
    replica: Replica,
    /// Asks the primary.
    history: History,
    connections: deadpool_postgres::Pool,
    turns: Arc<Turns>,
}

/// A connection that a read has. It is closed when it is dropped, unless it is given back.
pub(in super::super) struct Borrowed {
    object: Option<Object>,
    /// The last field: the connection is free when its place is.
    _turn: Turn,
}

impl Requests {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// If there are no roots to check the replica's certificate with.
    pub fn new(
        history: &History,
        replica: &Replica,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, String> {
        let session = Session {
            statement: STATEMENT_MAX,
            lock: STATEMENT_MAX,
            idle_in_transaction: STATEMENT_MAX,
            more: "",
        };
        Ok(Self {
            replica: replica.clone(),
            history: history.clone(),
            connections: replica.pool("plank read", POOL_CONNECTIONS_MAX, session)?,
            turns: Turns::new("read", POOL_CONNECTIONS_MAX, metrics.clone()),
        })
    }

    /// The replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Who asks the primary.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// A connection.
    ///
    /// # Errors
    /// If none can be had in time.
    pub async fn take(&self, asker: &Asker) -> Result<Borrowed, Unused> {
        let turn = self.turns.take(asker, POOL_WAIT_MAX).await;
        let turn = turn.map_err(|Crowded| Unused::Failed("all connections are in use".into()))?;
        let got = self.connections.get().await;
        let config = &self.replica.explain().config;
        let object = got.map_err(|error| Unused::Away(trouble(&error, config)))?;
        Ok(Borrowed {
            object: Some(object),
            _turn: turn,
        })
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.connections.close();
    }
}

impl Borrowed {
    /// It.
    pub fn client(&self) -> &deadpool_postgres::Client {
        self.object.as_ref().expect("there until it is dropped")
    }

    /// Another read may have it.
    pub fn give_back(mut self) {
        drop(self.object.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}
