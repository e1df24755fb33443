//! The LISTEN connection: hears the doorbell and reads the change log by cursor.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, future::poll_fn, stream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config, Row, RowStream, Statement};

use crate::feed::{Catalog, Cursor, Epoch, LogOp, LogRow, Snapshot};
use crate::limits::PING_MAX;

use super::connect::{self, ConnectError, chain};
use super::migrate;

mod decode;

use decode::{Cid, Json, Timestamp, Xid8};

/// With JIT an empty read of a large log takes 270 ms instead of 0.1 ms, and a bitmap or sequential scan of it longer.
/// A plan of its own for each of the first five reads after a reconnect takes longer than the read.
const SETTINGS: &str = "set jit = off; set enable_seqscan = off; set enable_bitmapscan = off; \
    set max_parallel_workers_per_gather = 0; set plan_cache_mode = force_generic_plan; set timezone = 'UTC'; listen plank";

/// What the cursor's snapshot did not see and this statement's does, in the order of `seq`. The first row carries the
/// snapshot of this very statement, which is the next cursor, and the newest transaction in the log.
///
/// Never with LIMIT: the next cursor would skip the rest. UNION ALL, since OR reads the whole index. `cmin` is a system
/// column: the number of the command, which tells the statements of a transaction apart.
macro_rules! read_sql {
    ($more:literal) => {
        concat!(
            "select -1::bigint as seq, '0'::xid8 as xid, '0'::cid as command, 0::oid as rel, ' '::\"char\" as op, now() as at, ",
            "null::json as row, null::json as old, pg_current_snapshot()::text as next, ",
            "greatest((select xid from plank.log order by xid desc limit 1), (select prune_xid from plank.horizon)) as newest ",
            "union all select seq, xid, cmin, rel, op, at, row, old, null, null from plank.log ",
            "where xid >= pg_snapshot_xmax($1::text::pg_snapshot) ", $more,
            "union all select seq, xid, cmin, rel, op, at, row, old, null, null from plank.log ",
            "where xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot))) ", $more,
            "order by seq"
        )
    };
}
const READ: &str = read_sql!("");
/// The rest of a batch that was cut off: up to the snapshot `$2`, which it had, and behind the row `$3`.
const READ_REST: &str =
    read_sql!("and pg_visible_in_snapshot(xid, $2::text::pg_snapshot) and seq > $3 ");
const NOW: &str = "select pg_current_snapshot()::text, \
    greatest((select xid from plank.log order by xid desc limit 1), (select prune_xid from plank.horizon))";

const PRUNED: &str = "select plank.pruned($1::text::pg_snapshot)";

/// A batch that had been begun when the connection was lost.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// Where it ends.
    pub next: Snapshot,
    /// The last row that the hub has.
    pub seq: i64,
}

/// See the module's documentation.
pub struct LogReader {
    client: Client,
    config: Config,
    read: Statement,
    pruned: Statement,
    bell: Arc<Notify>,
    driver: JoinHandle<()>,
    /// Why the connection ended.
    end: Rc<RefCell<Option<String>>>,
    epoch: Epoch,
}

impl LogReader {
    /// Connects, checks the server, brings the schema up to date, and listens. From then on the bell is heard, so what
    /// is read afterwards leaves no gap.
    ///
    /// # Errors
    /// Says whether it makes sense to try again.
    pub async fn connect(config: &Config) -> Result<Self, ConnectError> {
        let config = connect::harden(config.clone(), "plank listener");
        let (mut client, mut connection) = connect::connect(&config).await?;
        let bell = Arc::new(Notify::new());
        let end: Rc<RefCell<Option<String>>> = Rc::default();
        let (ring, ended) = (bell.clone(), end.clone());
        let driver = actix_rt::spawn(async move {
            let mut messages = pin!(stream::poll_fn(move |cx| connection.poll_message(cx)));
            let mut why = String::from("PostgreSQL closed the connection");
            while let Some(message) = messages.next().await {
                match message {
                    // The doorbell carries no data, and one that has not been answered yet is enough.
                    Ok(AsyncMessage::Notification(_)) => ring.notify_one(),
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
            ended.replace(Some(why));
            ring.notify_one();
        });
        connect::soon("check", connect::check(&client, &config)).await?;
        migrate::run(&mut client, &config).await?;
        let of = |e: tokio_postgres::Error| ConnectError::of(&e, &config);
        let prepare = async {
            client.batch_execute(SETTINGS).await.map_err(of)?;
            let identity = client
                .query_one("select plank.identity()", &[])
                .await
                .map_err(of)?;
            let read = client.prepare(READ).await.map_err(of)?;
            let pruned = client.prepare(PRUNED).await.map_err(of)?;
            Ok((Epoch::of(identity.get(0)), read, pruned))
        };
        let (epoch, read, pruned) = connect::soon("listen", prepare).await?;
        Ok(Self {
            client,
            read,
            pruned,
            bell,
            driver,
            end,
            epoch,
            config,
        })
    }

    /// Which log this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<String> {
        self.end.borrow().clone()
    }

    /// Waits for the doorbell, or for the end of the connection.
    pub async fn bell(&self) {
        self.bell.notified().await;
    }

    /// Where a reader stands that wants everything from now on.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn now(&self) -> Result<Cursor, ConnectError> {
        let query = async {
            self.client
                .query_one(NOW, &[])
                .await
                .map_err(|e| self.error(&e))
        };
        let row = connect::soon("now", query).await?;
        let snapshot = self.snapshot(row.get(0), row.get::<_, Option<Xid8>>(1))?;
        Ok(Cursor {
            epoch: self.epoch,
            snapshot,
        })
    }

    /// All watched tables.
    ///
    /// # Errors
    /// If the connection is lost, or a description can't be read.
    pub async fn catalog(&self) -> Result<Catalog, ConnectError> {
        let sql =
            "select d::text from plank.watched w, plank.describe(w.rel) d where d is not null";
        let mut catalog = Catalog::default();
        let query = async {
            self.client
                .query(sql, &[])
                .await
                .map_err(|e| self.error(&e))
        };
        for row in connect::soon("catalog", query).await? {
            let table = serde_json::from_str(row.get(0));
            // Two tables can't have one name at one time.
            let _ = catalog.insert(table.map_err(|e| {
                self.broken(format!("the description of a table can't be read: {e}"))
            })?);
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
            self.client
                .query_one(&self.pruned, &[&cursor])
                .await
                .map_err(|e| self.error(&e))
        };
        Ok(connect::soon("pruned", query).await?.get(0))
    }

    /// Sees whether the server still answers.
    ///
    /// # Errors
    /// If it does not within [`PING_MAX`].
    pub async fn ping(&self) -> Result<(), ConnectError> {
        match timeout(PING_MAX, self.client.batch_execute("")).await {
            Ok(answer) => answer.map_err(|e| self.error(&e)),
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
        interrupted: Option<&Interrupted>,
        patience: Duration,
    ) -> Result<Reading<'_>, ConnectError> {
        let cursor = cursor.to_string();
        let stream = match interrupted {
            None => {
                self.within(patience, self.client.query_raw(&self.read, &[&cursor]))
                    .await?
            }
            Some(rest) => {
                let statement = self
                    .within(patience, self.client.prepare(READ_REST))
                    .await?;
                let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                    [&cursor, &rest.next.to_string(), &rest.seq];
                self.within(patience, self.client.query_raw(&statement, params))
                    .await?
            }
        };
        let mut reading = Reading {
            reader: self,
            rows: Box::pin(stream),
            next: None,
            patience,
        };
        let head = reading
            .row()
            .await?
            .ok_or_else(|| self.broken("the log has no head".into()))?;
        let next = self.snapshot(head.get("next"), head.get("newest"))?;
        reading.next = Some(interrupted.map_or(next, |rest| rest.next.clone()));
        Ok(reading)
    }

    async fn within<T>(
        &self,
        patience: Duration,
        query: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ConnectError> {
        match timeout(patience, query).await {
            Ok(result) => result.map_err(|e| self.error(&e)),
            Err(_) => Err(stalled(patience)),
        }
    }

    fn snapshot(&self, text: &str, newest: Option<Xid8>) -> Result<Snapshot, ConnectError> {
        let snapshot =
            Snapshot::parse(text).ok_or_else(|| self.broken(format!("no snapshot: {text:?}")))?;
        // Without a row in the log any cursor does: this one keeps its place.
        Ok(snapshot.up_to(newest.map_or(0, |xid| xid.0)))
    }

    fn decode(&self, row: &Row) -> Result<LogRow, ConnectError> {
        let broken = |e: tokio_postgres::Error| self.broken(chain(&e));
        let letter: i8 = row.try_get("op").map_err(broken)?;
        let op = LogOp::from_letter(letter as u8);
        let mut log = LogRow {
            seq: row.try_get("seq").map_err(broken)?,
            xid: row.try_get::<_, Xid8>("xid").map_err(broken)?.0,
            command: row.try_get::<_, Cid>("command").map_err(broken)?.0,
            rel: row.try_get("rel").map_err(broken)?,
            op: op.ok_or_else(|| self.broken(format!("unknown op {:?}", letter as u8 as char)))?,
            at_us: row.try_get::<_, Timestamp>("at").map_err(broken)?.0,
            row: None,
            old: None,
        };
        // A database with encoding SQL_ASCII takes any bytes; such a row can't be sent, but it ends nobody.
        match (
            row.try_get::<_, Option<Json>>("row"),
            row.try_get::<_, Option<Json>>("old"),
        ) {
            (Ok(new), Ok(old)) => (log.row, log.old) = (new.map(|j| j.0), old.map(|j| j.0)),
            _ => {
                log::error!(
                    "log row is not utf-8, its table is reset rel={} seq={}",
                    log.rel,
                    log.seq
                );
                log.op = LogOp::Reset;
            }
        }
        Ok(log)
    }

    fn error(&self, error: &tokio_postgres::Error) -> ConnectError {
        match self.ended() {
            Some(why) => ConnectError::Away(format!("the connection was lost: {why}")),
            None => ConnectError::of(error, &self.config),
        }
    }

    fn broken(&self, what: String) -> ConnectError {
        ConnectError::Fatal(format!(
            "the schema plank is not as this version left it: {what}"
        ))
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn stalled(after: Duration) -> ConnectError {
    ConnectError::Away(format!(
        "a read of the log brought nothing for {} s",
        after.as_secs()
    ))
}

/// A read that is under way. The server waits while nobody takes its rows.
pub struct Reading<'a> {
    reader: &'a LogReader,
    rows: std::pin::Pin<Box<RowStream>>,
    next: Option<Snapshot>,
    patience: Duration,
}

impl Reading<'_> {
    /// The cursor after this read, once all of its rows have been taken.
    pub fn next_cursor(&self) -> Cursor {
        let snapshot = self
            .next
            .clone()
            .expect("set before the reading is handed out");
        Cursor {
            epoch: self.reader.epoch,
            snapshot,
        }
    }

    async fn row(&mut self) -> Result<Option<Row>, ConnectError> {
        let next = poll_fn(|cx| self.rows.as_mut().poll_next_unpin(cx));
        match timeout(self.patience, next).await {
            Ok(row) => row.transpose().map_err(|e| self.reader.error(&e)),
            Err(_) => Err(stalled(self.patience)),
        }
    }

    /// The next row of the log.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn next(&mut self) -> Result<Option<LogRow>, ConnectError> {
        let Some(row) = self.row().await? else {
            return Ok(None);
        };
        self.reader.decode(&row).map(Some)
    }
}
