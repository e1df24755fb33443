//! The bodies. plank reads and writes most of them without a type of their own (rows are PostgreSQL's text, and a body is
//! checked member by member), so these exist for the document; its examples are made of them, and the tests hold real
//! answers against them.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::items::fields::{NAME_CHARACTERS_MAX, STATUSES};

/// Both kinds of cursor in the examples.
const CURSOR: &str = "ARpj3AxtrmBJ3gUACvo4NQ";
const NEXT: &str = "WyJpZCIsdHJ1ZSwiNyIsN10";
const TIME: &str = "2026-11-23T17:56:47.951812+00:00";

/// An item as it is stored.
#[derive(Serialize, ToSchema)]
pub struct Item {
    /// With `--stringify-wide-numbers` the same as a string.
    #[schema(minimum = 1)]
    id: i64,
    #[schema(schema_with = name)]
    name: String,
    #[schema(required)]
    description: Option<String>,
    #[schema(schema_with = status)]
    status: &'static str,
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// Rises with every update; the `ETag`.
    #[schema(minimum = 1)]
    version: i32,
    #[schema(format = DateTime)]
    created_at: &'static str,
    #[schema(format = DateTime)]
    updated_at: &'static str,
}

/// What an item is made of.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    #[schema(schema_with = name)]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = new_status, required = false)]
    status: Option<&'static str>,
    #[schema(value_type = Object, required = false)]
    data: Map<String, Value>,
}

/// What is to be changed.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub struct ItemPatch {
    #[schema(schema_with = name, required = false)]
    name: String,
    /// null takes it away.
    description: Option<String>,
    #[schema(schema_with = status, required = false)]
    status: &'static str,
    /// Merged into what is there; a member that is null goes away.
    #[schema(value_type = Object, required = false)]
    data: Map<String, Value>,
}

/// A page of items.
#[derive(Serialize, ToSchema)]
pub struct Page {
    items: Vec<Item>,
    /// Pass it as `after` to get the next page; null on the last one.
    #[schema(required)]
    next: Option<&'static str>,
}

/// What is watched.
#[derive(Serialize, ToSchema)]
pub struct Tables {
    /// Sorted by name.
    tables: Vec<Table>,
}

/// What programs need to know of the watched tables to have types of their own.
#[derive(Serialize, ToSchema)]
pub struct Types {
    /// Whether `bigint` and `numeric` are texts here.
    stringify_wide_numbers: bool,
    /// In the order of their names: schema, name, comment, columns, references.
    #[schema(value_type = Vec<Object>)]
    tables: Vec<Value>,
    /// The types of the columns, and those that these are made of, by identifier: schema, name, kind.
    #[schema(value_type = Object)]
    types: Value,
}

/// A watched table.
#[derive(Serialize, ToSchema)]
pub struct Table {
    /// As PostgreSQL quotes it.
    table: &'static str,
    /// The primary key, in its order; empty without one.
    key: Vec<&'static str>,
    /// Those that clients may see.
    columns: Vec<Column>,
    /// Whether a `delete` has the row as it was.
    old_rows: bool,
    /// Whether the client may write some of its rows at `/rest`.
    writable: bool,
    /// In which ways: `insert`, `update`, `delete`.
    may: Vec<&'static str>,
    /// Its foreign keys, as far as the client may see both ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    references: Vec<Reference>,
}

/// A foreign key.
#[derive(Serialize, ToSchema)]
pub struct Reference {
    /// Its columns.
    columns: Vec<&'static str>,
    /// The table that it names, as PostgreSQL quotes it; watched as well.
    table: &'static str,
    /// The columns that they name, in the same order.
    to: Vec<&'static str>,
}

/// A column of a watched table.
#[derive(Serialize, ToSchema)]
pub struct Column {
    name: &'static str,
    /// As PostgreSQL's `format_type` writes it.
    #[serde(rename = "type")]
    type_name: &'static str,
    /// Why clients can't write it: `generated` or `identity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<&'static str>,
    /// The labels of an enumeration, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<&'static str>>,
}

/// Rows of a table, all as of one moment.
#[derive(Serialize, ToSchema)]
pub struct Rows {
    /// As PostgreSQL quotes it.
    table: &'static str,
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Value>,
    /// That moment: the `since` of the changes behind it.
    cursor: &'static str,
    /// Pass it as `after` to get the next page; null on the last one.
    #[schema(required)]
    next: Option<&'static str>,
}

/// A piece of a table's history.
#[derive(Serialize, ToSchema)]
pub struct Changes {
    /// Of a window, or counts: what the client has is void, `rows` is what there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    reset: Option<&'static str>,
    /// Of a window, or counts: all rows, where `since` does not tell which ones the client has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Object>, required = false)]
    rows: Option<Vec<Value>>,
    changes: Vec<Change>,
    /// Where this piece ends: the next `since`.
    cursor: &'static str,
    /// Whether there are more changes now.
    more: bool,
}

/// What happened to one row.
#[derive(Serialize, ToSchema)]
pub struct Change {
    #[schema(schema_with = op)]
    op: &'static str,
    /// The primary key; null without one, and for `truncate`.
    #[schema(value_type = Option<Object>, required)]
    key: Value,
    /// The row after `insert` and `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    row: Option<Value>,
    /// The row before `delete`, where the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    old: Option<Value>,
    /// Of a window: the row's place after this change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    index: Option<usize>,
    /// Names this change for ever. It does not rise from batch to batch. Windows and counts have neither this nor the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    seq: Option<i64>,
    /// The transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, pattern = "^[0-9]+$")]
    xid: Option<&'static str>,
    /// When the transaction began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, format = DateTime)]
    at: Option<&'static str>,
    /// The trace that the writer belongs to (W3C Trace Context), where it named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, pattern = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")]
    traceparent: Option<&'static str>,
}

/// The messages of the WebSocket.
#[derive(Serialize, ToSchema)]
pub struct Messages {
    #[schema(pattern = r"^3\.0\.")]
    asyncapi: &'static str,
    #[schema(value_type = Object)]
    info: Value,
    #[schema(value_type = Object)]
    channels: Value,
    #[schema(value_type = Object)]
    operations: Value,
    #[schema(value_type = Object)]
    components: Value,
}

impl Messages {
    /// Without what makes it long.
    pub fn example() -> Self {
        Self {
            asyncapi: "3.0.0",
            info: json!({"title": "plank"}),
            channels: json!({"socket": {"address": "/ws"}}),
            operations: json!({}),
            components: json!({}),
        }
    }
}

/// This document.
pub struct Document;

impl ToSchema for Document {}

impl PartialSchema for Document {
    fn schema() -> RefOr<Schema> {
        let version = text().pattern(Some(r"^3\.1\.")).build();
        let members = [("info", Type::Object), ("paths", Type::Object)];
        let object = members
            .into_iter()
            .fold(ObjectBuilder::new(), |object, (name, of)| {
                let member = ObjectBuilder::new().schema_type(of).build();
                object.property(name, member).required(name)
            });
        let object = object.property("openapi", version).required("openapi");
        RefOr::T(object.build().into())
    }
}

impl Item {
    /// As the first request of the README makes it.
    pub fn example() -> Self {
        Self {
            id: 1,
            name: "first light".into(),
            description: None,
            status: STATUSES[0],
            data: Map::new(),
            version: 1,
            created_at: TIME,
            updated_at: TIME,
        }
    }
}

impl NewItem {
    /// With all members.
    pub fn example() -> Self {
        Self {
            name: "first light".into(),
            description: Some("seen from the hill".into()),
            status: Some(STATUSES[0]),
            data: Map::from_iter([("colour".into(), json!("red"))]),
        }
    }
}

impl Page {
    /// One item, and more to come.
    pub fn example() -> Self {
        Self {
            items: vec![Item::example()],
            next: Some(NEXT),
        }
    }
}

impl Tables {
    /// The reference table, shortened.
    pub fn example() -> Self {
        let column = |name, type_name| Column {
            name,
            type_name,
            fixed: None,
            labels: None,
        };
        let table = Table {
            table: "public.items",
            key: vec!["id"],
            columns: vec![column("id", "bigint"), column("name", "text")],
            old_rows: true,
            writable: true,
            may: vec!["insert", "update", "delete"],
            references: vec![],
        };
        let tables = vec![table];
        Self { tables }
    }
}

impl Types {
    /// The reference table, shortened.
    pub fn example() -> Self {
        let column = json!({"name": "id", "type": 20, "not_null": true, "has_default": true, "is_generated": true, "comment": null});
        let table = json!({"schema": "public", "name": "items", "comment": null, "columns": [column], "references": []});
        Self {
            stringify_wide_numbers: false,
            tables: vec![table],
            types: json!({"20": {"schema": "pg_catalog", "name": "int8", "kind": "wide_number"}}),
        }
    }
}

impl Rows {
    /// Two rows, and more to come.
    pub fn example() -> Self {
        Self {
            table: "public.items",
            rows: rows().into(),
            cursor: CURSOR,
            next: Some(NEXT),
        }
    }

    /// The same, one row a line.
    pub fn lines() -> String {
        rows().map(|row| format!("{row}\n")).concat()
    }
}

fn rows() -> [Value; 2] {
    [
        json!({"id": 1, "name": "first light"}),
        json!({"id": 2, "name": "second wind"}),
    ]
}

/// The beginning of a stream.
pub fn events() -> String {
    let subscribed = json!({
        "type": "subscribed", "id": "url", "topic": "t7", "table": "public.items", "key": ["id"], "cursor": CURSOR,
    });
    let Changes {
        changes, cursor, ..
    } = Changes::example();
    let changes = json!({"type": "changes", "topic": "t7", "cursor": cursor, "changes": changes, "last": true});
    format!(
        "retry: 2417\n\nevent: subscribed\ndata: {subscribed}\nid: {CURSOR}\n\nevent: changes\ndata: {changes}\nid: {cursor}\n\n"
    )
}

impl Changes {
    /// An insert, and the delete behind it.
    pub fn example() -> Self {
        let change = |op, seq| Change {
            op,
            key: json!({"id": 1}),
            row: None,
            old: None,
            index: None,
            seq: Some(seq),
            xid: Some("733"),
            at: Some("2026-11-23T17:56:47.951812Z"),
            traceparent: None,
        };
        let row = Some(json!({"id": 1, "name": "first light"}));
        let old = row.clone();
        let changes = vec![
            Change {
                row,
                ..change("insert", 3)
            },
            Change {
                old,
                ..change("delete", 5)
            },
        ];
        let (cursor, more) = (CURSOR, false);
        Self {
            reset: None,
            rows: None,
            changes,
            cursor,
            more,
        }
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn name() -> Object {
    let (min, max) = (Some(1), Some(NAME_CHARACTERS_MAX));
    text().min_length(min).max_length(max).build()
}

fn status() -> Object {
    text().enum_values(Some(STATUSES)).build()
}

fn new_status() -> Object {
    let default = Some(Value::from(STATUSES[0]));
    text().enum_values(Some(STATUSES)).default(default).build()
}

fn op() -> Object {
    let ops = ["insert", "update", "delete", "truncate"];
    text().enum_values(Some(ops)).build()
}
