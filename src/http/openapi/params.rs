//! The parameters of the routes. Written by hand, because the bounds in a macro's attribute have to be numbers, and these
//! are constants that the handlers check against.
//!
//! A route whose query takes names that are not fixed has one parameter for them, an object with `style: form` and
//! `explode: true`, whose `additionalProperties` say what a value looks like.

use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, Required};

use super::super::items::list::SORTS;
use crate::feed::filter::expr::{Is, Op};
use crate::limits::{
    CHANGES_DEFAULT, CHANGES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, LIVE_WINDOW_ROWS_MAX,
    LONG_POLL_WAIT_MAX_S, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, ROWS_DEFAULT, ROWS_MAX,
    TABLE_NAME_BYTES_MAX,
};

use super::super::query::RESERVED;

/// Entity tags as RFC 9110 lists them, or `*`.
pub(super) const TAGS: &str = r#"^(\*|(W/)?"[!-~]*"(\s*,\s*(W/)?"[!-~]*")*)$"#;
/// Cursors of all kinds are base64url.
const CURSOR: &str = "^[A-Za-z0-9_-]+$";
const CURSOR_OR_NONE: &str = "^[A-Za-z0-9_-]*$";
const CURSOR_EXAMPLE: &str = "ARpj3AxtrmBJ2gUA9n-rvg";
/// Where a page ends.
const PLACE_EXAMPLE: &str = "WyJpZCIsdHJ1ZSwiNyIsN10";

/// For each a type to name in `params(...)` of a handler.
macro_rules! params {
    ($($(#[$doc:meta])* $name:ident: $list:expr;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl IntoParams for $name {
                fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                    $list
                }
            }
        )*
    };
}

params! {
    /// `{id}` of an item.
    ItemId: vec![
        param(ParameterIn::Path, "id", "The item.", integer(1, None, None), json!(1)).required(Required::True).build()
    ];
    /// For a write that must not undo another client's.
    IfMatch: vec![header("If-Match", "The `ETag` that the item has to have still; without one any will do.", "\"3\"")];
    /// For a read of what one may have already.
    IfNoneMatch: vec![header("If-None-Match", "The `ETag` that one has.", "\"3\"")];
    /// `{path}` of a file.
    FilePath: vec![
        param(ParameterIn::Path, "path", "Its path below `static/`.", string().build().into(), json!("plank.js"))
            .required(Required::True)
            .build()
    ];
    /// The query of `GET /api/items`.
    ItemsQuery: items_query();
    /// The query of `GET /api/changes`.
    ChangesQuery: {
        let limit = integer(1, Some(CHANGES_MAX as u64), Some(CHANGES_DEFAULT as u64));
        let what = "How many changes there should be. The answer ends at the first end of a transaction at or behind it. With `order` \
            the rows of the window, at most 1,000.";
        let wait = integer(0, Some(LONG_POLL_WAIT_MAX_S as u64), Some(0));
        let wait_what = "Seconds to wait for a change if there is none yet: a long poll. Only with `since`.";
        vec![
            table(ParameterIn::Query).required(Required::True).build(),
            since(),
            order(),
            query("limit", what, limit, json!(100)).build(),
            query("wait", wait_what, wait, json!(30)).build(),
            columns(),
            filter(),
        ]
    };
    /// `{table}` and the query of `GET /api/tables/{table}/rows`.
    RowsQuery: rows_query();
    /// The query of `GET /api/stream`, and what comes back as a header.
    StreamQuery: {
        let cursor = string().pattern(Some(CURSOR_OR_NONE)).build();
        let what = "The last `id` of the stream before, which an EventSource sends when it comes back. Wins over `since`; empty is \
            none.";
        let last = param(ParameterIn::Header, "Last-Event-ID", what, cursor.into(), json!(CURSOR_EXAMPLE));
        vec![
            table(ParameterIn::Query).required(Required::True).build(),
            columns(),
            since(),
            snapshot(),
            order(),
            window_limit(),
            filter(),
            last.build(),
            query("lastEventId", "The same as `Last-Event-ID`, where a polyfill can send no header.", string().pattern(Some(CURSOR_OR_NONE)).build().into(), json!(CURSOR_EXAMPLE)).build(),
        ]
    };
    /// The headers of `POST /rest`.
    BatchHeaders: vec![
        param(ParameterIn::Header, "Prefer", "`tx=rollback`: nothing is kept. `handling=strict`: what is not known is an error.",
            string().build().into(), json!("tx=rollback")).build(),
        idempotency_key(),
    ];
    /// The query of `GET /ws`.
    SocketQuery: vec![table(ParameterIn::Query).build(), columns(), since(), snapshot(), order(), window_limit(), filter()];
}

/// The order of a window.
fn order() -> Parameter {
    let what = "With `limit`: only the first rows in this order are followed. As of `/api/tables/{table}/rows`.";
    let order = string().min_length(Some(1)).build();
    query("order", what, order.into(), json!("created_at.desc,id")).build()
}

/// How many rows a window has.
fn window_limit() -> Parameter {
    let limit = integer(1, Some(LIVE_WINDOW_ROWS_MAX as u64), None);
    query(
        "limit",
        "The rows of the window. Only with `order`.",
        limit,
        json!(50),
    )
    .build()
}

fn rows_query() -> Vec<Parameter> {
    let order = string().min_length(Some(1)).build();
    let order_what = "Columns, with commas between them, each with `.asc` or `.desc` and `.nullsfirst` or `.nullslast` behind it, \
        or nothing. The key decides between equal rows, and without `order` alone.";
    let limit = integer(1, None, Some(ROWS_DEFAULT as u64));
    let limit_what = format!(
        "Rows of the page, at most {ROWS_MAX}. As NDJSON any number, and all rows without it."
    );
    let after = string().pattern(Some(CURSOR)).build();
    let after_what = "`next` of the page before, with the same table, order and filter.";
    vec![
        table(ParameterIn::Path).required(Required::True).build(),
        columns(),
        query(
            "order",
            order_what,
            order.into(),
            json!("created_at.desc.nullslast,id"),
        )
        .build(),
        query("limit", &limit_what, limit, json!(100)).build(),
        query("after", after_what, after.into(), json!(PLACE_EXAMPLE)).build(),
        filter(),
    ]
}

/// All other names of a query string: the conditions that a row has to fulfil.
fn filter() -> Parameter {
    let join = |words: Vec<&str>| words.join("|");
    let compare = join(Op::ALL.iter().map(|op| op.as_str()).collect());
    let is = join(Is::ALL.iter().map(|is| is.as_str()).collect());
    let condition = format!(r"^(not\.)?(({compare})\.|in\.\(|is\.({is})$)");
    let condition = string().pattern(Some(condition)).build();
    let group = || string().pattern(Some(r"^\(")).build();
    let names = format!("^(?!({})$).", RESERVED.join("|"));
    let example = json!({"status": "eq.open", "or": "(id.gt.100,name.like.a*)"});
    let schema = ["and", "or", "not.and", "not.or"]
        .into_iter()
        .fold(ObjectBuilder::new(), |schema, name| {
            schema.property(name, group())
        })
        .additional_properties(Some(Schema::from(condition)))
        .property_names(Some(string().pattern(Some(names)).build()))
        .examples([
            example.clone(),
            json!({"total": "gte.9.5", "customer": "in.(ann,\"bo, jr\")"}),
            json!({"note": "not.is.null", "and": "(total.gt.1,total.lt.9)"}),
        ]);
    let words: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
    let what = format!(
        "Every other name is a column, and its value a condition on it: `COLUMN=OPERATOR.VALUE`, with {}, `in.(a,b)` or \
         `is.null`; `not.` before it turns it round. `or=(COLUMN.OPERATOR.VALUE,...)` has several of which one has to hold, \
         `and=(...)` all, and so `not.or`, `not.and`; groups may be in groups. All that is there has to hold, and a name may \
         be there more than once. A column that is called like another parameter is reached in a group.",
        words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    query("filter", &what, schema.build().into(), example)
        .style(Some(ParameterStyle::Form))
        .explode(Some(true))
        .build()
}

fn items_query() -> Vec<Parameter> {
    let orders = SORTS.iter().flat_map(|sort| {
        ["", ".asc", ".desc"].map(|direction| Value::from(format!("{sort}{direction}")))
    });
    let order = string()
        .enum_values(Some(orders))
        .default(Some(json!("created_at.desc")))
        .build();
    let limit = integer(
        1,
        Some(PAGE_ROWS_MAX.into()),
        Some(PAGE_ROWS_DEFAULT.into()),
    );
    let after = string().pattern(Some(CURSOR)).build();
    let after_what = "`next` of the page before, with the same `order`.";
    let after_example = json!(PLACE_EXAMPLE);
    vec![
        query("order", "What comes first.", order.into(), json!("id.desc")).build(),
        query("limit", "Rows of the page.", limit, json!(20)).build(),
        query("after", after_what, after.into(), after_example).build(),
        filter(),
    ]
}

fn table(place: ParameterIn) -> ParameterBuilder {
    let name = string()
        .min_length(Some(1))
        .max_length(Some(TABLE_NAME_BYTES_MAX))
        .build();
    let what =
        "A watched table, as SQL writes it: `items`, `public.items`, `sales.\"Order Lines\"`.";
    param(place, "table", what, name.into(), json!("items"))
}

fn since() -> Parameter {
    let cursor = string().pattern(Some(CURSOR)).build();
    let what = "The last cursor that one has, of any answer, message or node; or a span back from now, as -90s or -1h.";
    query("since", what, cursor.into(), json!(CURSOR_EXAMPLE)).build()
}

fn snapshot() -> Parameter {
    let on = string()
        .enum_values(Some(["1", "true", "0", "false"]))
        .build();
    let what = "Whether the rows come first.";
    query("snapshot", what, on.into(), json!("1")).build()
}

fn columns() -> Parameter {
    let what = "The columns to show, with commas between them. The key is always there.";
    let list = string().build();
    query("columns", what, list.into(), json!("id,name")).build()
}

pub(super) fn query(
    name: &str,
    description: &str,
    schema: Schema,
    example: Value,
) -> ParameterBuilder {
    param(ParameterIn::Query, name, description, schema, example)
}

fn header(name: &str, description: &str, example: &str) -> Parameter {
    let tags = string().pattern(Some(TAGS)).build();
    param(
        ParameterIn::Header,
        name,
        description,
        tags.into(),
        json!(example),
    )
    .build()
}

/// For a write that is sent again when its answer was lost.
pub(super) fn idempotency_key() -> Parameter {
    let key = string()
        .min_length(Some(1))
        .max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX));
    let what = "A name of this request, new for each: the same request with the same key is done once, and answered the same for 24 hours.";
    let example = json!("8e03978e-40d5-43e8-bc93-6894a57f9324");
    let place = ParameterIn::Header;
    param(place, "Idempotency-Key", what, key.build().into(), example).build()
}

pub(super) fn param(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: Schema,
    example: Value,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example))
}

pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn integer(min: u64, max: Option<u64>, default: Option<u64>) -> Schema {
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(min as f64))
        .maximum(max.map(|n| n as f64))
        .default(default.map(Value::from));
    number.build().into()
}
