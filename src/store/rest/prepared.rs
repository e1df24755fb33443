//! One write as it is sent, and what came out of it.

use deadpool_postgres::{GenericClient, Object, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::feed::filter::FilterError;
use crate::feed::{Cursor, Epoch, Snapshot, Table};

use super::super::connect::chain;
use super::super::fault::Fault;
use super::super::pool::{Doubt, Pool, StoreError};
use super::outcome::{Holding, Written, explain, place};
use super::shapes::Typed;
use super::statement::Statement;
use super::write::Write;

/// All names are qualified: a function of others may have left another search path, within a transaction or behind a pooler.
pub(super) const WRITE: &str = "select w.affected, w.existed, w.rows, w.keys, w.tag, \
    pg_catalog.pg_current_snapshot()::pg_catalog.text, pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, \
    plank.newest()::pg_catalog.text, plank.identity(), plank.is_settled($12, $13) \
    from plank.hold($6, $7, $8, $9) h, lateral plank.rest_write(h, $2, $3, $1, $4, $5, $10, $11, $14) w";

/// The policy does not allow the row: see V9__rest.sql.
const NOT_ALLOWED: &str = "PK403";

/// A write with its parameters.
pub(super) struct Prepared<'a> {
    table: &'a Table,
    path: String,
    statement: Statement,
    affected_max: Option<i64>,
    is_single: bool,
    is_decided: bool,
    holding: Holding,
    trace: Option<String>,
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
            statement,
            affected_max: write
                .affected_max
                .map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            is_single: write.is_single,
            is_decided: write.is_decided(),
            holding: Holding::of(&write.access),
            trace: write.trace.map(|trace| trace.to_string()),
        })
    }

    /// Runs it behind the boundary, in the transaction of `client` or as one of its own.
    async fn run(
        &self,
        client: &impl GenericClient,
        ends: Ends,
        doubt: &Doubt,
    ) -> Result<Written, StoreError> {
        let prepared = client.prepare_cached(WRITE).await?;
        let is_last = ends != Ends::Later;
        let (settings, must) = (doubt.settings(), ends != Ends::Committed);
        let settings = settings.as_deref();
        let query = self.statement.within();
        let params: [&(dyn ToSql + Sync); 14] = [
            &self.statement.params,
            &self.path,
            &query,
            &self.statement.expected,
            &self.affected_max,
            &self.table.rel,
            &self.holding.role,
            &self.holding.ops,
            &self.holding.versions,
            &self.is_single,
            &is_last,
            &settings,
            &must,
            &self.trace,
        ];
        let row = client.query_one(&prepared, &params).await;
        let commits = ends == Ends::Committed;
        let row = row.map_err(|error| self.explain(error, commits, doubt))?;
        if !row.get::<_, bool>(9) {
            doubt.unsettle();
        }
        let place = place(row.get(5), xid(&row), row.get(7));
        Ok(written(&row, place, row.get(8)))
    }

    /// Runs it in a transaction. `is_own`: without a boundary.
    pub(super) async fn run_in(
        &self,
        transaction: &Transaction<'_>,
        ends: Ends,
        doubt: &Doubt,
        is_own: bool,
    ) -> Result<Written, StoreError> {
        if !is_own {
            return self.run(transaction, ends, doubt).await;
        }
        let text = self.statement.alone("plank.newest()::pg_catalog.text");
        // It is not prepared: statements of one transaction leave in their order, and none waits for another one.
        let params = self.params_alone();
        let row = transaction.query_typed_one(&text, &params).await;
        let row = row.map_err(|error| self.explain(error, false, doubt))?;
        if ends == Ends::Here {
            let deferred = transaction
                .batch_execute("set constraints all immediate")
                .await;
            deferred.map_err(|error| self.explain(error, false, doubt))?;
        }
        // Its own rows come into the log behind the statement, when nobody is asked any more which is the newest one.
        let own = xid(&row);
        let newest = row.get::<_, Option<&str>>(7).and_then(|n| n.parse().ok());
        let newest: Option<u64> = newest.max(own.filter(|_| row.get::<_, i64>(0) > 0));
        let newest = newest.map(|newest| newest.to_string());
        let place = place(row.get(5), own, newest.as_deref());
        Ok(written(&row, place, row.get(8)))
    }

    /// Runs it as a transaction of its own: then nobody knows whether it was done if the server does not answer.
    pub(super) async fn run_alone(
        &self,
        pool: &Pool,
        client: &Object,
        doubt: &Doubt,
    ) -> Result<Written, StoreError> {
        if !pool.own.writes(self.table.rel) {
            return self.run(client, Ends::Committed, doubt).await;
        }
        let text = self.statement.alone("null::pg_catalog.text");
        let params = self.params_alone();
        let statement = pool
            .shapes
            .prepare(pool.connections(), client, &text, &params)
            .await;
        let statement = statement.map_err(|error| self.explain(error, false, doubt))?;
        let row = statement.query_one(client, &text, &params).await;
        let row = row.map_err(|error| self.explain(error, true, doubt))?;
        // The transaction began behind the snapshot, so its own rows are the newest of the log that it can know of.
        let wrote = row.get::<_, i64>(0) > 0;
        let own = xid(&row).filter(|_| wrote);
        let place = own.and_then(|own| place(row.get(5), Some(own), Some(&own.to_string())));
        Ok(written(&row, place, row.get(8)))
    }

    fn params_alone(&self) -> [Typed<'_>; 10] {
        [
            (&self.statement.params, Type::TEXT_ARRAY),
            (&self.path, Type::TEXT),
            (&self.statement.expected, Type::INT8),
            (&self.affected_max, Type::INT8),
            (&self.table.rel, Type::OID),
            (&self.holding.role, Type::TEXT),
            (&self.holding.ops, Type::TEXT_ARRAY),
            (&self.holding.versions, Type::TEXT_ARRAY),
            (&self.is_single, Type::BOOL),
            (&self.trace, Type::TEXT),
        ]
    }

    fn explain(&self, error: tokio_postgres::Error, commits: bool, doubt: &Doubt) -> StoreError {
        match commits && is_unanswered(&error) {
            true => StoreError::Unknown(chain(&error)),
            false => match explain(error, self.table, doubt) {
                StoreError::Refused(mut fault) if !self.is_decided && is_collision(&fault) => {
                    fault.code = NOT_ALLOWED.into();
                    StoreError::Refused(fault)
                }
                other => other,
            },
        }
    }
}

/// Whether another row, seen or not, is in the way.
fn is_collision(fault: &Fault) -> bool {
    matches!(fault.code.as_str(), "23505" | "23P01" | "PK409")
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

/// The transaction, if it has written.
fn xid(row: &Row) -> Option<u64> {
    row.get::<_, Option<&str>>(6)?.parse().ok()
}

fn written(row: &Row, place: Option<Snapshot>, identity: &str) -> Written {
    let rows: Option<Vec<Option<String>>> = row.get(2);
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Written {
        affected: count(row.get(0)),
        existed: row.get::<_, Option<i64>>(1).map(count),
        rows: rows.map(|rows| rows.into_iter().flatten().collect()),
        key: row.get(3),
        tag: row.get(4),
        cursor: place.map(|snapshot| Cursor {
            epoch: Epoch::of(identity),
            snapshot,
        }),
        xid: row.get(6),
    }
}
