//! Reading the log by cursor: the statements, and the rows as they come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, future::poll_fn};
use tokio::time::timeout;
use tokio_postgres::{Config, Row, RowStream};

use crate::feed::change::NUMBERS_PER_LOG_ROW;
use crate::feed::{Cursor, Epoch, LogOp, LogRow, Rest, RowId, Snapshot, json};
use crate::trace::TraceParent;

use super::super::connect::{ConnectError, chain, place};
use super::decode::{Json, Tid, Timestamp, Xid8};

/// With JIT an empty read of a large log takes 270 ms instead of 0.1 ms, and a bitmap or sequential scan of it longer.
/// A plan of its own for each of the first five reads after a connect takes longer than the read.
pub const SETTINGS: &str = "set jit = off; set enable_seqscan = off; set enable_bitmapscan = off; \
    set max_parallel_workers_per_gather = 0; set plan_cache_mode = force_generic_plan";

/// The newest transaction that has a row in the log, or had one, or has pruned it: it never goes back.
macro_rules! newest {
    () => {
        "greatest((select xid from plank.log order by xid desc limit 1), (select greatest(prune_xid, max_xid) from plank.horizon))"
    };
}

/// Of a row of the log.
macro_rules! columns {
    () => {
        "seq, xid, statement, rel, op, at, row, old, piece, began, leaf, row_at, old_at, trace, null, null"
    };
}

/// What the cursor's snapshot did not see and this statement's does, in the order of `seq`. The first row carries the
/// snapshot of this very statement, which is the next cursor, and the newest transaction in the log.
///
/// Never with LIMIT: the next cursor would skip the rest. UNION ALL, since OR reads the whole index.
macro_rules! read_sql {
    ($more:literal) => {
        concat!(
            "select -1::bigint as seq, '0'::xid8 as xid, now() as statement, 0::oid as rel, ' '::\"char\" as op, now() as at, ",
            "null::json as row, null::json as old, null::int as piece, null::bigint as began, null::oid as leaf, null::tid as row_at, null::tid as old_at, null::text as trace, ",
            "pg_current_snapshot()::text as next, ",
            newest!(), " as newest ",
            "union all select ", columns!(), " from plank.log ",
            "where xid >= pg_snapshot_xmax($1::text::pg_snapshot) ", $more,
            "union all select ", columns!(), " from plank.log ",
            "where xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot))) ", $more,
            "order by seq"
        )
    };
}

/// Everything.
pub const READ: &str = read_sql!("");
/// Up to the snapshot `$2`, and behind log row `$3`: the rest of a batch that was cut off.
pub const READ_REST: &str = read_sql!(
    "and xid < pg_snapshot_xmax($2::text::pg_snapshot) and pg_visible_in_snapshot(xid, $2::text::pg_snapshot) and seq > $3 "
);
/// Everything of the tables `$2`.
pub const READ_TABLE: &str = read_sql!("and rel = any ($2) ");
/// The same up to the snapshot `$3`, and behind log row `$4`.
pub const READ_TABLE_REST: &str = read_sql!(
    "and rel = any ($2) and xid < pg_snapshot_xmax($3::text::pg_snapshot) and pg_visible_in_snapshot(xid, $3::text::pg_snapshot) and seq > $4 "
);
/// Where a reader stands that wants everything from now on, and in which log: as of one moment.
pub const NOW: &str = concat!(
    "select pg_current_snapshot()::text, ",
    newest!(),
    ", plank.identity()"
);

/// Whether something behind the cursor `$1` may have been pruned.
pub const PRUNED: &str = "select plank.pruned($1::text::pg_snapshot)";

/// What an error on a connection means.
#[derive(Clone, Debug)]
pub struct Explain {
    /// Whose connection.
    pub config: Arc<Config>,
    /// Why it has ended, if it has.
    pub end: Arc<Mutex<Option<String>>>,
}

impl Explain {
    /// Of a connection that has just been made.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            end: Arc::default(),
        }
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<String> {
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// An error of a statement.
    pub fn error(&self, error: &tokio_postgres::Error) -> ConnectError {
        match self.ended() {
            Some(why) => self.lost(&why),
            None => ConnectError::of(error, &self.config),
        }
    }

    /// The connection has ended.
    pub fn lost(&self, why: &str) -> ConnectError {
        ConnectError::Away(format!(
            "the connection to database {:?} at {} was lost: {why}",
            self.config.get_dbname().unwrap_or_default(),
            place(&self.config)
        ))
    }

    /// Something that plank's own schema would not say.
    pub fn broken(&self, what: String) -> ConnectError {
        ConnectError::Fatal(format!(
            "the schema plank is not as this version left it: {what}"
        ))
    }

    /// A snapshot as PostgreSQL wrote it, at the same place of the log as `newest` says. Without a row in the log any
    /// cursor does: this one keeps its place.
    pub fn place(&self, text: &str, newest: Option<Xid8>) -> Result<Snapshot, ConnectError> {
        Ok(self.snapshot(text)?.up_to(newest.map_or(0, |xid| xid.0)))
    }

    fn snapshot(&self, text: &str) -> Result<Snapshot, ConnectError> {
        Snapshot::parse(text).ok_or_else(|| self.broken(format!("no snapshot: {text:?}")))
    }
}

fn stalled(after: Duration) -> ConnectError {
    ConnectError::Away(format!(
        "a read of the log brought nothing for {} s",
        after.as_secs()
    ))
}

/// The log row behind which the rest of a batch begins, of which the change `seq` was the last to be taken: a packed row is
/// read once more.
pub fn behind(seq: i64) -> i64 {
    match seq {
        i64::MIN => i64::MIN,
        seq => seq.div_euclid(NUMBERS_PER_LOG_ROW) - 1,
    }
}

/// A read that is under way. The server waits while nobody takes its rows.
pub struct Reading {
    rows: Pin<Box<RowStream>>,
    /// The changes of a packed row that have not been given yet.
    unpacked: VecDeque<LogRow>,
    /// The last change that was taken before, of the rest of a batch.
    taken: i64,
    end: Arc<Cursor>,
    xmin: u64,
    at_us: i64,
    patience: Duration,
    explain: Explain,
}

impl Reading {
    /// Of the rows of one of the statements above; `rest` if it was asked for the rest of a batch. No row may take
    /// longer than `patience`.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn begin(
        query: impl Future<Output = Result<RowStream, tokio_postgres::Error>>,
        rest: Option<&Rest>,
        epoch: Epoch,
        patience: Duration,
        explain: &Explain,
    ) -> Result<Self, ConnectError> {
        let rows = match timeout(patience, query).await {
            Ok(rows) => rows.map_err(|e| explain.error(&e))?,
            Err(_) => return Err(stalled(patience)),
        };
        let mut reading = Self {
            rows: Box::pin(rows),
            unpacked: VecDeque::new(),
            taken: rest.map_or(i64::MIN, |rest| rest.seq),
            end: Arc::new(Cursor {
                epoch,
                snapshot: Snapshot::default(),
            }),
            xmin: 0,
            at_us: 0,
            patience,
            explain: explain.clone(),
        };
        let head = reading.row().await?;
        let head = head.ok_or_else(|| explain.broken("the log has no head".into()))?;
        // Raw: up to the newest in the log it would stand still while the database goes on.
        let raw = match rest {
            Some(rest) => rest.end.snapshot.clone(),
            None => explain.snapshot(head.get("next"))?,
        };
        reading.xmin = raw.xmin();
        let broken = |e: tokio_postgres::Error| explain.broken(chain(&e));
        reading.at_us = head.try_get::<_, Timestamp>("at").map_err(broken)?.0;
        let snapshot = explain.place(head.get("next"), head.get("newest"))?;
        reading.end = match rest {
            Some(rest) => rest.end.clone(),
            None => Arc::new(Cursor { epoch, snapshot }),
        };
        Ok(reading)
    }

    /// The cursor after this read, once all of its rows have been taken.
    pub fn end(&self) -> &Arc<Cursor> {
        &self.end
    }

    /// All transactions below it had ended when this was read.
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// How long ago a transaction of this time, in microseconds of Unix time, had begun when this was read: both are of
    /// the server's clock. 0 for the future.
    pub fn age(&self, at_us: i64) -> Duration {
        Duration::from_micros(u64::try_from(self.at_us - at_us).unwrap_or(0))
    }

    async fn row(&mut self) -> Result<Option<Row>, ConnectError> {
        let next = poll_fn(|cx| self.rows.as_mut().poll_next_unpin(cx));
        match timeout(self.patience, next).await {
            Ok(row) => row.transpose().map_err(|e| self.explain.error(&e)),
            Err(_) => Err(stalled(self.patience)),
        }
    }

    /// The next change of the log.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn next(&mut self) -> Result<Option<LogRow>, ConnectError> {
        loop {
            while let Some(log) = self.unpacked.pop_front() {
                if log.seq > self.taken {
                    return Ok(Some(log));
                }
            }
            let Some(row) = self.row().await? else {
                return Ok(None);
            };
            self.decode(&row)?;
        }
    }

    fn decode(&mut self, row: &Row) -> Result<(), ConnectError> {
        let explain = &self.explain;
        let broken = |e: tokio_postgres::Error| explain.broken(chain(&e));
        let letter: i8 = row.try_get("op").map_err(broken)?;
        let letter = letter as u8;
        let unknown = || explain.broken(format!("unknown op {:?}", letter as char));
        let number: i64 = row.try_get("seq").map_err(broken)?;
        let id = |name: &str| -> Result<Option<RowId>, ConnectError> {
            let leaf: Option<u32> = row.try_get("leaf").map_err(broken)?;
            let place: Option<Tid> = row.try_get(name).map_err(broken)?;
            Ok(leaf
                .zip(place)
                .map(|(leaf, Tid(page, line))| RowId { leaf, page, line }))
        };
        let piece: Option<i32> = row.try_get("piece").map_err(broken)?;
        let log = LogRow {
            seq: number * NUMBERS_PER_LOG_ROW,
            xid: row.try_get::<_, Xid8>("xid").map_err(broken)?.0,
            statement: row.try_get::<_, Timestamp>("statement").map_err(broken)?.0,
            continues: piece.is_some_and(|piece| piece > 0),
            began: row.try_get("began").map_err(broken)?,
            rel: row.try_get("rel").map_err(broken)?,
            op: LogOp::from_letter(letter).ok_or_else(unknown)?,
            at_us: row.try_get::<_, Timestamp>("at").map_err(broken)?.0,
            row: None,
            old: None,
            row_id: id("row_at")?,
            old_id: id("old_at")?,
            // Bytes that are no UTF-8 are no traceparent either.
            trace: row
                .try_get("trace")
                .ok()
                .flatten()
                .and_then(TraceParent::parse),
        };
        // A database with encoding SQL_ASCII takes any bytes; such a row can't be sent, but it ends nothing.
        let texts = (
            row.try_get::<_, Option<Json>>("row"),
            row.try_get::<_, Option<Json>>("old"),
        );
        let (Ok(new), Ok(old)) = texts else {
            log::error!(
                "log row is not utf-8, its table is reset rel={} seq={}",
                log.rel,
                log.seq
            );
            self.unpacked.push_back(LogRow {
                op: LogOp::Reset,
                ..log
            });
            return Ok(());
        };
        let (new, old) = (new.map(|j| j.0), old.map(|j| j.0));
        if !letter.is_ascii_lowercase() {
            self.unpacked.push_back(LogRow {
                row: new,
                old,
                ..log
            });
            return Ok(());
        }
        let list = |text: Option<Arc<str>>| -> Result<Vec<Arc<str>>, ConnectError> {
            let list = text.as_deref().map(json::elements).transpose();
            let list = list.map_err(|e| explain.broken(format!("a packed row is no list: {e}")))?;
            Ok(list.unwrap_or_default())
        };
        let (new, old) = (list(new)?, list(old)?);
        let count = new.len().max(old.len());
        if count as i64 * 2 > NUMBERS_PER_LOG_ROW {
            return Err(explain.broken(format!("a packed row has {count} changes")));
        }
        let (mut new, mut old) = (new.into_iter(), old.into_iter());
        for i in 0..count as i64 {
            self.unpacked.push_back(LogRow {
                seq: log.seq + 2 * i,
                continues: log.continues || i > 0,
                row: new.next(),
                old: old.next(),
                ..log.clone()
            });
        }
        Ok(())
    }
}
