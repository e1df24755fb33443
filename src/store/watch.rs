//! Which tables are live: `plank.watch` and `plank.unwatch` for the command line. What is checked stands in those
//! functions; this adds what a person needs to know who is refused.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Client, Config, Row};

use crate::config::Server;
use crate::feed::Table;
use crate::limits::{STATEMENT_MAX, WATCH_LOCK_MAX, WATCH_MAX};

use super::connect::{self, ConnectError};
use super::session::Session;

mod names;
mod policies;

pub use names::Asked;
pub use policies::{Allowed, Listed};

/// What a table is called, whose it is, and who asks; names as PostgreSQL quotes them. `usage` is what an owner has, and
/// the roles that inherit from it.
const RESOLVE: &str = "select format('%I.%I', n.nspname, c.relname), quote_ident(pg_get_userbyid(c.relowner)), \
    pg_has_role(c.relowner, 'usage'), quote_ident(current_user), quote_ident(pg_get_userbyid(p.nspowner)) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace, pg_namespace p \
    where c.oid = $1::text::regclass and p.nspname = 'plank'";

const WATCH: &str = "select plank.watch($1::text::regclass, $2::text[]::name[], $3::boolean, $4::text, $5::boolean)";
const UNWATCH: &str = "select plank.unwatch($1::text)";
const WATCH_QUERY: &str =
    "select plank.watch_query($1, $2, $3::text[]::name[], $4::text::interval, $5::text::jsonb)";
const DESCRIBE: &str = "select plank.describe($1::text::regclass)";

/// Whether plank is here, and closed to this role.
const CLOSED: &str = "select quote_ident(current_user), quote_ident(pg_get_userbyid(nspowner)) from pg_namespace \
    where nspname = 'plank' and not has_schema_privilege(oid, 'usage')";

/// Why a table was not made live, or not let go. The text is for people, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no connection, or it was lost.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A transaction uses the table; later it may work. Nothing was changed.
    #[error("{0}")]
    Busy(String),
    /// It will not work until something is changed. Nothing was changed.
    #[error("{0}")]
    Refused(String),
}

/// How a table is to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What clients may see, none for all columns.
    pub columns: Option<Vec<String>>,
    /// Whether clients may have the row before a change.
    pub old_rows: bool,
    /// `auto`, `statement` or `row`.
    pub level: String,
    /// Whether everybody may write it where nobody has to log in.
    pub writable: bool,
}

/// A live query that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySettings {
    /// What clients call it.
    pub name: String,
    /// One SELECT.
    pub query: String,
    /// The columns that tell its rows apart.
    pub key: Vec<String>,
    /// Between two refreshes, at least.
    pub every: Duration,
    /// Which column of the result equals which column of a changed row.
    pub scope: Option<serde_json::Value>,
}

/// A connection that makes tables live.
pub struct Watcher {
    client: Client,
    config: Config,
}

/// What [`RESOLVE`] finds.
struct Found {
    name: String,
    owner: String,
    is_owned: bool,
    user: String,
    plank: String,
}

impl Watcher {
    /// Connects. plank need not be in the database yet.
    ///
    /// # Errors
    /// Also if it is there, and this role may not use it: bringing the schema up to date would fail with less to say.
    pub async fn open(server: &Server, application: &str) -> Result<Self, WatchError> {
        let server = connect::harden(server.clone(), application);
        let (client, connection) = connect::connect(&server).await?;
        let config = server.config;
        // It ends with the client.
        tokio::spawn(connection);
        let watcher = Self { client, config };
        // A name without a schema is one of public, or a live query, for every caller, as it is for subscriptions.
        let session = Session {
            statement: WATCH_MAX,
            lock: WATCH_LOCK_MAX,
            more: "set search_path = public, plank_query",
            ..Session::UNLIMITED
        };
        let client = &watcher.client;
        connect::soon("check", connect::check(client, &watcher.config)).await?;
        let prepare = async {
            session.settle(client).await?;
            client.query_opt(CLOSED, &[]).await
        };
        let closed = watcher.soon(prepare).await?;
        let closed = closed.map_err(|e| ConnectError::of(&e, &watcher.config))?;
        if let Some(row) = closed {
            let (user, plank): (String, String) = (row.get(0), row.get(1));
            return Err(WatchError::Refused(format!(
                "user {user} may not use plank in this database; connect as plank's own role, or let its owner say: grant {plank} to {user}"
            )));
        }
        Ok(watcher)
    }

    /// Makes a table live, or changes how it is watched. `table` is read as a `regclass`.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn watch(&self, table: &str, settings: &Settings) -> Result<Table, WatchError> {
        let found = self.resolve(table).await?;
        let Settings {
            columns,
            old_rows,
            level,
            writable,
        } = settings;
        self.call(WATCH, &[&table, columns, old_rows, level, writable], &found)
            .await?;
        let row = self.call(DESCRIBE, &[&table], &found).await?;
        let watched: Option<Json<Table>> = row
            .try_get(0)
            .map_err(|e| WatchError::Refused(connect::chain(&e)))?;
        // Null: it was dropped, or unwatched, in between.
        watched
            .map(|Json(watched)| watched)
            .ok_or_else(|| WatchError::Busy(format!("{} has just been let go again", found.name)))
    }

    /// Lets a table go; its name as PostgreSQL quotes it.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn unwatch(&self, table: &str) -> Result<String, WatchError> {
        let found = self.resolve(table).await?;
        self.call(UNWATCH, &[&table], &found).await?;
        Ok(found.name)
    }

    /// Makes a live query, and fills its result.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn watch_query(&self, query: &QuerySettings) -> Result<(), WatchError> {
        let QuerySettings {
            name,
            query,
            key,
            every,
            scope,
        } = query;
        let every = format!("{} ms", every.as_millis());
        let scope = scope.as_ref().map(serde_json::Value::to_string);
        let parameters: [&(dyn ToSql + Sync); 5] = [name, query, key, &every, &scope];
        let made = self
            .soon(self.client.query_one(WATCH_QUERY, &parameters))
            .await?;
        made.map(drop).map_err(|error| match error.as_db_error() {
            None => ConnectError::of(&error, &self.config).into(),
            Some(db) if *db.code() == SqlState::QUERY_CANCELED => WatchError::Busy(format!(
                "the query takes longer than {} s; nothing was changed",
                WATCH_MAX.as_secs()
            )),
            Some(db) if *db.code() == SqlState::LOCK_NOT_AVAILABLE => {
                WatchError::Busy(format!("{}; nothing was changed: try again", said(db)))
            }
            Some(db) => WatchError::Refused(said(db)),
        })
    }

    async fn resolve(&self, table: &str) -> Result<Found, WatchError> {
        let row = match self.soon(self.client.query_opt(RESOLVE, &[&table])).await? {
            Ok(row) => row,
            Err(error) => {
                let nearest = match error.code() {
                    Some(&SqlState::UNDEFINED_TABLE) => self.nearest(table).await?,
                    _ => None,
                };
                return Err(self.unresolved(&error, nearest));
            }
        };
        let row = row.ok_or_else(|| {
            WatchError::Busy(format!(
                "{table} has just been dropped; nothing was changed"
            ))
        })?;
        Ok(Found {
            name: row.get(0),
            owner: row.get(1),
            is_owned: row.get(2),
            user: row.get(3),
            plank: row.get(4),
        })
    }

    async fn call(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        found: &Found,
    ) -> Result<Row, WatchError> {
        let answer = self.soon(self.client.query_one(sql, parameters)).await?;
        answer.map_err(|e| self.refused(&e, found))
    }

    /// The server gives up first; this is for one that says nothing any more.
    async fn soon<T>(&self, work: impl Future<Output = T>) -> Result<T, WatchError> {
        timeout(WATCH_MAX + STATEMENT_MAX, work).await.map_err(|_| {
            WatchError::Connect(ConnectError::Away(format!(
                "PostgreSQL at {} does not answer; try again",
                connect::place(&self.config)
            )))
        })
    }

    fn unresolved(&self, error: &tokio_postgres::Error, nearest: Option<String>) -> WatchError {
        let Some(db) = error.as_db_error() else {
            return ConnectError::of(error, &self.config).into();
        };
        let hint = match *db.code() {
            SqlState::UNDEFINED_TABLE => {
                "a name with capitals or blanks needs double quotes inside the shell's own, as in '\"Order Lines\"'; \
                 a table outside of public needs its schema, as in sales.orders"
            }
            SqlState::INVALID_SCHEMA_NAME | SqlState::INVALID_NAME | SqlState::SYNTAX_ERROR => {
                "write the table as PostgreSQL does: orders, sales.orders, 'sales.\"Order Lines\"'"
            }
            SqlState::INSUFFICIENT_PRIVILEGE => {
                "plank's role needs it: grant usage on the schema to that role"
            }
            _ => return WatchError::Refused(said(db)),
        };
        let place = connect::place(&self.config);
        let message = db.message();
        WatchError::Refused(match nearest {
            Some(name) => format!("{message} in {place}; did you mean {name}?"),
            None => format!("{message}; {hint}"),
        })
    }

    fn refused(&self, error: &tokio_postgres::Error, found: &Found) -> WatchError {
        let Some(db) = error.as_db_error() else {
            return ConnectError::of(error, &self.config).into();
        };
        let Found {
            name,
            owner,
            user,
            plank,
            ..
        } = found;
        match *db.code() {
            SqlState::LOCK_NOT_AVAILABLE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::QUERY_CANCELED => WatchError::Busy(format!(
                "{name} is in use by a transaction that did not end within {} s; nothing was changed: try again when it has \
                 ended (pg_stat_activity shows it)",
                WATCH_LOCK_MAX.as_secs()
            )),
            SqlState::INSUFFICIENT_PRIVILEGE if !found.is_owned => WatchError::Refused(format!(
                "{name} belongs to {owner}, and plank's role {user} may not put triggers on it ({}); \
                 either: alter table {name} owner to {user}; or: grant {owner} to {user}; \
                 or connect as {owner}, after: grant {plank} to {owner}",
                db.message()
            )),
            _ => WatchError::Refused(said(db)),
        }
    }
}

/// What the server said, with its hint. plank's own errors begin with its name, as does what the program prints.
fn said(db: &tokio_postgres::error::DbError) -> String {
    let message = db.message();
    let message = message.strip_prefix("plank: ").unwrap_or(message);
    match db.hint() {
        Some(hint) => format!("{message}; {hint}"),
        None => message.to_owned(),
    }
}
