//! The statement that reads a table: which of its rows, in which order, from where on.
//!
//! A client's text never is a part of it. Names are those of the catalog, quoted; types and operators are PostgreSQL's
//! own names of them; values are parameters.

use std::fmt::Write as _;

use std::sync::Arc;

use crate::feed::derived::COUNT;
use crate::feed::filter::Filter;
use crate::feed::filter::sql::quote;
use crate::feed::order::Sort;
use crate::feed::{PolicyVersion, View};

use super::super::params::Params;

use super::sorts::Sorted;

/// The rows of the table have this name in conditions.
const ALIAS: &str = "x";

/// What is read of a table. The default is all of it, in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Which rows; none for all.
    pub filter: Option<Arc<Filter>>,
    /// The policy by which they may be seen.
    pub held: Option<PolicyVersion>,
    /// In which order; none for any.
    pub order: Vec<Sort>,
    /// Only rows behind this place: a value, as PostgreSQL writes it, for each column of the order.
    pub after: Option<Vec<Option<String>>>,
    /// At most so many rows.
    pub limit: Option<usize>,
    /// If there are more rows than these, that is an error before the first one comes.
    pub fits: Option<usize>,
    /// It is short, and does not wait behind those that read a whole table. Its rows come with their places.
    pub is_page: bool,
    /// Not the rows, but how many there are of each combination of values of these columns, which PostgreSQL alone writes.
    pub groups: Option<Vec<String>>,
}

impl Select {
    /// All rows that a view shows, in no order.
    pub fn rows_of(view: &View) -> Self {
        Self {
            filter: view.filter.clone(),
            held: view.held.clone(),
            ..Self::default()
        }
    }

    /// The statement for the table `quoted`: the row as JSON, and in a page its place in the order, a list with a text for each
    /// column. `is_plain`: PostgreSQL alone writes the rows.
    pub(super) fn sql(&self, quoted: &str, is_plain: bool, sorted: &[Sorted]) -> (String, Params) {
        debug_assert_eq!(sorted.len(), self.order.len());
        if let Some(groups) = &self.groups {
            return self.groups_sql(quoted, groups);
        }
        let json = match is_plain {
            true => "pg_catalog.row_to_json",
            false => "plank.json_of_any",
        };
        let place = sorted.iter().filter(|_| self.is_page).map(|sorted| {
            let column = sorted.column();
            // By the type's output function, which a cast need not be.
            let text = format!("pg_catalog.format('%s', {column})");
            format!("case when {column} is distinct from null then {text} end")
        });
        let place = place.collect::<Vec<_>>().join(", ");
        let mut sql = format!("select {json}({ALIAS}.*), array[{place}]::pg_catalog.text[]");
        let (from, params) = self.from(quoted, sorted);
        sql += &from;
        for (i, (sorted, sort)) in sorted.iter().zip(&self.order).enumerate() {
            sql += if i == 0 { " order by " } else { ", " };
            sql += &sorted.column();
            sql += if sort.descending { " desc" } else { " asc" };
            // Left out where it makes no difference, so that an index serves either.
            if !sorted.is_not_null {
                sql += if sort.nulls_first {
                    " nulls first"
                } else {
                    " nulls last"
                };
            }
        }
        if let Some(limit) = self.limit {
            let _ = write!(sql, " limit {limit}");
        }
        (sql, params)
    }

    /// The groups, each as JSON with a member `count`.
    fn groups_sql(&self, quoted: &str, groups: &[String]) -> (String, Params) {
        let columns: Vec<String> = groups.iter().map(|name| column(name)).collect();
        let columns = columns.join(", ");
        let (from, params) = self.from(quoted, &[]);
        let (comma, by) = match groups.is_empty() {
            true => ("", String::new()),
            false => (", ", format!(" group by {columns}")),
        };
        // Without a row there is no group, also where all rows are one.
        let mut sql = format!(
            "select pg_catalog.row_to_json(y.*), array[]::pg_catalog.text[] from (select {columns}{comma}\
            pg_catalog.count(*) as {}{from}{by} having pg_catalog.count(*) operator(pg_catalog.>) 0",
            quote(COUNT)
        );
        if let Some(limit) = self.limit {
            let _ = write!(sql, " limit {limit}");
        }
        sql += ") y";
        (sql, params)
    }

    /// Counts the rows, as far as it matters whether there are more than `fits`.
    pub(super) fn count_sql(
        &self,
        quoted: &str,
        sorted: &[Sorted],
        fits: usize,
    ) -> (String, Params) {
        let (from, params) = self.from(quoted, sorted);
        let limit = fits.saturating_add(1);
        let sql = format!("select pg_catalog.count(*) from (select{from} limit {limit}) y");
        (sql, params)
    }

    fn from(&self, quoted: &str, sorted: &[Sorted]) -> (String, Params) {
        let mut sql = format!(" from {quoted} {ALIAS}");
        let mut params = Params::default();
        let mut conditions = Vec::new();
        if let Some(filter) = &self.filter {
            conditions.push(params.filter(filter));
        }
        if let Some(after) = &self.after {
            conditions.push(self.behind(sorted, after, &mut params));
        }
        for (i, condition) in conditions.iter().enumerate() {
            let word = if i == 0 { "where" } else { "and" };
            let _ = write!(sql, " {word} ({condition})");
        }
        (sql, params)
    }

    /// Which rows come behind a place.
    fn behind(&self, sorted: &[Sorted], after: &[Option<String>], params: &mut Params) -> String {
        let values: Vec<Option<String>> = sorted
            .iter()
            .zip(after)
            .map(|(sorted, value)| {
                let value = value.as_ref()?;
                Some(sorted.value(&params.add(value)))
            })
            .collect();
        self.as_rows(sorted, &values)
            .unwrap_or_else(|| self.as_tree(sorted, &values))
    }

    /// As one comparison of rows, which an index of these columns serves; where they all go in one direction, and none
    /// may be null.
    fn as_rows(&self, sorted: &[Sorted], values: &[Option<String>]) -> Option<String> {
        let (first, sort) = (sorted.first()?, self.order.first()?);
        let beyond = first.beyond(sort.descending);
        let is_one = sorted.iter().zip(&self.order).all(|(sorted, other)| {
            other.descending == sort.descending
                && sorted.is_not_null
                && sorted.beyond(other.descending) == beyond
        });
        let values: Option<Vec<&str>> = values.iter().map(Option::as_deref).collect();
        let columns: Vec<String> = sorted.iter().map(Sorted::column).collect();
        is_one.then_some(format!(
            "({}) {beyond} ({})",
            columns.join(", "),
            values?.join(", ")
        ))
    }

    /// Column by column: beyond the value, or equal to it and the rest beyond the rest.
    fn as_tree(&self, sorted: &[Sorted], values: &[Option<String>]) -> String {
        let mut rest = String::from("false");
        let columns = sorted.iter().zip(&self.order).zip(values);
        for ((sorted, sort), value) in columns.rev() {
            let column = sorted.column();
            let is_null = format!("{column} is not distinct from null");
            let has_nulls_behind = !sorted.is_not_null && !sort.nulls_first;
            rest = match value {
                Some(value) => {
                    let beyond = format!("{column} {} {value}", sorted.beyond(sort.descending));
                    let equal = format!("{column} {} {value}", sorted.equal());
                    if has_nulls_behind {
                        format!("{beyond} or {is_null} or ({equal} and ({rest}))")
                    } else {
                        // The first half says nothing more, but an index serves it.
                        let bound = format!("{column} {} {value}", sorted.bound(sort.descending));
                        format!("{bound} and ({beyond} or ({rest}))")
                    }
                }
                None if sort.nulls_first => {
                    format!("{column} is distinct from null or ({rest})")
                }
                None => format!("{is_null} and ({rest})"),
            };
        }
        rest
    }
}

/// A column of the table.
pub(super) fn column(name: &str) -> String {
    format!("{ALIAS}.{}", quote(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::filter::Expr;
    use crate::feed::filter::expr::Op;

    fn sorted(name: &str, is_not_null: bool) -> Sorted {
        let operators = ["<", "<=", "=", ">=", ">"].map(str::to_owned);
        Sorted::new(name, "bigint", is_not_null, operators)
    }

    fn sort(column: &str, descending: bool, nulls_first: bool) -> Sort {
        Sort {
            column: column.into(),
            descending,
            nulls_first,
        }
    }

    fn after(values: &[Option<&str>]) -> Option<Vec<Option<String>>> {
        Some(values.iter().map(|v| v.map(str::to_owned)).collect())
    }

    #[test]
    fn all_of_a_table_is_one_plain_statement() {
        let (sql, params) = Select::default().sql("public.t", true, &[]);
        assert_eq!(
            sql,
            "select pg_catalog.row_to_json(x.*), array[]::pg_catalog.text[] from public.t x"
        );
        assert!(params.texts().is_empty());
    }

    #[test]
    fn a_page_by_the_key_is_a_comparison_of_rows_behind_the_condition() {
        let table = serde_json::from_value(serde_json::json!({
            "rel": 1, "schema": "public", "name": "t", "quoted": "public.t", "since": 0, "key": ["a"], "old_rows": true,
            "narrowed": false,
            "columns": [{"name": "s", "type": "text", "base": "text", "collation": "deterministic"}],
        }));
        let expr = Expr::Compare {
            column: "s".into(),
            op: Op::Eq,
            value: "a".into(),
        };
        let filter = Filter::bind(&Arc::new(expr), &table.unwrap()).unwrap();
        let condition = Params::default().filter(&filter);
        let select = Select {
            filter: Some(Arc::new(filter)),
            order: vec![sort("a", false, false), sort("b", false, true)],
            after: after(&[Some("1"), Some("2")]),
            limit: Some(3),
            ..Select::default()
        };
        let (sql, params) = select.sql("t", true, &[sorted("a", true), sorted("b", true)]);
        assert!(
            sql.ends_with(&format!(
                " from t x where ({condition}) \
                and ((x.\"a\", x.\"b\") > ($1[2]::pg_catalog.text::bigint, $1[3]::pg_catalog.text::bigint)) \
                order by x.\"a\" asc, x.\"b\" asc limit 3"
            )),
            "{sql}"
        );
        assert_eq!(params.texts(), ["a", "1", "2"]);
    }

    #[test]
    fn a_place_without_a_value_needs_no_parameter() {
        let select = Select {
            order: vec![sort("a", true, true), sort("id", false, false)],
            after: after(&[None, Some("2")]),
            ..Select::default()
        };
        let (sql, params) = select.sql("t", true, &[sorted("a", false), sorted("id", true)]);
        assert_eq!(
            sql,
            "select pg_catalog.row_to_json(x.*), array[]::pg_catalog.text[] from t x where (x.\"a\" is distinct from null \
             or (x.\"id\" >= $1[1]::pg_catalog.text::bigint and (x.\"id\" > $1[1]::pg_catalog.text::bigint or (false)))) \
             order by x.\"a\" desc nulls first, x.\"id\" asc"
        );
        assert_eq!(params.texts(), ["2"]);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(
            column("a\"; drop table t; --"),
            "x.\"a\"\"; drop table t; --\""
        );
    }
}
