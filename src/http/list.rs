//! The query of `GET /api/items`: filters in PostgREST's words, order, limit, and the place where a page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::feed::filter::Filter;
use crate::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::store::StoreError;
use crate::store::items::{Guard, Query, SORTS, TABLE};
use crate::wire::message::Refusal;

use super::problem::Problem;
use super::query::{self, refused};

/// Reads the query string of a request.
///
/// # Errors
/// 400 names the parameter that is wrong.
pub fn parse(text: &str, guard: &Guard) -> Result<Query, Problem> {
    let asked = query::parse("", text, &["limit", "order", "after"]).map_err(refused)?;
    let limit = asked.number("limit", 1..=PAGE_ROWS_MAX as usize)?;
    let (sort, descending) = match asked.get("order") {
        Some(order) => self::order(order)?,
        None if guard.has_column("created_at") => ("created_at", true),
        None => ("id", true),
    };
    let filter = asked.wanted.filter.as_ref();
    let filter = filter.map(|expr| Filter::bind(expr, &TABLE)).transpose();
    let mut query = Query {
        filter: filter.map_err(|e| refused(Refusal::filter("", e)))?,
        sort,
        descending,
        after: None,
        limit: limit.map_or(PAGE_ROWS_DEFAULT, |limit| limit as u32),
    };
    check(&query, guard)?;
    let place = |text| place(&query, text);
    query.after = asked.get("after").map(place).transpose()?;
    Ok(query)
}

/// What may not be seen may not be asked for: the order of rows, and which there are, would tell it.
///
/// # Errors
/// 400 names the column, as if it were not there.
fn check(query: &Query, guard: &Guard) -> Result<(), Problem> {
    let leaves = query.filter.as_ref().map(|filter| filter.expr().leaves());
    let named = leaves.into_iter().flatten().map(|leaf| leaf.parts().0);
    if let Some(name) = named.into_iter().find(|name| !guard.has_column(name)) {
        let detail = "the table has no such column; GET /api/tables lists its columns";
        return Err(Problem::malformed(name, detail));
    }
    if !guard.has_column(query.sort) {
        return Err(Problem::malformed(
            "order",
            format!("there is no column {:?}", query.sort),
        ));
    }
    Ok(())
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

/// In a query a value that does not fit is the request's mistake, not the entity's.
pub fn problem(error: StoreError) -> Problem {
    match error {
        StoreError::Invalid { field, detail } => Problem::malformed(&field, detail),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read() {
        let query = parse(
            "status=eq.open&created_at=gte.2026-01-01&order=updated_at.asc&limit=7",
            &Guard::default(),
        )
        .unwrap();
        assert_eq!(
            (query.sort, query.descending, query.limit),
            ("updated_at", false, 7)
        );
        let (condition, params) = query.filter.unwrap().sql(1);
        assert!(
            condition.contains("x.\"status\" operator(pg_catalog.=) $"),
            "{condition}"
        );
        assert_eq!(params.len(), 2);
        assert!(
            parse(
                "or=(name.ilike.*a*,id.in.(1,2))&name=gt.b",
                &Guard::default()
            )
            .is_ok()
        );
    }

    #[test]
    fn a_page_cursor_belongs_to_its_order() {
        let query = parse("order=id.desc", &Guard::default()).unwrap();
        let after = page_cursor(&query, &("7".into(), 7));
        assert_eq!(
            parse(&format!("order=id.desc&after={after}"), &Guard::default())
                .unwrap()
                .after,
            Some(("7".into(), 7))
        );
        assert!(parse(&format!("order=id.asc&after={after}"), &Guard::default()).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, field) in [
            ("nope=eq.1", "nope"),
            ("status=open", "status"),
            ("id=like.a*", "id"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
            ("order=name", "order"),
            ("order=id.up", "order"),
            ("after=abc", "after"),
            ("name=eq.%00", "name"),
            ("data=eq.1", "data"),
        ] {
            let body: serde_json::Value =
                serde_json::from_str(&parse(query, &Guard::default()).unwrap_err().json()).unwrap();
            assert_eq!(
                (&body["status"], &body["errors"][0]["field"]),
                (&400.into(), &field.into()),
                "{query}"
            );
        }
    }
}
