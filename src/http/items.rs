//! `/api/items`: create, read, replace, merge, delete. The entity tag is the row's version.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::feed::Right;
use crate::store::items::{self, Expect, Item, Outcome, Write};

use super::credentials::{self, Who};
use super::etag::tags;
use super::observe::NO_TRANSFORM;
use super::openapi as doc;
use super::problem::Problem;
use super::{State, body, list, prefix, soon};

use fields::fields;
use guard::guard;

pub mod fields;
mod guard;

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
    let guard = guard(&state, who, Some(Right::Insert)).await?;
    let members = body::object(&request, payload, JSON, state.body_bytes_max).await?;
    let fields = fields(members, Write::Replace, &guard)?;
    let location = |id: i64| prefix::path(&state, &request, &format!("/api/items/{id}"));
    match soon(items::create(&pool, &guard, &fields)).await? {
        Outcome::Done(item) => {
            let location = location(item.id);
            Ok(respond(StatusCode::CREATED, item, Some(location)))
        }
        Outcome::Hidden(id) => Ok(HttpResponse::Created()
            .insert_header((LOCATION, location(id)))
            .json(serde_json::json!({ "id": id }))),
        other => Err(refused(0, other, &Conditions::default())),
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
    let guard = guard(&state, who, None).await?;
    let query = list::parse(request.query_string(), &guard)?;
    let page = soon(items::list(&pool, &guard, &query))
        .await
        .map_err(list::problem)?;
    let rows: Vec<&str> = page.items.iter().map(|item| item.json.as_str()).collect();
    let next = page.next.map_or("null".to_owned(), |place| {
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
    let guard = guard(&state, who, None).await?;
    let item = soon(items::get(&pool, &guard, id))
        .await?
        .ok_or_else(|| missing(id))?;
    let tag = tag(item.version);
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
    write(&state, who, &request, &path, payload, Write::Replace).await
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
    write(&state, who, &request, &path, payload, Write::Merge).await
}

async fn write(
    state: &State,
    who: Who,
    request: &HttpRequest,
    path: &str,
    payload: web::Payload,
    write: Write,
) -> Result<HttpResponse, Problem> {
    served(state)?;
    let id = id(path)?;
    let conditions = Conditions::of(request.headers())?;
    let pool = state.pool_for(request, &who.0);
    let guard = guard(state, who, Some(Right::Update)).await?;
    let accepted = if write == Write::Merge { MERGE } else { JSON };
    let members = body::object(request, payload, accepted, state.body_bytes_max).await?;
    let fields = fields(members, write, &guard)?;
    match soon(items::update(
        &pool,
        &guard,
        id,
        &fields,
        write,
        &conditions.expect,
    ))
    .await?
    {
        Outcome::Done(item) => Ok(respond(StatusCode::OK, item, None)),
        Outcome::Hidden(_) => Ok(HttpResponse::NoContent().finish()),
        other => Err(refused(id, other, &conditions)),
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
    let guard = guard(&state, who, Some(Right::Delete)).await?;
    match soon(items::delete(&pool, &guard, id, &conditions.expect)).await? {
        Outcome::Done(_) | Outcome::Hidden(_) => Ok(HttpResponse::NoContent().finish()),
        other => Err(refused(id, other, &conditions)),
    }
}

fn respond(status: StatusCode, item: Item, location: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((ETAG, tag(item.version)));
    // A proxy that compresses makes the tag a weak one, and that is no condition for a write.
    response.insert_header((CACHE_CONTROL, NO_TRANSFORM));
    if let Some(location) = location {
        response.insert_header((LOCATION, location));
    }
    response.content_type("application/json").body(item.json)
}

/// What was not done.
fn refused(id: i64, outcome: Outcome, conditions: &Conditions) -> Problem {
    match outcome {
        Outcome::Changed(item) => conditions.unmet(&item),
        Outcome::Forbidden => credentials::forbidden("your role may not do that with this item"),
        Outcome::Taken => taken(),
        Outcome::Done(_) | Outcome::Hidden(_) | Outcome::Missing => missing(id),
    }
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

/// 412.
pub(super) fn changed(item: &Item) -> Problem {
    let detail = format!(
        "another client has changed item {}: it is at version {} now; read it, and try again",
        item.id, item.version
    );
    precondition("changed", detail, item)
}

/// 412.
fn precondition(kind: &'static str, detail: String, item: &Item) -> Problem {
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, kind, detail);
    match tag(item.version).try_into() {
        Ok(value) => problem.with_header(ETAG, value),
        Err(_) => problem,
    }
}

fn tag(version: i32) -> String {
    format!("\"{version}\"")
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

/// What a request expects of the row that it writes.
#[derive(Debug, Default)]
struct Conditions {
    expect: Expect,
    /// Versions of `If-Match` whose tags are weak, and so never match.
    weak: Vec<i32>,
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let version = |tag: &str| {
            tag.strip_prefix('"')?
                .strip_suffix('"')?
                .parse::<i32>()
                .ok()
        };
        let weak = |tag: &String| tag.strip_prefix("W/").and_then(version);
        let mut conditions = Self::default();
        let only = tags(headers, IF_MATCH)?.filter(|tags| !tags.iter().any(|t| t == "*"));
        if let Some(tags) = only {
            // A strong comparison (RFC 9110, section 13.1.1): a weak tag never matches, and neither does one that is no version.
            conditions.weak = tags.iter().filter_map(weak).collect();
            conditions.expect.only = Some(tags.iter().filter_map(|tag| version(tag)).collect());
        }
        let except = tags(headers, IF_NONE_MATCH)?.unwrap_or_default();
        conditions.expect.no_row = except.iter().any(|t| t == "*");
        // And here a weak one (section 13.1.2).
        let either = |tag: &String| version(tag).or_else(|| weak(tag));
        conditions.expect.except = except.iter().filter_map(either).collect();
        Ok(conditions)
    }

    /// 412: which of them the row does not meet.
    fn unmet(&self, item: &Item) -> Problem {
        let Item { id, version, .. } = item;
        if self.weak.contains(version) {
            let detail = format!(
                "item {id} is at version {version} as expected, but W/\"{version}\" is a weak tag, and no condition for a write: a proxy \
                 that compresses answers has made it weak; send If-Match: \"{version}\", which is the item's `version` in quotes"
            );
            return precondition("weak-tag", detail, item);
        }
        if self.expect.no_row || self.expect.except.contains(version) {
            let detail = format!(
                "item {id} is there already, at version {version}, and If-None-Match says that it must not be"
            );
            return precondition("exists", detail, item);
        }
        changed(item)
    }
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
