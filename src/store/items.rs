//! The table `public.items`. Rows leave as JSON text that PostgreSQL wrote, the same as on the WebSocket.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json, ToSql};

use super::pool::{Pool, StoreError};

mod guard;
mod page;

pub use guard::Guard;

pub use page::{Page, Query, SORTS, TABLE, list};

/// A row, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The primary key.
    pub id: i64,
    /// Rises with every update.
    pub version: i32,
    /// The whole row.
    pub json: String,
}

/// What a request wants to write. A member that is none stays as it is, or has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    /// 1 to 200 characters.
    pub name: Option<String>,
    /// Any text; the inner none is null.
    pub description: Option<Option<String>>,
    /// `open`, `active` or `done`.
    pub status: Option<String>,
    /// An object. In [`Write::Merge`] a merge patch (RFC 7396).
    pub data: Option<serde_json::Value>,
}

/// How an update treats what is not mentioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// PUT: it gets its default.
    Replace,
    /// PATCH: it stays.
    Merge,
}

/// Which versions a request accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// One of these (`If-Match`); none for any.
    pub only: Option<Vec<i32>>,
    /// None of these (`If-None-Match`).
    pub except: Vec<i32>,
    /// None at all: there must be no row (`If-None-Match: *`).
    pub no_row: bool,
}

impl Expect {
    fn accepts(&self, version: i32) -> bool {
        let is_one = self
            .only
            .as_ref()
            .is_none_or(|list| list.contains(&version));
        is_one && !self.no_row && !self.except.contains(&version)
    }
}

/// What became of an update or a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the row as it is now, or as it was before it was deleted.
    Done(Item),
    /// Done, and what has become of the row is not for whoever did it.
    Hidden(i64),
    /// Whoever asks may not do that with this row. Nothing was done.
    Forbidden,
    /// There is no such row.
    Missing,
    /// The row has another version than was expected.
    Changed(Item),
}

const ROW: &str = "id, version, row_to_json(items)::text as json";

fn item(row: &Row) -> Item {
    Item {
        id: row.get("id"),
        version: row.get("version"),
        json: row.get("json"),
    }
}

/// What a violated constraint or a value that does not fit means for the client.
fn write_error(error: tokio_postgres::Error) -> StoreError {
    let invalid = |field: &str, detail: &str| StoreError::Invalid {
        field: field.into(),
        detail: detail.into(),
    };
    match error.as_db_error() {
        Some(db) if *db.code() == SqlState::CHECK_VIOLATION => match db.constraint() {
            Some("items_name_length") => invalid("name", "has to have 1 to 200 characters"),
            Some("items_status_known") => invalid("status", "has to be open, active or done"),
            Some("items_data_object") => invalid("data", "has to be an object"),
            _ => error.into(),
        },
        Some(db) if *db.code() == SqlState::UNTRANSLATABLE_CHARACTER => {
            invalid("data", "can't hold the character U+0000")
        }
        // A number in data that numeric can't hold.
        Some(db) if *db.code() == SqlState::NUMERIC_VALUE_OUT_OF_RANGE => {
            invalid("data", "has a number out of range")
        }
        _ => error.into(),
    }
}

/// Adds a row.
///
/// # Errors
/// [`StoreError::Invalid`] names the member that the table refuses.
pub async fn create(pool: &Pool, guard: &Guard, fields: &Fields) -> Result<Outcome, StoreError> {
    let mut client = pool.get().await?;
    let sql = format!(
        "insert into public.items (name, description, status, data) \
         values ($1, $2, coalesce($3, 'open'), coalesce($4::jsonb, '{{}}')) returning {ROW}"
    );
    let statement = client.prepare_cached(&sql).await?;
    let transaction = client.transaction().await?;
    let (name, description) = (
        fields.name.as_deref().unwrap_or_default(),
        fields.description.clone().flatten(),
    );
    let data = fields.data.as_ref().map(Json);
    let row = transaction
        .query_one(&statement, &[&name, &description, &fields.status, &data])
        .await
        .map_err(write_error)?;
    let made = item(&row);
    if !guard.may_write(&made)? {
        return Ok(Outcome::Forbidden);
    }
    guard.holds(&transaction).await?;
    transaction.commit().await?;
    guard.shown(made)
}

/// One row.
///
/// # Errors
/// When the database is away.
pub async fn get(pool: &Pool, guard: &Guard, id: i64) -> Result<Option<Item>, StoreError> {
    let client = pool.get().await?;
    let statement = client
        .prepare_cached(&format!("select {ROW} from public.items where id = $1"))
        .await?;
    let found = client.query_opt(&statement, &[&id]).await?;
    guard.holds(&client).await?;
    let found = found.as_ref().map(item);
    match found {
        Some(item) if guard.may_see(&item)? => guard.show(item).map(Some),
        _ => Ok(None),
    }
}

/// The row, locked, if there is one of an expected version.
async fn lock(
    client: &impl GenericClient,
    guard: &Guard,
    id: i64,
    expect: &Expect,
) -> Result<Result<Item, Outcome>, StoreError> {
    let sql = format!("select {ROW} from public.items where id = $1 for update");
    Ok(
        match client.query_opt(&sql, &[&id]).await?.as_ref().map(item) {
            None => Err(Outcome::Missing),
            // Whatever it is, nothing of it is told.
            Some(found) if !guard.may_see(&found)? => Err(Outcome::Missing),
            Some(found) if !guard.may_write(&found)? => Err(Outcome::Forbidden),
            Some(found) if !expect.accepts(found.version) => Err(Outcome::Changed(found)),
            Some(found) => Ok(found),
        },
    )
}

/// Changes a row.
///
/// # Errors
/// [`StoreError::Invalid`] names the member that the table refuses.
pub async fn update(
    pool: &Pool,
    guard: &Guard,
    id: i64,
    fields: &Fields,
    write: Write,
    expect: &Expect,
) -> Result<Outcome, StoreError> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let found = match lock(&transaction, guard, id, expect).await? {
        Ok(found) => found,
        Err(outcome) => return Ok(outcome),
    };
    let mut fields = fields.clone();
    if write == Write::Merge {
        merge_fields(&mut fields, &found.json)?;
    }
    let otherwise = if write == Write::Merge {
        "data"
    } else {
        "'{}'"
    };
    let sql = format!(
        "update public.items set name = $2, description = $3, status = coalesce($4, 'open'), \
         data = coalesce($5::jsonb, {otherwise}) where id = $1 returning {ROW}"
    );
    let (name, description) = (
        fields.name.as_deref().unwrap_or_default(),
        fields.description.flatten(),
    );
    let data = fields.data.as_ref().map(Json);
    let params: [&(dyn ToSql + Sync); 5] = [&id, &name, &description, &fields.status, &data];
    let row = transaction
        .query_one(&sql, &params)
        .await
        .map_err(write_error)?;
    let changed = item(&row);
    if !guard.may_write(&changed)? {
        return Ok(Outcome::Forbidden);
    }
    guard.holds(&transaction).await?;
    transaction.commit().await?;
    guard.shown(changed)
}

/// Fills in what a merge patch leaves as it is. `data` stays unread, and so as it is in the table, unless it is patched.
fn merge_fields(fields: &mut Fields, old: &str) -> Result<(), StoreError> {
    #[derive(serde::Deserialize)]
    struct Old<'a> {
        name: String,
        description: Option<String>,
        status: String,
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    let old: Old<'_> = serde_json::from_str(old)
        .map_err(|e| StoreError::Internal(format!("a row of items is no JSON: {e}")))?;
    fields.name.get_or_insert(old.name);
    fields.description.get_or_insert(old.description);
    fields.status.get_or_insert(old.status);
    if let Some(patch) = fields.data.take() {
        let mut data = serde_json::from_str(old.data.get()).map_err(|_| StoreError::Invalid {
            field: "data".into(),
            detail: "is nested too deeply in the table to be merged; replace it with PUT".into(),
        })?;
        merge(&mut data, &patch);
        fields.data = Some(data);
    }
    Ok(())
}

/// Applies a merge patch (RFC 7396, section 2): null takes a member away, an object goes deeper, all else replaces.
fn merge(target: &mut serde_json::Value, patch: &serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patch {
        match value.is_null() {
            true => drop(target.remove(name)),
            false => merge(
                target
                    .entry(name.clone())
                    .or_insert(serde_json::Value::Null),
                value,
            ),
        }
    }
}

/// Takes a row away.
///
/// # Errors
/// When the database is away.
pub async fn delete(
    pool: &Pool,
    guard: &Guard,
    id: i64,
    expect: &Expect,
) -> Result<Outcome, StoreError> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let found = match lock(&transaction, guard, id, expect).await? {
        Ok(found) => found,
        Err(outcome) => return Ok(outcome),
    };
    transaction
        .execute("delete from public.items where id = $1", &[&id])
        .await?;
    guard.holds(&transaction).await?;
    transaction.commit().await?;
    Ok(Outcome::Done(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_is_applied_as_the_standard_says() {
        // RFC 7396, appendix A, as far as objects go.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [1]}),
                json!({"a": {"b": {"c": null}}}),
                json!({"a": {"b": {}}}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
        ];
        for (mut target, patch, expected) in cases {
            merge(&mut target, &patch);
            assert_eq!(target, expected, "{patch}");
        }
    }
}
