//! Reads a table, or a part of it, as of one moment. Whatever its statements may run that others have defined runs in functions of
//! the role plank_reader: see sql/migrations/V10__rights.sql.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::feed::{Cursor, Epoch, PolicyVersion, Table};
use crate::limits::{CATCH_UP_READ_MAX, PAGE_READ_MAX};

use super::super::connect;
use super::super::log::decode::{Json, Xid8};
use super::super::log::read::{Explain, NOW};
use super::super::params::Params;
use super::super::replica::{Attempt, Replica, Unused};
use super::reader::{self, Rows};
use super::replicated::Kind;
use super::select::Select;
use super::slot::{self, Slot};
use super::sorts::{self, Sorted, Unsorted};
use super::{History, HistoryError};

/// Besides what all sessions have set. A server that can look
/// whether its client is still there does so: a statement that nobody waits for any more would go on, and another begin.
/// All rows of a cursor are wanted, and not the first ones soon.
pub(super) const SETTINGS: &str = "set jit = off; set cursor_tuple_fraction = 1; \
    do $$ begin set client_connection_check_interval = '2s'; exception when others then null; end $$";

/// All rows are of one moment.
const BEGIN: &str = "begin isolation level repeatable read, read only";

/// The role that may read the tables, unless it is this one.
const READER: &str = "select quote_ident(rolname) from pg_roles where oid = plank.reader() and rolname <> current_user";

/// Where that is, in which log. The log itself is left alone.
const PLACE: &str = "select pg_current_snapshot()::text, plank.identity()";

/// Row security does not refuse, it hides. And whether PostgreSQL alone writes its rows as JSON.
const SEES_ALL: &str = "select plank.sees_all($1::oid), (select bool_and(plank.is_plain(atttypid)) from pg_attribute \
    where attrelid = $1::oid and attnum > 0 and not attisdropped)";

/// Undoes what a foreign function may have set, and lets go of what outlives a transaction. A statement that was prepared in SQL is
/// none of plank's: this session is not used again.
const CLEAN: &str = "rollback; select pg_catalog.pg_advisory_unlock_all(); \
    do $$ begin if exists (select from pg_catalog.pg_prepared_statements where from_sql) then \
    raise exception 'the session has been altered' using errcode = 'object_in_use'; end if; end $$";

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
        let (kind, patience) = match select.is_page {
            true => (Kind::Page, PAGE_READ_MAX),
            false => (Kind::Snapshot, CATCH_UP_READ_MAX),
        };
        self.snapshot_of(kind, patience, table, select).await
    }

    /// The same, in one of the places of `kind`: from the replica, or else from the primary.
    pub(super) async fn snapshot_of(
        &self,
        kind: Kind,
        patience: Duration,
        table: &Table,
        select: &Select,
    ) -> Result<TableSnapshot, HistoryError> {
        // It waits here, where it holds no transaction and no lock.
        let turn = slot::place(self.turns.of(kind), &self.asker).await?;
        let replicated = self.read_there(async |replicated, attempt| {
            let kind = (kind, attempt);
            let read = replicated.snapshot(self, kind, &turn, patience, table, select);
            Box::pin(read).await
        });
        if let Some(snapshot) = replicated.await {
            return Ok(snapshot);
        }
        let slot = Slot::on(self.pools.of(kind), turn, &self.explain.config).await?;
        let opened = async {
            let (cursor, is_plain) = self
                .place(&slot, table, select.held.as_ref(), patience)
                .await?;
            let rows = self.open(&slot, table, select, is_plain, patience).await?;
            Ok::<_, HistoryError>((cursor, rows))
        };
        match opened.await {
            Ok((cursor, rows)) => Ok(TableSnapshot {
                slot,
                rows,
                last: None,
                cursor,
                table: table.clone(),
                patience,
                explain: self.explain.clone(),
                replica: None,
            }),
            Err(error) => {
                if matches!(error, HistoryError::Denied(..) | HistoryError::Wrong { .. }) {
                    // Nothing is wrong with the connection.
                    end(&slot, &self.explain).await?;
                    slot.done();
                }
                Err(error)
            }
        }
    }

    /// Begins a transaction; where it is, and whether PostgreSQL alone writes the rows.
    async fn place(
        &self,
        slot: &Slot,
        table: &Table,
        held: Option<&PolicyVersion>,
        patience: Duration,
    ) -> Result<(Cursor, bool), HistoryError> {
        self.begin(slot, table, patience).await?;
        let place = async {
            let row = slot.client().query_one(PLACE, &[]).await;
            row.map_err(|e| self.explain.error(&e))
        };
        let row = connect::soon("snapshot", place).await?;
        let is_plain = self.may_read(slot, table, held).await?;
        // Not in the snapshot's own transaction, which would keep the log from being pruned for as long as it takes. A
        // newer newest one does as well: it is on disk.
        let newest = self.newest().await?;
        let snapshot = self.explain.place(row.get(0), Some(Xid8(newest)))?;
        let epoch = Epoch::of(row.get(1));
        Ok((Cursor { epoch, snapshot }, is_plain))
    }

    /// Begins a transaction that has no snapshot yet, with a lock on the table.
    pub(super) async fn begin(
        &self,
        slot: &Slot,
        table: &Table,
        patience: Duration,
    ) -> Result<(), HistoryError> {
        let client = slot.client();
        let begin = async {
            let reader = client.query_opt(READER, &[]).await?;
            client.batch_execute(BEGIN).await?;
            Ok(reader.map(|row| row.get::<_, String>(0)))
        };
        let begin = async { begin.await.map_err(|e| self.explain.error(&e)) };
        let reader = connect::soon("snapshot", begin).await?;
        // Before the snapshot is taken, and so not in a function. To one that is older than a TRUNCATE, or than an ALTER TABLE that
        // writes the table anew, the table is empty, as it never was. A lock runs nothing that others have defined.
        let mut lock = format!("lock table {} in access share mode", table.quoted);
        if let Some(reader) = reader {
            lock = format!("set local role {reader}; {lock}; set local role none");
        }
        let locked = timeout(patience, client.batch_execute(&lock)).await;
        let locked = locked.map_err(|_| is_locked())?;
        locked.map_err(|e| denied(&e, table, &self.explain))?;
        Ok(())
    }

    /// Whether the table may be read, as of the snapshot of the transaction; whether PostgreSQL alone writes its rows.
    pub(super) async fn may_read(
        &self,
        slot: &Slot,
        table: &Table,
        held: Option<&PolicyVersion>,
    ) -> Result<bool, HistoryError> {
        let sees_all = async {
            let row = slot.client().query_one(SEES_ALL, &[&table.rel]).await;
            row.map_err(|e| self.explain.error(&e))
        };
        let sees_all = connect::soon("snapshot", sees_all).await?;
        let is_plain = sees_all.get::<_, Option<bool>>(1) == Some(true);
        if !self.holds(slot, held).await? {
            // A server that is asked again knows it in a moment.
            let why = "what the principal may see has just changed";
            return Err(HistoryError::Away(why.into()));
        }
        if !sees_all.get::<_, bool>(0) {
            return Err(HistoryError::Denied(
                "forbidden",
                format!(
                    "row security hides rows of the table {} from plank; its owner has to call plank.watch again",
                    table.quoted
                ),
            ));
        }
        Ok(is_plain)
    }

    /// Starts the statement.
    pub(super) async fn open(
        &self,
        slot: &Slot,
        table: &Table,
        select: &Select,
        is_plain: bool,
        patience: Duration,
    ) -> Result<Rows, HistoryError> {
        let sorted = self.sorted(slot, table, select).await?;
        if let Some(fits) = select.fits {
            self.fits(slot, table, select, &sorted, fits, patience)
                .await?;
        }
        let (sql, params) = select.sql(&table.quoted, is_plain, &sorted);
        let rows = Rows::open(slot.client(), &sql, &params, select.is_page);
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
        let mut params = Params::default();
        let after = select.after.iter().flatten().zip(&sorted);
        let typed = after.filter_map(|(value, sorted)| {
            let value = value.as_ref()?;
            Some(sorted.value(&params.add(value)))
        });
        let typed: Vec<String> = typed.collect();
        if typed.is_empty() {
            return Ok(sorted);
        }
        let check = format!("select pg_catalog.num_nulls({})", typed.join(", "));
        let check = async { Ok(reader::number(client, &check, &params).await.map(drop)) };
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
        let count = timeout(patience, reader::number(slot.client(), &sql, &params)).await;
        let count =
            count.map_err(|_| HistoryError::Away("the rows can't be counted in time".into()))?;
        let count = count.map_err(|e| denied(&e, table, &self.explain))?;
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

    /// The newest transaction that has a row in the log, or had one.
    async fn newest(&self) -> Result<u64, HistoryError> {
        let slot = Slot::look(&self.looks, &self.explain.config).await?;
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

/// Ends the transaction, and cleans the session.
async fn end(slot: &Slot, explain: &Explain) -> Result<(), HistoryError> {
    let end = async {
        let done = slot.client().batch_execute(CLEAN).await;
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

/// Class 08, 40, 53, 55, 57: the connection, a conflict, resources, a lock, an operator's intervention.
fn is_own_fault(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| {
        ["08", "40", "53", "55", "57"]
            .iter()
            .any(|class| code.code().starts_with(class))
    })
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
    rows: Rows,
    /// The row that was given out.
    last: Option<Row>,
    cursor: Cursor,
    table: Table,
    /// For the next row.
    patience: Duration,
    explain: Explain,
    /// Where it is read; none: the primary.
    replica: Option<(Replica, Attempt)>,
}

impl TableSnapshot {
    /// One that the replica has opened.
    pub(super) fn of_replica(
        slot: Slot,
        rows: Rows,
        cursor: Cursor,
        table: &Table,
        patience: Duration,
        (replica, attempt): (&Replica, Attempt),
    ) -> Self {
        Self {
            slot,
            rows,
            last: None,
            cursor,
            table: table.clone(),
            patience,
            explain: replica.explain().clone(),
            replica: Some((replica.clone(), attempt)),
        }
    }

    /// Of that moment.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Whether another client waits for the place that it takes.
    pub fn is_place_wanted(&self) -> bool {
        self.slot.is_wanted()
    }

    /// The next row, as JSON text.
    ///
    /// # Errors
    /// If the connection is lost, or the row takes too long.
    pub async fn next(&mut self) -> Result<Option<Arc<str>>, HistoryError> {
        let row = timeout(self.patience, self.rows.next(self.slot.client())).await;
        let row = row.map_err(|_| HistoryError::Away("the table's rows do not come".into()))?;
        // What has gone out already can't be taken back. The client begins anew, and then the replica rests.
        if let (Some((replica, attempt)), Err(error)) = (&self.replica, &row) {
            replica.failed(*attempt, &Unused::of(error));
        }
        let denied = |e| denied(&e, &self.table, &self.explain);
        self.last = row.map_err(denied)?;
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
        let place: Option<Vec<Option<String>>> = row.try_get(1).map_err(denied)?;
        Ok(place.unwrap_or_default())
    }

    /// After the last row.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(self) -> Result<(), HistoryError> {
        end(&self.slot, &self.explain).await?;
        self.slot.done();
        Ok(())
    }
}
