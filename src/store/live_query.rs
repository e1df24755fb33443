//! Live queries: which there are, and how one is refreshed. What that means stands in `sql/migrations/V14__refresh.sql`.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, IsolationLevel};

use crate::config::Server;
use crate::feed::catalog::Oid;
use crate::feed::{Cursor, Snapshot};
use crate::limits::{LIVE_QUERY_ANSWER_MAX, LIVE_QUERY_LOCK_MAX, LIVE_QUERY_REFRESH_MAX};

use super::connect::{self, ConnectError, chain};
use super::pool::{Pool, StoreError};
use super::session::Session;

const LIST: &str = "select q.name, q.rel::oid, q.bases::oid[], \
    pg_catalog.date_part('epoch', plank.query_pause(q.every, q.owed))::float8, q.scope <> '[]', q.problem is not null, \
    pg_catalog.date_part('epoch', q.took)::float8 \
    from plank.live_query q join pg_catalog.pg_class c on c.oid = q.rel where q.ended is null order by 1";

const STATES: &str = "select name, problem, ended, pg_catalog.date_part('epoch', every)::float8, pg_catalog.date_part('epoch', took)::float8, \
    pg_catalog.date_part('epoch', plank.query_pause(every, owed))::float8 from plank.live_query order by 1";

const REFRESH: &str = "select outcome, place, wait_ms, is_whole, changed, differs from plank.refresh($1, $2::text::xid8, $3)";

/// The role that reads, unless it is this one, and the tables that a query reads.
const BASES: &str = "select (select pg_catalog.quote_ident(rolname) from pg_catalog.pg_roles where oid = plank.reader() and rolname <> current_user), \
    (select pg_catalog.string_agg(c.oid::regclass::text, ', ' order by c.oid) from pg_catalog.pg_class c where c.oid = any (q.bases::oid[])) \
    from plank.live_query q where q.name = $1 and q.ended is null";

/// So that a backend whose plank was killed ends its refresh at once.
const MORE: &str = "set jit = off; set client_connection_check_interval = '500ms'";

/// A live query, as the database has it.
#[derive(Clone, Debug)]
pub struct LiveQuery {
    /// Its name, without the schema.
    pub name: String,
    /// The table with its result.
    pub rel: Oid,
    /// The watched tables whose changes concern it.
    pub bases: Vec<Oid>,
    /// Between the beginnings of two refreshes, at least.
    pub interval: Duration,
    /// Whether it can be refreshed in part.
    pub is_scoped: bool,
    /// Whether the last refresh has failed.
    pub is_stale: bool,
    /// How long the last refresh took.
    pub took: Duration,
}

/// How a live query is doing, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryState {
    /// Its name.
    pub name: String,
    /// Why its result is stale, if it is.
    pub problem: Option<String>,
    /// Why it is not followed any more, if it is not.
    pub ended: Option<String>,
    /// Between two refreshes, as it was asked for.
    pub every_s: f64,
    /// How long the last refresh took.
    pub took_s: f64,
    /// From its beginning until the next one may begin.
    pub pause_s: f64,
}

/// What came of a call of `plank.refresh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is up to date, up to this place.
    Refreshed {
        /// See above.
        place: Snapshot,
        /// Whether all rows were computed.
        is_whole: bool,
        /// Rows that were written.
        changed: u64,
        /// Until it may be refreshed again.
        pause: Duration,
    },
    /// It was up to date.
    Clean,
    /// It is not to be refreshed yet.
    Early(Duration),
    /// Another one refreshes it.
    Busy,
    /// There is no such query any more.
    Gone,
}

/// Why a query was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The connection is lost, or the database is busy with itself.
    #[error("the database is away: {0}")]
    Away(String),
    /// The query fails, or its result can't be kept. The text is for the operator.
    #[error("{reason}")]
    Query {
        /// What the database has said.
        reason: String,
        /// The bound that was reached, if it is one.
        limit: Option<&'static str>,
    },
}

/// A connection that refreshes queries.
pub struct Link {
    client: Client,
    config: Config,
}

impl Link {
    /// Connects. plank has to be in the database already.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(server: &Server) -> Result<Self, ConnectError> {
        let server = connect::harden(server.clone(), "plank live queries");
        let (client, connection) = connect::connect(&server).await?;
        let config = server.config;
        // It ends with the client.
        tokio::spawn(connection);
        let session = Session {
            statement: LIVE_QUERY_REFRESH_MAX,
            lock: LIVE_QUERY_LOCK_MAX,
            idle_in_transaction: LIVE_QUERY_ANSWER_MAX,
            more: MORE,
        };
        connect::soon("check", connect::check(&client, &config)).await?;
        let settle = async {
            let settled = session.settle(&client).await;
            settled.map_err(|e| ConnectError::of(&e, &config))
        };
        connect::soon("settings", settle).await?;
        Ok(Self { client, config })
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The live queries that are followed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list(&self) -> Result<Vec<LiveQuery>, RefreshError> {
        let rows = self.soon(self.client.query(LIST, &[])).await?;
        let query = |row: &tokio_postgres::Row| LiveQuery {
            name: row.get(0),
            rel: row.get(1),
            bases: row.get(2),
            interval: Duration::try_from_secs_f64(row.get(3)).unwrap_or_default(),
            is_scoped: row.get(4),
            is_stale: row.get(5),
            took: Duration::try_from_secs_f64(row.get(6)).unwrap_or_default(),
        };
        Ok(rows.iter().map(query).collect())
    }

    /// How all of them are doing.
    ///
    /// # Errors
    /// When the database is away, or has no live queries.
    pub async fn states(&self) -> Result<Vec<QueryState>, RefreshError> {
        let rows = self.soon(self.client.query(STATES, &[])).await?;
        let state = |row: &tokio_postgres::Row| QueryState {
            name: row.get(0),
            problem: row.get(1),
            ended: row.get(2),
            every_s: row.get(3),
            took_s: row.get(4),
            pause_s: row.get(5),
        };
        Ok(rows.iter().map(state).collect())
    }

    /// Ends the queries that can't be followed any more: their names, and why.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn follow(&self) -> Result<Vec<(String, String)>, RefreshError> {
        let sql = "select name, reason from plank.follow_queries()";
        let rows = self.soon(self.client.query(sql, &[])).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Refreshes a query, if a change concerns it. `first`: none before this transaction is news; none if that is not known.
    /// `verify`: checks all of the result afterwards; a difference is an error.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn refresh(
        &mut self,
        name: &str,
        first: Option<u64>,
        verify: bool,
    ) -> Result<Outcome, RefreshError> {
        match timeout(
            LIVE_QUERY_REFRESH_MAX + LIVE_QUERY_ANSWER_MAX,
            self.try_refresh(name, first, verify),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err(RefreshError::Away("no answer to a refresh".into())),
        }
    }

    async fn try_refresh(
        &mut self,
        name: &str,
        first: Option<u64>,
        verify: bool,
    ) -> Result<Outcome, RefreshError> {
        // Before the snapshot is taken, and so not in a function: to one that is older than a TRUNCATE, or than an ALTER TABLE that
        // writes the table anew, the table is empty, as it never was.
        let row = self
            .client
            .query_opt(BASES, &[&name])
            .await
            .map_err(|e| explain(&e))?;
        let lock = row.and_then(|row| {
            let (reader, bases): (Option<String>, Option<String>) = (row.get(0), row.get(1));
            let lock = format!("lock table {} in access share mode", bases?);
            Some(match reader {
                Some(reader) => format!("set local role {reader}; {lock}; set local role none"),
                None => lock,
            })
        });
        let transaction = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.start().await.map_err(|e| explain(&e))?;
        if let Some(lock) = lock {
            let locked = transaction.batch_execute(&lock).await;
            if let Err(error) = locked {
                let _ = transaction.rollback().await;
                return match error.code() {
                    Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED)) => {
                        Ok(Outcome::Busy)
                    }
                    _ => Err(explain(&error)),
                };
            }
        }
        let first = first.map(|xid| xid.to_string());
        let refreshed = transaction
            .query_one(REFRESH, &[&name, &first, &verify])
            .await;
        let row = match refreshed {
            Ok(row) => row,
            Err(error) => {
                let _ = transaction.rollback().await;
                return match error.code() {
                    // Another one has just refreshed it, or a lock is in the way.
                    Some(
                        &SqlState::T_R_SERIALIZATION_FAILURE
                        | &SqlState::T_R_DEADLOCK_DETECTED
                        | &SqlState::LOCK_NOT_AVAILABLE,
                    ) => Ok(Outcome::Busy),
                    _ => Err(explain(&error)),
                };
            }
        };
        let differs: Option<i64> = row.get(5);
        if let Some(differs) = differs.filter(|n| *n > 0) {
            let _ = transaction.rollback().await;
            return Err(RefreshError::Query {
                reason: format!(
                    "{differs} rows of the result differ from the query: its scope does not fit"
                ),
                limit: None,
            });
        }
        transaction.commit().await.map_err(|e| explain(&e))?;
        let wait_ms: Option<i64> = row.get(2);
        let wait = Duration::from_millis(wait_ms.unwrap_or_default().max(0).unsigned_abs());
        Ok(match row.get(0) {
            "refreshed" => Outcome::Refreshed {
                place: row
                    .get::<_, Option<&str>>(1)
                    .and_then(Snapshot::parse)
                    .unwrap_or_default(),
                is_whole: row.get::<_, Option<bool>>(3).unwrap_or(true),
                changed: row
                    .get::<_, Option<i64>>(4)
                    .unwrap_or_default()
                    .unsigned_abs(),
                pause: wait,
            },
            "clean" => Outcome::Clean,
            "early" => Outcome::Early(wait),
            "busy" => Outcome::Busy,
            _ => Outcome::Gone,
        })
    }

    /// Notes that a refresh has failed; after which time to try again.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn failed(&self, name: &str, why: &str) -> Result<Duration, RefreshError> {
        let sql = "select plank.query_failed($1, $2)";
        let row = self
            .soon(self.client.query_one(sql, &[&name, &why]))
            .await?;
        let wait_ms: Option<i64> = row.get(0);
        Ok(Duration::from_millis(
            wait_ms.unwrap_or_default().unsigned_abs(),
        ))
    }

    /// Where the log is now: everything that was committed before is before it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn cursor(&self) -> Result<Cursor, RefreshError> {
        let row = self
            .soon(self.client.query_one("select plank.cursor()", &[]))
            .await?;
        Cursor::parse(row.get(0)).map_err(|e| RefreshError::Away(e.to_string()))
    }

    async fn soon<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, RefreshError> {
        match timeout(LIVE_QUERY_ANSWER_MAX, work).await {
            Ok(answer) => answer.map_err(|e| explain(&e)),
            Err(_) => Err(RefreshError::Away(format!(
                "PostgreSQL at {} does not answer",
                connect::place(&self.config)
            ))),
        }
    }
}

fn explain(error: &tokio_postgres::Error) -> RefreshError {
    let Some(db) = error.as_db_error() else {
        return RefreshError::Away(chain(error));
    };
    let message = db.message();
    let message = message.strip_prefix("plank: ").unwrap_or(message);
    let code = db.code().code();
    let is_away = ["08", "57P", "53", "25"]
        .iter()
        .any(|class| code.starts_with(class));
    if is_away {
        return RefreshError::Away(message.to_owned());
    }
    match *db.code() {
        SqlState::QUERY_CANCELED => RefreshError::Query {
            reason: format!(
                "a refresh takes longer than {} s",
                LIVE_QUERY_REFRESH_MAX.as_secs()
            ),
            limit: Some("live_query_time"),
        },
        SqlState::PROGRAM_LIMIT_EXCEEDED => RefreshError::Query {
            reason: message.to_owned(),
            limit: Some("live_query_rows"),
        },
        _ => RefreshError::Query {
            reason: message.to_owned(),
            limit: None,
        },
    }
}

/// Makes this the bound of the rows of a result, for all nodes and for `plank.watch_query`.
///
/// # Errors
/// When the database is away.
pub async fn configure(pool: &Pool, rows_max: i64) -> Result<(), StoreError> {
    let client = pool.get().await?;
    let sql = "update plank.meta set query_rows_max = $1 where query_rows_max <> $1";
    client.execute(sql, &[&rows_max]).await?;
    Ok(())
}
