//! What all tables share at `/rest`: parameters and headers, each said once.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::Schema;

use crate::limits::REST_ROWS_MAX;

use super::params::{TAGS, idempotency_key, integer, param, query, string};

/// The parameters, each with the name of its component.
pub fn parameters() -> Vec<(&'static str, Parameter)> {
    let text = || Schema::from(string().build());
    let tags = || Schema::from(string().pattern(Some(TAGS)).build());
    let header = |name, what: &str, schema, example: &str| {
        param(ParameterIn::Header, name, what, schema, json!(example)).build()
    };
    let limit = format!("Rows of the page; at most {REST_ROWS_MAX} come, also without it.");
    let rows = integer(0, None, None);
    let profile = "The schema of the table, where the path does not name it.";
    vec![
        (
            "RestLimit",
            query("limit", &limit, rows.clone(), json!(25)).build(),
        ),
        (
            "RestOffset",
            query(
                "offset",
                "How many rows stand before the first one.",
                rows,
                json!(50),
            )
            .build(),
        ),
        (
            "RestRange",
            header(
                "Range",
                "The same as `limit` and `offset`: the first and the last row, counted from 0. Of both the narrower one holds.",
                text(),
                "0-24",
            ),
        ),
        (
            "RestPreferRead",
            header(
                "Prefer",
                "`count=exact`, `planned` or `estimated`: how many rows there are, in `Content-Range`. `handling=strict`: what is not \
                 known is an error.",
                text(),
                "count=exact",
            ),
        ),
        (
            "RestPreferInsert",
            header(
                "Prefer",
                "`return=representation`: the rows come back. `resolution=merge-duplicates` or `ignore-duplicates`: what becomes of a row \
                 that is there. `missing=default`: a column that a row does not have gets its default, and not null. `tx=rollback`: \
                 nothing is kept. `handling=strict`: what is not known is an error.",
                text(),
                "return=representation",
            ),
        ),
        (
            "RestPreferWrite",
            header(
                "Prefer",
                "`return=representation`: the rows come back. `plank-all-rows`: no filter, and that is meant. `max-affected=N` with \
                 `handling=strict`: more rows are an error. `count=exact`, `tx=rollback`: nothing is kept.",
                text(),
                "return=representation",
            ),
        ),
        (
            "RestAcceptProfile",
            header("Accept-Profile", profile, text(), "public"),
        ),
        (
            "RestContentProfile",
            header("Content-Profile", profile, text(), "public"),
        ),
        (
            "RestIfMatch",
            header(
                "If-Match",
                "The `ETag` that the row has to have still; the filter has to be its whole key.",
                tags(),
                "\"3\"",
            ),
        ),
        (
            "RestIfNoneMatch",
            header("If-None-Match", "The `ETag` that one has.", tags(), "\"3\""),
        ),
        ("RestIdempotencyKey", idempotency_key()),
    ]
}

/// The headers of answers, each with the name of its component. `required` says whether the answer always has it.
pub fn headers() -> Vec<(&'static str, Value)> {
    let header = |what: &str, pattern: &str, required: bool| json!({"description": what, "required": required, "schema": {"type": "string", "pattern": pattern}});
    let range = r"^([0-9]+-[0-9]+|\*)/([0-9]+|\*)$";
    let cursor = "^[A-Za-z0-9_-]+$";
    vec![
        (
            "RestContentRange",
            header("Which rows these are, of how many.", range, true),
        ),
        (
            "RestETag",
            header(
                "The version of the one row that this is about.",
                "^\".+\"$",
                false,
            ),
        ),
        (
            "RestCursor",
            header(
                "The place of this answer in the log: `since` goes on from there.",
                cursor,
                true,
            ),
        ),
        (
            "RestCursorOfWrite",
            header(
                "Every subscription that has reached this place has seen the write.",
                cursor,
                false,
            ),
        ),
        ("RestXid", header("The transaction.", "^[0-9]+$", false)),
        (
            "RestLocation",
            header("Where the one row is.", "^/.+$", false),
        ),
        (
            "RestApplied",
            header("What of `Prefer` was followed.", "^.+$", false),
        ),
    ]
}
