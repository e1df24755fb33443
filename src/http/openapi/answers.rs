//! The answers with a problem. Each is made of the problem that the handlers answer with, so its example, its media type
//! and its headers are theirs.

use std::collections::BTreeMap;

use actix_http::ws::HandshakeError;
use serde_json::Value;
use utoipa::IntoResponses;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
};

use crate::actor::admission::permit::Full;
use crate::limits::{BODY_BYTES_MAX, PAGE_ROWS_MAX};
use crate::wire::message::ResetReason;

use super::super::items::fields::STATUSES;
use super::super::problem::{FieldError, Problem};
use super::super::rest::{access, answer as range, refusal, task};
use super::super::{assets, body, changes, credentials, health, host, items, query, rows, ws};

/// For each a type to name in `responses(...)` of a handler, and a component of the document.
macro_rules! answers {
    ($($name:ident, $description:literal, $problem:expr;)*) => {
        $(
            #[doc = $description]
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let problem: Problem = $problem;
                    let name = Ref::from_response_name(stringify!($name));
                    BTreeMap::from([(problem.status().as_str().into(), RefOr::Ref(name))])
                }
            }
        )*

        /// All of them, for the document's components.
        pub fn all() -> Vec<(String, RefOr<Response>)> {
            vec![$((stringify!($name).into(), RefOr::T(answer($description, &$problem)))),*]
        }
    };
}

answers! {
    Malformed, "A part of the request can't be read; `errors` names it.", malformed_limit();
    MalformedBody, "The body is no JSON object, or another part of the request can't be read.",
        Problem::malformed("body", "has to be a JSON object");
    MalformedHandshake, "The handshake of the WebSocket is wrong.",
        ws::handshake_problem(HandshakeError::BadWebsocketKey);
    ForeignOrigin, "The page is of another origin.", ws::foreign_origin();
    ForeignHost, "Nobody has to log in here (`--auth off`), and `Host` is no name of this machine and none of `--allowed-host`.",
        host::foreign_host();
    Unauthenticated, "Who asks has to be known here (`--auth on`), and the token is missing or not taken.",
        credentials::unauthenticated(None);
    Forbidden, "The principal may not do this.", credentials::forbidden("your role may not do this");
    TooOften, "Too many requests; `Retry-After` says when to try again.",
        super::super::too_often(crate::actor::admission::rates::TooOften(std::time::Duration::ZERO));
    AuthOff, "Nobody has to log in here (`--auth off`).", credentials::auth_off();
    NoItem, "There is no such item.", items::missing(1);
    NoTable, "There is no such table, or it is not watched, or plank may not read it.",
        query::unknown_table("there is no watched table \"orders\" that you may read");
    NoFile, "There is no such file.", assets::no_file("nothing.js");
    NotAcceptable, "`Accept` allows none of the forms that the rows have.", rows::not_acceptable();
    BodyLate, "The body did not arrive in time.", body::late();
    Gone, "The cursor can't be served: load the table again, and go on from a new one.",
        changes::gone(ResetReason::Expired);
    Taken, "Another item has a value that may be there only once.", items::taken();
    Changed, "The item is at a version that `If-Match` does not name. `ETag` is the one that it has.", changed();
    BodyTooLarge, "The body is longer than `--max-body-bytes`.", body::too_large(BODY_BYTES_MAX);
    NotJson, "The body has another media type.", body::wrong_type("text/plain", &["application/json"]);
    Invalid, "Members of the body can't be accepted; `errors` names all of them.", invalid();
    NoUpgrade, "The request is no handshake of a WebSocket, or one of another version.", ws::no_upgrade();
    Away, "The database is away, or too busy.",
        Problem::unavailable("the database is away or too busy; try again in a moment");
    Conflict, "Another row is in the way, or others write the same rows at the same time. Nothing was done.",
        Problem::conflict("others write the same rows at the same time; try again");
    OutcomeUnknown, "The connection to the database was lost during the commit: the write may be there, or not.",
        Problem::outcome_unknown();
    TooMany, "There are `--max-connections` clients that stay.", super::super::too_many(Full::Connections);
    TooManyOfOne, "There are `--max-connections-per-ip` clients of the same address.",
        super::super::too_many(Full::Address);
    Stuck, "A part of the process does not answer.", health::stuck("listener");
    NotReady, "The database is away, or changes arrive late.", Problem::unavailable("changes arrive 12.5 s late");
    RestMalformed, "A part of the request can't be read, or a value does not fit its column; `errors` names it.",
        refusal::dress(malformed_limit());
    RestUnauthenticated, "Who asks has to be known here (`--auth on`), and the token is missing or not taken.",
        refusal::dress(credentials::unauthenticated(None));
    RestForbidden, "The principal may not do this, or the table is read-only.",
        refusal::dress(credentials::forbidden("your role may not update rows of public.orders"));
    RestNoTable, "There is no such table, or it is not watched, or the client may not see it.", access::unknown("orders");
    RestNoRow, "There is no such table, or no such row.", refusal::dress(Problem::not_found("there is no such row")).at_index(2);
    RestNotAcceptable, "`Accept` allows none of the forms that rows have, or wants exactly one row and there are more or none.",
        refusal::not_one("2");
    RestBodyLate, "The body did not arrive in time.", refusal::dress(body::late());
    RestConflict, "Another row is in the way, or others write the same rows at the same time, or the request with this \
        `Idempotency-Key` is under way. Nothing was done.",
        refusal::dress(Problem::conflict("others write the same rows at the same time; try again"));
    RestChanged, "The row is at a version that was not asked for, or is not there.", refusal::unmatched();
    RestBodyTooLarge, "The body is longer than `--max-body-bytes`.", refusal::dress(body::too_large(BODY_BYTES_MAX));
    RestNotJson, "The body has another media type.", refusal::dress(body::wrong_type("text/csv", &["application/json"]));
    RestRange, "The rows that were asked for are behind the end.",
        range::unsatisfiable("An offset of 10 was requested, but there are only 3 rows.".into(), Some(3));
    RestKeyReused, "The `Idempotency-Key` was for another request.", task::key_reused();
    RestAway, "The database is away, or too busy.",
        refusal::dress(Problem::unavailable("the database is away or too busy; try again in a moment"));
    RestOutcomeUnknown, "The connection to the database was lost during the commit: the write may be there, or not. With an \
        `Idempotency-Key` the same request again says which.", refusal::dress(Problem::outcome_unknown());
}

fn malformed_limit() -> Problem {
    let detail = format!("is \"0\"; it has to be a number from 1 to {PAGE_ROWS_MAX}");
    Problem::malformed("limit", detail)
}

fn changed() -> Problem {
    items::conditions::changed(1, "4")
}

fn invalid() -> Problem {
    let detail = format!("is \"new\"; it has to be one of {}", STATUSES.join(", "));
    let field = "status".into();
    Problem::invalid(vec![FieldError { field, detail }])
}

fn answer(description: &str, problem: &Problem) -> Response {
    // What a problem says of itself is always JSON.
    let example: Value = serde_json::from_str(&problem.json()).unwrap_or_default();
    let schema = match example.get("code") {
        Some(_) => "RestProblem",
        None => "Problem",
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(Some(example))
        .build();
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    for (name, value) in problem.headers() {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let header = HeaderBuilder::new()
            .schema(Some(text))
            .example(value.to_str().ok().map(Value::from))
            .build();
        response = response.header(proper_case(name.as_str()), header);
    }
    response.build()
}

/// `retry-after` as people write it: `Retry-After`.
fn proper_case(name: &str) -> String {
    let parts = name.split('-').map(|part| match part {
        "etag" => "ETag".to_owned(),
        _ => part[..1].to_ascii_uppercase() + &part[1..],
    });
    parts.collect::<Vec<_>>().join("-")
}
