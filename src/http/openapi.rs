//! What the HTTP API is, for programs: `GET /openapi.json`, OpenAPI 3.1. `/docs` shows it to people.
//!
//! Each handler says in its `#[utoipa::path]` what it takes and what it answers. To add a route:
//!
//! 1. put it into [`super::routes::routes`], and its handler into the list of [`Api`];
//! 2. list every status that the handler has. Those with a problem are in [`answers`], made by the same functions that
//!    the handlers use; parameters are in [`params`], with their bounds from `limits`; bodies are in [`schemas`];
//! 3. give each body an example.
//!
//! Tests compare this with the routes, validate the examples and what a server really answers, and `make test-schema`
//! sends what the document allows, and what it does not.
//!
//! `/rest/{table}` is in it once for each table that the caller may see, with its columns: [`tables`] says which schemas,
//! [`operations`] which methods, [`columns`] which types; [`rest`] has what is the same for all of them. [`document`] puts all of
//! it together, and keeps it.

use std::sync::LazyLock;

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, Server};
use utoipa::{Modify, OpenApi};

use crate::auth::Viewer;
use crate::feed::Right;

use super::credentials::Who;
use super::problem::{self, Problem};
use super::tables::{listed, may_write};
use super::{
    State, assets, asyncapi, changes, health, items, log_in, observe, rest as by_table, rows,
    stream, ws,
};

mod answers;
mod batch;
mod columns;
mod document;
mod filters;
mod members;
mod operations;
mod params;
mod rest;
mod schemas;
mod tables;

pub use answers::*;
pub use batch::*;
pub use document::Documents;
pub use params::*;
pub use schemas::*;

use document::Document as Whole;
use tables::Seen;

/// The document. What the handlers of `paths` mention comes by itself.
#[derive(OpenApi)]
#[openapi(
    paths(
        items::page,
        items::create,
        items::read,
        items::replace,
        items::patch,
        items::delete,
        super::tables::list,
        super::types::read,
        rows::read,
        by_table::batch::run,
        changes::history,
        stream::events,
        log_in::log_in,
        log_in::read,
        log_in::log_out,
        log_in::how,
        log_in::ticket,
        ws::upgrade_required,
        health::livez,
        health::readyz,
        health::metrics,
        super::activity::read,
        json,
        asyncapi::json,
        assets::docs,
        assets::index,
        assets::file,
    ),
    components(schemas(problem::Body<'_>, problem::RestBody<'_>)),
    modifiers(&Shared),
    info(
        title = "plank",
        description = "Live PostgreSQL tables over HTTP. Wherever GET is served, so is HEAD, but for \
            `/api/stream`, which has no end; any other method is a 405 with \
            `Allow`. Every error is `application/problem+json` (RFC 9457), but \
            for a request whose head can't be parsed, which gets a bare status; a 503 with `Retry-After` is worth another try. \
            Values are JSON as PostgreSQL writes it: numbers may have more digits than a double.",
    ),
    tags(
        (name = "items", description = "The reference table `public.items`. Its `ETag` is the version of a row."),
        (name = "tables", description = "Every watched table: its columns, and its rows as of one moment."),
        (name = "rest", description = "Every watched table that the caller may see, in PostgREST's words: docs/REST.md has them. What \
            the caller may not do is a 403, and says so."),
        (name = "changes", description = "Every committed change of a watched table, since any cursor."),
        (name = "sessions", description = "Who asks, where people have to log in (`--auth on`). Every request takes a token in \
            `Authorization: Bearer`; these are for browsers."),
        (name = "operations", description = "For those who run it."),
        (name = "pages", description = "For browsers. Nothing is loaded from elsewhere."),
    ),
)]
struct Api;

/// What the macros have no words for.
struct Shared;

impl Modify for Shared {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        // Relative to this document, for plank may be served below a path.
        api.servers = Some(vec![Server::new("./")]);
        for (path, item) in &mut api.paths.paths {
            let operations = [
                &mut item.get,
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ];
            let is_counted = !observe::UNCOUNTED.contains(&path.as_str());
            for operation in operations.into_iter().flatten() {
                let responses = &mut operation.responses.responses;
                let foreign = Ref::from_response_name("ForeignHost");
                responses.entry("421".into()).or_insert(foreign.into());
                if is_counted {
                    let too_often = Ref::from_response_name("TooOften");
                    responses.entry("429".into()).or_insert(too_often.into());
                }
            }
        }
        if let Some(components) = &mut api.components {
            components.responses.extend(answers::all());
            let bearer = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT");
            components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        }
    }
}

/// The document without tables.
fn base() -> &'static Whole {
    static BASE: LazyLock<Whole> = LazyLock::new(|| {
        // A test reads it back.
        let text = Api::openapi().to_json().unwrap_or_default();
        let mut base: Whole = serde_json::from_str(&text).unwrap_or_default();
        for (name, parameter) in rest::parameters() {
            base.components.parameters.push(name, &parameter);
        }
        for (name, header) in rest::headers() {
            base.components.headers.push(name, &header);
        }
        base
    });
    &BASE
}

/// `GET /openapi.json`
///
/// # Errors
/// 400, 401, 503.
#[utoipa::path(
    get, path = "/openapi.json", tag = "pages", operation_id = "openapi",
    summary = "This document",
    description = "OpenAPI 3.1, with a path for each table that the caller may see; with `--auth on` and without a token there is none.",
    params(IfNoneMatch),
    responses(
        (
            status = 200, description = "The document.", body = inline(Document), content_type = "application/json",
            headers(("ETag" = String, description = "Of this version.")),
        ),
        (status = 304, description = "It is still that of `If-None-Match`."),
        Malformed, Unauthenticated, Away,
    ),
)]
pub async fn json(
    request: HttpRequest,
    who: Result<Who, Problem>,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let (version, tables) = match caller(&request, who)? {
        Some(viewer) => {
            let listed = listed(&state, &viewer).await?;
            let tables = listed.tables.into_iter();
            let seen = tables.map(|table| Seen {
                insert: may_write(&table, &viewer, Right::Insert),
                update: may_write(&table, &viewer, Right::Update),
                delete: may_write(&table, &viewer, Right::Delete),
                table,
            });
            (listed.version, seen.collect())
        }
        None => (0, Vec::new()),
    };
    let served = state.documents.get(version, tables, &state.metrics).await;
    let served = served.ok_or_else(|| Problem::unavailable("the server is about to end"))?;
    let body = served.text.clone();
    let mut answer = assets::cached(&request, served.tag.clone(), "application/json", body);
    if state.auth.is_some() {
        let headers = answer.headers_mut();
        let private = HeaderValue::from_static("private, no-cache");
        headers.insert(CACHE_CONTROL, private);
        headers.append(VARY, HeaderValue::from_static("authorization, cookie"));
    }
    Ok(answer)
}

/// Who asks, if that is known. The document is there for everybody, so a cookie that is not good is none; a token that a program
/// sends has to be good.
fn caller(request: &HttpRequest, who: Result<Who, Problem>) -> Result<Option<Viewer>, Problem> {
    match who {
        Ok(who) => Ok(Some(who.0)),
        Err(problem) => match problem.status().as_u16() {
            401 | 403 if !request.headers().contains_key(AUTHORIZATION) => Ok(None),
            _ => Err(problem),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::routes::routes;
    use super::*;
    use crate::feed::Table;

    /// With one table that may be written, and one that may not.
    fn document() -> Value {
        let seen = |name: &str, is_writable| {
            let mut table = Table::of_paper(1, "public", name);
            let columns = json!([{"name": "id", "type": "bigint", "base": "bigint"}, {"name": "a \"b\"", "type": "text", "base": "text"}]);
            table.columns = serde_json::from_value(columns).unwrap();
            Seen {
                table: table.into(),
                insert: is_writable,
                update: is_writable,
                delete: is_writable,
            }
        };
        let tables = [seen("one", true), seen("two", false)];
        serde_json::from_slice(&document::Served::of(&tables).text).unwrap()
    }

    /// All operations: path, method, description.
    fn operations(document: &Value) -> Vec<(String, String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &'_ Value)| {
            let methods = item.as_object().unwrap().keys().cloned();
            methods
                .map(|method| (path.clone(), method))
                .collect::<Vec<_>>()
        };
        let names = paths.iter().flat_map(of);
        names
            .map(|(path, method)| {
                let operation = &document["paths"][&path][&method];
                (path, method.to_uppercase(), operation)
            })
            .collect()
    }

    #[test]
    fn the_document_has_the_routes_and_no_others() {
        let document = document();
        let documented: BTreeSet<_> = operations(&document)
            .into_iter()
            .map(|(path, method, _)| {
                let path = path.replace("/rest/two", "/rest/one");
                (path.replace("/rest/one", "/rest/{table}"), method)
            })
            .collect();
        let mut served = BTreeSet::new();
        for place in routes() {
            for method in place.methods() {
                // It is said once, for all of them.
                if method != "HEAD" {
                    served.insert((place.path(), method.to_string()));
                }
            }
        }
        assert_eq!(documented, served);
    }

    #[test]
    fn every_operation_is_explained() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let tags: Vec<_> = document["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| &tag["name"])
            .collect();
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let what = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{what}"
            );
            assert!(tags.contains(&&operation["tags"][0]), "{what}");
            for member in ["summary", "description"] {
                let text = operation[member].as_str().unwrap();
                // The handler's own comment is for those who read the code.
                assert!(!text.is_empty() && !text.contains("# Errors"), "{what}");
            }
            let parameters = operation["parameters"].as_array();
            for parameter in parameters.into_iter().flatten() {
                let shared = parameter["$ref"].as_str().map(|place| &place[1..]);
                let shared = shared.map(|place| document.pointer(place).unwrap());
                let parameter = shared.unwrap_or(parameter);
                let name = parameter["name"].as_str().unwrap();
                assert!(parameter["description"].is_string(), "{what}: {name}");
                assert_eq!(
                    parameter["in"] == "path",
                    path.contains(&format!("{{{name}}}")),
                    "{what}: {name}"
                );
            }
        }
    }
}
