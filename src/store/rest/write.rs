//! Writing a table: one statement, with the policies before and after it.

use std::collections::HashSet;

use crate::feed::filter::sql::quote;
use crate::feed::filter::{Expr, FilterError};
use crate::feed::order::Sort;
use crate::limits::REST_BYTES_MAX;
use crate::trace::TraceParent;

use super::super::params::Params;
use super::candidate::{self, NONE_REFUSED, has_gaps, record, recordset};
use super::plan::{ALL, Access, Form, Rows, Selected, both, list, order_by, tag, visible};
use super::statement::Statement;

/// What becomes of a row that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// That is an error.
    Refuse,
    /// It stays, and the new one is left out. The columns of a unique constraint; none for any.
    Ignore(Vec<String>),
    /// It becomes the new one, as far as that has values. The columns of a unique constraint.
    Merge(Vec<String>),
    /// It becomes the new one, and what that has no value for gets its default.
    Replace(Vec<String>),
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Adds rows.
    Insert {
        /// The columns that have values.
        columns: Vec<String>,
        /// Each an object as the client wrote it, and its members.
        rows: Vec<(String, HashSet<String>)>,
        /// Whether a row without a value for one of the columns gets its default, and not null.
        defaults: bool,
        /// See [`Conflict`].
        conflict: Conflict,
    },
    /// Changes the rows of the filter.
    Update {
        /// The columns that get values.
        columns: Vec<String>,
        /// The object with them, as the client wrote it.
        values: String,
    },
    /// Takes the rows of the filter away.
    Delete,
}

/// A write.
#[derive(Clone, Debug)]
pub struct Write {
    /// To which table, and by whom.
    pub access: Access,
    /// What is done.
    pub action: Action,
    /// Of which rows; of an insert, which rows it is about.
    pub filter: Option<Expr>,
    /// Only rows with one of these entity tags.
    pub tags: Option<Vec<String>>,
    /// The columns of the rows that come back; none for no rows.
    pub returning: Option<Vec<Selected>>,
    /// In which order they come back; none for any.
    pub order: Vec<Sort>,
    /// How each row is written.
    pub form: Form,
    /// Whether the keys and the entity tag of what was written come back: it is one row.
    pub is_one: bool,
    /// Whether it is an error if not one row comes back.
    pub is_single: bool,
    /// More rows than these are an error.
    pub affected_max: Option<u64>,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
}

/// What the statements of an insert and of a change differ in.
struct Parts {
    /// The statement without `returning`.
    written: String,
    /// How many rows it must not touch.
    before: String,
    /// How many rows are there already, where that matters.
    existed: String,
    /// What has to hold of the rows behind it; `None` for anything.
    after: Option<String>,
    /// How many rows would be outside of the policy; `None` where that is not known before.
    candidates: Option<String>,
}

/// No count.
const NONE: &str = "null::pg_catalog.int8";

impl Write {
    pub(super) fn statement(&self) -> Result<Statement, FilterError> {
        let mut params = Params::default();
        let parts = match &self.action {
            Action::Insert {
                columns,
                rows,
                defaults,
                conflict,
            } => self.insert(columns, rows, *defaults, conflict, &mut params)?,
            Action::Update { columns, values } => {
                let values = record(columns, values, &self.access, &mut params);
                let set: Vec<String> = columns
                    .iter()
                    .map(|c| format!("{0} = r.{0}", quote(c)))
                    .collect();
                let head = format!(
                    "update {} as x set {} from {values}",
                    self.access.table.quoted,
                    set.join(", ")
                );
                let set = self
                    .is_decided()
                    .then_some((columns.as_slice(), values.as_str()));
                self.change(&head, &self.access.update, &mut params, set)?
            }
            Action::Delete => {
                let head = format!("delete from {} as x", self.access.table.quoted);
                let parts = self.change(&head, &self.access.delete, &mut params, None)?;
                // A row that is gone has to be in no policy.
                Parts {
                    after: None,
                    ..parts
                }
            }
        };
        let see = match self.action {
            // They were seen before.
            Action::Delete => None,
            _ => self.access.see.as_deref(),
        };
        let see = see.map_or_else(|| ALL.to_owned(), |rows| params.filter(rows));
        let rows = match &self.returning {
            Some(selected) => format!(
                "array(select case when pg_catalog.sum(pg_catalog.octet_length(y.j)) over (rows unbounded preceding) \
                 operator(pg_catalog.<=) {REST_BYTES_MAX} then y.j end from (select {} as j from \
                 (select {} from w x where {see}{}) r) y)",
                self.form.of_row(&self.access.table, false),
                list(selected),
                order_by(&self.order)
            ),
            None => "null::pg_catalog.text[]".into(),
        };
        let (keys, tag) = match self.is_one && !self.access.table.key.is_empty() {
            true => {
                let key = |name: &String| format!("pg_catalog.format('%s', x.{})", quote(name));
                let keys: Vec<String> = self.access.table.key.iter().map(key).collect();
                (
                    format!("(select array[{}] from w x limit 1)", keys.join(", ")),
                    format!(
                        "(select {} from w x where {see} limit 1)",
                        tag(&self.access, false)
                    ),
                )
            }
            false => (
                "null::pg_catalog.text[]".into(),
                "null::pg_catalog.text".into(),
            ),
        };
        let Parts {
            written,
            before,
            existed,
            after,
            candidates,
        } = parts;
        let mut refused = before;
        let mut first = String::new();
        if let Some(candidates) = candidates {
            first = format!("c as materialized ({candidates}), ");
            refused += " operator(pg_catalog.+) (select n from c)";
        }
        if let Some(after) = after {
            refused += &format!(
                " operator(pg_catalog.+) (select pg_catalog.count(*) from w x where not coalesce({after}, false))"
            );
        }
        Ok(Statement {
            with: format!("with {first}w as ({written} returning x.*)"),
            columns: [
                "(select pg_catalog.count(*) from w)".into(),
                refused,
                existed,
                rows,
                keys,
                tag,
            ],
            params: params.into_texts(),
            expected: match &self.action {
                Action::Insert {
                    rows,
                    conflict: Conflict::Merge(_) | Conflict::Replace(_),
                    ..
                } => rows.len() as i64,
                // That a row was left out would tell of it.
                Action::Insert {
                    rows,
                    conflict: Conflict::Ignore(_),
                    ..
                } if !self.is_decided() => rows.len() as i64,
                _ => 0,
            },
        })
    }

    fn change(
        &self,
        head: &str,
        may: &Rows,
        params: &mut Params,
        set: Option<(&[String], &str)>,
    ) -> Result<Parts, FilterError> {
        let seen = visible(self.filter.as_ref(), &self.access, params)?;
        let seen = match self.has_tag(params) {
            Some(tag) => format!("({seen}) and {tag}"),
            None => seen,
        };
        let allowed = may.as_deref().map(|rows| params.filter(rows));
        let quoted = &self.access.table.quoted;
        let before = match &allowed {
            Some(allowed) => format!(
                "(select pg_catalog.count(*) from {quoted} x where ({seen}) and not coalesce({allowed}, false))"
            ),
            None => "0::pg_catalog.int8".into(),
        };
        let mut rows = both(Some(seen), allowed.clone()).unwrap_or_else(|| ALL.into());
        let table = &self.access.table;
        let candidates = set.and_then(|(columns, values)| {
            let set = candidate::updated(table, columns, values, Some(&rows));
            candidate::refused(&set, may, params)
        });
        if candidates.is_some() {
            rows = format!("{rows} and {NONE_REFUSED}");
        }
        Ok(Parts {
            written: format!("{head} where {rows}"),
            before,
            existed: NONE.into(),
            after: allowed,
            candidates,
        })
    }

    fn has_tag(&self, params: &mut Params) -> Option<String> {
        let tags = self.tags.as_ref()?;
        let place = params.add_list(tags);
        Some(format!(
            "{} operator(pg_catalog.=) any ({place}::pg_catalog.text[])",
            tag(&self.access, false)
        ))
    }

    fn insert(
        &self,
        columns: &[String],
        rows: &[(String, HashSet<String>)],
        defaults: bool,
        conflict: &Conflict,
        params: &mut Params,
    ) -> Result<Parts, FilterError> {
        let access = &self.access;
        let names: Vec<String> = columns.iter().map(|c| quote(c)).collect();
        let mut sql = format!("insert into {} as x ", access.table.quoted);
        let mut candidates = None;
        if columns.is_empty() {
            sql.push_str("default values");
        } else if has_gaps(columns, rows, defaults) {
            let one = |(text, members): &(String, HashSet<String>)| {
                let given: Vec<String> = columns
                    .iter()
                    .filter(|c| members.contains(*c))
                    .cloned()
                    .collect();
                let record = record(&given, text, access, params);
                let value = |name: &String| match members.contains(name) {
                    true => format!("(select r.{} from {record})", quote(name)),
                    false => "default".into(),
                };
                let values: Vec<String> = columns.iter().map(value).collect();
                format!("({})", values.join(", "))
            };
            let values: Vec<String> = rows.iter().map(one).collect();
            sql += &format!("({}) values {}", names.join(", "), values.join(", "));
        } else {
            let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
            let set = recordset(columns, &format!("[{}]", texts.join(",")), access, params);
            let values: Vec<String> = names.iter().map(|n| format!("r.{n}")).collect();
            let select = format!("select {} from {set}", values.join(", "));
            if self.is_decided() {
                candidates = candidate::refused(&select, &access.insert, params);
            }
            sql += &format!("({}) {select}", names.join(", "));
            if candidates.is_some() {
                sql += &format!(" where {NONE_REFUSED}");
            }
        }
        let mut after = access.insert.as_deref().map(|rows| params.filter(rows));
        let mut existed = NONE.to_owned();
        let (target, set): (&[String], Option<Vec<&String>>) = match conflict {
            Conflict::Refuse => (&[], None),
            Conflict::Ignore(target) => (target, Some(Vec::new())),
            Conflict::Merge(target) => (target, Some(columns.iter().collect())),
            Conflict::Replace(target) => {
                let all = access.table.columns.iter();
                let free = all.filter(|c| c.fixed.is_none() && !target.contains(&c.name));
                let free: Vec<&String> = free.map(|c| &c.name).collect();
                let set = if free.is_empty() {
                    columns.iter().collect()
                } else {
                    free
                };
                (target, Some(set))
            }
        };
        if let Some(set) = set {
            let target: Vec<String> = target.iter().map(|c| quote(c)).collect();
            sql += " on conflict";
            if !target.is_empty() {
                sql += &format!(" ({})", target.join(", "));
            }
            if matches!(conflict, Conflict::Ignore(_)) {
                sql += " do nothing";
            } else {
                let set: Vec<String> = set
                    .iter()
                    .map(|c| format!("{0} = excluded.{0}", quote(c)))
                    .collect();
                let update = access.update.as_deref().map(|rows| params.filter(rows));
                let see = access.see.as_deref().map(|rows| params.filter(rows));
                let may = both(both(see, update.clone()), self.has_tag(params));
                let may = may.unwrap_or_else(|| ALL.into());
                sql += &format!(" do update set {} where {may}", set.join(", "));
                after = both(after, update);
            }
        }
        if self.filter.is_some() {
            let seen = visible(self.filter.as_ref(), access, params)?;
            existed = format!(
                "(select pg_catalog.count(*) from {} x where {seen})",
                access.table.quoted
            );
        }
        Ok(Parts {
            written: sql,
            before: "0::pg_catalog.int8".into(),
            existed,
            after,
            candidates,
        })
    }

    /// Whether it is known before the write whether the policy allows it. If not, a collision tells nothing: it is answered like a
    /// row that the policy does not allow.
    pub(super) fn is_decided(&self) -> bool {
        let Access {
            table,
            insert,
            update,
            ..
        } = &self.access;
        match &self.action {
            Action::Insert {
                columns,
                rows,
                defaults,
                ..
            } => {
                !has_gaps(columns, rows, *defaults)
                    && candidate::is_decided(insert, columns)
                    && candidate::is_decided(update, columns)
            }
            Action::Update { .. } => candidate::is_decided(update, &candidate::known(table)),
            Action::Delete => true,
        }
    }
}
