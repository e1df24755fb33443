//! Policies for the command line: what `plank.allow` and `plank.deny` do, and what a role sees by them.

use tokio_postgres::types::{Json, ToSql};

use crate::feed::Table;
use crate::feed::filter::Filter;
use crate::feed::policy::Policy;

use super::super::connect;
use super::super::param::as_sql;
use super::{DESCRIBE, Found, WatchError, Watcher};

const ALLOW: &str =
    "select plank.allow($1::text::regclass, $2::text, $3::text, $4::text[], $5::text)";
const DENY: &str = "select plank.deny($1::text::regclass, $2::text, $3::text[], $4::text)";
const REVOKE: &str =
    "select plank.revoke($1::text, coalesce($2::text::timestamptz, pg_catalog.now()))";
const LIST: &str = "select format('%I.%I', n.nspname, c.relname), p.role, p.op, p.rows, p.name, p.since::text \
    from plank.policy p join pg_class c on c.oid = p.rel join pg_namespace n on n.oid = c.relnamespace \
    where $1::text is null or p.rel = $1::text::regclass \
    order by 1, p.role, p.name, array_position('{select,insert,update,delete}', p.op)";

/// A policy, and the table that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As PostgreSQL quotes it.
    pub table: String,
    /// One for each op.
    pub policy: Policy,
}

/// What a role is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// The claim `role`.
    pub role: &'a str,
    /// With which rows; none for all.
    pub rows: Option<&'a str>,
    /// What may be done with them.
    pub ops: &'a [String],
    /// Tells it from others.
    pub name: &'a str,
}

impl Watcher {
    /// A watched table as servers know it, with its policies.
    ///
    /// # Errors
    /// Also if it is not watched.
    pub async fn table(&self, table: &str) -> Result<Table, WatchError> {
        let found = self.resolve(table).await?;
        self.described(table, &found).await
    }

    async fn described(&self, table: &str, found: &Found) -> Result<Table, WatchError> {
        let row = self.call(DESCRIBE, &[&table], found).await?;
        let described: Option<Json<Table>> = row
            .try_get(0)
            .map_err(|e| WatchError::Refused(connect::chain(&e)))?;
        let described = described.map(|Json(described)| described);
        described.ok_or_else(|| {
            WatchError::Refused(format!(
                "{} is not watched; do first: plank watch {table}",
                found.name
            ))
        })
    }

    /// Lets a role do something with rows of a table; the table's name as PostgreSQL quotes it.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn allow(&self, table: &str, allowed: &Allowed<'_>) -> Result<String, WatchError> {
        let found = self.resolve(table).await?;
        let described = self.described(table, &found).await?;
        let Allowed {
            role,
            rows,
            ops,
            name,
        } = allowed;
        // The database finds most mistakes, and plank all: it is plank that has to follow.
        for op in ops.iter() {
            let policy = policy_of(role, op, rows.map(String::from), name, "0")?;
            let checked = policy.check(&described);
            checked.map_err(|why| {
                WatchError::Refused(format!(
                    "--rows can't be followed: {why}; nothing was changed"
                ))
            })?;
        }
        self.call(ALLOW, &[&table, role, rows, ops, name], &found)
            .await?;
        Ok(found.name)
    }

    /// Takes it back; the table's name as PostgreSQL quotes it.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn deny(
        &self,
        table: &str,
        role: &str,
        ops: &[String],
        name: Option<&str>,
    ) -> Result<String, WatchError> {
        let found = self.resolve(table).await?;
        self.call(DENY, &[&table, &role, &ops, &name], &found)
            .await?;
        Ok(found.name)
    }

    /// Takes back the tokens of a subject that were issued before a time, as PostgreSQL reads one; none for now.
    ///
    /// # Errors
    /// Then nothing was changed.
    pub async fn revoke(&self, sub: &str, before: Option<&str>) -> Result<(), WatchError> {
        let done = self
            .soon(self.client.query_one(REVOKE, &[&sub, &before]))
            .await?;
        done.map(drop).map_err(|e| self.said(&e))
    }

    /// All policies, or those of a table.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn policies(&self, table: Option<&str>) -> Result<Vec<Listed>, WatchError> {
        if let Some(table) = table {
            self.resolve(table).await?;
        }
        let rows = self.soon(self.client.query(LIST, &[&table])).await?;
        let rows = rows.map_err(|e| self.said(&e))?;
        let listed = rows.iter().map(|row| {
            let (op, since): (String, String) = (row.get(2), row.get(5));
            Ok(Listed {
                table: row.get(0),
                policy: policy_of(row.get(1), &op, row.get(3), row.get(4), &since)?,
            })
        });
        listed.collect()
    }

    /// How many rows of a table there are, and how many pass a filter; none for all.
    ///
    /// # Errors
    /// Also if it takes too long.
    pub async fn count(
        &self,
        table: &Table,
        filter: Option<&Filter>,
    ) -> Result<(i64, i64), WatchError> {
        let (condition, values) = filter.map_or(("true".into(), Vec::new()), |f| f.sql(1));
        let sql = format!(
            "select pg_catalog.count(*), pg_catalog.count(*) filter (where {condition}) from {} x",
            table.quoted
        );
        let parameters: Vec<&(dyn ToSql + Sync)> = as_sql(&values).collect();
        let row = self.soon(self.client.query_one(&sql, &parameters)).await?;
        let row = row.map_err(|e| self.said(&e))?;
        Ok((row.get(0), row.get(1)))
    }

    /// The rows, as JSON, that pass a filter: two at most.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn rows(&self, table: &Table, filter: &Filter) -> Result<Vec<String>, WatchError> {
        let (condition, values) = filter.sql(1);
        let sql = format!(
            "select pg_catalog.row_to_json(x)::text from {} x where {condition} limit 2",
            table.quoted
        );
        let parameters: Vec<&(dyn ToSql + Sync)> = as_sql(&values).collect();
        let rows = self.soon(self.client.query(&sql, &parameters)).await?;
        let rows = rows.map_err(|e| self.said(&e))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn said(&self, error: &tokio_postgres::Error) -> WatchError {
        match error.as_db_error() {
            Some(db) => WatchError::Refused(super::said(db)),
            None => super::ConnectError::of(error, &self.config).into(),
        }
    }
}

fn policy_of(
    role: &str,
    op: &str,
    rows: Option<String>,
    name: &str,
    since: &str,
) -> Result<Policy, WatchError> {
    let op = serde_json::from_value(op.into()).map_err(|_| {
        WatchError::Refused(format!(
            "there is no op {op:?}; they are select, insert, update and delete"
        ))
    })?;
    Ok(Policy {
        role: role.to_owned(),
        op,
        rows,
        since: since.parse().unwrap_or_default(),
        name: name.to_owned(),
    })
}
