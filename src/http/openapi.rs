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

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, Server};
use utoipa::{Modify, OpenApi};

use super::problem;
use super::{assets, changes, health, items, observe, rows, session, stream, tables, ws};

mod answers;
mod params;
mod schemas;

pub use answers::*;
pub use params::*;
pub use schemas::*;

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
        tables::list,
        rows::read,
        changes::history,
        stream::events,
        session::log_in,
        session::read,
        session::log_out,
        session::ticket,
        ws::upgrade_required,
        health::livez,
        health::readyz,
        health::metrics,
        json,
        assets::docs,
        assets::index,
        assets::file,
    ),
    components(schemas(problem::Body<'_>)),
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

/// The document as it is served: text, and its entity tag.
static DOCUMENT: LazyLock<(String, String)> = LazyLock::new(|| {
    // Strings, numbers and maps of those always serialise.
    let text = Api::openapi().to_pretty_json().unwrap_or_default();
    let tag = Sha256::digest(text.as_bytes())[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (text, tag)
});

/// `GET /openapi.json`
#[utoipa::path(
    get, path = "/openapi.json", tag = "pages", operation_id = "openapi",
    summary = "This document", description = "OpenAPI 3.1.",
    params(IfNoneMatch),
    responses(
        (
            status = 200, description = "The document.", body = inline(Document), content_type = "application/json",
            headers(("ETag" = String, description = "Of this version.")),
        ),
        (status = 304, description = "It is still that of `If-None-Match`."),
    ),
)]
pub async fn json(request: HttpRequest) -> HttpResponse {
    let (text, tag) = &*DOCUMENT;
    let body = text.as_bytes().into();
    assets::cached(&request, tag.clone(), "application/json", body)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::routes::routes;
    use super::*;

    fn document() -> Value {
        serde_json::from_str(&DOCUMENT.0).unwrap()
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
            .map(|(path, method, _)| (path, method))
            .collect();
        let mut served = BTreeSet::new();
        // docs/REST.md describes `/rest`, whose columns are those of the tables; the document does not have it yet.
        let is_documented = |path: &str| !path.starts_with("/rest");
        for place in routes().into_iter().filter(|p| is_documented(&p.path())) {
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
