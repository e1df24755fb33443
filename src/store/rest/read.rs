//! Reading a page of a table: one statement, as of one moment, whose cursor comes with it.

use std::fmt::Write as _;

use crate::feed::filter::sql::quote;
use crate::feed::filter::{Expr, FilterError};
use crate::feed::order::Sort;
use crate::limits::{REST_BYTES_MAX, REST_COUNT_MAX};

use super::super::params::Params;
use super::plan::{Access, Form, Selected, list, order_by, tag, visible, whole_key};

/// How the rows are counted that there are besides those of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// All of them.
    Exact,
    /// As the plan of the query says.
    Planned,
    /// All of them up to [`REST_COUNT_MAX`], more as the plan says.
    Estimated,
}

/// What is read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Of which table, and by whom.
    pub access: Access,
    /// Which columns; at least one.
    pub selected: Vec<Selected>,
    /// Which rows; none for all.
    pub filter: Option<Expr>,
    /// In which order.
    pub order: Vec<Sort>,
    /// At most so many.
    pub limit: usize,
    /// Behind so many.
    pub offset: u64,
    /// Behind the row with these values in the columns of the order, which all have the same direction and no nulls; none for the
    /// first page.
    pub behind: Option<Vec<String>>,
    /// Whether they are counted.
    pub counting: Option<Counting>,
    /// How each row is written.
    pub form: Form,
}

/// The statement, what its plan is asked for, and the parameters of both.
pub(super) struct Statement {
    /// How many rows there are; the rows; the entity tag.
    columns: [String; 3],
    /// All types of the table are built in, and its rows are written as JSON without a boundary.
    is_plain: bool,
    pub counting: Option<&'static str>,
    pub count_query: String,
    pub params: Vec<String>,
}

const SNAPSHOT: &str = "pg_catalog.pg_current_snapshot()::pg_catalog.text";

impl Statement {
    /// For a function that keeps what runs within it from having other rights.
    pub fn within(&self) -> String {
        format!("select {SNAPSHOT}, {}", self.columns.join(", "))
    }

    /// The same as one statement that needs no boundary, with what goes with it; none where it is asked for its plan. `$1` are the
    /// parameters, the others those of `plank.holds`. Where rows are written as JSON without a boundary, it reads nothing if a type of the table is
    /// not built in: then the table has just been altered, and a cast may be another role's.
    pub fn alone(&self) -> Option<String> {
        let [total, rows, tag] = &self.columns;
        let is_plain = match self.is_plain {
            true => {
                "not exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) $2 \
                 and a.attnum operator(pg_catalog.>) 0 and a.atttypid operator(pg_catalog.>=) 16384)"
            }
            false => "true",
        };
        // `offset 0`: it is evaluated before what is asked for behind it.
        self.counting.is_none().then(|| {
            format!(
                "select r.snapshot, r.total, r.rows, r.tag, plank.newest()::pg_catalog.text, plank.identity(), \
                 r.is_plain and not pg_catalog.row_security_active($2), plank.holds($2, $3, $4, $5) from \
                 (select {is_plain} as is_plain offset 0) g, \
                 lateral (select {SNAPSHOT}, {total}, case when g.is_plain then {rows} end, case when g.is_plain then {tag} end, \
                 g.is_plain offset 0) r (snapshot, total, rows, tag, is_plain)"
            )
        })
    }
}

impl Read {
    /// Whether it is about one row by its whole key.
    pub fn is_of_one(&self) -> bool {
        whole_key(self.filter.as_ref(), &self.access.table).is_some()
    }

    /// `(x.a, x.b) operator(pg_catalog.<) (...)`: an index of these columns finds where it begins.
    fn behind(&self, values: &[String], params: &mut Params) -> String {
        let columns: Vec<String> = self
            .order
            .iter()
            .map(|s| format!("x.{}", quote(&s.column)))
            .collect();
        let typed = self.order.iter().zip(values).map(|(sort, value)| {
            let column = self.access.table.column(&sort.column);
            let own = column.map_or("pg_catalog.text", |c| c.type_name.as_str());
            format!("{}::{own}", params.add(value))
        });
        let typed: Vec<String> = typed.collect();
        let descends = self.order.first().is_some_and(|sort| sort.descending);
        let op = if descends { "<" } else { ">" };
        format!(
            "({}) operator(pg_catalog.{op}) ({})",
            columns.join(", "),
            typed.join(", ")
        )
    }

    /// `is_own`: nothing of other roles runs with it.
    pub(super) fn statement(&self, is_own: bool) -> Result<Statement, FilterError> {
        let mut params = Params::default();
        let mut rows = visible(self.filter.as_ref(), &self.access, &mut params)?;
        if let Some(values) = &self.behind {
            rows = format!("({rows}) and {}", self.behind(values, &mut params));
        }
        let from = format!("from {} x where {rows}", self.access.table.quoted);
        let mut page = format!("select {} {from}", list(&self.selected));
        page += &order_by(&self.order);
        // Writing into a String can't fail.
        let _ = write!(page, " limit {} offset {}", self.limit, self.offset);
        let total = match self.counting {
            Some(Counting::Exact) => format!("(select pg_catalog.count(*) {from})"),
            Some(Counting::Estimated) => {
                let most = REST_COUNT_MAX + 1;
                format!("(select pg_catalog.count(*) from (select {from} limit {most}) c)")
            }
            Some(Counting::Planned) | None => "null::pg_catalog.int8".into(),
        };
        let tag = match self.is_of_one() {
            true => format!("(select {} {from} limit 1)", tag(&self.access, is_own)),
            false => "null::pg_catalog.text".into(),
        };
        let row = self.form.of_row(&self.access.table, is_own);
        // What is too much is not kept: its place is null.
        let rows = format!(
            "array(select case when pg_catalog.sum(pg_catalog.octet_length(y.j)) over (rows unbounded preceding) \
             operator(pg_catalog.<=) {REST_BYTES_MAX} then y.j end from (select {row} as j from ({page}) r) y)"
        );
        Ok(Statement {
            columns: [total, rows, tag],
            is_plain: self.access.table.plain,
            counting: match self.counting {
                Some(Counting::Planned) => Some("planned"),
                Some(Counting::Estimated) => Some("estimated"),
                Some(Counting::Exact) | None => None,
            },
            count_query: format!("select {from}"),
            params: params.into_texts(),
        })
    }
}
