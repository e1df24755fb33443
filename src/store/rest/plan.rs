//! What a request to `/rest` asks for, as a statement: which rows, which of their columns, in which order, and who may.
//!
//! A client's text never is a part of it. Names are those of the catalog, quoted; types and operators are PostgreSQL's
//! own names of them; values are parameters.

use std::sync::Arc;

use crate::feed::catalog::Column;
use crate::feed::filter::sql::quote;
use crate::feed::filter::{Expr, Filter, FilterError, Kind};
use crate::feed::order::Sort;
use crate::feed::{PolicyVersion, Table};

use super::super::params::Params;
use super::condition::condition;

/// The rows of a table that a client may see, or write; none for all.
pub type Rows = Option<Arc<Filter>>;

/// A column of an answer, and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Its name, without quotes.
    pub column: String,
    /// Its name in the answer.
    pub label: String,
}

/// What a client may do with a table.
#[derive(Clone, Debug)]
pub struct Access {
    /// The table.
    pub table: Arc<Table>,
    /// The claim `role` by which it may; none where nobody has to log in.
    pub role: Option<String>,
    /// Which rows it may see.
    pub see: Rows,
    /// Which rows it may insert, update and delete: those of the op that it asks for, all others are not looked at.
    pub insert: Rows,
    /// See [`Self::insert`].
    pub update: Rows,
    /// See [`Self::insert`].
    pub delete: Rows,
    /// The policies that all of this comes from.
    pub held: Vec<PolicyVersion>,
}

impl Access {
    /// All columns that a client may see, under their own names.
    pub fn all_columns(&self) -> Vec<Selected> {
        let of = |c: &Column| Selected {
            column: c.name.clone(),
            label: c.name.clone(),
        };
        self.table.columns.iter().map(of).collect()
    }
}

/// How the rows of an answer are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Each an object.
    #[default]
    Json,
    /// The same, without members that are null.
    Stripped,
    /// Each a line of comma-separated values.
    Csv,
}

impl Form {
    /// The text of the row `r`. `is_safe`: where the table is said to have only types that are built in, it is
    /// looked at before whether it still does.
    pub(super) fn of_row(self, table: &Table, is_safe: bool) -> String {
        let json = json(table, is_safe);
        match self {
            Self::Json => format!("{json}::pg_catalog.text"),
            Self::Stripped => format!("pg_catalog.json_strip_nulls({json})::pg_catalog.text"),
            Self::Csv => "pg_catalog.substr((r.*)::pg_catalog.text, 2, pg_catalog.length((r.*)::pg_catalog.text) operator(pg_catalog.-) 2)".into(),
        }
    }
}

/// The row `r` as JSON; `r.*`, for it may have a column `r`. Casts that the owner of a type has made run with no right at all; also where the table was altered a moment
/// ago, and is not known to have such a type.
fn json(table: &Table, is_safe: bool) -> &'static str {
    match (table.plain, is_safe) {
        (true, true) => "pg_catalog.row_to_json(r.*)",
        (true, false) => "plank.json_of(r.*)",
        (false, _) => "plank.json_of_any(r.*)",
    }
}

/// `x."a" as "b", ...`
pub(super) fn list(selected: &[Selected]) -> String {
    let one = |s: &Selected| format!("x.{} as {}", quote(&s.column), quote(&s.label));
    selected.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// ` order by ...` of the columns of `x`; nothing for any order.
pub(super) fn order_by(order: &[Sort]) -> String {
    let mut sql = String::new();
    for (i, sort) in order.iter().enumerate() {
        sql += if i == 0 { " order by " } else { ", " };
        let direction = if sort.descending { "desc" } else { "asc" };
        let nulls = if sort.nulls_first { "first" } else { "last" };
        sql += &format!("x.{} {direction} nulls {nulls}", quote(&sort.column));
    }
    sql
}

/// The entity tag of the row `x`, without quotes: its version where it has one, else a hash of what is visible.
pub(super) fn tag(access: &Access, is_safe: bool) -> String {
    let version = access.table.column("version");
    match version.filter(|c| matches!(c.kind, Kind::Int(_))) {
        Some(_) => "pg_catalog.format('%s', x.\"version\")".into(),
        None => {
            let columns = list(&access.all_columns());
            format!(
                "(select pg_catalog.md5({}::pg_catalog.text) from (select {columns}) r)",
                json(&access.table, is_safe)
            )
        }
    }
}

/// The rows that a filter is about, as far as the client may see them.
pub(super) fn visible(
    filter: Option<&Expr>,
    access: &Access,
    params: &mut Params,
) -> Result<String, FilterError> {
    let asked = filter.map(|expr| condition(expr, &access.table, params));
    let see = access.see.as_deref().map(|rows| params.filter(rows));
    Ok(both(asked.transpose()?, see).unwrap_or_else(|| ALL.into()))
}

/// The condition of all rows.
pub(super) const ALL: &str = "true";

/// Both conditions; `None` is that of all rows.
pub(super) fn both(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(format!("({one}) and ({other})")),
        (one, other) => one.or(other),
    }
}

/// The values that a filter demands of the columns of the key, in the order of the key; none if it is not about one row by its
/// whole key and nothing else.
pub fn whole_key<'a>(filter: Option<&'a Expr>, table: &Table) -> Option<Vec<&'a str>> {
    let leaves = match filter? {
        Expr::All(members) => members.as_slice(),
        leaf => std::slice::from_ref(leaf),
    };
    if table.key.is_empty() || leaves.len() != table.key.len() {
        return None;
    }
    let value = |name: &String| {
        leaves.iter().find_map(|leaf| match leaf {
            Expr::Compare {
                column,
                op: crate::feed::filter::expr::Op::Eq,
                value,
            } if column == name => Some(value.as_str()),
            _ => None,
        })
    };
    table.key.iter().map(value).collect()
}
