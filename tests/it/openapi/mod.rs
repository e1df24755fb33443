//! The document and the server say the same: every example fits its schema, every route answers as documented, and
//! every status that is documented happens.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use serde_json::json;

use crate::auth::{Secure, token, viewer};
use crate::support::TestApp;

use document::Document;

mod document;
mod requests;

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
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
            let schema = &parameter["schema"];
            let more = schema["examples"].as_array().into_iter().flatten();
            for example in more.chain([&parameter["example"]]) {
                document.check(&what, schema, example);
                count += 1;
            }
        }
        count += document.check_examples(&what, &operation["requestBody"]["content"]);
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = document.resolve(answer);
            count += document.check_examples(&format!("{what} {status}"), &answer["content"]);
        }
    }
    assert!(count > 100, "only {count} examples");
    // And the check can fail.
    let item = json!({"$ref": "#/components/schemas/Item"});
    let validator = document.validator(&item);
    assert!(!validator.is_valid(&json!({"id": 1})));
    let parameters = &document.value["paths"]["/ws"]["get"]["parameters"];
    let mut parameters = parameters.as_array().unwrap().iter();
    let filter = parameters.find(|p| p["name"] == "filter").unwrap();
    let validator = document.validator(&filter["schema"]);
    for wrong in [
        json!({"status": "open"}),
        json!({"status": "is.NULL"}),
        json!({"limit": "eq.1"}),
        json!({"or": "a.eq.1"}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
    assert!(validator.is_valid(&json!({"limits": "not.eq.1", "and": "(limit.eq.1)"})));
}

#[actix_web::test]
async fn every_path_takes_the_documented_methods_and_no_others() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    for (path, item) in document.value["paths"].as_object().unwrap() {
        let target = [("{id}", "1"), ("{path}", "style.css"), ("{table}", "items")]
            .into_iter()
            .fold(path.clone(), |path, (part, value)| {
                path.replace(part, value)
            });
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
                // A stream has no end, so its HEAD would be no answer, and a ticket is only given.
                let is_read = !matches!(path.as_str(), "/api/stream" | "/api/ticket");
                assert_eq!(allowed.remove("HEAD"), is_read, "{what}: {allow}");
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
/// address. Requests without rights are in `auth`.
const RARE: [&str; 6] = ["401", "403", "408", "421", "429", "503"];

/// What needs a table whose owner wants each name once.
async fn check_collisions(app: &TestApp, document: &mut Document) {
    app.execute(
        "truncate items restart identity; create unique index one_name on items (name);
         insert into items (name) values ('one'), ('two')",
    )
    .await;
    for (method, path, target) in [
        ("POST", "/api/items", "/api/items"),
        ("PUT", "/api/items/{id}", "/api/items/2"),
        ("PATCH", "/api/items/{id}", "/api/items/2"),
    ] {
        let request = app.http.request(method.parse().unwrap(), app.url(target));
        let answer = request.json(&json!({"name": "one"})).send().await.unwrap();
        assert_eq!(answer.status(), 409, "{method}");
        document.check_answer(path, method, answer).await;
    }
}

/// What needs a world where people have to log in.
async fn check_sessions(document: &mut Document) {
    let app = Secure::start().await;
    app.execute(
        "insert into items (name) values ('one'), ('two');
         select plank.allow('items', 'viewer', 'status=eq.open');
         select plank.allow('items', 'viewer', null, '{update}')",
    )
    .await;
    let ann = viewer("ann");
    for (method, path, token) in [
        ("GET", "/api/session", ann.as_str()),
        ("POST", "/api/session", &ann),
        ("POST", "/api/ticket", &ann),
        ("DELETE", "/api/session", &ann),
        ("GET", "/api/session", "no token"),
        ("POST", "/api/ticket", "no token"),
        ("GET", "/api/tables", "no token"),
    ] {
        let request = app.http.request(method.parse().unwrap(), app.url(path));
        let answer = request.bearer_auth(token).send().await.unwrap();
        document.check_answer(path, method, answer).await;
    }
    for (method, path) in [
        ("GET", "/api/session"),
        ("POST", "/api/session"),
        ("POST", "/api/ticket"),
        ("GET", "/api/tables"),
        ("GET", "/metrics"),
    ] {
        let request = app.http.request(method.parse().unwrap(), app.url(path));
        let twice = request.header("authorization", "Bearer a");
        let twice = twice.header("authorization", "Bearer b");
        let answer = twice.header("x-forwarded-for", "192.0.2.1").send().await;
        document.check_answer(path, method, answer.unwrap()).await;
    }
    let nobody = token(json!({"sub": "ann", "role": "nobody"}));
    let answer = app.http.get(app.url("/api/items")).bearer_auth(&nobody);
    document
        .check_answer("/api/items", "GET", answer.send().await.unwrap())
        .await;
    for (method, item, body) in [
        ("PATCH", 1, json!({"status": "done"})),
        ("PUT", 2, json!({"name": "x", "status": "done"})),
        ("DELETE", 1, json!(null)),
    ] {
        let target = app.url(&format!("/api/items/{item}"));
        let request = app.http.request(method.parse().unwrap(), target);
        let answer = request.bearer_auth(&ann).json(&body).send().await.unwrap();
        document
            .check_answer("/api/items/{id}", method, answer)
            .await;
    }
}

#[actix_web::test]
async fn what_is_documented_happens_and_nothing_else() {
    let app = TestApp::start().await;
    let mut document = Document::of(&app).await;
    let before = app.request("GET", "/api/changes?table=items", None).await.1;
    let mut tag = String::new();
    for request in requests::all() {
        let path = document.path_of(&request.target);
        let response = request.send(&app, &tag).await;
        let answered = response.headers().get("etag");
        tag = answered.map_or(String::new(), |tag| tag.to_str().unwrap().to_owned());
        document.check_answer(&path, request.method, response).await;
    }

    let path = "/api/changes";
    for cursor in [before["cursor"].as_str().unwrap(), FOREIGN_CURSOR] {
        let target = app.url(&format!("{path}?table=items&since={cursor}"));
        let response = app.http.get(target).send().await.unwrap();
        let body = document.check_answer(path, "GET", response).await;
        // Of all kinds: insert, update and delete.
        assert!(cursor == FOREIGN_CURSOR || body["changes"].as_array().unwrap().len() >= 6);
    }
    // It waits, and there is something: the rest of its body is as that of the others.
    let wanted = format!("table=items&since={}", before["cursor"].as_str().unwrap());
    let response = app.http.get(app.url(&format!("{path}?{wanted}&wait=30")));
    let response = response.send().await.unwrap();
    let body = document.check_answer(path, "GET", response).await;
    assert!(!body["changes"].as_array().unwrap().is_empty());
    // Of a stream there is no end, so what is to be seen of it is its head and what comes first.
    let response = app.http.get(app.url(&format!("/api/stream?{wanted}")));
    document
        .check_beginning("/api/stream", response.send().await.unwrap())
        .await;
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

    check_collisions(&app, &mut document).await;
    Box::pin(check_sessions(&mut document)).await;
    for (path, method, operation) in document.operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let place = (path.clone(), method.clone(), status.clone());
            // Of a database that refuses: `refused` has a server that does.
            let is_refusal =
                path.starts_with("/api/items") && matches!(status.as_str(), "409" | "504");
            assert!(
                document.seen.contains(&place) || RARE.contains(&status.as_str()) || is_refusal,
                "{place:?} is documented, and did not happen"
            );
        }
    }
}
