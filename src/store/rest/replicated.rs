//! A page of a table that the replica reads.

use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::feed::Cursor;
use crate::limits::REPLICA_REQUEST_MAX;

use super::super::history::Requests;
use super::super::pool::{Pool, StoreError};
use super::super::replica::{Seen, Unused};
use super::outcome::Holding;
use super::read::{Read, Statement};

const BEGIN: &str = "begin isolation level repeatable read, read only";

/// As on the primary, without what needs one: where it is, and in which log.
const READ: &str =
    "select r.total, r.rows, r.tag, plank.sees_all($5) from plank.rest_read($2, $3, $4, $1) r";

/// Asked of the primary, behind the read: a version that is gone never comes back.
const HOLDS: &str = "select plank.holds($1, $2, $3, $4)";

/// A statement that was prepared in SQL is none of plank's: this session is not used again.
const END: &str = "rollback; \
    do $$ begin if exists (select from pg_catalog.pg_prepared_statements where from_sql) then \
    raise exception 'the session has been altered' using errcode = 'object_in_use'; end if; end $$";

/// What came of it: the cursor, and a row with the total, the rows and the tag.
pub(super) type Found = (Cursor, Row);

/// Reads on the replica; none if there is none, or if the primary is to do it: also where that finds out why something can't be read.
pub(super) async fn read(pool: &Pool, read: &Read) -> Option<Found> {
    let there = pool.replicated()?;
    // By its key a row is found sooner than the primary says where it is.
    if read.is_of_one() {
        return None;
    }
    // What does not fit the table is told by the read of the primary.
    let statement = read.statement(false).ok()?;
    let attempt = there.replica().attempt()?;
    let work = Box::pin(run(pool, there, read, &statement));
    let done = timeout(REPLICA_REQUEST_MAX, work).await;
    match done.unwrap_or_else(|_| Err(Unused::Failed("the read takes too long".into()))) {
        Ok(found) => {
            there.replica().served(attempt);
            Some(found)
        }
        Err(why) => {
            there.replica().failed(attempt, &why);
            None
        }
    }
}

async fn run(
    pool: &Pool,
    there: &Requests,
    read: &Read,
    statement: &Statement,
) -> Result<Found, Unused> {
    let holding = Holding::of(&read.access);
    let failed = |e: StoreError| Unused::Failed(e.to_string());
    let need = there.history().need().await;
    let need = need.map_err(|e| Unused::Failed(e.to_string()))?;
    let borrowed = there.take(pool.asker()).await?;
    let client = borrowed.client();
    let flush = async || there.history().flush().await;
    there.replica().wait(client, &need, flush).await?;
    let of = |e: tokio_postgres::Error| Unused::of(&e);
    client.batch_execute(BEGIN).await.map_err(of)?;
    let seen = Seen::ask(client, &need).await?;
    let prepared = client.prepare_cached(READ).await.map_err(of)?;
    let params: [&(dyn ToSql + Sync); 5] = [
        &statement.params,
        &statement.within(),
        &statement.counting,
        &statement.count_query,
        &read.access.table.rel,
    ];
    let row = client.query_one(&prepared, &params).await.map_err(of)?;
    client.batch_execute(END).await.map_err(of)?;
    borrowed.give_back();
    if !row.get::<_, bool>(3) {
        return Err(Unused::Failed("row security hides rows".into()));
    }
    let cursor = there.history().cursor_of(&need, &seen).await?;
    let primary = pool.get().await.map_err(failed)?;
    let prepared = primary.prepare_cached(HOLDS).await.map_err(of)?;
    let params: [&(dyn ToSql + Sync); 4] = [
        &read.access.table.rel,
        &holding.role,
        &holding.ops,
        &holding.versions,
    ];
    let holds = primary.query_one(&prepared, &params).await.map_err(of)?;
    match holds.get(0) {
        true => Ok((cursor, row)),
        false => Err(Unused::Failed(
            "what the client may see has just changed".into(),
        )),
    }
}
