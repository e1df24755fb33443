//! The LISTEN connection: hears the doorbell and reads the change log by cursor.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Statement};

use crate::config::Server;
use crate::feed::filter::kind::Letters;
use crate::feed::{Catalog, Cursor, Epoch, Rest, Snapshot};
use crate::limits::{MARK_APART, PING_MAX};

use super::connect::{self, ConnectError, Connection, chain};
use super::demo;
use super::migrate;

pub(super) mod decode;
pub(super) mod read;
mod standing;

use decode::Xid8;
use read::{Explain, NOW, PRUNED, READ, READ_REST, SETTINGS};
use standing::{LETTERS, TABLES};

pub use read::Reading;
pub use standing::{catalog, epoch};

/// A lost mark costs nothing, and nobody waits for one to be on disk.
const LISTENER_SETTINGS: &str = "set synchronous_commit = off";

/// `plank migrate --uninstall` asks who is there.
const PRESENT: &str = "select plank.listen()";

/// For a notification to come back. It takes a few milliseconds; a pooler that gives the session's server to others
/// swallows it.
const PROBE_MAX: Duration = Duration::from_secs(4);

/// See the module's documentation.
pub struct LogReader {
    client: Client,
    explain: Explain,
    read: Statement,
    pruned: Statement,
    bell: Arc<Notify>,
    driver: JoinHandle<()>,
    epoch: Epoch,
}

impl LogReader {
    /// Connects, checks the server, brings the schema up to date, and listens. From then on the bell is heard, so what
    /// is read afterwards leaves no gap. `doorbell` says that it has to be heard: that is tried.
    ///
    /// # Errors
    /// Says whether it makes sense to try again.
    pub async fn connect(server: &Server, doorbell: bool) -> Result<Self, ConnectError> {
        Self::connect_for(server, doorbell, false).await
    }

    /// The same; `is_demo`: the table of the demo is made where it is missing.
    ///
    /// # Errors
    /// See [`Self::connect`].
    pub async fn connect_for(
        server: &Server,
        doorbell: bool,
        is_demo: bool,
    ) -> Result<Self, ConnectError> {
        let server = connect::harden(server.clone(), "plank listener");
        let (mut client, connection) = connect::connect(&server).await?;
        let config = &server.config;
        let explain = Explain::new(config.clone());
        let (bell, probed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let token = format!("probe-{:016x}", fastrand::u64(..));
        let ears = Ears {
            token: token.clone(),
            bell: bell.clone(),
            probed: probed.clone(),
            explain: explain.clone(),
        };
        let driver = actix_rt::spawn(ears.hear(connection));
        connect::soon("settings", connect::settle(&client, config)).await?;
        connect::soon("check", connect::check(&client, config)).await?;
        let listen = async {
            let listening = client.batch_execute("listen plank").await;
            listening.map_err(|e| ConnectError::of(&e, config))
        };
        connect::soon("listen", listen).await?;
        if doorbell {
            probe(&server, &token, &probed).await?;
        }
        migrate::run_if_due(&mut client, &server).await?;
        if is_demo {
            demo::install(&client, config).await?;
        }
        let of = |e: tokio_postgres::Error| ConnectError::of(&e, config);
        let prepare = async {
            let settings = format!("{SETTINGS}; {LISTENER_SETTINGS}");
            client.batch_execute(&settings).await.map_err(of)?;
            client.batch_execute(PRESENT).await.map_err(of)?;
            let identity = client
                .query_one("select plank.identity()", &[])
                .await
                .map_err(of)?;
            let read = client.prepare(READ).await.map_err(of)?;
            let pruned = client.prepare(PRUNED).await.map_err(of)?;
            Ok((Epoch::of(identity.get(0)), read, pruned))
        };
        let (epoch, read, pruned) = connect::soon("prepare", prepare).await?;
        Ok(Self {
            client,
            explain,
            read,
            pruned,
            bell,
            driver,
            epoch,
        })
    }

    /// Which log this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<ConnectError> {
        self.explain.ended().map(|why| self.explain.lost(&why))
    }

    /// Waits for the doorbell, or for the end of the connection.
    pub async fn bell(&self) {
        self.bell.notified().await;
    }

    /// Arms the bell, for as long as this connection lives or until [`Self::disarm`]; the fence, an own transaction id
    /// that was drawn when the bell was armed.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn arm(&self) -> Result<u64, ConnectError> {
        let arm = async {
            self.one("select plank.bell_sleep()").await?;
            // A statement, and so a transaction, of its own: a transaction that drew an id before this may have read the bell
            // before it was armed.
            self.one("select pg_current_xact_id()").await
        };
        Ok(connect::soon("arm", arm).await?.get::<_, Xid8>(0).0)
    }

    /// Lets go of the bell; whether the bell is off, and no other listener relies on it.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn disarm(&self) -> Result<bool, ConnectError> {
        let disarm = self.one("select plank.bell_awake()");
        Ok(connect::soon("disarm", disarm).await?.get(0))
    }

    /// Leaves a mark at the end of a batch whose newest row has the number `seq`, unless there is one nearby.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn leave_mark(&self, seq: i64, place: &Snapshot) -> Result<(), ConnectError> {
        let sql = "select plank.leave_mark($1, $2::text::pg_snapshot, $3)";
        let place = place.to_string();
        let mark = async {
            let marked = self.client.execute(sql, &[&seq, &place, &MARK_APART]).await;
            marked.map_err(|e| self.explain.error(&e))
        };
        connect::soon("mark", mark).await.map(|_| ())
    }

    /// Leaves a mark where the log is now, unless there is one nearby: reads for clients that come back later begin there.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn leave_first_mark(&self, place: &Snapshot) -> Result<(), ConnectError> {
        let reached = connect::soon("mark", self.one("select last_value from plank.seq")).await?;
        self.leave_mark(reached.get(0), place).await
    }

    /// Where a reader stands that wants everything from now on. What is read from here on is of this log.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn now(&mut self) -> Result<Cursor, ConnectError> {
        let row = connect::soon("now", self.one(NOW)).await?;
        let snapshot = self
            .explain
            .place(row.get(0), row.get::<_, Option<Xid8>>(1))?;
        self.epoch = Epoch::of(row.get(2));
        Ok(Cursor {
            epoch: self.epoch,
            snapshot,
        })
    }

    /// Which log it is at this moment.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn epoch_now(&self) -> Result<Epoch, ConnectError> {
        let row = connect::soon("identity", self.one("select plank.identity()")).await?;
        Ok(Epoch::of(row.get(0)))
    }

    /// All watched tables.
    ///
    /// # Errors
    /// If the connection is lost, or a description can't be read.
    pub async fn catalog(&self) -> Result<Catalog, ConnectError> {
        let query = async {
            let letters = self.client.query_one(LETTERS, &[]).await?;
            Ok((letters, self.client.query(TABLES, &[]).await?))
        };
        let query = async { query.await.map_err(|e| self.explain.error(&e)) };
        let (letters, rows) = connect::soon("catalog", query).await?;
        let letters = letters.get::<_, Option<&str>>(0);
        let mut catalog = Catalog::new(letters.map(Letters::of_pairs).unwrap_or_default());
        for row in rows {
            let table = serde_json::from_str(row.get(0)).map_err(|e| {
                let what = format!("the description of a table can't be read: {e}");
                self.explain.broken(what)
            })?;
            // Two tables can't have one name at one time.
            let _ = catalog.insert(table);
        }
        Ok(catalog)
    }

    /// Whether something behind `cursor` may have been pruned. To be asked after reading: what is thrown away while it
    /// is read is missing from what was read.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn pruned(&self, cursor: &Snapshot) -> Result<bool, ConnectError> {
        let cursor = cursor.to_string();
        let query = async {
            let row = self.client.query_one(&self.pruned, &[&cursor]).await;
            row.map_err(|e| self.explain.error(&e))
        };
        Ok(connect::soon("pruned", query).await?.get(0))
    }

    /// Sees whether the server still answers.
    ///
    /// # Errors
    /// If it does not within [`PING_MAX`].
    pub async fn ping(&self) -> Result<(), ConnectError> {
        match timeout(PING_MAX, self.client.batch_execute("")).await {
            Ok(answer) => answer.map_err(|e| self.explain.error(&e)),
            Err(_) => Err(ConnectError::Away(format!(
                "the listener's connection is dead: no answer within {} s",
                PING_MAX.as_secs()
            ))),
        }
    }

    /// Reads what `cursor` has not seen, or the rest of a batch that was interrupted. No row may take longer than
    /// `patience`.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn read(
        &self,
        cursor: &Snapshot,
        interrupted: Option<&Rest>,
        patience: Duration,
    ) -> Result<Reading, ConnectError> {
        let cursor = cursor.to_string();
        let query = async {
            let Some(rest) = interrupted else {
                return self.client.query_raw(&self.read, &[&cursor]).await;
            };
            let end = rest.end.snapshot.to_string();
            let behind = read::behind(rest.seq);
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&cursor, &end, &behind];
            self.client.query_raw(READ_REST, params).await
        };
        Reading::begin(query, interrupted, self.epoch, patience, &self.explain).await
    }

    async fn one(&self, sql: &str) -> Result<tokio_postgres::Row, ConnectError> {
        let row = self.client.query_one(sql, &[]).await;
        row.map_err(|e| self.explain.error(&e))
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Drives the connection, and hears what comes unasked.
struct Ears {
    token: String,
    bell: Arc<Notify>,
    probed: Arc<Notify>,
    explain: Explain,
}

impl Ears {
    async fn hear(self, mut connection: Connection) {
        let mut messages = pin!(stream::poll_fn(move |cx| connection.poll_message(cx)));
        let mut why = String::from("PostgreSQL closed the connection");
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notification(n)) if n.payload() == self.token => {
                    self.probed.notify_one();
                }
                // The doorbell carries no data, and one that has not been answered yet is enough.
                Ok(AsyncMessage::Notification(_)) => self.bell.notify_one(),
                Ok(AsyncMessage::Notice(notice)) => {
                    log::debug!("notice from postgresql text={}", notice.message())
                }
                Ok(_) => {}
                Err(error) => {
                    why = chain(&error);
                    break;
                }
            }
        }
        *self
            .explain
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.bell.notify_one();
    }
}

/// Whether the bell can be heard at all: another session rings it. Through a pooler that lends the server's sessions out
/// by the transaction LISTEN succeeds, and nothing ever arrives.
async fn probe(server: &Server, token: &str, probed: &Notify) -> Result<(), ConnectError> {
    let (client, connection) = connect::connect(server).await?;
    let config = &server.config;
    let driver = actix_rt::spawn(connection);
    let ring = async {
        let rung = client
            .execute("select pg_notify('plank', $1)", &[&token])
            .await;
        rung.map_err(|e| ConnectError::of(&e, config))
    };
    connect::soon("probe", ring).await?;
    drop(client);
    let heard = timeout(PROBE_MAX, probed.notified()).await;
    driver.abort();
    heard.map_err(|_| {
        ConnectError::Away(format!(
            "LISTEN hears nothing through {}: a pooler (pgbouncer in transaction or statement mode) seems to be in the way; \
             point --listen-database-url (PLANK_LISTEN_DATABASE_URL) at PostgreSQL itself",
            connect::place(config)
        ))
    })
}
