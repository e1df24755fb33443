//! Pages of the list, filtered and sorted.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::json;
use tokio_postgres::types::ToSql;

use crate::feed::Table;
use crate::feed::filter::Filter;

use super::super::param::as_sql;
use super::super::pool::{Pool, StoreError};
use super::{Guard, Item, item};

/// A column that a list can be sorted by: all are indexed together with `id`.
pub const SORTS: [&str; 3] = ["created_at", "updated_at", "id"];

/// The columns that a list can be filtered by, with their types.
const COLUMNS: [(&str, &str); 8] = [
    ("id", "bigint"),
    ("name", "text"),
    ("description", "text"),
    ("status", "text"),
    ("data", "jsonb"),
    ("version", "integer"),
    ("created_at", "timestamp with time zone"),
    ("updated_at", "timestamp with time zone"),
];

/// The table for filters. PostgreSQL decides them here, so they may also ask for what only it can decide: the order of
/// texts in the collation of the database, and the lower case of letters.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let column = |(name, kind): (&str, &str)| json!({"name": name, "type": kind, "base": kind, "collation": "bytes", "letters": "ascii"});
    let table = json!({
        "rel": 0, "schema": "public", "name": "items", "quoted": "public.items", "since": 0, "key": ["id"],
        "old_rows": true, "narrowed": false, "columns": COLUMNS.map(column),
    });
    serde_json::from_value(table).expect("it is written above")
});

/// A page of the list.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which rows; none for all.
    pub filter: Option<Filter>,
    /// One of [`SORTS`].
    pub sort: &'static str,
    /// Largest first.
    pub descending: bool,
    /// The sort value, as text, and the id of the last row of the page before.
    pub after: Option<(String, i64)>,
    /// Rows.
    pub limit: u32,
}

/// The rows of a page, and the place of the last one if there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of the query.
    pub items: Vec<Item>,
    /// For [`Query::after`].
    pub next: Option<(String, i64)>,
}

/// A page of rows. Sorted by the column and the id, so that no row is missed or shown twice between pages.
///
/// # Errors
/// [`StoreError::Invalid`] if [`Query::after`] is no place in the list.
pub async fn list(pool: &Pool, guard: &Guard, query: &Query) -> Result<Page, StoreError> {
    let client = pool.get().await?;
    let (order, compare) = if query.descending {
        ("desc", "<")
    } else {
        ("asc", ">")
    };
    let mut sql = format!(
        "select id, version, row_to_json(x)::text as json, {}::text as place from public.items x where true",
        query.sort
    );
    let mut values = Vec::new();
    let allowed = guard.rows();
    for filter in [query.filter.as_ref(), allowed.as_deref()]
        .into_iter()
        .flatten()
    {
        let (condition, more) = filter.sql(values.len() + 1);
        // Writing into a String can't fail.
        let _ = write!(sql, " and ({condition})");
        values.extend(more);
    }
    let mut params: Vec<&(dyn ToSql + Sync)> = as_sql(&values).collect();
    if let Some((place, id)) = &query.after {
        params.extend([place as &(dyn ToSql + Sync), id]);
        let sort_type = COLUMNS
            .iter()
            .find(|(name, _)| *name == query.sort)
            .map_or("text", |(_, t)| t);
        let (n, sort) = (params.len(), query.sort);
        let _ = write!(
            sql,
            " and ({sort}, id) {compare} (${}::text::{sort_type}, ${n}::bigint)",
            n - 1
        );
    }
    let one_more = i64::from(query.limit) + 1;
    params.push(&one_more);
    let _ = write!(
        sql,
        " order by {} {order}, id {order} limit ${}",
        query.sort,
        params.len()
    );

    // Not kept as a prepared statement: clients choose the conditions, so there would be no end of them.
    let rows = client.query(&sql, &params).await.map_err(|error| {
        match error.as_db_error().map(|db| db.code().code()) {
            // Class 22: data exception. The values of the filter have been read, so it is the place.
            Some(code) if code.starts_with("22") => StoreError::Invalid {
                field: "after".into(),
                detail: "is no page cursor of this list".into(),
            },
            _ => error.into(),
        }
    })?;
    guard.holds(&*client).await?;
    let limit = query.limit as usize;
    let items = rows.iter().take(limit).map(item);
    let items: Vec<Item> = items
        .map(|item| guard.show(item))
        .collect::<Result<_, _>>()?;
    let next = (rows.len() > limit)
        .then(|| {
            rows.get(limit - 1)
                .map(|row| (row.get("place"), row.get("id")))
        })
        .flatten();
    Ok(Page { items, next })
}
