//! The query of `GET /api/items`: filters in PostgREST's words, order, limit, and the place where a page begins.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::store::StoreError;
use crate::store::items::{COLUMNS, Condition, Query, SORTS};

use super::problem::Problem;

/// Conditions of one request.
const CONDITIONS_MAX: usize = 20;

/// The operators that compare, and what they are in SQL.
pub const OPERATORS: [(&str, &str); 6] = [
    ("eq", "="),
    ("neq", "<>"),
    ("gt", ">"),
    ("gte", ">="),
    ("lt", "<"),
    ("lte", "<="),
];

/// Reads a query string.
///
/// # Errors
/// 400 names the parameter that is wrong.
pub fn parse(text: &str) -> Result<Query, Problem> {
    let mut query = Query {
        conditions: Vec::new(),
        sort: "created_at",
        descending: true,
        after: None,
        limit: PAGE_ROWS_DEFAULT,
    };
    let (mut after, mut seen) = (None, HashSet::new());
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if matches!(&*name, "limit" | "order" | "after") && !seen.insert(name.clone()) {
            return Err(Problem::malformed(&name, "is there twice"));
        }
        match &*name {
            "limit" => query.limit = limit(&value)?,
            "order" => (query.sort, query.descending) = order(&value)?,
            "after" => after = Some(value.into_owned()),
            column => query.conditions.push(condition(column, &value)?),
        }
    }
    if query.conditions.len() > CONDITIONS_MAX {
        return Err(Problem::malformed(
            "query",
            format!("has more than {CONDITIONS_MAX} conditions"),
        ));
    }
    query.after = after.map(|text| place(&query, &text)).transpose()?;
    Ok(query)
}

fn limit(value: &str) -> Result<u32, Problem> {
    let limit = value
        .parse()
        .ok()
        .filter(|n| (1..=PAGE_ROWS_MAX).contains(n));
    limit.ok_or_else(|| {
        Problem::malformed(
            "limit",
            format!("is {value:?}; it has to be a number from 1 to {PAGE_ROWS_MAX}"),
        )
    })
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

fn condition(name: &str, value: &str) -> Result<Condition, Problem> {
    let Some((column, type_name)) = COLUMNS.into_iter().find(|(column, _)| *column == name) else {
        let columns = COLUMNS.map(|(column, _)| column).join(", ");
        return Err(Problem::malformed(
            name,
            format!("is no column of items that can be filtered by; these are {columns}"),
        ));
    };
    let (word, value) = value.split_once('.').unwrap_or((value, ""));
    if value.contains('\0') {
        return Err(Problem::malformed(name, "can't hold the character U+0000"));
    }
    let Some((_, operator)) = OPERATORS.into_iter().find(|(w, _)| *w == word) else {
        let words = OPERATORS.map(|(word, _)| word).join(", ");
        return Err(Problem::malformed(
            name,
            format!("has no operator {word:?}; write {name}=eq.VALUE, or one of {words}"),
        ));
    };
    Ok(Condition {
        column,
        type_name,
        operator,
        value: value.to_owned(),
    })
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
        let query =
            parse("status=eq.open&created_at=gte.2026-01-01&order=updated_at.asc&limit=7").unwrap();
        assert_eq!(
            (
                query.sort,
                query.descending,
                query.limit,
                query.conditions.len()
            ),
            ("updated_at", false, 7, 2)
        );
        assert_eq!(query.conditions[0].operator, "=");
        assert_eq!(
            parse("name=eq.a+b%26.c").unwrap().conditions[0].value,
            "a b&.c"
        );
    }

    #[test]
    fn a_page_cursor_belongs_to_its_order() {
        let query = parse("order=id.desc").unwrap();
        let after = page_cursor(&query, &("7".into(), 7));
        assert_eq!(
            parse(&format!("order=id.desc&after={after}"))
                .unwrap()
                .after,
            Some(("7".into(), 7))
        );
        assert!(parse(&format!("order=id.asc&after={after}")).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, field) in [
            ("nope=eq.1", "nope"),
            ("status=open", "status"),
            ("status=like.a*", "status"),
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
                serde_json::from_str(&parse(query).unwrap_err().json()).unwrap();
            assert_eq!(
                (&body["status"], &body["errors"][0]["field"]),
                (&400.into(), &field.into()),
                "{query}"
            );
        }
    }
}
