//! Reads on behalf of clients that come back: the log behind their cursor, and whole tables. On connections of its own,
//! few of them, so that ten thousand clients that come back at once are no ten thousand queries.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, future::poll_fn};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, RowStream};

use crate::feed::catalog::Oid;
use crate::feed::{Cursor, Epoch, LogRow, Rest, Snapshot, Table};
use crate::limits::{CATCH_UP_READ_MAX, REPLAYS_MAX, SNAPSHOT_MAX, SNAPSHOTS_MAX};

use super::connect::{self, ConnectError};
use super::log::decode::{Json, Xid8};
use super::log::read::{Explain, NOW, PRUNED, READ_TABLE, READ_TABLE_REST, Reading, SETTINGS};

mod slot;

use slot::{Slot, pool};

/// A snapshot's values are written as those of the log are: see the settings of the functions plank.capture_*.
const SNAPSHOT_SETTINGS: &str = "set jit = off; set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; \
    set bytea_output = 'hex'; set extra_float_digits = 1; set search_path = pg_catalog, pg_temp; \
    set statement_timeout = 0; set lock_timeout = 0";

/// All rows are of one moment.
const SNAPSHOT_BEGIN: &str = "begin isolation level repeatable read, read only";

/// Where that is, in which log; and the schema's owner, if nobody can log in as him. The log itself is left alone.
const SNAPSHOT_PLACE: &str = "select pg_current_snapshot()::text, plank.identity(), \
    (select quote_ident(rolname) from pg_namespace n join pg_roles r on r.oid = n.nspowner where nspname = 'plank' and not rolcanlogin)";

/// Row security does not refuse, it hides.
const SNAPSHOT_SEES_ALL: &str = "select plank.sees_all($1::oid)";

/// Marks that are looked at for the end of a step. The first one behind the cursor nearly always does.
const MARKS: &str = "select snapshot::text from plank.mark \
    where pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax($1::text::pg_snapshot) order by seq limit 64";

/// Where a client stands, asked of the server itself.
const WHERE: &str =
    "select plank.identity(), pg_is_in_recovery(), plank.pruned($1::text::pg_snapshot)";

/// Why something can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Too many wait already.
    #[error("too many clients are catching up")]
    Busy,
    /// The database is away: try again.
    #[error("{0}")]
    Away(String),
    /// The table can't be read: a code for programs, and why.
    #[error("{1}")]
    Denied(&'static str, String),
}

impl From<ConnectError> for HistoryError {
    fn from(error: ConnectError) -> Self {
        Self::Away(error.to_string())
    }
}

/// Why a cursor leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What is behind it was pruned.
    Pruned,
    /// It is of another log, or this server has never been there.
    Foreign,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct History {
    replays: deadpool_postgres::Pool,
    snapshots: deadpool_postgres::Pool,
    explain: Explain,
}

impl History {
    /// On the database of `config`, which must be the primary. Nothing is connected yet.
    ///
    /// # Errors
    /// Never in practice: only a pool with timeouts and without a runtime can't be built.
    pub fn new(config: &Config) -> Result<Self, String> {
        let snapshot_settings = format!(
            "{SNAPSHOT_SETTINGS}; set idle_in_transaction_session_timeout = {}",
            SNAPSHOT_MAX.as_millis()
        );
        Ok(Self {
            replays: pool(config, "plank replay", REPLAYS_MAX, SETTINGS.into())?,
            snapshots: pool(config, "plank snapshot", SNAPSHOTS_MAX, snapshot_settings)?,
            explain: Explain::new(config.clone()),
        })
    }

    /// Begins to read what comes behind `from`, of the tables `rels`: up to the next mark, or to now. Waits for its turn.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn replay(
        &self,
        from: &Cursor,
        rest: Option<&Rest>,
        rels: &[Oid],
    ) -> Result<Result<Replay, Lost>, HistoryError> {
        let slot = Slot::take(&self.replays).await?;
        let place = from.snapshot.to_string();
        if let Some(lost) = connect::soon("where", self.lost(&slot, from, &place)).await? {
            slot.done();
            return Ok(Err(lost));
        }
        let step = match rest {
            Some(rest) => Some(rest.clone()),
            None => connect::soon("marks", self.step(&slot, from, &place)).await?,
        };
        let rels = rels.to_vec();
        let client = slot.client();
        let query = async {
            let Some(step) = &step else {
                let read = client.prepare_cached(READ_TABLE).await?;
                let params: [&(dyn ToSql + Sync); 2] = [&place, &rels];
                return client.query_raw(&read, params).await;
            };
            let read = client.prepare_cached(READ_TABLE_REST).await?;
            let end = step.end.snapshot.to_string();
            let params: [&(dyn ToSql + Sync); 4] = [&place, &rels, &end, &step.seq];
            client.query_raw(&read, params).await
        };
        let end = step.as_ref().map(|step| &step.end);
        let reading =
            Reading::begin(query, end, from.epoch, CATCH_UP_READ_MAX, &self.explain).await?;
        if end.is_none() && !reading.end().snapshot.covers(&from.snapshot) {
            return Ok(Err(Lost::Foreign));
        }
        Ok(Ok(Replay {
            slot,
            reading,
            place,
            is_to_now: end.is_none(),
            explain: self.explain.clone(),
        }))
    }

    async fn lost(
        &self,
        slot: &Slot,
        from: &Cursor,
        place: &String,
    ) -> Result<Option<Lost>, ConnectError> {
        let client = slot.client();
        let ask = async {
            let statement = client.prepare_cached(WHERE).await?;
            client.query_one(&statement, &[place]).await
        };
        let row = ask.await.map_err(|e| self.explain.error(&e))?;
        Ok(match row.get(1) {
            _ if Epoch::of(row.get(0)) != from.epoch => Some(Lost::Foreign),
            true => Some(Lost::Pruned),
            false => None,
        })
    }

    /// The next mark, as the end of a step.
    async fn step(
        &self,
        slot: &Slot,
        from: &Cursor,
        place: &String,
    ) -> Result<Option<Rest>, ConnectError> {
        let client = slot.client();
        let ask = async {
            let statement = client.prepare_cached(MARKS).await?;
            client.query(&statement, &[place]).await
        };
        let rows = ask.await.map_err(|e| self.explain.error(&e))?;
        let marks = rows.iter().filter_map(|row| Snapshot::parse(row.get(0)));
        let is_ahead = |mark: &Snapshot| mark.covers(&from.snapshot) && !from.snapshot.covers(mark);
        Ok(marks.into_iter().find(is_ahead).map(|snapshot| Rest {
            end: Arc::new(Cursor {
                epoch: from.epoch,
                snapshot,
            }),
            seq: i64::MIN,
        }))
    }

    /// Where a reader stands that wants everything from now on.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn now(&self) -> Result<Cursor, HistoryError> {
        let slot = Slot::take(&self.replays).await?;
        let cursor = connect::soon("now", now(slot.client(), &self.explain)).await?;
        slot.done();
        Ok(cursor)
    }

    /// Begins to read a whole table. Waits for its turn.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn snapshot(&self, table: &Table) -> Result<TableSnapshot, HistoryError> {
        let slot = Slot::take(&self.snapshots).await?;
        let client = slot.client();
        let begin = async {
            client.batch_execute(SNAPSHOT_BEGIN).await?;
            let row = client.query_one(SNAPSHOT_PLACE, &[]).await?;
            // Whatever a cast of the table's owner does, it does it with the rights of the schema's owner, as in capture.
            if let Some(role) = row.get::<_, Option<&str>>(2) {
                client
                    .batch_execute(&format!("set local role {role}"))
                    .await?;
            }
            let sees_all = client.query_one(SNAPSHOT_SEES_ALL, &[&table.rel]).await?;
            Ok::<_, tokio_postgres::Error>((row, sees_all.get::<_, bool>(0)))
        };
        let begin = async { begin.await.map_err(|e| self.explain.error(&e)) };
        let (row, sees_all) = connect::soon("snapshot", begin).await?;
        if !sees_all {
            return Err(HistoryError::Denied(
                "forbidden",
                format!(
                    "row security hides rows of the table {} from plank; its owner has to call plank.watch again",
                    table.quoted
                ),
            ));
        }
        // Not in the snapshot's own transaction, which would keep the log from being pruned for as long as it takes. A
        // newer newest one does as well: it is on disk.
        let newest = self.newest().await?;
        let snapshot = self.explain.place(row.get(0), Some(Xid8(newest)))?;
        let cursor = Cursor {
            epoch: Epoch::of(row.get(1)),
            snapshot,
        };
        let sql = format!("select pg_catalog.row_to_json(x.*) from {} x", table.quoted);
        let rows = async {
            let statement = client.prepare(&sql).await?;
            let no_params: [&(dyn ToSql + Sync); 0] = [];
            client.query_raw(&statement, no_params).await
        };
        let rows = timeout(CATCH_UP_READ_MAX, rows).await;
        let rows =
            rows.map_err(|_| HistoryError::Away("the table can't be read: locked".into()))?;
        let rows = rows.map_err(|e| denied(&e, table, &self.explain))?;
        Ok(TableSnapshot {
            slot,
            rows: Box::pin(rows),
            cursor,
            table: table.clone(),
            explain: self.explain.clone(),
        })
    }

    /// The newest transaction that has a row in the log, or had one.
    async fn newest(&self) -> Result<u64, HistoryError> {
        let slot = Slot::take(&self.replays).await?;
        let row = async {
            let row = slot.client().query_one(NOW, &[]).await;
            row.map_err(|e| self.explain.error(&e))
        };
        let newest = connect::soon("newest", row)
            .await?
            .get::<_, Option<Xid8>>(1);
        slot.done();
        Ok(newest.map_or(0, |xid| xid.0))
    }

    /// Whether somebody waits to load a snapshot.
    pub fn is_snapshot_wanted(&self) -> bool {
        self.snapshots.status().waiting > 0
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.replays.close();
        self.snapshots.close();
    }
}

/// What the table itself is to blame for is said to the client; everything else is the database being away.
fn denied(error: &tokio_postgres::Error, table: &Table, explain: &Explain) -> HistoryError {
    let Some(db) = error.as_db_error() else {
        return explain.error(error).into();
    };
    let name = &table.quoted;
    match *db.code() {
        SqlState::INSUFFICIENT_PRIVILEGE => HistoryError::Denied(
            "forbidden",
            format!(
                "plank's own role may not read the table {name}; its owner has to grant select on it, or call plank.watch again"
            ),
        ),
        SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME => HistoryError::Denied(
            "unknown_table",
            format!("the table {name} is not there any more"),
        ),
        // Class 08, 40, 53, 55, 57: the connection, a conflict, resources, a lock, somebody's intervention.
        ref code if ["08", "40", "53", "55", "57"].contains(&&code.code()[..2]) => {
            explain.error(error).into()
        }
        _ => HistoryError::Denied(
            "unreadable",
            format!("the table {name} can't be read: {}", db.message()),
        ),
    }
}

async fn now(client: &tokio_postgres::Client, explain: &Explain) -> Result<Cursor, ConnectError> {
    let row = client.query_one(NOW, &[]).await;
    let row = row.map_err(|e| explain.error(&e))?;
    let snapshot = explain.place(row.get(0), row.get::<_, Option<Xid8>>(1))?;
    Ok(Cursor {
        epoch: Epoch::of(row.get(2)),
        snapshot,
    })
}

/// A step through the log that is under way. The server waits while nobody takes its rows.
pub struct Replay {
    slot: Slot,
    reading: Reading,
    /// Where it began.
    place: String,
    is_to_now: bool,
    explain: Explain,
}

impl Replay {
    /// The cursor after it, once it has been finished.
    pub fn end(&self) -> &Arc<Cursor> {
        self.reading.end()
    }

    /// Whether it goes up to now, and not to a mark or the end of an older read.
    pub fn is_to_now(&self) -> bool {
        self.is_to_now
    }

    /// The next row.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn next(&mut self) -> Result<Option<LogRow>, HistoryError> {
        Ok(self.reading.next().await?)
    }

    /// After the last row: whether all of them were still there. Only this makes what was read a step.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(self) -> Result<Result<(), Lost>, HistoryError> {
        let client = self.slot.client();
        let ask = async {
            let statement = client.prepare_cached(PRUNED).await?;
            client.query_one(&statement, &[&self.place]).await
        };
        let ask = async { ask.await.map_err(|e| self.explain.error(&e)) };
        let is_pruned: bool = connect::soon("pruned", ask).await?.get(0);
        self.slot.done();
        Ok(if is_pruned { Err(Lost::Pruned) } else { Ok(()) })
    }
}

/// A table that is being read, as of one moment.
pub struct TableSnapshot {
    slot: Slot,
    rows: std::pin::Pin<Box<RowStream>>,
    cursor: Cursor,
    table: Table,
    explain: Explain,
}

impl TableSnapshot {
    /// Of that moment.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The next row, as JSON text.
    ///
    /// # Errors
    /// If the connection is lost, or the row takes longer than `patience`.
    pub async fn next(&mut self, patience: Duration) -> Result<Option<Arc<str>>, HistoryError> {
        let next = poll_fn(|cx| self.rows.as_mut().poll_next_unpin(cx));
        let row = timeout(patience, next).await;
        let row = row.map_err(|_| HistoryError::Away("the table's rows do not come".into()))?;
        let denied = |e| denied(&e, &self.table, &self.explain);
        let Some(row) = row.transpose().map_err(denied)? else {
            return Ok(None);
        };
        let json = row.try_get::<_, Json>(0).map_err(denied)?;
        Ok(Some(json.0))
    }

    /// After the last row.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(self) -> Result<(), HistoryError> {
        let commit = async {
            let done = self.slot.client().batch_execute("commit").await;
            done.map_err(|e| self.explain.error(&e))
        };
        connect::soon("commit", commit).await?;
        self.slot.done();
        Ok(())
    }
}
