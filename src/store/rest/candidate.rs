//! Rows as a client sends them, and as a write would make them, before it makes them. The table, its indexes and its triggers know of rows that a client may not
//! see, and must not tell of them by a collision or a wait: whether a policy allows a row is decided first, where that can be known.

use std::collections::HashSet;

use crate::feed::Table;
use crate::feed::catalog::Column;
use crate::feed::filter::sql::quote;

use super::super::params::Params;
use super::plan::{ALL, Access, Rows};

/// Whether these columns are all that the policy asks for.
pub(super) fn is_decided(policy: &Rows, columns: &[String]) -> bool {
    policy.as_deref().is_none_or(|rows| {
        let mut leaves = rows.expr().leaves().into_iter();
        leaves.all(|leaf| columns.iter().any(|column| column == leaf.parts().0))
    })
}

/// The columns whose values are known before an update: all but those that PostgreSQL computes.
pub(super) fn known(table: &Table) -> Vec<String> {
    let known = table
        .columns
        .iter()
        .filter(|c| c.fixed.is_none() || table.key.contains(&c.name));
    known.map(|c| c.name.clone()).collect()
}

/// How many rows of a set, which has all columns that the policy asks for, the policy does not allow.
pub(super) fn refused(set: &str, policy: &Rows, params: &mut Params) -> Option<String> {
    let rows = params.filter(policy.as_deref()?);
    Some(format!(
        "select pg_catalog.count(*) as n from ({set}) x where not coalesce({rows}, false)"
    ))
}

/// The rows of an update as it would leave them: those of a condition on `x`, with the values of `r`.
pub(super) fn updated(
    table: &Table,
    columns: &[String],
    values: &str,
    condition: Option<&str>,
) -> String {
    let one = |name: &String| match columns.contains(name) {
        true => format!("r.{0} as {0}", quote(name)),
        false => format!("x.{}", quote(name)),
    };
    let list: Vec<String> = known(table).iter().map(one).collect();
    format!(
        "select {} from {} x, {values} where {}",
        list.join(", "),
        table.quoted,
        condition.unwrap_or(ALL)
    )
}

/// Holds where no row is refused.
pub(super) const NONE_REFUSED: &str = "(select n from c) operator(pg_catalog.=) 0";

/// Whether a row gets the default for a column that another one has a value for.
pub(super) fn has_gaps(
    columns: &[String],
    rows: &[(String, HashSet<String>)],
    defaults: bool,
) -> bool {
    let has_all =
        |(_, members): &(String, HashSet<String>)| columns.iter().all(|c| members.contains(c));
    defaults && !rows.iter().all(has_all)
}

/// A list of objects as rows `r` of these columns: PostgreSQL reads each value as it reads one of the column's type.
pub(super) fn recordset(
    columns: &[String],
    text: &str,
    access: &Access,
    params: &mut Params,
) -> String {
    let place = params.add(text);
    let own = |name: &String| {
        let found = access.table.column(name);
        let own = found.map_or("pg_catalog.text", |c: &Column| c.type_name.as_str());
        format!("{} {own}", quote(name))
    };
    let list: Vec<String> = columns.iter().map(own).collect();
    format!(
        "pg_catalog.json_to_recordset({place}::pg_catalog.json) as r({})",
        list.join(", ")
    )
}

/// An object as one row `r` of these columns.
pub(super) fn record(
    columns: &[String],
    text: &str,
    access: &Access,
    params: &mut Params,
) -> String {
    recordset(columns, &format!("[{text}]"), access, params)
}
