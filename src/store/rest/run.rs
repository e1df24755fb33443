//! Sends the statements of requests.

use deadpool_postgres::Object;
pub use deadpool_postgres::Transaction;
use futures_util::future::join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{IsolationLevel, Row};

use crate::feed::{Cursor, Epoch};

use super::super::pool::{Doubt, Pool, StoreError};
use super::outcome::{Holding, explain, place};
pub use super::outcome::{RestError, Written};
use super::prepared::{Ends, Prepared, WRITE};
use super::read::Read;
use super::replicated;
use super::shapes::Typed;
use super::write::Write;

const READ: &str = "select r.snapshot, r.total, r.rows, r.tag, plank.newest()::pg_catalog.text, plank.identity(), \
    plank.sees_all($5), plank.holds($5, $6, $7, $8) from plank.rest_read($2, $3, $4, $1) r";

/// Columns of what [`READ`] and [`Statement::alone`](super::read::Statement::alone) give.
const SEES_ALL: usize = 6;
/// See [`SEES_ALL`].
const HOLDS: usize = 7;

/// Statements of one transaction that are sent before the first is answered.
const PIPELINE_MAX: usize = 25;

/// A page, as of one moment.
#[derive(Clone, Debug)]
pub struct Page {
    /// Of that moment.
    pub cursor: Cursor,
    /// The rows, each as its form writes it.
    pub rows: Vec<String>,
    /// How many there are, if that was asked for.
    pub total: Option<u64>,
    /// The entity tag of the one row that it is about, without quotes.
    pub tag: Option<String>,
}

/// Reads a page.
///
/// # Errors
/// See [`RestError`].
pub async fn read(pool: &Pool, read: &Read) -> Result<Page, RestError> {
    if let Some((cursor, row)) = replicated::read(pool, read).await {
        return page(cursor, &row, 0);
    }
    know_own(pool).await;
    let table = &read.access.table;
    let row = match pool.own.reads(table.rel) {
        true => read_alone(pool, read).await?,
        false => None,
    };
    let row = match row {
        Some(row) => row,
        None => read_within(pool, read).await?,
    };
    if !row.get::<_, bool>(SEES_ALL) {
        return Err(RestError::Hidden(table.quoted.clone()));
    }
    let cursor = Cursor {
        epoch: Epoch::of(row.get(5)),
        snapshot: place(row.get(0), None, row.get(4))
            .ok_or_else(|| StoreError::Internal("no snapshot".into()))?,
    };
    page(cursor, &row, 1)
}

/// Of a row that has the total, the rows and the tag from the column `first` on.
fn page(cursor: Cursor, row: &Row, first: usize) -> Result<Page, RestError> {
    let rows: Vec<Option<String>> = row.get(first + 1);
    let rows: Option<Vec<String>> = rows.into_iter().collect();
    Ok(Page {
        cursor,
        rows: rows.ok_or(RestError::TooLarge)?,
        total: row
            .get::<_, Option<i64>>(first)
            .map(|total| u64::try_from(total).unwrap_or(0)),
        tag: row.get(first + 2),
    })
}

/// Of a table that runs nothing of other roles. None where the plan of the query is asked for, or where row security hides rows from
/// this role: it does not hide them from the one that reads by a function.
async fn read_alone(pool: &Pool, read: &Read) -> Result<Option<Row>, RestError> {
    let statement = read.statement(true)?;
    let Some(text) = statement.alone() else {
        return Ok(None);
    };
    let (table, holding) = (&read.access.table, Holding::of(&read.access));
    let row = pool.run(async |client, doubt| {
        let params: [Typed<'_>; 5] = [
            (&statement.params, Type::TEXT_ARRAY),
            (&table.rel, Type::OID),
            (&holding.role, Type::TEXT),
            (&holding.ops, Type::TEXT_ARRAY),
            (&holding.versions, Type::TEXT_ARRAY),
        ];
        let statement = pool
            .shapes
            .prepare(pool.connections(), client, &text, &params)
            .await;
        let row = match statement {
            Ok(statement) => statement.query_one(client, &text, &params).await,
            Err(error) => Err(error),
        };
        held(row.map_err(|error| explain(error, table, doubt))?)
    });
    let row = row.await?;
    Ok(row.get::<_, bool>(SEES_ALL).then_some(row))
}

/// With the rights of the role that reads.
async fn read_within(pool: &Pool, read: &Read) -> Result<Row, RestError> {
    let statement = read.statement(false)?;
    let (table, holding) = (&read.access.table, Holding::of(&read.access));
    let row = pool.run(async |client, doubt| {
        let prepared = client.prepare_cached(READ).await?;
        let params: [&(dyn ToSql + Sync); 8] = [
            &statement.params,
            &statement.within(),
            &statement.counting,
            &statement.count_query,
            &table.rel,
            &holding.role,
            &holding.ops,
            &holding.versions,
        ];
        let row = client.query_one(&prepared, &params).await;
        held(row.map_err(|error| explain(error, table, doubt))?)
    });
    Ok(row.await?)
}

/// What was read, if the policies were the same meanwhile.
fn held(row: Row) -> Result<Row, StoreError> {
    match row.get(HOLDS) {
        true => Ok(row),
        false => Err(StoreError::Unavailable(
            "what the client may see has just changed".into(),
        )),
    }
}

/// Writes. `is_dry`: it is taken back.
///
/// # Errors
/// See [`RestError`]. Then nothing was written.
pub async fn write(pool: &Pool, write: &Write, is_dry: bool) -> Result<Written, RestError> {
    know_own(pool).await;
    let prepared = Prepared::of(write)?;
    let written = pool.run(async |client, doubt| {
        if is_dry {
            let transaction = begin(client).await?;
            let written = prepared
                .run_in(
                    &transaction,
                    Ends::Here,
                    doubt,
                    is_own(pool, std::slice::from_ref(write)),
                )
                .await?;
            transaction.rollback().await?;
            return Ok(Written {
                cursor: None,
                xid: None,
                ..written
            });
        }
        doubt.begin();
        let written = prepared.run_alone(pool, client, doubt).await;
        doubt.end();
        written
    });
    let written = written.await?;
    match written.cursor.is_none() && !is_dry {
        // It is committed: without a cursor it is answered all the same.
        true => Ok(Written {
            cursor: now(pool).await.ok(),
            ..written
        }),
        false => Ok(written),
    }
}

/// Finds out which tables need no boundary, if that is not known: before [`write_in`], and before a connection is taken.
pub async fn know_own(pool: &Pool) {
    pool.own.refresh(pool).await;
}

fn is_own(pool: &Pool, writes: &[Write]) -> bool {
    writes
        .iter()
        .all(|write| pool.own.writes(write.access.table.rel))
}

/// Writes one after the other in a transaction that is open, and has nothing else to do; `Err` names the first that the database
/// refuses. Then the transaction can only be taken back.
///
/// # Errors
/// See [`RestError`].
pub async fn write_in(
    pool: &Pool,
    transaction: &Transaction<'_>,
    writes: &[Write],
    doubt: &Doubt,
) -> Result<Result<Vec<Written>, (usize, RestError)>, StoreError> {
    let mut done = Vec::with_capacity(writes.len());
    // All or none of them: one without a boundary sets the path of its triggers for the rest of the transaction.
    let is_own = is_own(pool, writes);
    for (round, some) in writes.chunks(PIPELINE_MAX).enumerate() {
        let first = round * PIPELINE_MAX;
        let mut prepared = Vec::with_capacity(some.len());
        for (i, write) in some.iter().enumerate() {
            match Prepared::of(write) {
                Ok(one) => prepared.push(one),
                Err(error) => return Ok(Err((first + i, error.into()))),
            }
        }
        // It is there once, so that they leave in their order, and without waiting for each other.
        transaction.prepare_cached(WRITE).await?;
        let last = writes.len() - 1 - first;
        let runs = prepared.iter().enumerate().map(|(i, one)| {
            let ends = if i == last { Ends::Here } else { Ends::Later };
            one.run_in(transaction, ends, doubt, is_own)
        });
        let results = join_all(runs).await;
        for (i, result) in results.into_iter().enumerate() {
            match result {
                Ok(written) => done.push(written),
                Err(error @ StoreError::Refused(_)) => return Ok(Err((first + i, error.into()))),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Ok(done))
}

/// Writes all or nothing, in a transaction of their own, with `check` of what came out of it before it is committed. `is_dry`: it
/// is taken back.
///
/// # Errors
/// See [`RestError`]; which of them was refused. Then nothing was written.
pub async fn write_all<R>(
    pool: &Pool,
    writes: &[Write],
    is_dry: bool,
    check: impl Fn(&[Written]) -> Option<R>,
) -> Result<Result<Vec<Written>, Refused<R>>, StoreError> {
    know_own(pool).await;
    pool.run(async |client, doubt| {
        let transaction = begin(client).await?;
        let written = match write_in(pool, &transaction, writes, doubt).await? {
            Ok(written) => written,
            Err((index, error)) => return Ok(Err(Refused::Database(index, error))),
        };
        if let Some(refused) = check(&written) {
            return Ok(Err(Refused::Check(refused)));
        }
        match is_dry {
            true => transaction.rollback().await?,
            false => doubt.commit(transaction).await?,
        }
        Ok(Ok(written))
    })
    .await
}

/// Why several writes were taken back.
#[derive(Debug)]
pub enum Refused<R> {
    /// This one was refused.
    Database(usize, RestError),
    /// What came out of them is not what was asked for.
    Check(R),
}

/// Where the log is now.
async fn now(pool: &Pool) -> Result<Cursor, StoreError> {
    const NOW: &str = "select pg_catalog.pg_current_snapshot()::pg_catalog.text, plank.newest()::pg_catalog.text, plank.identity()";
    let row = pool
        .run(async |client, _| Ok(client.query_one(NOW, &[]).await?))
        .await?;
    let snapshot = place(row.get(0), None, row.get(1));
    Ok(Cursor {
        epoch: Epoch::of(row.get(2)),
        snapshot: snapshot.ok_or_else(|| StoreError::Internal("no snapshot".into()))?,
    })
}

/// A transaction that depends on no setting: through a pooler the session may be one that others have set up.
pub(super) async fn begin(
    client: &mut Object,
) -> Result<deadpool_postgres::Transaction<'_>, tokio_postgres::Error> {
    let begin = client.build_transaction();
    let begin = begin.isolation_level(IsolationLevel::ReadCommitted);
    begin.read_only(false).deferrable(false).start().await
}
