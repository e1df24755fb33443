//! The query of `GET /api/items`: filters in PostgREST's words, order, limit, and the place where a page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::feed::Table;
use crate::feed::filter::Expr;
use crate::feed::order::Sort;
use crate::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};

use super::super::problem::Problem;
use super::super::query::{self, refused};

/// A column that a list can be sorted by: all are indexed together with `id`.
pub const SORTS: [&str; 3] = ["created_at", "updated_at", "id"];

/// A page of the list.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which rows; none for all.
    pub filter: Option<Expr>,
    /// One of [`SORTS`].
    pub sort: &'static str,
    /// Largest first.
    pub descending: bool,
    /// The sort value, as text, and the id of the last row of the page before.
    pub after: Option<(String, i64)>,
    /// Rows.
    pub limit: usize,
}

impl Query {
    /// The order of the rows: no row has the same place as another.
    pub fn order(&self) -> Vec<Sort> {
        let by = |column: &str| Sort {
            column: column.to_owned(),
            descending: self.descending,
            nulls_first: self.descending,
        };
        match self.sort {
            "id" => vec![by("id")],
            sort => vec![by(sort), by("id")],
        }
    }

    /// The values of that order at the place where the page begins.
    pub fn behind(&self) -> Option<Vec<String>> {
        let (value, id) = self.after.as_ref()?;
        Some(match self.sort {
            "id" => vec![id.to_string()],
            _ => vec![value.clone(), id.to_string()],
        })
    }
}

/// Reads the query string of a request. Columns of the filter are looked at when it becomes a statement.
///
/// # Errors
/// 400 names the parameter that is wrong.
pub fn parse(text: &str, table: &Table) -> Result<Query, Problem> {
    let asked = query::parse("", text, &["limit", "order", "after"]).map_err(refused)?;
    let limit = asked.number("limit", 1..=PAGE_ROWS_MAX as usize)?;
    let (sort, descending) = match asked.get("order") {
        Some(order) => self::order(order)?,
        None if table.has_column("created_at") => ("created_at", true),
        None => ("id", true),
    };
    // What may not be seen may not be asked for: the order of the rows would tell it.
    if !table.has_column(sort) {
        let detail = format!("there is no column {sort:?}");
        return Err(Problem::malformed("order", detail));
    }
    let mut query = Query {
        filter: asked.wanted.filter.as_deref().cloned(),
        sort,
        descending,
        after: None,
        limit: limit.unwrap_or(PAGE_ROWS_DEFAULT as usize),
    };
    let place = |text| place(&query, text);
    query.after = asked.get("after").map(place).transpose()?;
    Ok(query)
}

fn order(value: &str) -> Result<(&'static str, bool), Problem> {
    let (column, direction) = value.split_once('.').unwrap_or((value, "asc"));
    let sort = SORTS.into_iter().find(|s| *s == column);
    match (sort, direction) {
        (Some(sort), "asc") => Ok((sort, false)),
        (Some(sort), "desc") => Ok((sort, true)),
        _ => Err(Problem::malformed(
            "order",
            format!(
                "is {value:?}; it is one of {}, with .asc or .desc",
                SORTS.join(", ")
            ),
        )),
    }
}

/// What a client passes as `after` to get the next page: opaque, and good for the same order only.
pub fn page_cursor(query: &Query, (value, id): &(String, i64)) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!([query.sort, query.descending, value, id]).to_string())
}

fn place(query: &Query, text: &str) -> Result<(String, i64), Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let (sort, descending, value, id): (String, bool, String, i64) = serde_json::from_slice(&bytes)
        .map_err(|_| {
            Problem::malformed(
                "after",
                "is no page cursor; pass the next of the page before, unchanged",
            )
        })?;
    if (sort.as_str(), descending) != (query.sort, query.descending) || value.contains('\0') {
        return Err(Problem::malformed(
            "after",
            "belongs to a list in another order",
        ));
    }
    Ok((value, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |(name, kind): (&str, &str)| serde_json::json!({"name": name, "type": kind, "base": kind});
        let columns = [
            ("id", "bigint"),
            ("created_at", "timestamp with time zone"),
            ("updated_at", "timestamp with time zone"),
        ];
        let table = serde_json::json!({
            "rel": 0, "schema": "public", "name": "items", "quoted": "public.items", "since": 0, "key": ["id"],
            "old_rows": true, "narrowed": false, "columns": columns.map(column),
        });
        serde_json::from_value(table).unwrap()
    }

    fn read(text: &str) -> Result<Query, Problem> {
        parse(text, &table())
    }

    #[test]
    fn a_query_is_read() {
        let query =
            read("status=eq.open&created_at=gte.2026-01-01&order=updated_at.asc&limit=7").unwrap();
        assert_eq!(
            (query.sort, query.descending, query.limit),
            ("updated_at", false, 7)
        );
        assert_eq!(query.filter.unwrap().leaves().len(), 2);
        assert!(read("or=(name.ilike.*a*,id.in.(1,2))&name=gt.b").is_ok());
        let hidden = Table {
            columns: Vec::new(),
            ..table()
        };
        assert!(parse("order=created_at", &hidden).is_err());
    }

    #[test]
    fn a_page_cursor_belongs_to_its_order() {
        let query = read("order=id.desc").unwrap();
        let after = page_cursor(&query, &("7".into(), 7));
        let next = read(&format!("order=id.desc&after={after}")).unwrap();
        assert_eq!(next.behind(), Some(vec!["7".into()]));
        assert!(read(&format!("order=id.asc&after={after}")).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, field) in [
            ("status=open", "status"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
            ("order=name", "order"),
            ("order=id.up", "order"),
            ("after=abc", "after"),
            ("name=eq.%00", "name"),
        ] {
            let body: serde_json::Value =
                serde_json::from_str(&read(query).unwrap_err().json()).unwrap();
            assert_eq!(
                (&body["status"], &body["errors"][0]["field"]),
                (&400.into(), &field.into()),
                "{query}"
            );
        }
    }
}
