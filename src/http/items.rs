//! `/api/items`: create, read, replace, merge, delete. The entity tag is the row's version.

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};

use crate::store::items::{self, Expect, Fields, Item, Outcome, Write};

use super::problem::{FieldError, Problem};
use super::{State, body, list, soon};

const JSON: &[&str] = &["application/json"];
const MERGE: &[&str] = &["application/merge-patch+json", "application/json"];
const NAME_CHARACTERS_MAX: usize = 200;
/// Digits of a number in `data`, written out: more than a double has (309), far less than a numeric (131,072).
const NUMBER_DIGITS_MAX: u64 = 1_000;
const STATUSES: [&str; 3] = ["open", "active", "done"];

/// `POST /api/items`
///
/// # Errors
/// 400, 413, 415, 422, 503.
pub async fn create(
    state: web::Data<State>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let members = body::object(&request, payload, JSON, state.body_bytes_max).await?;
    let item = soon(items::create(
        &state.pool,
        &fields(members, Write::Replace)?,
    ))
    .await?;
    let location = format!("/api/items/{}", item.id);
    Ok(respond(StatusCode::CREATED, item, Some(location)))
}

/// `GET /api/items`
///
/// # Errors
/// 400 names the parameter; 503.
pub async fn page(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query = list::parse(request.query_string())?;
    let page = soon(items::list(&state.pool, &query))
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
pub async fn read(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    let item = soon(items::get(&state.pool, id))
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
pub async fn replace(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    write(&state, &request, &path, payload, Write::Replace).await
}

/// `PATCH /api/items/{id}`: a merge patch (RFC 7396).
///
/// # Errors
/// 400, 404, 412, 413, 415, 422, 503.
pub async fn patch(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    write(&state, &request, &path, payload, Write::Merge).await
}

async fn write(
    state: &State,
    request: &HttpRequest,
    path: &str,
    payload: web::Payload,
    write: Write,
) -> Result<HttpResponse, Problem> {
    let id = id(path)?;
    let expect = expect(request.headers())?;
    let accepted = if write == Write::Merge { MERGE } else { JSON };
    let members = body::object(request, payload, accepted, state.body_bytes_max).await?;
    let fields = fields(members, write)?;
    match soon(items::update(&state.pool, id, &fields, write, &expect)).await? {
        Outcome::Done(item) => Ok(respond(StatusCode::OK, item, None)),
        Outcome::Missing => Err(missing(id)),
        Outcome::Changed(item) => Err(changed(&item)),
    }
}

/// `DELETE /api/items/{id}`
///
/// # Errors
/// 400, 404, 412, 503.
pub async fn delete(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    match soon(items::delete(&state.pool, id, &expect(request.headers())?)).await? {
        Outcome::Done(_) => Ok(HttpResponse::NoContent().finish()),
        Outcome::Missing => Err(missing(id)),
        Outcome::Changed(item) => Err(changed(&item)),
    }
}

fn respond(status: StatusCode, item: Item, location: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((ETAG, tag(item.version)));
    if let Some(location) = location {
        response.insert_header((LOCATION, location));
    }
    response.content_type("application/json").body(item.json)
}

fn missing(id: i64) -> Problem {
    Problem::not_found(format!("there is no item {id}"))
}

fn changed(item: &Item) -> Problem {
    let detail = format!(
        "somebody else has changed item {}: it is at version {} now; read it, and try again",
        item.id, item.version
    );
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "changed", detail);
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

/// The entity tags of a conditional header, if it is there (RFC 9110, section 13.1).
fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Vec<String>>, Problem> {
    let mut list = None;
    for value in headers.get_all(&name) {
        let list = list.get_or_insert_with(Vec::new);
        for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let is_quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
            if tag != "*" && !is_quoted {
                let detail = format!(
                    "{tag:?} is no entity tag; send the ETag of the row with its quotes, as in {name}: \"3\""
                );
                return Err(Problem::malformed(name.as_str(), detail));
            }
            list.push(tag.to_owned());
        }
    }
    Ok(list)
}

fn expect(headers: &HeaderMap) -> Result<Expect, Problem> {
    let Some(tags) = tags(headers, IF_MATCH)? else {
        return Ok(Expect::Anything);
    };
    if tags.iter().any(|t| t == "*") {
        return Ok(Expect::Anything);
    }
    // A strong comparison: a weak tag never matches, and neither does one that is no version.
    let version = |tag: &String| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    Ok(Expect::Versions(tags.iter().filter_map(version).collect()))
}

/// Checks all members, so that a client hears of all mistakes at once.
fn fields(members: Map<String, Value>, write: Write) -> Result<Fields, Problem> {
    let (mut fields, mut errors) = (Fields::default(), Vec::new());
    let mut refuse = |field: &str, detail: String| {
        errors.push(FieldError {
            field: field.into(),
            detail,
        })
    };
    let name_is_missing = write == Write::Replace && !members.contains_key("name");
    for (field, value) in members {
        if has_huge_number(&value) {
            let detail = format!("has a number of more than {NUMBER_DIGITS_MAX} digits");
            refuse(&field, detail);
            continue;
        }
        if has_nul(&value) {
            refuse(&field, "can't hold the character U+0000".into());
            continue;
        }
        match (field.as_str(), value) {
            ("name", Value::String(name)) => match name.chars().count() {
                1..=NAME_CHARACTERS_MAX => fields.name = Some(name),
                n => refuse(
                    "name",
                    format!("has {n} characters; it has to have 1 to {NAME_CHARACTERS_MAX}"),
                ),
            },
            ("name", other) => refuse(
                "name",
                format!("is {}; it has to be a string", kind(&other)),
            ),
            ("description", Value::String(text)) => fields.description = Some(Some(text)),
            ("description", Value::Null) => fields.description = Some(None),
            ("description", other) => refuse(
                "description",
                format!("is {}; it has to be a string or null", kind(&other)),
            ),
            ("status", Value::String(status)) if STATUSES.contains(&status.as_str()) => {
                fields.status = Some(status)
            }
            ("status", other) => refuse(
                "status",
                format!("is {other}; it has to be one of {}", STATUSES.join(", ")),
            ),
            ("data", data @ Value::Object(_)) => fields.data = Some(data),
            ("data", other) => refuse(
                "data",
                format!("is {}; it has to be an object", kind(&other)),
            ),
            ("id" | "version" | "created_at" | "updated_at", _) => {
                refuse(&field, "is set by the database and can't be written".into());
            }
            _ => refuse(
                &field,
                "is unknown; the members are name, description, status and data".into(),
            ),
        }
    }
    if name_is_missing {
        refuse("name", "is missing".into());
    }
    if errors.is_empty() {
        Ok(fields)
    } else {
        Err(Problem::invalid(errors))
    }
}

/// jsonb writes `1e100000` out, all 100,001 digits of it, into every copy of the row.
fn has_huge_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
            let exponent = exponent.parse::<i64>().map_or(u64::MAX, i64::unsigned_abs);
            exponent.saturating_add(digits.len() as u64) > NUMBER_DIGITS_MAX
        }
        Value::Array(list) => list.iter().any(has_huge_number),
        Value::Object(members) => members.values().any(has_huge_number),
        _ => false,
    }
}

/// PostgreSQL's text can't hold it, nor can jsonb.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value, write: Write) -> Result<Fields, Vec<String>> {
        let Value::Object(members) = value else {
            panic!("an object")
        };
        fields(members, write).map_err(|problem| {
            let body: Value = serde_json::from_str(&problem.json()).unwrap();
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["field"].as_str().unwrap().to_owned())
                .collect()
        })
    }

    #[test]
    fn every_wrong_member_is_named() {
        let long = "ü".repeat(NAME_CHARACTERS_MAX);
        assert!(check(json!({"name": long}), Write::Replace).is_ok());
        for (body, wrong) in [
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": format!("{long}x")}), "name"),
            (json!({"name": null}), "name"),
            (json!({"name": "a\u{0}"}), "name"),
            (json!({"name": "a", "status": "new"}), "status"),
            (json!({"name": "a", "status": null}), "status"),
            (json!({"name": "a", "data": []}), "data"),
            (json!({"name": "a", "data": {"x": ["\u{0}"]}}), "data"),
            (json!({"name": "a", "data": {"\u{0}": 1}}), "data"),
            (json!({"name": "a", "description": 1}), "description"),
            (json!({"name": "a", "nmae": 1}), "nmae"),
            (
                serde_json::from_str(r#"{"name":"a","data":{"n":[1e1001]}}"#).unwrap(),
                "data",
            ),
            (
                serde_json::from_str(r#"{"name":"a","data":{"n":[1e-99999999999999999999]}}"#)
                    .unwrap(),
                "data",
            ),
            (json!({"name": "a", "id": 1}), "id"),
        ] {
            assert_eq!(
                check(body.clone(), Write::Replace),
                Err(vec![wrong.to_owned()]),
                "{body}"
            );
        }
        let both = check(json!({"status": "x", "zzz": 1}), Write::Replace).unwrap_err();
        assert_eq!(both, ["status", "zzz", "name"]);
        assert!(check(json!({}), Write::Merge).is_ok());
    }

    #[test]
    fn an_id_is_a_positive_bigint() {
        assert_eq!(id("7").unwrap(), 7);
        for bad in ["0", "-1", "+1", "1.0", "abc", "", "9223372036854775808"] {
            assert_eq!(id(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
