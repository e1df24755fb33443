//! Sends the statements of requests.

pub use deadpool_postgres::Transaction;
use deadpool_postgres::{GenericClient, Object};
use futures_util::future::join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use crate::feed::filter::FilterError;
use crate::feed::{Cursor, Epoch, PolicyVersion, Snapshot, Table};
use crate::limits::STATEMENT_MAX;

use super::super::connect::chain;
use super::super::fault::Fault;
use super::super::pool::{Doubt, Pool, StoreError};
use super::super::sqlstate::Blame;
use super::plan::Access;
use super::read::Read;
use super::write::Write;

const READ: &str = "select r.snapshot, r.total, r.rows, r.tag, plank.newest()::text, plank.identity(), \
    plank.sees_all($5), plank.holds($5, $6, $7, $8) from plank.rest_read($2, $3, $4, $1) r";

const WRITE: &str = "select w.affected, w.existed, w.rows, w.keys, w.tag, pg_current_snapshot()::text, \
    pg_current_xact_id_if_assigned()::text, plank.newest()::text, plank.identity(), plank.is_settled($12) \
    from plank.hold($6, $7, $8, $9) h, lateral plank.rest_write(h, $2, $3, $1, $4, $5, $10, $11) w";

/// Transactions that a cursor may list because they began between the statement and its write. Where there are more, the place
/// is asked for again.
const BETWEEN_MAX: u64 = 1_024;

/// What a function of others leaves behind is not to be run: see V9__rest.sql.
const LEFT_BEHIND: &str = "PK499";

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

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// How many rows.
    pub affected: u64,
    /// How many of the rows that it is about were there before, where that matters.
    pub existed: Option<u64>,
    /// What the client may see of them, if it asked for it.
    pub rows: Option<Vec<String>>,
    /// The values of the key of the one row that was written, as PostgreSQL writes them.
    pub key: Option<Vec<Option<String>>>,
    /// Its entity tag, without quotes.
    pub tag: Option<String>,
    /// What has seen it, and everything before.
    pub cursor: Option<Cursor>,
    /// The transaction; none if nothing was written.
    pub xid: Option<String>,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The database is away, or the like.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The filter does not fit the table.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The rows have more bytes than one answer may have.
    #[error("the rows have too many bytes for one answer")]
    TooLarge,
    /// Row security hides rows from plank.
    #[error(
        "row security hides rows of the table {0} from plank; its owner has to call plank.watch again"
    )]
    Hidden(String),
    /// The table is not watched any more, or was dropped.
    #[error("the table is gone")]
    Gone,
}

/// What policies a statement depends on, as parameters.
struct Holding {
    role: Option<String>,
    ops: Vec<&'static str>,
    versions: Vec<String>,
}

impl Holding {
    fn of(access: &Access) -> Self {
        let held = |held: &PolicyVersion| (held.right.as_str(), held.since.to_string());
        let (ops, versions) = access.held.iter().map(held).unzip();
        Self {
            role: access.role.clone(),
            ops,
            versions,
        }
    }
}

/// Reads a page.
///
/// # Errors
/// See [`RestError`].
pub async fn read(pool: &Pool, read: &Read) -> Result<Page, RestError> {
    let statement = read.statement()?;
    let table = &read.access.table;
    let holding = Holding::of(&read.access);
    let row = pool.run(async |client, doubt| {
        let prepared = client.prepare_cached(READ).await?;
        let row = client
            .query_one(
                &prepared,
                &[
                    &statement.params,
                    &statement.query,
                    &statement.counting,
                    &statement.count_query,
                    &table.rel,
                    &holding.role,
                    &holding.ops,
                    &holding.versions,
                ],
            )
            .await;
        let row = row.map_err(|error| explain(error, table, doubt))?;
        match row.get(7) {
            true => Ok(row),
            false => Err(StoreError::Unavailable(
                "what the client may see has just changed".into(),
            )),
        }
    });
    let row = row.await?;
    if !row.get::<_, bool>(6) {
        return Err(RestError::Hidden(table.quoted.clone()));
    }
    let rows: Vec<Option<String>> = row.get(2);
    let rows: Option<Vec<String>> = rows.into_iter().collect();
    Ok(Page {
        cursor: Cursor {
            epoch: Epoch::of(row.get(5)),
            snapshot: place(row.get(0), None, row.get(4))
                .ok_or_else(|| StoreError::Internal("no snapshot".into()))?,
        },
        rows: rows.ok_or(RestError::TooLarge)?,
        total: row
            .get::<_, Option<i64>>(1)
            .map(|total| u64::try_from(total).unwrap_or(0)),
        tag: row.get(3),
    })
}

/// Writes. `is_dry`: it is taken back.
///
/// # Errors
/// See [`RestError`]. Then nothing was written.
pub async fn write(pool: &Pool, write: &Write, is_dry: bool) -> Result<Written, RestError> {
    let prepared = Prepared::of(write)?;
    let written = pool.run(async |client, doubt| {
        if is_dry {
            let transaction = begin(client).await?;
            let written = prepared.run(&transaction, Ends::Here, doubt).await?;
            transaction.rollback().await?;
            return Ok(Written {
                cursor: None,
                xid: None,
                ..written
            });
        }
        doubt.begin();
        let written = prepared.run(client, Ends::Committed, doubt).await;
        doubt.end();
        written
    });
    let written = written.await?;
    match written.cursor.is_none() && written.xid.is_some() {
        true => Ok(Written {
            cursor: Some(now(pool).await?),
            ..written
        }),
        false => Ok(written),
    }
}

/// Writes one after the other in a transaction that is open, and has nothing else to do; `Err` names the first that the database
/// refuses. Then the transaction can only be taken back.
///
/// # Errors
/// See [`RestError`].
pub async fn write_in(
    transaction: &Transaction<'_>,
    writes: &[Write],
    doubt: &Doubt,
) -> Result<Result<Vec<Written>, (usize, RestError)>, StoreError> {
    let mut done = Vec::with_capacity(writes.len());
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
            one.run(transaction, ends, doubt)
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
    pool.run(async |client, doubt| {
        let transaction = begin(client).await?;
        let written = match write_in(&transaction, writes, doubt).await? {
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

/// A write with its parameters.
pub(super) struct Prepared<'a> {
    table: &'a Table,
    path: String,
    query: String,
    params: Vec<String>,
    expected: i64,
    affected_max: Option<i64>,
    is_single: bool,
    holding: Holding,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(write: &'a Write) -> Result<Self, FilterError> {
        let statement = write.statement()?;
        let table = &*write.access.table;
        let schema = crate::feed::filter::sql::quote(&table.schema);
        Ok(Self {
            table,
            // The functions of triggers look where those of any other writer look. The schema for temporary tables comes last.
            path: format!("{schema}, public, pg_temp"),
            query: statement.query,
            params: statement.params,
            expected: statement.expected,
            affected_max: write
                .affected_max
                .map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            is_single: write.is_single,
            holding: Holding::of(&write.access),
        })
    }

    /// Runs it, in the transaction of `client` or as one of its own: then nobody knows whether it was done if the server does not
    /// answer.
    pub(super) async fn run(
        &self,
        client: &impl GenericClient,
        ends: Ends,
        doubt: &Doubt,
    ) -> Result<Written, StoreError> {
        let prepared = client.prepare_cached(WRITE).await?;
        let is_last = ends != Ends::Later;
        let timeout_ms = i64::try_from(STATEMENT_MAX.as_millis()).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 12] = [
            &self.params,
            &self.path,
            &self.query,
            &self.expected,
            &self.affected_max,
            &self.table.rel,
            &self.holding.role,
            &self.holding.ops,
            &self.holding.versions,
            &self.is_single,
            &is_last,
            &timeout_ms,
        ];
        let row = client.query_one(&prepared, &params).await;
        let commits = ends == Ends::Committed;
        let row = row.map_err(|error| match commits && is_unanswered(&error) {
            true => StoreError::Unknown(chain(&error)),
            false => explain(error, self.table, doubt),
        })?;
        if !row.get::<_, bool>(9) {
            doubt.unsettle();
        }
        written(&row)
    }
}

/// Where the transaction of a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Behind a later statement.
    Later,
    /// Behind this statement, when the server is told to.
    Here,
    /// With this statement, which commits by itself.
    Committed,
}

/// Whether the server may have committed all the same: it says nothing, or that it ends the session.
fn is_unanswered(error: &tokio_postgres::Error) -> bool {
    let code = error.as_db_error().map(|db| db.code().code());
    code.is_none_or(|code| code.starts_with("57P") || code == "40003")
}

fn written(row: &Row) -> Result<Written, StoreError> {
    let xid: Option<String> = row.get(6);
    let number = xid.as_deref().and_then(|xid| xid.parse().ok());
    let place = place(row.get(5), number, row.get(7));
    let rows: Option<Vec<Option<String>>> = row.get(2);
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Written {
        affected: count(row.get(0)),
        existed: row.get::<_, Option<i64>>(1).map(count),
        rows: rows.map(|rows| rows.into_iter().flatten().collect()),
        key: row.get(3),
        tag: row.get(4),
        cursor: place.map(|snapshot| Cursor {
            epoch: Epoch::of(row.get(8)),
            snapshot,
        }),
        xid,
    })
}

/// The place in the log of a snapshot, and of a transaction that it did not see. None if too many began in between. `newest` was
/// asked for behind it: a transaction of one's own that is above has no row in the log, and would never be passed.
fn place(snapshot: &str, own: Option<u64>, newest: Option<&str>) -> Option<Snapshot> {
    let mut snapshot = Snapshot::parse(snapshot)?;
    if let Some(own) = own {
        snapshot = snapshot.and_own(own, BETWEEN_MAX)?;
    }
    let newest = newest.and_then(|newest| newest.parse().ok()).unwrap_or(0);
    Some(snapshot.up_to(newest))
}

/// Where the log is now.
async fn now(pool: &Pool) -> Result<Cursor, StoreError> {
    const NOW: &str = "select pg_current_snapshot()::text, plank.newest()::text, plank.identity()";
    let row = pool
        .run(async |client, _| Ok(client.query_one(NOW, &[]).await?))
        .await?;
    let snapshot = place(row.get(0), None, row.get(1));
    Ok(Cursor {
        epoch: Epoch::of(row.get(2)),
        snapshot: snapshot.ok_or_else(|| StoreError::Internal("no snapshot".into()))?,
    })
}

/// What an error of a statement means. What the database refuses is for the client; the rest is as everywhere.
pub(super) fn explain(error: tokio_postgres::Error, table: &Table, doubt: &Doubt) -> StoreError {
    let Some(db) = error.as_db_error() else {
        return error.into();
    };
    let mut fault = Fault::of(db, !table.narrowed);
    if fault.code == LEFT_BEHIND {
        doubt.unsettle();
        fault.message = format!(
            "a function of the owner of {} or of its types {}; later that would run with the rights of plank, so nothing is done",
            table.quoted, fault.message
        );
        log::warn!(
            "request refused table={} reason=\"{}\"",
            table.quoted,
            fault.message
        );
    }
    let is_altered = db.message().starts_with("cached plan");
    match fault.blame {
        Blame::Race | Blame::Away => error.into(),
        Blame::Stale if is_altered || fault.code != "0A000" => error.into(),
        Blame::Own if fault.code.starts_with("XX") => error.into(),
        _ => StoreError::Refused(Box::new(fault)),
    }
}

/// A transaction that depends on no setting: through a pooler the session may be one that others have set up.
pub(super) async fn begin(
    client: &mut Object,
) -> Result<deadpool_postgres::Transaction<'_>, tokio_postgres::Error> {
    let begin = client.build_transaction();
    let begin = begin.isolation_level(IsolationLevel::ReadCommitted);
    begin.read_only(false).deferrable(false).start().await
}
