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
    headers: Vec<(&'static str, &'static str)>,
    /// And its media type.
    body: Option<(&'static str, String)>,
}

impl Request {
    fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
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
        for (name, value) in &self.headers {
            request = request.header(*name, if *value == TAG { tag } else { value });
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
    all.extend(rest());
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
        get("/api/types"),
        get("/api/types?token=x"),
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
        get("/api/activity"),
        get("/api/login"),
        get("/openapi.json"),
        get("/openapi.json").with("if-none-match", TAG),
        get("/openapi.json?token=x"),
        get("/asyncapi.json"),
        get("/asyncapi.json").with("if-none-match", TAG),
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

const OBJECT: &str = "application/vnd.pgrst.object+json";
const ROWS: (&str, &str) = ("prefer", "return=representation");

/// Three orders are there, the first has a part.
fn rest() -> Vec<Request> {
    let mut all = rest_reads();
    all.extend(rest_inserts());
    all.extend(rest_changes());
    all.extend(rest_batches());
    all
}

/// A request with the idempotency key of the one before, which said something else.
fn twice(request: impl Fn() -> Request, key: &'static str, other: &'static str) -> [Request; 2] {
    let with_key = || request().with("idempotency-key", key);
    let mut second = with_key();
    second.target = format!("{}{other}", second.target);
    [with_key(), second]
}

fn rest_reads() -> Vec<Request> {
    let read = |query: &str| get(format!("/rest/orders{query}"));
    vec![
        read(""),
        read(
            "?select=id,name&order=name.desc.nullslast&name=like.*e*&or=(id.eq.1,not.and(id.gt.1,code.is.null))",
        ),
        read("?id=eq.1").with("accept", OBJECT),
        read("").with("accept", "text/csv"),
        read("?limit=1").with("prefer", "count=exact"),
        read("?id=eq.1"),
        read("?id=eq.1").with("if-none-match", TAG),
        read("?limit=x"),
        read("").with("accept-profile", "sales"),
        read("").with("accept", OBJECT),
        read("?offset=99").with("prefer", "count=exact"),
        read("").with("range", "5-2"),
        get("/rest/items"),
        get("/rest/parts"),
        get("/rest/sales.%22Order%20%7BLines%7D%22"),
    ]
}

fn rest_inserts() -> Vec<Request> {
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let post = || Request::new("POST", "/rest/orders");
    let to = |query: &str| Request::new("POST", format!("/rest/orders{query}"));
    let one = r#"{"name":"mug"}"#;
    let mut all = vec![
        post().of(JSON, one),
        post()
            .with(ROWS.0, ROWS.1)
            .of(JSON, format!("[{one},{one}]")),
        post()
            .with(ROWS.0, ROWS.1)
            .with("accept", OBJECT)
            .of(JSON, one),
        post().of(JSON, r#"{"nothing":1}"#),
        post().of(JSON, r#"{"name":"x","mood":"furious"}"#),
        post().with("content-profile", "sales").of(JSON, one),
        post().with("accept", "image/png").of(JSON, one),
        post().of(JSON, r#"{"name":"x","code":"a"}"#),
        post().of(JSON, long),
        post().of("text/csv", "name"),
        to("?on_conflict=code")
            .with("prefer", "resolution=merge-duplicates")
            .of(JSON, r#"{"name":"x","code":"a"}"#),
    ];
    all.extend(twice(
        || to("?columns=name").of(JSON, one),
        "insert",
        ",code",
    ));
    all
}

fn rest_changes() -> Vec<Request> {
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let (one, taken) = (r#"{"name":"jar"}"#, r#"{"id":2,"name":"jar","code":"c"}"#);
    let mut all = Vec::new();
    for (method, body) in [("PATCH", one), ("PUT", r#"{"id":2,"name":"jar"}"#)] {
        let change = move |query: &str| Request::new(method, format!("/rest/orders{query}"));
        let second = move || change("?id=eq.2");
        all.extend([
            second().of(JSON, body),
            second().with(ROWS.0, ROWS.1).of(JSON, body),
            second().with("if-match", "\"99\"").of(JSON, body),
            second().with("content-profile", "sales").of(JSON, body),
            second().with("accept", "image/png").of(JSON, body),
            second().of(JSON, taken),
            second().of(JSON, &*long),
            second().of("text/csv", "name"),
            change("").of(JSON, body),
        ]);
        all.extend(twice(move || second().of(JSON, body), method, "&select=id"));
    }
    for id in [50, 51] {
        let put = Request::new("PUT", format!("/rest/orders?id=eq.{id}"));
        let put = if id == 50 {
            put
        } else {
            put.with(ROWS.0, ROWS.1)
        };
        all.push(put.of(JSON, format!(r#"{{"id":{id},"name":"new"}}"#)));
    }
    let delete = |query: &str| Request::new("DELETE", format!("/rest/orders{query}"));
    all.extend([
        delete("?id=eq.50"),
        delete("?id=eq.51").with(ROWS.0, ROWS.1),
        delete("?id=eq.1"),
        delete("?id=eq.2").with("if-match", "\"99\""),
        delete("?id=eq.2").with("content-profile", "sales"),
        delete("?id=eq.2").with("accept", "image/png"),
        delete(""),
    ]);
    all.extend(twice(|| delete("?id=eq.77"), "delete", "&select=id"));
    all
}

fn rest_batches() -> Vec<Request> {
    let long = format!("[\"{}\"]", "x".repeat(BODY_BYTES_MAX));
    let batch = |body: &str| Request::new("POST", "/rest").of(JSON, body);
    let key = |body: &str| batch(body).with("idempotency-key", "batch");
    let one = r#"[{"op":"insert","table":"orders","values":{"name":"tin"}}]"#;
    vec![
        batch(one),
        batch(
            r#"[{"op":"upsert","table":"orders","values":{"id":3,"name":"pan"}},{"op":"delete","table":"orders","key":{"id":3}}]"#,
        ),
        batch("[]"),
        batch(r#"[{"op":"delete","table":"nothing","key":{"id":3}}]"#),
        batch(r#"[{"op":"delete","table":"orders","key":{"id":777}}]"#),
        batch(r#"[{"op":"insert","table":"orders","values":{"name":"x","code":"a"}}]"#),
        batch(
            r#"[{"op":"update","table":"orders","key":{"id":2},"values":{"name":"x"},"match":{"version":9}}]"#,
        ),
        batch(&long),
        Request::new("POST", "/rest").of("text/csv", "op"),
        key(one),
        key("[ ]"),
    ]
}
