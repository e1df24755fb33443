//! `/api/items`: the demo's table in a form of its own. What is read and written goes the way of `/rest`; the entity tag is the
//! row's version.
//!
//! - [`list`], [`fields`], [`conditions`]: what a request says. [`merge`]: merge patches. [`row`]: the item in the database.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::feed::Right;
use crate::store::rest::Access;

use super::credentials::{Who, forbidden};
use super::etag::tags;
use super::observe::NO_TRANSFORM;
use super::openapi as doc;
use super::problem::Problem;
use super::traced::trace;
use super::{State, body, prefix, rest};

use conditions::Conditions;
use fields::fields;
use row::{Done, Item, Items};

pub mod conditions;
pub mod fields;
pub mod list;
mod merge;
mod row;

/// As PostgreSQL quotes it.
const TABLE: &str = "public.items";

const JSON: &[&str] = &["application/json"];
const MERGE: &[&str] = &["application/merge-patch+json", "application/json"];

/// `POST /api/items`
///
/// # Errors
/// 400, 413, 415, 422, 503.
#[utoipa::path(
    post, path = "/api/items", tag = "items",
    summary = "Create an item", description = "Members that the body does not have get their defaults.",
    request_body(content = doc::NewItem, example = json!(doc::NewItem::example())),
    responses(
        (
            status = 201, description = "The item as it is stored.", body = doc::Item,
            headers(
                ("ETag" = String, description = "Its version, in quotes."),
                ("Location" = String, description = "Its path.")
            ),
            example = json!(doc::Item::example()),
        ),
        doc::MalformedBody, doc::Unauthenticated, doc::Forbidden, doc::BodyLate, doc::Taken, doc::BodyTooLarge, doc::NotJson,
        doc::Invalid, doc::Conflict, doc::Away, doc::OutcomeUnknown,
    ),
)]
pub async fn create(
    state: web::Data<State>,
    who: Who,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    served(&state)?;
    let pool = state.pool_for(&request, &who.0);
    let access = access(&state, &who, &[Right::Insert]).await?;
    // A row needs a name, and nobody gives one to a column that it can't see.
    if !access.table.has_column("name") {
        return Err(forbidden(
            "your role sees no name of an item, and each needs one",
        ));
    }
    let members = body::object(&request, payload, JSON, state.body_bytes_max).await?;
    let fields = fields(members, true, &access.table)?;
    let items = Items {
        pool: &pool,
        access,
        trace: trace(request.headers()),
    };
    let (id, done) = items.create(fields).await?;
    let location = prefix::path(&state, &request, &format!("/api/items/{id}"));
    match done {
        Done::Item(item) => Ok(respond(StatusCode::CREATED, item, Some(location))),
        Done::Hidden => {
            let id: i64 = id.parse().unwrap_or_default();
            let mut answer = HttpResponse::Created();
            Ok(answer
                .insert_header((LOCATION, location))
                .json(serde_json::json!({ "id": id })))
        }
    }
}

/// `GET /api/items`
///
/// # Errors
/// 400 names the parameter; 503.
#[utoipa::path(
    get, path = "/api/items", tag = "items", operation_id = "list",
    summary = "List items", description = "A page of them. Every condition has to hold.",
    params(doc::ItemsQuery),
    responses(
        (
            status = 200, description = "The page.", body = doc::Page, example = json!(doc::Page::example())
        ),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::NoItem, doc::Away,
    ),
)]
pub async fn page(
    state: web::Data<State>,
    who: Who,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    served(&state)?;
    let pool = state.pool_for(&request, &who.0);
    let access = access(&state, &who, &[]).await?;
    let query = list::parse(request.query_string(), &access.table)?;
    // What may read much of a table waits for its turn with all other pages.
    let _turn = state.history_for(&request, &who.0).page_turn().await?;
    let (rows, next) = Items {
        pool: &pool,
        access,
        trace: trace(request.headers()),
    }
    .list(&query)
    .await?;
    let next = next.map_or("null".to_owned(), |place| {
        format!("\"{}\"", list::page_cursor(&query, &place))
    });
    let text = format!("{{\"items\":[{}],\"next\":{next}}}", rows.join(","));
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(text))
}

/// `GET /api/items/{id}`
///
/// # Errors
/// 400, 404, 503.
#[utoipa::path(
    get, path = "/api/items/{id}", tag = "items",
    summary = "Read an item", description = "Its version is the `ETag`: keep it for `If-Match`.",
    params(doc::ItemId, doc::IfNoneMatch),
    responses(
        (
            status = 200, description = "The item.", body = doc::Item,
            headers(("ETag" = String, description = "Its version, in quotes.")),
            example = json!(doc::Item::example()),
        ),
        (
            status = 304, description = "It is still at a version of `If-None-Match`.",
            headers(("ETag" = String, description = "Its version, in quotes.")),
        ),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::NoItem, doc::Away,
    ),
)]
pub async fn read(
    state: web::Data<State>,
    who: Who,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    served(&state)?;
    let id = id(&path)?;
    let pool = state.pool_for(&request, &who.0);
    let access = access(&state, &who, &[]).await?;
    let item = Items {
        pool: &pool,
        access,
        trace: trace(request.headers()),
    }
    .get(id)
    .await?;
    let tag = quoted(&item.tag);
    let known = tags(request.headers(), IF_NONE_MATCH)?;
    // A weak comparison, as RFC 9110 (13.1.2) asks of If-None-Match.
    if known.is_some_and(|list| {
        list.iter()
            .any(|t| t == "*" || t.trim_start_matches("W/") == tag)
    }) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, tag))
            .finish());
    }
    Ok(respond(StatusCode::OK, item, None))
}

/// `PUT /api/items/{id}`
///
/// # Errors
/// 400, 404, 412, 413, 415, 422, 503.
#[utoipa::path(
    put, path = "/api/items/{id}", tag = "items",
    summary = "Replace an item",
    description = "Members that the body does not have go back to their defaults.",
    params(doc::ItemId, doc::IfMatch),
    request_body(content = doc::NewItem, example = json!(doc::NewItem::example())),
    responses(
        (
            status = 200, description = "The item as it is stored now.", body = doc::Item,
            headers(("ETag" = String, description = "Its new version, in quotes.")),
            example = json!(doc::Item::example()),
        ),
        (status = 204, description = "It is done, and the item is now one that you may not see."),
        doc::MalformedBody, doc::Unauthenticated, doc::Forbidden, doc::NoItem, doc::BodyLate, doc::Taken, doc::Changed, doc::BodyTooLarge, doc::NotJson, doc::Invalid,
        doc::Conflict, doc::Away, doc::OutcomeUnknown,
    ),
)]
pub async fn replace(
    state: web::Data<State>,
    who: Who,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    write(&state, who, &request, &path, payload, true).await
}

/// `PATCH /api/items/{id}`: a merge patch (RFC 7396).
///
/// # Errors
/// 400, 404, 412, 413, 415, 422, 503.
#[utoipa::path(
    patch, path = "/api/items/{id}", tag = "items",
    summary = "Change an item",
    description = "A merge patch (RFC 7396): members that the body does not have stay as they are, and so do those within `data`.",
    params(doc::ItemId, doc::IfMatch),
    request_body(content(
        (doc::ItemPatch = "application/merge-patch+json", example = json!({"status": "done"})),
        (doc::ItemPatch = "application/json", example = json!({"data": {"size": null, "colour": "red"}})),
    )),
    responses(
        (
            status = 200, description = "The item as it is stored now.", body = doc::Item,
            headers(("ETag" = String, description = "Its new version, in quotes.")),
            example = json!(doc::Item::example()),
        ),
        (status = 204, description = "It is done, and the item is now one that you may not see."),
        doc::MalformedBody, doc::Unauthenticated, doc::Forbidden, doc::NoItem, doc::BodyLate, doc::Taken, doc::Changed, doc::BodyTooLarge, doc::NotJson, doc::Invalid,
        doc::Conflict, doc::Away, doc::OutcomeUnknown,
    ),
)]
pub async fn patch(
    state: web::Data<State>,
    who: Who,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    write(&state, who, &request, &path, payload, false).await
}

async fn write(
    state: &State,
    who: Who,
    request: &HttpRequest,
    path: &str,
    payload: web::Payload,
    replaces: bool,
) -> Result<HttpResponse, Problem> {
    served(state)?;
    let id = id(path)?;
    let conditions = Conditions::of(request.headers())?;
    let pool = state.pool_for(request, &who.0);
    let access = access(state, &who, &[Right::Update]).await?;
    let accepted = if replaces { JSON } else { MERGE };
    let members = body::object(request, payload, accepted, state.body_bytes_max).await?;
    let fields = fields(members, replaces, &access.table)?;
    let items = Items {
        pool: &pool,
        access,
        trace: trace(request.headers()),
    };
    match items.update(id, fields, replaces, &conditions).await? {
        Done::Item(item) => Ok(respond(StatusCode::OK, item, None)),
        Done::Hidden => Ok(HttpResponse::NoContent().finish()),
    }
}

/// `DELETE /api/items/{id}`
///
/// # Errors
/// 400, 404, 412, 503.
#[utoipa::path(
    delete, path = "/api/items/{id}", tag = "items",
    summary = "Delete an item", description = "With `If-Match` only if nobody has changed it meanwhile.",
    params(doc::ItemId, doc::IfMatch),
    responses(
        (status = 204, description = "It is gone."),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::NoItem, doc::Changed, doc::Conflict, doc::Away, doc::OutcomeUnknown,
    ),
)]
pub async fn delete(
    state: web::Data<State>,
    who: Who,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    served(&state)?;
    let id = id(&path)?;
    let conditions = Conditions::of(request.headers())?;
    let pool = state.pool_for(&request, &who.0);
    let access = access(&state, &who, &[Right::Delete]).await?;
    Items {
        pool: &pool,
        access,
        trace: trace(request.headers()),
    }
    .delete(id, &conditions)
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn respond(status: StatusCode, item: Item, location: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((ETAG, quoted(&item.tag)));
    // A proxy that compresses makes the tag a weak one, and that is no condition for a write.
    response.insert_header((CACHE_CONTROL, NO_TRANSFORM));
    if let Some(location) = location {
        response.insert_header((LOCATION, location));
    }
    response.content_type("application/json").body(item.json)
}

/// What a client may do with the items.
///
/// # Errors
/// 403 if it may not do that with any of them, 404 if it may not even see one, 503 if the tables are not known yet.
async fn access(state: &State, who: &Who, rights: &[Right]) -> Result<Access, Problem> {
    let access = rest::access::of(state, &who.0, TABLE, rights).await;
    access.map_err(|problem| match (problem.status(), rights.first()) {
        (StatusCode::NOT_FOUND | StatusCode::FORBIDDEN, Some(right)) => {
            forbidden(format!("your role may not {} items", right.as_str()))
        }
        (StatusCode::NOT_FOUND, None) => Problem::not_found("there are no items that you may see"),
        _ => problem,
    })
}

/// 404 where the demo is off: nothing is known of a table `items` that belongs to another application.
fn served(state: &State) -> Result<(), Problem> {
    match state.demo {
        true => Ok(()),
        false => Err(Problem::not_found(
            "the demo is off here; GET /api/tables lists the tables, and /rest/TABLE serves each; plank serve --demo turns it on",
        )),
    }
}

/// 404.
pub(super) fn missing(id: i64) -> Problem {
    Problem::not_found(format!("there is no item {id}"))
}

/// 409.
pub(super) fn taken() -> Problem {
    // The same words whether the other row may be seen or not.
    let detail = "another item has a value that may be there only once; send another value";
    Problem::new(StatusCode::CONFLICT, "taken", detail)
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

fn id(path: &str) -> Result<i64, Problem> {
    let id = path
        .parse()
        .ok()
        .filter(|id| *id > 0 && !path.starts_with('+'));
    id.ok_or_else(|| {
        Problem::malformed(
            "id",
            format!(
                "is {path:?}; it has to be a whole number from 1 to {}",
                i64::MAX
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_positive_bigint() {
        assert_eq!(id("7").unwrap(), 7);
        for bad in ["0", "-1", "+1", "1.0", "abc", "", "9223372036854775808"] {
            assert_eq!(id(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
