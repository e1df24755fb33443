//! Reads a table, or a part of it, as of one moment.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, future::poll_fn};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, RowStream};

use crate::feed::{Cursor, Epoch, Held, Table};
use crate::limits::{CATCH_UP_READ_MAX, PAGE_READ_MAX};

use super::super::connect;
use super::super::log::decode::{Json, Xid8};
use super::super::log::read::{Explain, NOW};
use super::super::param::as_sql;
use super::select::Select;
use super::slot::Slot;
use super::sorts::{self, Sorted, Unsorted};
use super::{History, HistoryError};

/// Besides what all sessions have set. A server that can look
/// whether its client is still there does so: a statement that nobody waits for any more would go on, and another begin.
pub(super) const SETTINGS: &str = "set jit = off; \
    do $$ begin set client_connection_check_interval = '2s'; exception when others then null; end $$";

/// All rows are of one moment.
const BEGIN: &str = "begin isolation level repeatable read, read only";

/// The schema's owner, if nobody can log in as him.
const OWNER: &str = "select quote_ident(rolname) from pg_namespace n join pg_roles r on r.oid = n.nspowner \
    where nspname = 'plank' and not rolcanlogin";

/// Where that is, in which log. The log itself is left alone.
const PLACE: &str = "select pg_current_snapshot()::text, plank.identity()";

/// Row security does not refuse, it hides.
const SEES_ALL: &str = "select plank.sees_all($1::oid)";

impl History {
    /// Begins to read a table. Waits for its turn.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn snapshot(
        &self,
        table: &Table,
        select: &Select,
    ) -> Result<TableSnapshot, HistoryError> {
        let (pool, patience) = match select.is_page {
            true => (&self.pages, PAGE_READ_MAX),
            false => (&self.snapshots, CATCH_UP_READ_MAX),
        };
        let slot = Slot::take(pool).await?;
        let opened = async {
            let cursor = self
                .place(&slot, table, select.held.as_ref(), patience)
                .await?;
            let rows = self.open(&slot, table, select, patience).await?;
            Ok::<_, HistoryError>((cursor, rows))
        };
        match opened.await {
            Ok((cursor, rows)) => Ok(TableSnapshot {
                slot,
                rows: Box::pin(rows),
                last: None,
                cursor,
                table: table.clone(),
                patience,
                pool: pool.clone(),
                explain: self.explain.clone(),
            }),
            Err(error) => {
                if matches!(error, HistoryError::Denied(..) | HistoryError::Wrong { .. }) {
                    // Nothing is wrong with the connection.
                    self.end(&slot, "rollback").await?;
                    slot.done();
                }
                Err(error)
            }
        }
    }

    /// Begins a transaction; where it is.
    async fn place(
        &self,
        slot: &Slot,
        table: &Table,
        held: Option<&Held>,
        patience: Duration,
    ) -> Result<Cursor, HistoryError> {
        let client = slot.client();
        let begin = async {
            let owner = client.query_opt(OWNER, &[]).await?;
            client.batch_execute(BEGIN).await?;
            // Whatever a cast of the table's owner does, it does it with the rights of the schema's owner, as in capture.
            if let Some(owner) = owner {
                let role = format!("set local role {}", owner.get::<_, &str>(0));
                client.batch_execute(&role).await?;
            }
            Ok(())
        };
        let begin = async { begin.await.map_err(|e| self.explain.error(&e)) };
        connect::soon("snapshot", begin).await?;
        // Before the snapshot is taken. To one that is older than a TRUNCATE, or than an ALTER TABLE that writes the table
        // anew, the table is empty, as it never was.
        let lock = format!("lock table {} in access share mode", table.quoted);
        let locked = timeout(patience, client.batch_execute(&lock)).await;
        let locked = locked.map_err(|_| is_locked())?;
        locked.map_err(|e| denied(&e, table, &self.explain))?;
        let place = async {
            let row = client.query_one(PLACE, &[]).await?;
            let sees_all = client.query_one(SEES_ALL, &[&table.rel]).await?;
            Ok::<_, tokio_postgres::Error>((row, sees_all.get::<_, bool>(0)))
        };
        let place = async { place.await.map_err(|e| self.explain.error(&e)) };
        let (row, sees_all) = connect::soon("snapshot", place).await?;
        if !self.holds(slot, held).await? {
            // A server that is asked again knows it in a moment.
            let why = "what whoever asks may see has just changed";
            return Err(HistoryError::Away(why.into()));
        }
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
        Ok(Cursor {
            epoch: Epoch::of(row.get(1)),
            snapshot,
        })
    }

    /// Starts the statement.
    async fn open(
        &self,
        slot: &Slot,
        table: &Table,
        select: &Select,
        patience: Duration,
    ) -> Result<RowStream, HistoryError> {
        let sorted = self.sorted(slot, table, select).await?;
        if let Some(fits) = select.fits {
            self.fits(slot, table, select, &sorted, fits, patience)
                .await?;
        }
        let (sql, params) = select.sql(&table.quoted, &sorted);
        let rows = async {
            // Not kept: clients choose what they ask for, so there would be no end of them.
            let statement = slot.client().prepare(&sql).await?;
            slot.client().query_raw(&statement, as_sql(&params)).await
        };
        let rows = timeout(patience, rows).await;
        let rows = rows.map_err(|_| is_locked())?;
        rows.map_err(|e| match e.code() {
            // What a type is made of may have no order.
            Some(&SqlState::UNDEFINED_FUNCTION) if !sorted.is_empty() => {
                wrong("order", said(&e).to_owned())
            }
            _ => denied(&e, table, &self.explain),
        })
    }

    /// What is known of the columns of the order, and whether the place is one in it.
    async fn sorted(
        &self,
        slot: &Slot,
        table: &Table,
        select: &Select,
    ) -> Result<Vec<Sorted>, HistoryError> {
        if select.order.is_empty() {
            return Ok(Vec::new());
        }
        let client = slot.client();
        let sorted = async {
            let sorted = sorts::look_up(client, table, &select.order).await;
            sorted.map_err(|e| self.explain.error(&e))
        };
        let sorted = connect::soon("order", sorted).await?;
        let sorted = sorted.map_err(|unsorted| match unsorted {
            Unsorted::Gone => gone(table),
            // One that a client may not name does not come as far as this.
            Unsorted::Unknown(name) => HistoryError::Denied(
                "unreadable",
                format!(
                    "the table {} has no column {name:?} any more; its owner has to call plank.watch again",
                    table.quoted
                ),
            ),
            Unsorted::Orderless(name, type_name) => wrong(
                "order",
                format!("the column {name:?} can't be ordered by: its type {type_name} has no order"),
            ),
        })?;
        let after = select.after.iter().flatten();
        let values: Vec<&String> = after.flatten().collect();
        if values.is_empty() {
            return Ok(sorted);
        }
        let after = select.after.iter().flatten().zip(&sorted);
        let typed = after.filter(|(value, _)| value.is_some());
        let typed: Vec<String> = typed
            .enumerate()
            .map(|(i, (_, sorted))| sorted.value(i + 1))
            .collect();
        let check = format!("select pg_catalog.num_nulls({})", typed.join(", "));
        let check = async {
            let params = values.iter().map(|value| *value as &(dyn ToSql + Sync));
            let checked = client.query(&check, &params.collect::<Vec<_>>()).await;
            Ok(checked.map(drop))
        };
        match connect::soon("after", check).await? {
            Err(e) if is_own_fault(&e) => Err(self.explain.error(&e).into()),
            Err(e) => Err(wrong(
                "after",
                format!("is no place in this table: {}", said(&e)),
            )),
            Ok(()) => Ok(sorted),
        }
    }

    async fn fits(
        &self,
        slot: &Slot,
        table: &Table,
        select: &Select,
        sorted: &[Sorted],
        fits: usize,
        patience: Duration,
    ) -> Result<(), HistoryError> {
        let (sql, params) = select.count_sql(&table.quoted, sorted, fits);
        let params: Vec<&(dyn ToSql + Sync)> = as_sql(&params).collect();
        let count = timeout(patience, slot.client().query_one(&sql, &params)).await;
        let count =
            count.map_err(|_| HistoryError::Away("the rows can't be counted in time".into()))?;
        let count: i64 = count.map_err(|e| denied(&e, table, &self.explain))?.get(0);
        if usize::try_from(count).is_ok_and(|count| count <= fits) {
            return Ok(());
        }
        let why = format!(
            "there are more than {fits} rows, and the table {} has no primary key to read them in pages by; ask for all \
             of them with Accept: application/x-ndjson",
            table.quoted
        );
        Err(wrong("limit", why))
    }

    /// Ends the transaction.
    async fn end(&self, slot: &Slot, how: &str) -> Result<(), HistoryError> {
        end(slot, how, &self.explain).await
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
}

async fn end(slot: &Slot, how: &str, explain: &Explain) -> Result<(), HistoryError> {
    let end = async {
        let done = slot.client().batch_execute(how).await;
        done.map_err(|e| explain.error(&e))
    };
    Ok(connect::soon("end", end).await?)
}

fn is_locked() -> HistoryError {
    HistoryError::Away("the table can't be read: locked".into())
}

fn wrong(field: &'static str, detail: String) -> HistoryError {
    HistoryError::Wrong { field, detail }
}

fn said(error: &tokio_postgres::Error) -> &str {
    error.as_db_error().map_or("", |db| db.message())
}

/// Class 08, 40, 53, 55, 57: the connection, a conflict, resources, a lock, somebody's intervention.
fn is_own_fault(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_none_or(|code| ["08", "40", "53", "55", "57"].contains(&&code.code()[..2]))
}

/// What the table itself is to blame for is said to the client; everything else is the database being away.
fn denied(error: &tokio_postgres::Error, table: &Table, explain: &Explain) -> HistoryError {
    let name = &table.quoted;
    match error.code() {
        _ if is_own_fault(error) => explain.error(error).into(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => HistoryError::Denied(
            "forbidden",
            format!(
                "plank's own role may not read the table {name}; its owner has to grant select on it, or call plank.watch again"
            ),
        ),
        Some(&(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME)) => gone(table),
        _ => HistoryError::Denied(
            "unreadable",
            format!("the table {name} can't be read: {}", said(error)),
        ),
    }
}

fn gone(table: &Table) -> HistoryError {
    let why = format!("the table {} is not there any more", table.quoted);
    HistoryError::Denied("unknown_table", why)
}

/// A table that is being read, as of one moment.
pub struct TableSnapshot {
    slot: Slot,
    rows: Pin<Box<RowStream>>,
    /// The row that was given out.
    last: Option<Row>,
    cursor: Cursor,
    table: Table,
    /// For the next row.
    patience: Duration,
    /// Where its place belongs.
    pool: deadpool_postgres::Pool,
    explain: Explain,
}

impl TableSnapshot {
    /// Of that moment.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Whether somebody waits for the place that it takes.
    pub fn is_place_wanted(&self) -> bool {
        self.pool.status().waiting > 0
    }

    /// The next row, as JSON text.
    ///
    /// # Errors
    /// If the connection is lost, or the row takes too long.
    pub async fn next(&mut self) -> Result<Option<Arc<str>>, HistoryError> {
        let next = poll_fn(|cx| self.rows.as_mut().poll_next_unpin(cx));
        let row = timeout(self.patience, next).await;
        let row = row.map_err(|_| HistoryError::Away("the table's rows do not come".into()))?;
        let denied = |e| denied(&e, &self.table, &self.explain);
        self.last = row.transpose().map_err(denied)?;
        let Some(row) = &self.last else {
            return Ok(None);
        };
        let json = row.try_get::<_, Json>(0).map_err(denied)?;
        Ok(Some(json.0))
    }

    /// The place of the row that came last: for [`Select::after`].
    ///
    /// # Errors
    /// If the server has sent something else than was asked for.
    pub fn place(&self) -> Result<Vec<Option<String>>, HistoryError> {
        let Some(row) = &self.last else {
            return Ok(Vec::new());
        };
        let denied = |e| denied(&e, &self.table, &self.explain);
        (1..row.len())
            .map(|i| row.try_get(i).map_err(denied))
            .collect()
    }

    /// After the last row.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(self) -> Result<(), HistoryError> {
        end(&self.slot, "commit", &self.explain).await?;
        self.slot.done();
        Ok(())
    }
}
