//! Connections for requests, and what a failed statement means for them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use deadpool_postgres::{HookError, Object, PoolError, TimeoutType, Timeouts, Transaction};
use tokio::time::{sleep, timeout};
use tokio_postgres::Config;

use crate::config::Server;
use crate::limits::{
    CONNECT_MAX, POOL_CONNECTIONS_MAX, POOL_WAIT_MAX, RACE_DELAY, RACE_RETRIES, STATEMENT_MAX,
    WRITE_MAX,
};
use crate::metrics::Metrics;

use super::connect::{self, ConnectError, chain};
use super::driven;
use super::fault::Fault;
use super::history::{History, Requests};
use super::lease::{Lease, Leases};
use super::rest::{Own, Shapes};
use super::session::Session;
use super::sqlstate::{self, Blame};
use super::turns::{Asker, Crowded, Turns};

/// Why a request can't be served by the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Away, or too busy, and nothing was done: try again later. The text is for the log.
    #[error("the database is away: {0}")]
    Unavailable(String),
    /// The connection was lost while the write was being committed: it may be there, or not. The text is for the log.
    #[error("a commit was not answered: {0}")]
    Unknown(String),
    /// Other writers were faster, each time. Nothing was done. The text is for the log.
    #[error("{0}")]
    Race(String),
    /// The session does not fit any more: another one may. Nothing was done. The text is for the log.
    #[error("{0}")]
    Stale(String),
    /// Another row is in the way. The text is for people.
    #[error("{0}")]
    Collision(String),
    /// The database does not let plank do that. The text is for the log.
    #[error("{0}")]
    Forbidden(String),
    /// A value that does not fit: the field and what is wrong with it.
    #[error("{field}: {detail}")]
    Invalid {
        /// The member of the body or of the query.
        field: String,
        /// For people.
        detail: String,
    },
    /// The database refuses what a client sent.
    #[error("{}", .0.message)]
    Refused(Box<Fault>),
    /// A bug, or a schema that is not plank's. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<tokio_postgres::Error> for StoreError {
    /// What it means stands in [`sqlstate::TABLE`].
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            // Without an answer of the server, the connection is what has failed.
            return Self::Unavailable(chain(&error));
        };
        let text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
        match sqlstate::meaning(db.code()).blame {
            Blame::Race => Self::Race(text),
            Blame::Stale => Self::Stale(text),
            Blame::Away => Self::Unavailable(text),
            Blame::Collision => Self::Collision(db.message().to_owned()),
            Blame::Forbidden => Self::Forbidden(text),
            Blame::Value => Self::Invalid {
                field: db.column().unwrap_or("body").to_owned(),
                detail: db.message().to_owned(),
            },
            Blame::Own => Self::Internal(text),
        }
    }
}

/// Why there is no connection, where others have them all.
const IN_USE: &str = "all connections of the pool are in use";

/// What a request does not know of its connection.
#[derive(Debug, Default)]
pub struct Doubt {
    /// A COMMIT is on its way to the server. Until it is answered nobody knows whether the write is there.
    commits: Cell<bool>,
    /// Something has been left in the session.
    is_unsettled: Cell<bool>,
    /// Something may have been.
    is_suspect: Cell<bool>,
    /// The settings of a new session, as `plank.settings` says them; none if they are not known.
    settings: RefCell<Option<Arc<str>>>,
}

impl Doubt {
    /// A statement that commits by itself is on its way.
    pub(super) fn begin(&self) {
        self.commits.set(true);
    }

    /// It has been answered.
    pub(super) fn end(&self) {
        self.commits.set(false);
    }

    /// The session is not as it was set up: no other request is to have it.
    pub(super) fn unsettle(&self) {
        self.is_unsettled.set(true);
    }

    /// A statement in which functions of others run has failed: before another request has the session, it is looked at.
    pub(super) fn suspect(&self) {
        self.is_suspect.set(true);
    }

    /// What the session's settings have to be.
    pub(super) fn settings(&self) -> Option<Arc<str>> {
        self.settings.borrow().clone()
    }

    /// Commits.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when no answer comes, or when the server ends the session: it may do so behind the commit.
    pub async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        self.commits.set(true);
        let committed = transaction.commit().await;
        self.commits.set(false);
        committed.map_err(|error| match error.as_db_error() {
            None => StoreError::Unknown(chain(&error)),
            Some(db) if db.code().code().starts_with("57P") || db.code().code() == "40003" => {
                StoreError::Unknown(db.message().to_owned())
            }
            Some(_) => error.into(),
        })
    }
}

/// Connections for requests, at most [`POOL_CONNECTIONS_MAX`]. LISTEN never goes through it.
#[derive(Clone, Debug)]
pub struct Pool {
    connections: deadpool_postgres::Pool,
    leases: Leases,
    /// Whose they are, for people.
    config: Arc<Config>,
    /// As many as there are connections.
    turns: Arc<Turns>,
    /// For whom connections are taken.
    asker: Asker,
    /// Tables that run nothing of other roles.
    pub(super) own: Own,
    /// Which statements on them stay prepared.
    pub(super) shapes: Shapes,
    /// A replica that reads pages, if there is one.
    replicated: Option<Requests>,
}

impl Pool {
    /// A pool on the database of `server`. Nothing is connected yet. `is_direct`: there is no pooler in between.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub fn new(
        server: &Server,
        is_direct: bool,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StoreError> {
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
        let leases = match is_direct {
            true => Leases::watched(server),
            false => Leases::default(),
        };
        let size = POOL_CONNECTIONS_MAX;
        let pool = driven::pool(server, "plank", size, session, timeouts, leases.clone());
        Ok(Self {
            leases,
            connections: pool.map_err(StoreError::Internal)?,
            config: Arc::new(server.config.clone()),
            turns: Turns::new("request", size, metrics.clone()),
            asker: Asker::default(),
            own: Own::default(),
            shapes: Shapes::default(),
            replicated: None,
        })
    }

    /// The same, with the replica that `history` has, if it has one.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub fn with_replica_of(
        self,
        history: &History,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let replica = history.replica();
        let replicated = replica.map(|replica| Requests::new(history, replica, metrics));
        Ok(Self {
            replicated: replicated.transpose().map_err(StoreError::Internal)?,
            ..self
        })
    }

    /// See [`Self::with_replica_of`].
    pub(super) fn replicated(&self) -> Option<&Requests> {
        self.replicated.as_ref()
    }

    /// For whom they are taken.
    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    /// The same, for an asker: the connections are shared fairly among all who wait for one.
    pub fn of(&self, asker: Asker) -> Self {
        Self {
            asker,
            ..self.clone()
        }
    }

    /// A connection.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when none can be had within [`POOL_WAIT_MAX`].
    pub async fn get(&self) -> Result<Lease, StoreError> {
        let turn = self.turns.take(&self.asker, POOL_WAIT_MAX).await;
        let turn = turn.map_err(|Crowded| StoreError::Unavailable(IN_USE.into()))?;
        let got = self.connections.get().await;
        let got = got.map_err(|error| StoreError::Unavailable(trouble(&error, &self.config)))?;
        Ok(self.leases.lend(got, turn))
    }

    /// Runs work, each attempt from its beginning. It is tried again when other writers were faster, up to
    /// [`RACE_RETRIES`] times with a growing delay, and when the session does not fit any more. All of it takes
    /// [`WRITE_MAX`] at most.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub async fn run<T>(
        &self,
        work: impl AsyncFn(&mut Object, &Doubt) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let doubt = Doubt::default();
        let attempts = async {
            let mut retries = 0;
            loop {
                let mut lent = Lent(Some(self.get().await?));
                let Some(client) = &mut lent.0 else {
                    return Err(StoreError::Unavailable("no connection".into()));
                };
                doubt.is_unsettled.set(false);
                doubt.is_suspect.set(false);
                // Known as soon as there is a session.
                doubt.settings.replace(self.leases.settings());
                let done = work(client, &doubt).await;
                let may_stay = !doubt.is_unsettled.get()
                    && (!doubt.is_suspect.get() || is_clean(client).await);
                let why = match done {
                    Err(error @ StoreError::Race(_)) => {
                        lent.give_back(may_stay);
                        error
                    }
                    Err(error @ StoreError::Stale(_)) => error,
                    Err(error @ StoreError::Unknown(_)) => return Err(error),
                    other => {
                        lent.give_back(may_stay);
                        return other;
                    }
                };
                if retries == RACE_RETRIES {
                    return Err(match why {
                        StoreError::Stale(why) => StoreError::Unavailable(why),
                        other => other,
                    });
                }
                let delay = RACE_DELAY * 2_u32.pow(retries);
                sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                retries += 1;
            }
        };
        // Boxed: a large future, in everybody who writes.
        match timeout(WRITE_MAX, Box::pin(attempts)).await {
            Ok(result) => result,
            Err(_) if doubt.commits.get() => Err(StoreError::Unknown("no answer in time".into())),
            Err(_) => Err(StoreError::Unavailable("no answer in time".into())),
        }
    }

    /// The connections themselves.
    pub(super) fn connections(&self) -> &deadpool_postgres::Pool {
        &self.connections
    }

    /// Closes all connections; requests that want one fail from then on.
    pub fn close(&self) {
        self.connections.close();
        if let Some(replicated) = &self.replicated {
            replicated.close();
        }
    }
}

/// Whether no statement was prepared in SQL: it could stand in the place of one of plank's. Asked without a prepared statement.
async fn is_clean(client: &Object) -> bool {
    const CLEAN: &str = "do $$ begin if exists (select from pg_catalog.pg_prepared_statements where from_sql) then \
        raise exception 'the session has been altered' using errcode = 'object_in_use'; end if; end $$";
    client.batch_execute(CLEAN).await.is_ok()
}

/// A connection that is out of the pool for good unless it is given back: nobody else is to have one on which a statement
/// is still under way, or whose session does not fit.
struct Lent(Option<Lease>);

impl Lent {
    /// `may_stay`: another request may have it.
    fn give_back(&mut self, may_stay: bool) {
        if may_stay {
            drop(self.0.take());
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            client.discard();
        }
    }
}

/// Why no connection of a pool can be had, with the words of the server if it has said something.
pub(super) fn trouble(error: &PoolError, config: &Config) -> String {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            ConnectError::of(error, config).to_string()
        }
        PoolError::Timeout(TimeoutType::Wait) => IN_USE.into(),
        PoolError::Timeout(_) => format!(
            "PostgreSQL at {} does not answer within {} s",
            connect::place(config),
            CONNECT_MAX.as_secs()
        ),
        PoolError::Closed => "plank is about to end".into(),
        other => chain(other),
    }
}
