//! The table `public.items`. Rows leave as JSON text that PostgreSQL wrote, the same as on the WebSocket.

use deadpool_postgres::{GenericClient, Object, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{IsolationLevel, Row};

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
    /// Done, and what has become of the row is not for this principal to see.
    Hidden(i64),
    /// The principal may not do that with this row. Nothing was done.
    Forbidden,
    /// There is no such row.
    Missing,
    /// The row has another version than was expected.
    Changed(Item),
    /// Another row, seen or not, has a value that may be there once only. Nothing was done.
    Taken,
}

/// The columns of the table that plank makes. An owner may have added more.
pub const COLUMNS: [&str; 8] = [
    "id",
    "name",
    "description",
    "status",
    "data",
    "version",
    "created_at",
    "updated_at",
];

/// The row that an insert would make, with no number yet.
const CANDIDATE: &str = "select c.id, c.version, pg_catalog.row_to_json(c)::text as json from ( \
    select 0::bigint as id, $1::text as name, $2::text as description, coalesce($3, 'open')::text as status, \
      coalesce($4::jsonb, '{}') as data, 1 as version, pg_catalog.now() as created_at, pg_catalog.now() as updated_at) c";

const ROW: &str = "id, version, row_to_json(items)::text as json";

fn item(row: &Row) -> Item {
    Item {
        id: row.get("id"),
        version: row.get("version"),
        json: row.get("json"),
    }
}

/// What became of a write that failed: another row is in its way, or [`write_error`]. Where it is not known whether the write
/// would have been allowed, nothing is told of other rows.
fn failed(error: tokio_postgres::Error, is_allowed: bool) -> Result<Outcome, StoreError> {
    let code = error.as_db_error().map(|db| db.code().code());
    match code {
        // Class 23: integrity constraint violation.
        Some(code) if code.starts_with("23") && !is_allowed => Ok(Outcome::Forbidden),
        Some("23505" | "23P01") => Ok(Outcome::Taken),
        _ => Err(write_error(error)),
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
    // A row needs a name, and nobody gives one to a column that it can't see.
    if !guard.has_column("name") {
        return Ok(Outcome::Forbidden);
    }
    let (name, description) = (
        fields.name.as_deref().unwrap_or_default(),
        fields.description.clone().flatten(),
    );
    let data = fields.data.as_ref().map(Json);
    let sql = format!(
        "insert into public.items (name, description, status, data) \
         values ($1, $2, coalesce($3, 'open'), coalesce($4::jsonb, '{{}}')) returning {ROW}"
    );
    // Before anything is written: the table, its indexes and its triggers know of hidden rows, and a refusal must not tell of
    // them. The number of a row is not known before there is one.
    let is_decided = guard.asks_only_for(&COLUMNS[1..]);
    let made = pool.run(async |client, doubt| {
        let params: [&(dyn ToSql + Sync); 4] = [&name, &description, &fields.status, &data];
        let statement = client.prepare_cached(&sql).await?;
        let transaction = begin(client).await?;
        guard.hold(&transaction).await?;
        if guard.asks_for_rows() && is_decided {
            let statement = transaction.prepare_cached(CANDIDATE).await?;
            let row = transaction.query_one(&statement, &params).await;
            if !guard.may_write(&item(&row.map_err(write_error)?))? {
                return Ok(Err(Outcome::Forbidden));
            }
        }
        let made = match transaction.query_one(&statement, &params).await {
            Ok(row) => item(&row),
            Err(error) => return failed(error, is_decided).map(Err),
        };
        if !guard.may_write(&made)? {
            return Ok(Err(Outcome::Forbidden));
        }
        doubt.commit(transaction).await?;
        Ok(Ok(made))
    });
    match made.await? {
        Ok(made) => guard.shown(made),
        Err(outcome) => Ok(outcome),
    }
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
    guard.holds(&*client).await?;
    let found = found.as_ref().map(item);
    match found {
        Some(item) if guard.may_see(&item)? => guard.show(item).map(Some),
        _ => Ok(None),
    }
}

/// The row, locked, if there is one of an expected version. It is looked at without a lock first: a client that may not do
/// anything with it must not wait for those who may.
async fn lock(
    client: &impl GenericClient,
    guard: &Guard,
    id: i64,
    expect: &Expect,
) -> Result<Result<Item, Outcome>, StoreError> {
    let sql = format!("select {ROW} from public.items where id = $1");
    let seen = client.query_opt(&sql, &[&id]).await?;
    if let Err(outcome) = admit(guard, seen.as_ref().map(item), expect)? {
        return Ok(Err(outcome));
    }
    // It may be another one by now.
    let sql = format!("{sql} for update");
    let locked = client.query_opt(&sql, &[&id]).await?;
    admit(guard, locked.as_ref().map(item), expect)
}

fn admit(
    guard: &Guard,
    found: Option<Item>,
    expect: &Expect,
) -> Result<Result<Item, Outcome>, StoreError> {
    Ok(match found {
        None => Err(Outcome::Missing),
        // Whatever it is, nothing of it is told.
        Some(found) if !guard.may_see(&found)? => Err(Outcome::Missing),
        Some(found) if !guard.may_write(&found)? => Err(Outcome::Forbidden),
        Some(found) if !expect.accepts(found.version) => Err(Outcome::Changed(found)),
        Some(found) => Ok(found),
    })
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
    // What the client can't see is not its to change: it stays, also where all else gets its default.
    let stays = |column: &str| !guard.has_column(column);
    let set = |column: &str, value: &str| match stays(column) {
        true => format!("i.{column}"),
        false => value.to_owned(),
    };
    let data = match write {
        Write::Merge => "coalesce($5::jsonb, i.data)",
        Write::Replace => "coalesce($5::jsonb, '{}')",
    };
    let values = format!(
        "{}, {}, {}, {}",
        set("name", "$2::text"),
        set("description", "$3::text"),
        set("status", "coalesce($4::text, 'open')"),
        set("data", data)
    );
    // Each statement has all parameters, with their types, whichever of them it needs.
    const GIVEN: &str =
        "($2::text, $3::text, $4::text, $5::jsonb) is not distinct from ($2, $3, $4, $5)";
    let candidate = format!(
        "select c.id, c.version, pg_catalog.row_to_json(c)::text as json from ( \
         select i.id, n.name, n.description, n.status, n.data, i.version + 1 as version, i.created_at, pg_catalog.now() as updated_at \
         from public.items i, lateral (select {values}) n (name, description, status, data) \
         where i.id = $1 and {GIVEN}) c"
    );
    let sql = format!(
        "update public.items i set (name, description, status, data) = (select {values}) \
         where i.id = $1 and {GIVEN} \
         returning i.id, i.version, pg_catalog.row_to_json(i)::text as json"
    );
    let is_decided = guard.asks_only_for(&COLUMNS);
    let changed = pool.run(async |client, doubt| {
        let transaction = begin(client).await?;
        guard.hold(&transaction).await?;
        let found = match lock(&transaction, guard, id, expect).await? {
            Ok(found) => found,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let mut fields = fields.clone();
        if write == Write::Merge {
            merge_fields(&mut fields, &found.json)?;
        }
        let (name, description) = (
            fields.name.as_deref().unwrap_or_default(),
            fields.description.flatten(),
        );
        let data = fields.data.as_ref().map(Json);
        let params: [&(dyn ToSql + Sync); 5] = [&id, &name, &description, &fields.status, &data];
        // See [`create`].
        if guard.asks_for_rows() && is_decided {
            let row = transaction.query_one(&candidate, &params).await;
            if !guard.may_write(&item(&row.map_err(write_error)?))? {
                return Ok(Err(Outcome::Forbidden));
            }
        }
        let changed = match transaction.query_one(&sql, &params).await {
            Ok(row) => item(&row),
            Err(error) => return failed(error, is_decided).map(Err),
        };
        if !guard.may_write(&changed)? {
            return Ok(Err(Outcome::Forbidden));
        }
        doubt.commit(transaction).await?;
        Ok(Ok(changed))
    });
    match changed.await? {
        Ok(changed) => guard.shown(changed),
        Err(outcome) => Ok(outcome),
    }
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
    pool.run(async |client, doubt| {
        let transaction = begin(client).await?;
        guard.hold(&transaction).await?;
        let found = match lock(&transaction, guard, id, expect).await? {
            Ok(found) => found,
            Err(outcome) => return Ok(outcome),
        };
        transaction
            .execute("delete from public.items where id = $1", &[&id])
            .await?;
        doubt.commit(transaction).await?;
        Ok(Outcome::Done(found))
    })
    .await
}

/// A transaction that depends on no setting: through a pooler the session may be one that others have set up.
async fn begin(client: &mut Object) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let begin = client.build_transaction();
    let begin = begin.isolation_level(IsolationLevel::ReadCommitted);
    begin.read_only(false).deferrable(false).start().await
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
