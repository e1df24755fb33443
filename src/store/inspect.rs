//! What `plank doctor` has to know of a database, read and not judged: nothing here writes, and nothing needs plank to
//! be installed. Each group of facts may be missing without the others.

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Row};

use crate::config::{Check, Roots, Server};
use crate::feed::Table;
use crate::limits::STATEMENT_MAX;

use super::certificate;
use super::connect::{self, ConnectError, Connection, chain};
use super::migrate;
use super::session::Session;

mod replica;
mod rights;
mod sql;

pub use replica::{PrimaryPlace, ReplicaFacts};
pub use rights::RightsFacts;

/// For a NOTIFY to come back. It takes a few milliseconds.
const ECHO_MAX: Duration = Duration::from_secs(4);

/// For a lock. Nobody is to wait behind a look.
const LOCK_MAX: Duration = Duration::from_secs(2);

/// The server, and what plank's role may do there.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerFacts {
    /// As `server_version_num`.
    pub version_num: i32,
    /// For people.
    pub version: String,
    /// Whether it follows another server.
    pub is_standby: bool,
    /// Of the database.
    pub encoding: String,
    /// Who plank is there.
    pub user: String,
    /// The database.
    pub database: String,
    /// Whether this role may see the transactions of others.
    pub sees_others: bool,
    /// Whether it may make a schema in the database.
    pub may_create: bool,
    /// Whether it may make a table in the schema `public`.
    pub may_create_in_public: bool,
    /// Connections that ordinary roles may have, and how many there are now.
    pub connections_max: i32,
    /// See [`Self::connections_max`].
    pub connections: i64,
    /// Whether a crash of the machine keeps what was committed.
    pub fsync: bool,
    /// How far its clock is ahead of this machine's, in seconds, give or take half of the time that the answer took.
    pub clock_ahead_s: f64,
    /// See [`Self::clock_ahead_s`].
    pub clock_error_s: f64,
}

/// A setting that others made for all sessions, and that plank sets in its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFacts {
    /// Its name.
    pub name: String,
    /// What a session has that sets nothing, as PostgreSQL counts it.
    pub value: String,
    /// Whether it is set for the database, and for plank's role; neither: for the server.
    pub scope: (bool, bool),
}

/// How the connection is kept from others.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFacts {
    /// Whether there is TLS.
    pub is_encrypted: bool,
    /// Its version.
    pub version: String,
    /// Whether it leaves the machine.
    pub is_remote: bool,
    /// Whether the server's certificate and its name are checked.
    pub is_verified: bool,
    /// The files with certificates that plank reads, and the days until the first of each expires; none where it can't be
    /// read.
    pub files: Vec<(String, Option<f64>)>,
}

/// The schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFacts {
    /// Who owns it.
    pub owner: String,
    /// Whether that role can log in: capture runs with its rights.
    pub owner_logs_in: bool,
    /// Whether plank's role may use it as its owner does.
    pub is_usable: bool,
    /// Migrations that have run, by version.
    pub applied: Vec<i32>,
    /// Those that this plank brings.
    pub known: Vec<i32>,
}

/// The change log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFacts {
    /// The retention, in seconds.
    pub keep_s: f64,
    /// The retention, in rows.
    pub rows_max: i64,
    /// Estimated.
    pub rows: i64,
    /// With indexes.
    pub bytes: i64,
    /// Whether it was full, and keeps nothing.
    pub is_closed: bool,
    /// Age of the oldest leaf that has something in it, in seconds.
    pub oldest_s: f64,
    /// Whether something was thrown away already.
    pub was_pruned: bool,
    /// Whether it is of this database, and not of the one that it was dumped from.
    pub is_of_here: bool,
    /// Planks that follow it now.
    pub listeners: i64,
}

/// A watched table, or a partition or child of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// As PostgreSQL quotes it; the number of one that is gone.
    pub name: String,
    /// Whether there is such a table.
    pub is_there: bool,
    /// `r`, or `p` for a partitioned one.
    pub kind: String,
    /// Whether it is watched by its name, and not as a part of another.
    pub is_root: bool,
    /// `statement` or `row`.
    pub level: String,
    /// The functions of its triggers of plank, with `pg_trigger.tgenabled`: `A` as plank leaves them, `D` disabled.
    pub triggers: Vec<(String, String)>,
    /// Whether a crash of the server empties it.
    pub is_unlogged: bool,
    /// Whether it is no partition, has no children, and is no child.
    pub is_alone: bool,
    /// Whether the owner of plank's schema may read it.
    pub is_readable: bool,
    /// Whether row security hides rows from that role.
    pub hides_rows: bool,
    /// Partitions and children of it that are not followed yet.
    pub unwatched: Vec<String>,
    /// Why a server could not follow it, or empty.
    pub problem: String,
}

/// A transaction that has been open for long.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenTransaction {
    /// Which one, for people: a process, or the name of a prepared transaction.
    pub who: String,
    /// Its age in seconds.
    pub age_s: f64,
    /// Whether it has written something, anywhere in the cluster.
    pub writes: bool,
}

/// A connection that looks.
pub struct Inspector {
    client: Client,
    server: Server,
    notified: UnboundedReceiver<String>,
}

impl Inspector {
    /// Connects; any server will do.
    ///
    /// # Errors
    /// The text says what to do.
    pub async fn open(server: &Server) -> Result<Self, ConnectError> {
        let server = connect::harden(server.clone(), "plank doctor");
        let (client, connection) = connect::connect(&server).await?;
        let (hear, notified) = unbounded_channel();
        actix_rt::spawn(drive(connection, hear));
        let inspector = Self {
            client,
            server,
            notified,
        };
        let session = Session {
            statement: STATEMENT_MAX,
            lock: LOCK_MAX,
            more: "set jit = off",
            ..Session::UNLIMITED
        };
        let set = session.settle(&inspector.client).await;
        set.map_err(|e| ConnectError::of(&e, &inspector.server.config))?;
        Ok(inspector)
    }

    /// Where it is connected, for people.
    pub fn place(&self) -> String {
        connect::place(&self.server.config)
    }

    /// See [`ServerFacts`].
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn server(&self) -> Result<ServerFacts, String> {
        let row = self.one(sql::SERVER).await?;
        // By itself, and the second time: what is measured is the way there and back, and no planning.
        self.one(sql::CLOCK).await?;
        let (asked, started) = (SystemTime::now(), Instant::now());
        let theirs: f64 = self.one(sql::CLOCK).await?.get(0);
        let took = started.elapsed().as_secs_f64();
        let ours = asked.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(ServerFacts {
            version_num: row.get(0),
            version: row.get(1),
            is_standby: row.get(2),
            encoding: row.get(3),
            user: row.get(4),
            database: row.get(5),
            sees_others: row.get(6),
            may_create: row.get(7),
            may_create_in_public: row.get(8),
            connections_max: row.get(9),
            connections: row.get(10),
            fsync: row.get(11),
            clock_ahead_s: theirs - ours.as_secs_f64() - took / 2.0,
            clock_error_s: took / 2.0,
        })
    }

    /// See [`SettingFacts`].
    ///
    /// # Errors
    /// Why they can't be read.
    pub async fn settings(&self) -> Result<Vec<SettingFacts>, String> {
        let facts = |row: &Row| SettingFacts {
            name: row.get(0),
            value: row.get(1),
            scope: (
                row.get::<_, Option<bool>>(2).unwrap_or(false),
                row.get::<_, Option<bool>>(3).unwrap_or(false),
            ),
        };
        Ok(self.all(sql::SETTINGS).await?.iter().map(facts).collect())
    }

    /// See [`LinkFacts`].
    ///
    /// # Errors
    /// Why they can't be read.
    pub async fn link(&self) -> Result<LinkFacts, String> {
        let row = self.one(sql::LINK).await?;
        let tls = &self.server.tls;
        let roots = match &tls.check {
            Check::Chain(Roots::File(path)) | Check::Full(Roots::File(path)) => Some(path),
            _ => None,
        };
        let own = tls.identity.as_ref().map(|identity| &identity.certificate);
        let files = roots.into_iter().chain(own);
        let files = files.map(|path| (path.display().to_string(), certificate::days_left(path)));
        Ok(LinkFacts {
            is_encrypted: row.get(0),
            version: row.get(1),
            is_remote: row.get(2),
            is_verified: matches!(tls.check, Check::Full(_)),
            files: files.collect(),
        })
    }

    /// How long a NOTIFY took to come back to a LISTEN; none if it never did. Not on a standby.
    ///
    /// # Errors
    /// Why that can't be tried.
    pub async fn echo(&mut self) -> Result<Option<Duration>, String> {
        let token = format!("plank_doctor_{:016x}", fastrand::u64(..));
        let listen = format!("listen {token}");
        self.client.batch_execute(&listen).await.map_err(text)?;
        // Another session rings: to itself even a session that a pooler lends out might be heard.
        let (other, connection) = connect::connect(&self.server).await.map_err(text)?;
        let driver = actix_rt::spawn(connection);
        let started = Instant::now();
        let rung = other.batch_execute(&format!("notify {token}")).await;
        let heard = match rung {
            Ok(_) => timeout(ECHO_MAX, self.hear(&token)).await.ok(),
            Err(error) => return Err(text(error)),
        };
        drop(other);
        driver.abort();
        let _ = self.client.batch_execute("unlisten *").await;
        Ok(heard.map(|()| started.elapsed()))
    }

    async fn hear(&mut self, token: &str) {
        while let Some(channel) = self.notified.recv().await {
            if channel == token {
                return;
            }
        }
        // The connection has ended: nothing more will come.
        std::future::pending().await
    }

    /// See [`SchemaFacts`]; none where there is no plank.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn schema(&self) -> Result<Option<SchemaFacts>, String> {
        let Some(row) = self.all(sql::SCHEMA).await?.into_iter().next() else {
            return Ok(None);
        };
        let is_usable: bool = row.get(2);
        // Who may not look has said so in `is_usable`.
        let rows = match is_usable {
            true => self.all(sql::MIGRATIONS).await?,
            false => Vec::new(),
        };
        Ok(Some(SchemaFacts {
            owner: row.get(0),
            owner_logs_in: row.get(1),
            is_usable,
            applied: rows.iter().map(|row| row.get(0)).collect(),
            known: migrate::versions(),
        }))
    }

    /// Which database of which cluster this is, to compare two ways to it.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn identity(&self) -> Result<String, String> {
        Ok(self.one(sql::IDENTITY).await?.get(0))
    }

    /// See [`LogFacts`].
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn log(&self) -> Result<LogFacts, String> {
        let row = self.one(sql::LOG).await?;
        Ok(LogFacts {
            keep_s: row.get(0),
            rows_max: row.get(1),
            rows: row.get(2),
            bytes: row.get(3),
            is_closed: row.get(4),
            oldest_s: row.get(5),
            was_pruned: row.get(6),
            is_of_here: row.get(7),
            listeners: row.get(8),
        })
    }

    /// See [`TableFacts`]: roots first, then by name.
    ///
    /// # Errors
    /// Why they can't be read.
    pub async fn tables(&self) -> Result<Vec<TableFacts>, String> {
        let facts = |row: &Row| {
            let names: Vec<String> = row.get(5);
            let states: Vec<String> = row.get(6);
            TableFacts {
                name: row.get(0),
                is_there: row.get(1),
                kind: row.get(2),
                is_root: row.get(3),
                level: row.get(4),
                triggers: names.into_iter().zip(states).collect(),
                is_unlogged: row.get(7),
                is_alone: row.get(8),
                is_readable: row.get(9),
                hides_rows: row.get(10),
                unwatched: row.get(11),
                problem: row.get(12),
            }
        };
        Ok(self.all(sql::TABLES).await?.iter().map(facts).collect())
    }

    /// See [`RightsFacts`].
    ///
    /// # Errors
    /// Why they can't be read.
    pub async fn rights(&self) -> Result<RightsFacts, String> {
        Ok(RightsFacts::of(&self.one(rights::RIGHTS).await?))
    }

    /// The watched tables that have policies, as servers know them.
    ///
    /// # Errors
    /// Why they can't be read.
    pub async fn policies(&self) -> Result<Vec<Table>, String> {
        let rows = self.all(sql::POLICIES).await?;
        let read = |row: &Row| serde_json::from_str(row.get(0)).map_err(text);
        rows.iter().map(read).collect()
    }

    /// Transactions of all databases of the cluster that have been open for longer than `age`, the oldest first.
    ///
    /// # Errors
    /// Why they can't be read.
    pub async fn open_transactions(&self, age: Duration) -> Result<Vec<OpenTransaction>, String> {
        let rows = self
            .client
            .query_typed(sql::TRANSACTIONS, &[(&age.as_secs_f64(), Type::FLOAT8)])
            .await
            .map_err(text)?;
        let facts = |row: &Row| OpenTransaction {
            who: row.get(0),
            age_s: row.get(1),
            writes: row.get(2),
        };
        Ok(rows.iter().map(facts).collect())
    }

    async fn one(&self, sql: &str) -> Result<Row, String> {
        let row = self.all(sql).await?.into_iter().next();
        row.ok_or_else(|| "the answer has no row".into())
    }

    /// Without a prepared statement: those belong to a session, and a pooler may give another one for each.
    async fn all(&self, sql: &str) -> Result<Vec<Row>, String> {
        self.client.query_typed(sql, &[]).await.map_err(text)
    }
}

/// Drives the connection, and hands on which channels were rung.
async fn drive(mut connection: Connection, hear: tokio::sync::mpsc::UnboundedSender<String>) {
    let mut messages = pin!(stream::poll_fn(move |cx| connection.poll_message(cx)));
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(notification) = message {
            let _ = hear.send(notification.channel().to_owned());
        }
    }
}

fn text(error: impl std::error::Error) -> String {
    chain(&error)
}
