//! A filter as a condition in SQL, for statements that PostgreSQL decides alone. What live filters can do is written by
//! them; the rest is written here, with the column's own type.

use std::sync::Arc;

use crate::feed::Table;
use crate::feed::catalog::Column;
use crate::feed::filter::expr::{Op, ServerOp};
use crate::feed::filter::kind::{Collation, Letters};
use crate::feed::filter::sql::quote;
use crate::feed::filter::{Expr, Filter, FilterError, Kind};

use super::super::params::Params;

/// The condition that a filter puts on `x`.
///
/// # Errors
/// Names the column, and says why its value or its type can't be served.
pub fn condition(expr: &Expr, table: &Table, params: &mut Params) -> Result<String, FilterError> {
    let mut group = |members: &[Expr], word: &str, none: &str| {
        let parts = members.iter().map(|m| condition(m, table, params));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok(match parts.is_empty() {
            true => none.to_owned(),
            false => format!("({})", parts.join(word)),
        })
    };
    match expr {
        Expr::All(members) => group(members, " and ", "true"),
        Expr::Any(members) => group(members, " or ", "false"),
        Expr::Not(inner) => Ok(format!("not ({})", condition(inner, table, params)?)),
        leaf => {
            let column = column(leaf.parts().0, table)?;
            match by_server(leaf, column, params) {
                Some(condition) => Ok(condition),
                None => {
                    let filter = Filter::bind(&Arc::new(leaf.clone()), table)?;
                    Ok(params.filter(&filter))
                }
            }
        }
    }
}

fn column<'a>(name: &str, table: &'a Table) -> Result<&'a Column, FilterError> {
    table.column(name).ok_or_else(|| {
        let message = match name {
            _ if name.contains("->") => "paths into JSON are not served".to_owned(),
            _ if name.contains('.') => {
                "filters on other tables are not served; ask for each table by itself".to_owned()
            }
            _ => format!(
                "the table {} has no such column; GET /api/tables lists its columns",
                table.quoted
            ),
        };
        FilterError::new(name, message)
    })
}

/// Whether live filters leave a comparison to PostgreSQL.
fn is_left(kind: &Kind, op: Op) -> bool {
    let is_order = matches!(op, Op::Gt | Op::Gte | Op::Lt | Op::Lte);
    match kind {
        Kind::Json | Kind::Other => true,
        Kind::Text(Collation::Other, _) | Kind::Bpchar(Collation::Other, _) => true,
        Kind::Text(Collation::Deterministic, _) | Kind::Bpchar(Collation::Deterministic, _)
            if is_order =>
        {
            true
        }
        Kind::Enum(_) => is_order,
        Kind::Text(_, letters) | Kind::Bpchar(_, letters) => {
            op == Op::Ilike && matches!(letters, Letters::Default | Letters::Unknown)
        }
        _ => false,
    }
}

fn by_server(leaf: &Expr, column: &Column, params: &mut Params) -> Option<String> {
    let kind = &column.kind;
    let name = format!("x.{}", quote(&column.name));
    let own = own_type(column);
    match leaf {
        Expr::Compare { op, value, .. } if is_left(kind, *op) => Some(match op {
            Op::Like | Op::Ilike => {
                let operator = if *op == Op::Like { "~~" } else { "~~*" };
                let place = params.add(value.replace('*', "%"));
                format!("{name} operator(pg_catalog.{operator}) {place}")
            }
            _ => {
                let place = params.add(value);
                format!(
                    "{name} operator(pg_catalog.{}) {place}::{own}",
                    operator(*op)
                )
            }
        }),
        Expr::In { values, .. } if is_left(kind, Op::Eq) => {
            let place = params.add_list(values);
            Some(format!(
                "{name} operator(pg_catalog.=) any ({place}::pg_catalog.text[]::{own}[])"
            ))
        }
        Expr::Server {
            op, word, value, ..
        } => Some(match op {
            ServerOp::Each(operator, is_all) => {
                let is_pattern = operator.starts_with('~');
                let is_like = operator.starts_with("~~");
                let own = if is_pattern { "pg_catalog.text" } else { &own };
                let value = if is_like {
                    value.replace('*', "%")
                } else {
                    value.clone()
                };
                let place = params.add(value);
                let word = if *is_all { "all" } else { "any" };
                format!(
                    "{name} operator(pg_catalog.{operator}) {word} ({place}::pg_catalog.text[]::{own}[])"
                )
            }
            ServerOp::Operator(operator) if operator.starts_with('~') => {
                let place = params.add(value);
                format!("{name} operator(pg_catalog.{operator}) {place}")
            }
            ServerOp::Operator(operator) => {
                let place = params.add(value);
                format!("{name} operator(pg_catalog.{operator}) {place}::{own}")
            }
            ServerOp::IsDistinct => {
                let place = params.add(value);
                format!("{name} is distinct from {place}::{own}")
            }
            ServerOp::Words(function) => {
                let place = params.add(value);
                let inner = word
                    .split_once('(')
                    .map(|(_, rest)| rest.trim_end_matches(')'));
                let config = inner.map(|config| {
                    let place = params.add(config);
                    format!("{place}::pg_catalog.regconfig, ")
                });
                let config = config.unwrap_or_default();
                format!("{name} operator(pg_catalog.@@) pg_catalog.{function}({config}{place})")
            }
        }),
        _ => None,
    }
}

fn operator(op: Op) -> &'static str {
    match op {
        Op::Eq => "=",
        Op::Neq => "<>",
        Op::Gt => ">",
        Op::Gte => ">=",
        Op::Lt => "<",
        Op::Lte => "<=",
        Op::Like => "~~",
        Op::Ilike => "~~*",
    }
}

/// The type of a column without its modifier: a value that is too long is not equal to what is left of it.
fn own_type(column: &Column) -> String {
    let own = &column.type_name;
    let (Some(open), false) = (own.find('('), own.contains('"')) else {
        return own.clone();
    };
    let Some(close) = own[open..].find(')') else {
        return own.clone();
    };
    let stem = match own[..open].trim_end() {
        "character" => "pg_catalog.bpchar",
        "bit" => "pg_catalog.varbit",
        stem => stem,
    };
    format!("{stem}{}", &own[open + close + 1..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feed::filter::parse::{Builder, Dialect};

    fn table() -> Table {
        let column = |name: &str, kind: &str| {
            let base = kind.replace("(3)", "").replace("(10,2)", "");
            json!({"name": name, "type": kind, "base": base, "collation": "deterministic"})
        };
        serde_json::from_value(json!({
            "rel": 1, "schema": "public", "name": "t", "quoted": "public.t", "since": 0, "key": ["id"], "old_rows": true, "narrowed": false,
            "columns": [column("id", "bigint"), column("name", "text"), column("code", "character(3)"), column("tags", "text[]"),
                column("span", "int4range"), column("price", "numeric(10,2)[]")],
        }))
        .unwrap()
    }

    fn sql(name: &str, value: &str) -> (String, Vec<String>) {
        let mut builder = Builder::of(Dialect::Request);
        builder.push(name, value).unwrap();
        let mut params = Params::default();
        let text = condition(&builder.finish().unwrap(), &table(), &mut params).unwrap();
        (text, params.into_texts())
    }

    #[test]
    fn values_are_parameters_and_types_are_the_columns_own() {
        for (name, value, expected, params) in [
            (
                "id",
                "eq.7",
                "x.\"id\" operator(pg_catalog.=) $1[1]::pg_catalog.text::pg_catalog.int8",
                vec!["7"],
            ),
            (
                "name",
                "gt.b",
                "x.\"name\" operator(pg_catalog.>) $1[1]::text",
                vec!["b"],
            ),
            (
                "code",
                "gte.a",
                "x.\"code\" operator(pg_catalog.>=) $1[1]::pg_catalog.bpchar",
                vec!["a"],
            ),
            (
                "tags",
                "cs.{a,b}",
                "x.\"tags\" operator(pg_catalog.@>) $1[1]::text[]",
                vec!["{a,b}"],
            ),
            (
                "price",
                "eq.{1}",
                "x.\"price\" operator(pg_catalog.=) $1[1]::numeric[]",
                vec!["{1}"],
            ),
            (
                "name",
                "like(any).{a*,*b}",
                "x.\"name\" operator(pg_catalog.~~) any ($1[1]::pg_catalog.text[]::pg_catalog.text[])",
                vec!["{a%,%b}"],
            ),
            (
                "name",
                "fts(english).cat",
                "x.\"name\" operator(pg_catalog.@@) pg_catalog.to_tsquery($1[2]::pg_catalog.regconfig, $1[1])",
                vec!["cat", "english"],
            ),
            (
                "name",
                "is.not_null",
                "not (x.\"name\" is not distinct from null)",
                vec![],
            ),
            (
                "or",
                "(tags.ov.{a,b},span.adj.[1,5),id.lt.3)",
                "(x.\"tags\" operator(pg_catalog.&&) $1[1]::text[] or x.\"span\" operator(pg_catalog.-|-) $1[2]::int4range or \
                x.\"id\" operator(pg_catalog.<) $1[3]::pg_catalog.text::pg_catalog.int8)",
                vec!["{a,b}", "[1,5)", "3"],
            ),
        ] {
            let (text, found) = sql(name, value);
            assert_eq!(text, expected, "{name}={value}");
            assert_eq!(found, params, "{name}={value}");
        }
    }
}
