//! Connections for requests, and what a failed statement means for them.

use deadpool_postgres::{Object, Timeouts};
use tokio_postgres::error::SqlState;

use crate::config::Server;
use crate::limits::{CONNECT_MAX, POOL_CONNECTIONS_MAX, POOL_WAIT_MAX, STATEMENT_MAX};

use super::connect::chain;
use super::driven;
use super::session::Session;

/// Why a request can't be served by the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Away, or too busy: try again later. The text is for the log.
    #[error("the database is away: {0}")]
    Unavailable(String),
    /// A value that does not fit: the field and what is wrong with it.
    #[error("{field}: {detail}")]
    Invalid {
        /// The member of the body or of the query.
        field: String,
        /// For people.
        detail: String,
    },
    /// A bug, or a schema that is not plank's. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            // Without an answer of the server, the connection is what has failed.
            return Self::Unavailable(chain(&error));
        };
        let text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
        match *db.code() {
            SqlState::QUERY_CANCELED
            | SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::TOO_MANY_CONNECTIONS
            | SqlState::READ_ONLY_SQL_TRANSACTION
            | SqlState::LOCK_NOT_AVAILABLE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::DISK_FULL
            | SqlState::OUT_OF_MEMORY => Self::Unavailable(text),
            _ => Self::Internal(text),
        }
    }
}

/// Connections for requests, at most [`POOL_CONNECTIONS_MAX`]. LISTEN never goes through it.
#[derive(Clone, Debug)]
pub struct Pool(deadpool_postgres::Pool);

impl Pool {
    /// A pool on the database of `server`. Nothing is connected yet.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub fn new(server: &Server) -> Result<Self, StoreError> {
        let session = Session {
            statement: STATEMENT_MAX,
            lock: STATEMENT_MAX,
            idle_in_transaction: STATEMENT_MAX,
            more: "",
        };
        let timeouts = Timeouts {
            wait: Some(POOL_WAIT_MAX),
            create: Some(CONNECT_MAX),
            recycle: Some(POOL_WAIT_MAX),
        };
        let pool = driven::pool(server, "plank", POOL_CONNECTIONS_MAX, session, timeouts);
        pool.map(Self).map_err(StoreError::Internal)
    }

    /// A connection.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none can be had within [`POOL_WAIT_MAX`].
    pub async fn get(&self) -> Result<Object, StoreError> {
        self.0
            .get()
            .await
            .map_err(|e| StoreError::Unavailable(chain(&e)))
    }

    /// Closes all connections; requests that want one fail from then on.
    pub fn close(&self) {
        self.0.close();
    }
}
