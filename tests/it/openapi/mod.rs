//! The document and the server say the same: every example fits its schema, every route answers as documented, and
//! every status that is documented happens.

use std::collections::BTreeSet;

use plank::limits::BODY_BYTES_MAX;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::support::TestApp;

use document::Document;

mod document;

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const JSON: &str = "application/json";
/// A cursor of another log, well formed.
const FOREIGN_CURSOR: &str = "ARpj3AxtrmBJ2gUA9n-rvg";

#[actix_web::test]
async fn every_example_fits_its_schema() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    let mut count = 0;
    for (path, method, operation) in document.operations() {
        let what = format!("{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let what = format!("{what} {}", parameter["name"]);
            document.check(&what, &parameter["schema"], &parameter["example"]);
            count += 1;
        }
        count += document.check_examples(&what, &operation["requestBody"]["content"]);
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = document.resolve(answer);
            count += document.check_examples(&format!("{what} {status}"), &answer["content"]);
        }
    }
    assert!(count > 80, "only {count} examples");
    // And the check can fail.
    let item = json!({"$ref": "#/components/schemas/Item"});
    let validator = document.validator(&item);
    assert!(!validator.is_valid(&json!({"id": 1})));
}

#[actix_web::test]
async fn every_path_takes_the_documented_methods_and_no_others() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    for (path, item) in document.value["paths"].as_object().unwrap() {
        let target = path.replace("{id}", "1").replace("{path}", "style.css");
        let documented: BTreeSet<String> = item
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        for method in METHODS {
            let request = app
                .http
                .request(method.parse().unwrap(), app.url(&target))
                .send();
            let response = request.await.unwrap();
            let what = format!("{method} {target}: {}", response.status());
            let is_refused = response.status() == 405;
            assert_eq!(is_refused, !documented.contains(method), "{what}");
            if is_refused {
                let allow = response.headers()["allow"].to_str().unwrap();
                let mut allowed: BTreeSet<String> = allow.split(", ").map(String::from).collect();
                assert!(allowed.remove("HEAD"), "{what}: {allow}");
                assert_eq!(allowed, documented, "{what}");
            }
            let text = response.text().await.unwrap();
            assert!(!text.contains("there is nothing at"), "{what}");
        }
    }
}

/// Needs a world that is out of order; the tests of those worlds are elsewhere.
///
/// A body that takes 20 s; a database that is away, an actor that is stuck, 19,000 WebSockets, or 1,000 of one
/// address.
const RARE: [&str; 3] = ["408", "429", "503"];

#[actix_web::test]
async fn what_is_documented_happens_and_nothing_else() {
    let app = TestApp::start().await;
    let mut document = Document::of(&app).await;
    let item = "/api/items/{id}";
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let merge = "application/merge-patch+json";

    type Pair<'a> = Option<(&'a str, &'a str)>;
    // Path, method, target, one header, body with its media type.
    let requests: &[(&str, &str, &str, Pair, Pair)] = &[
        (
            "/api/items",
            "POST",
            "/api/items",
            None,
            Some((JSON, r#"{"name":"a","data":{"n":1.50}}"#)),
        ),
        (
            "/api/items",
            "POST",
            "/api/items",
            None,
            Some((JSON, r#"{"name":"b","description":"c","status":"done"}"#)),
        ),
        ("/api/items", "POST", "/api/items", None, Some((JSON, "["))),
        (
            "/api/items",
            "POST",
            "/api/items",
            None,
            Some((JSON, &long)),
        ),
        (
            "/api/items",
            "POST",
            "/api/items",
            None,
            Some(("text/plain", "{}")),
        ),
        (
            "/api/items",
            "POST",
            "/api/items",
            None,
            Some((JSON, r#"{"name":"","status":"new"}"#)),
        ),
        ("/api/items", "GET", "/api/items", None, None),
        (
            "/api/items",
            "GET",
            "/api/items?limit=1&order=id.desc&status=neq.x",
            None,
            None,
        ),
        ("/api/items", "GET", "/api/items?limit=0", None, None),
        (item, "GET", "/api/items/1", None, None),
        (
            item,
            "GET",
            "/api/items/1",
            Some(("if-none-match", "\"1\"")),
            None,
        ),
        (item, "GET", "/api/items/x", None, None),
        (item, "GET", "/api/items/%ff", None, None),
        (item, "GET", "/api/items/99", None, None),
        (
            item,
            "PUT",
            "/api/items/1",
            Some(("if-match", "\"1\"")),
            Some((JSON, r#"{"name":"d"}"#)),
        ),
        (
            item,
            "PUT",
            "/api/items/1",
            Some(("if-match", "\"1\"")),
            Some((JSON, r#"{"name":"d"}"#)),
        ),
        (
            item,
            "PUT",
            "/api/items/1",
            Some(("if-match", "1")),
            Some((JSON, r#"{"name":"d"}"#)),
        ),
        (
            item,
            "PUT",
            "/api/items/99",
            None,
            Some((JSON, r#"{"name":"d"}"#)),
        ),
        (item, "PUT", "/api/items/1", None, Some((JSON, &long))),
        (item, "PUT", "/api/items/1", None, Some((merge, "{}"))),
        (item, "PUT", "/api/items/1", None, Some((JSON, "{}"))),
        (
            item,
            "PATCH",
            "/api/items/1",
            None,
            Some((merge, r#"{"status":"active"}"#)),
        ),
        (
            item,
            "PATCH",
            "/api/items/1",
            None,
            Some((JSON, r#"{"description":null}"#)),
        ),
        (item, "PATCH", "/api/items/0", None, Some((JSON, "{}"))),
        (
            item,
            "PATCH",
            "/api/items/1",
            Some(("if-match", "\"1\"")),
            Some((JSON, "{}")),
        ),
        (item, "PATCH", "/api/items/99", None, Some((JSON, "{}"))),
        (item, "PATCH", "/api/items/1", None, Some((JSON, &long))),
        (
            item,
            "PATCH",
            "/api/items/1",
            None,
            Some(("text/plain", "{}")),
        ),
        (
            item,
            "PATCH",
            "/api/items/1",
            None,
            Some((JSON, r#"{"id":7}"#)),
        ),
        (item, "DELETE", "/api/items/x", None, None),
        (
            item,
            "DELETE",
            "/api/items/1",
            Some(("if-match", "\"1\"")),
            None,
        ),
        (item, "DELETE", "/api/items/1", None, None),
        (item, "DELETE", "/api/items/1", None, None),
        ("/api/changes", "GET", "/api/changes", None, None),
        ("/api/changes", "GET", "/api/changes?table=nope", None, None),
        (
            "/api/changes",
            "GET",
            "/api/changes?table=items",
            None,
            None,
        ),
        ("/ws", "GET", "/ws", None, None),
        ("/livez", "GET", "/livez", None, None),
        ("/readyz", "GET", "/readyz", None, None),
        ("/metrics", "GET", "/metrics", None, None),
        ("/openapi.json", "GET", "/openapi.json", None, None),
        (
            "/openapi.json",
            "GET",
            "/openapi.json",
            Some(("if-none-match", "TAG")),
            None,
        ),
        ("/docs", "GET", "/docs", None, None),
        (
            "/docs",
            "GET",
            "/docs",
            Some(("if-none-match", "TAG")),
            None,
        ),
        ("/", "GET", "/", None, None),
        ("/", "GET", "/", Some(("if-none-match", "TAG")), None),
        ("/static/{path}", "GET", "/static/nope", None, None),
        ("/static/{path}", "GET", "/static/plank.js", None, None),
        (
            "/static/{path}",
            "GET",
            "/static/plank.js",
            Some(("if-none-match", "TAG")),
            None,
        ),
        ("/static/{path}", "GET", "/static/style.css", None, None),
        ("/static/{path}", "GET", "/static/docs.html", None, None),
        ("/static/{path}", "GET", "/static/favicon.svg", None, None),
        (
            "/static/{path}",
            "GET",
            "/static/vendor/htm.LICENSE",
            None,
            None,
        ),
    ];
    let before = app.request("GET", "/api/changes?table=items", None).await.1;
    let mut tag = String::new();
    for (path, method, target, header, body) in requests {
        let mut request = app.http.request(method.parse().unwrap(), app.url(target));
        if let Some((name, value)) = header {
            // The tag of the answer before.
            request = request.header(*name, if *value == "TAG" { &tag } else { *value });
        }
        if let Some((content_type, body)) = body {
            request = request
                .header("content-type", *content_type)
                .body((*body).to_owned());
        }
        let response = request.send().await.unwrap();
        let answered = response.headers().get("etag");
        tag = answered.map_or(String::new(), |tag| tag.to_str().unwrap().to_owned());
        document.check_answer(path, method, response).await;
    }

    let path = "/api/changes";
    for cursor in [before["cursor"].as_str().unwrap(), FOREIGN_CURSOR] {
        let target = app.url(&format!("{path}?table=items&since={cursor}"));
        let response = app.http.get(target).send().await.unwrap();
        let body = document.check_answer(path, "GET", response).await;
        // Of all kinds: insert, update and delete.
        assert!(cursor == FOREIGN_CURSOR || body["changes"].as_array().unwrap().len() >= 6);
    }
    for (header, value) in [
        ("sec-websocket-protocol", "plank.v1"),
        ("origin", "https://evil.example"),
        ("sec-websocket-key", ""),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        match value {
            "" => headers.remove(header),
            _ => headers.insert(header, value.parse().unwrap()),
        };
        let request = app.http.get(app.url("/ws?table=items")).headers(headers);
        let response = request.send().await.unwrap();
        document.check_answer("/ws", "GET", response).await;
    }

    for (path, method, operation) in document.operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let place = (path.clone(), method.clone(), status.clone());
            assert!(
                document.seen.contains(&place) || RARE.contains(&status.as_str()),
                "{place:?} is documented, and did not happen"
            );
        }
    }
}
