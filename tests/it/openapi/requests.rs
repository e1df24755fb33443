//! The requests that make every documented status happen.

use plank::limits::BODY_BYTES_MAX;
use reqwest::Response;

use crate::support::TestApp;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
/// A value of a header: the entity tag of the answer before.
const TAG: &str = "TAG";

/// A request.
pub struct Request {
    pub method: &'static str,
    pub target: String,
    header: Option<(&'static str, &'static str)>,
    /// And its media type.
    body: Option<(&'static str, String)>,
}

impl Request {
    fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            header: None,
            body: None,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    fn of(mut self, media_type: &'static str, body: impl Into<String>) -> Self {
        self.body = Some((media_type, body.into()));
        self
    }

    /// Sends it; `tag` is the entity tag of the answer before.
    pub async fn send(&self, app: &TestApp, tag: &str) -> Response {
        let method = self.method.parse().unwrap();
        let mut request = app.http.request(method, app.url(&self.target));
        if let Some((name, value)) = self.header {
            request = request.header(name, if value == TAG { tag } else { value });
        }
        if let Some((media_type, body)) = &self.body {
            request = request
                .header("content-type", *media_type)
                .body(body.clone());
        }
        request.send().await.unwrap()
    }
}

fn get(target: impl Into<String>) -> Request {
    Request::new("GET", target)
}

/// In this order, on a database in which nothing has happened.
pub fn all() -> Vec<Request> {
    let mut all = items();
    all.extend(tables());
    all.extend(pages());
    all
}

fn items() -> Vec<Request> {
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let post = || Request::new("POST", "/api/items");
    let put = |id| Request::new("PUT", format!("/api/items/{id}"));
    let patch = |id| Request::new("PATCH", format!("/api/items/{id}"));
    let delete = |id| Request::new("DELETE", format!("/api/items/{id}"));
    let all = r#"{"name":"b","description":"c","status":"done"}"#;
    vec![
        // Nobody has to log in here.
        Request::new("POST", "/api/session"),
        Request::new("POST", "/api/ticket"),
        post().of(JSON, r#"{"name":"a","data":{"n":1.50}}"#),
        post().of(JSON, all),
        post().of(JSON, "["),
        post().of(JSON, &long),
        post().of("text/plain", "{}"),
        post().of(JSON, r#"{"name":"","status":"new"}"#),
        get("/api/items"),
        get("/api/items?limit=1&order=id.desc&status=neq.x"),
        get("/api/items?limit=0"),
        get("/api/items/1"),
        get("/api/items/1").with("if-none-match", "\"1\""),
        get("/api/items/x"),
        get("/api/items/%ff"),
        get("/api/items/99"),
        put("1").with("if-match", "\"1\"").of(JSON, all),
        put("1").with("if-match", "\"1\"").of(JSON, all),
        put("1").with("if-match", "1").of(JSON, all),
        put("99").of(JSON, all),
        put("1").of(JSON, &long),
        put("1").of(MERGE, "{}"),
        put("1").of(JSON, "{}"),
        patch("1").of(MERGE, r#"{"status":"active"}"#),
        patch("1").of(JSON, r#"{"description":null}"#),
        patch("0").of(JSON, "{}"),
        patch("1").with("if-match", "\"1\"").of(JSON, "{}"),
        patch("99").of(JSON, "{}"),
        patch("1").of(JSON, &long),
        patch("1").of("text/plain", "{}"),
        patch("1").of(JSON, r#"{"id":7}"#),
        delete("x"),
        delete("1").with("if-match", "\"1\""),
        delete("1"),
        delete("1"),
    ]
}

/// One item, of the id 2, is left.
fn tables() -> Vec<Request> {
    let rows = |more: &str| get(format!("/api/tables/items/rows{more}"));
    let changes = |more: &str| get(format!("/api/changes?table=items{more}"));
    vec![
        get("/api/tables"),
        rows(""),
        rows("?columns=name&order=status,created_at.desc.nullslast&limit=1&id=gt.1"),
        rows(
            "?or=(id.eq.1,not.and(name.like.a*,data.is.null))&not.or=(id.in.(7,8))&status=in.(done,\"x\")",
        ),
        rows("?limit=1").with("accept", "application/x-ndjson"),
        rows("").with("accept", "application/jsonl;q=0.9, application/json;q=0.1"),
        rows("").with("accept", "text/csv"),
        rows("?limit=0"),
        rows("?status=open"),
        get("/api/tables/nope/rows"),
        get("/api/changes"),
        get("/api/changes?table=nope"),
        changes(""),
        changes("&status=eq.done&or=(id.is.null,id.gte.1)"),
        changes("&wait=61"),
        get("/api/stream"),
        get("/api/stream?table=items").with("last-event-id", "?"),
        get("/api/stream?table=nope"),
        get("/ws"),
    ]
}

fn pages() -> Vec<Request> {
    vec![
        get("/livez"),
        get("/readyz"),
        get("/metrics"),
        get("/openapi.json"),
        get("/openapi.json").with("if-none-match", TAG),
        get("/docs"),
        get("/docs").with("if-none-match", TAG),
        get("/"),
        get("/").with("if-none-match", TAG),
        get("/static/nope"),
        get("/static/plank.js"),
        get("/static/plank.js").with("if-none-match", TAG),
        get("/static/style.css"),
        get("/static/docs.html"),
        get("/static/favicon.svg"),
        get("/static/vendor/htm.LICENSE"),
    ]
}
