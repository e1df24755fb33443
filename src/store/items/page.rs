//! Pages of the list, filtered and sorted.

use std::fmt::Write as _;

use tokio_postgres::types::ToSql;

use super::super::pool::{Pool, StoreError};
use super::{Item, ROW, item};

/// A column that a list can be sorted by: all are indexed together with `id`.
pub const SORTS: [&str; 3] = ["created_at", "updated_at", "id"];

/// The columns that a list can be filtered by, with their types.
pub const COLUMNS: [(&str, &str); 7] = [
    ("id", "bigint"),
    ("name", "text"),
    ("description", "text"),
    ("status", "text"),
    ("version", "int"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
];

/// One condition: `column operator value`. All three have been checked: only the value comes from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// One of [`COLUMNS`].
    pub column: &'static str,
    /// Its type.
    pub type_name: &'static str,
    /// An operator of SQL.
    pub operator: &'static str,
    /// As text; PostgreSQL reads it as the column's type.
    pub value: String,
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// All have to hold.
    pub conditions: Vec<Condition>,
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
/// [`StoreError::Invalid`] names the column whose value does not fit its type.
pub async fn list(pool: &Pool, query: &Query) -> Result<Page, StoreError> {
    let client = pool.get().await?;
    let (order, compare) = if query.descending {
        ("desc", "<")
    } else {
        ("asc", ">")
    };
    let mut sql = format!(
        "select {ROW}, {}::text as place from public.items where true",
        query.sort
    );
    let mut params: Vec<&(dyn ToSql + Sync)> = Vec::new();
    for condition in &query.conditions {
        params.push(&condition.value);
        // Writing into a String can't fail.
        let _ = write!(
            sql,
            " and {} {} ${}::text::{}",
            condition.column,
            condition.operator,
            params.len(),
            condition.type_name
        );
    }
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
            // Class 22: data exception. The only data are the values of the query.
            Some(code) if code.starts_with("22") => {
                let text = error
                    .as_db_error()
                    .map(|db| db.message().to_owned())
                    .unwrap_or_default();
                let field = query
                    .conditions
                    .iter()
                    .find(|c| text.contains(&c.value))
                    .map_or("after", |c| c.column);
                StoreError::Invalid {
                    field: field.into(),
                    detail: text,
                }
            }
            _ => error.into(),
        }
    })?;
    let limit = query.limit as usize;
    let items: Vec<Item> = rows.iter().take(limit).map(item).collect();
    let next = (rows.len() > limit)
        .then(|| {
            rows.get(limit - 1)
                .map(|row| (row.get("place"), row.get("id")))
        })
        .flatten();
    Ok(Page { items, next })
}
