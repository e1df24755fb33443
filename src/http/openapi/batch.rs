//! The bodies of `POST /rest`; see [`super::schemas`].

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::limits::REST_WRITES_MAX;

/// One write of a batch.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    #[schema(schema_with = batch_op)]
    op: &'static str,
    /// As SQL writes it.
    #[schema(min_length = 1)]
    table: &'static str,
    /// `update`, `delete`: every column of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    key: Option<Value>,
    /// All but `delete`: columns and their values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    values: Option<Value>,
    /// `update`, `delete`: what the row has to have still, else 412.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    conditions: Option<Value>,
}

/// The body of a batch.
pub struct Operations;

impl ToSchema for Operations {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Operation::name().into(), Operation::schema()));
        Operation::schemas(schemas);
    }
}

impl PartialSchema for Operations {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(Ref::from_schema_name(Operation::name()))
            .min_items(Some(1))
            .max_items(Some(REST_WRITES_MAX));
        RefOr::T(list.build().into())
    }
}

/// What became of one write of a batch.
#[derive(Serialize, ToSchema)]
pub struct Done {
    #[schema(schema_with = batch_op)]
    op: &'static str,
    /// As PostgreSQL quotes it.
    table: &'static str,
    /// The row; null where the client may not see it.
    #[schema(value_type = Option<Object>, required)]
    row: Option<Value>,
}

impl Operation {
    /// An insert, and an update that depends on a version.
    pub fn examples() -> [Self; 2] {
        let operation = |op, key, values, conditions| Self {
            op,
            table: "orders",
            key,
            values,
            conditions,
        };
        [
            operation("insert", None, Some(json!({"name": "tea"})), None),
            operation(
                "update",
                Some(json!({"id": 1})),
                Some(json!({"status": "done"})),
                Some(json!({"version": 3})),
            ),
        ]
    }
}

impl Done {
    /// Of [`Operation::examples`].
    pub fn examples() -> [Self; 2] {
        let table = "public.orders";
        [
            Self {
                op: "insert",
                table,
                row: Some(json!({"id": 2, "name": "tea", "status": "open", "version": 1})),
            },
            Self {
                op: "update",
                table,
                row: Some(json!({"id": 1, "name": "cup", "status": "done", "version": 4})),
            },
        ]
    }
}

fn batch_op() -> Object {
    let ops = ["insert", "update", "upsert", "delete"];
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(ops))
        .build()
}
