//! Bad input: each is a 4xx that names what is wrong, and nothing is written.

use serde_json::json;

use super::{get, send, start};

const STRICT: (&str, &str) = ("prefer", "handling=strict, nonsense=1");

#[actix_web::test]
async fn bad_input_is_refused_and_named() {
    let app = start().await;
    let body = r#"{"name":"n"}"#;
    type Case<'a> = (
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
        &'a str,
        u16,
        &'a str,
    );
    let cases: &[Case<'_>] = &[
        ("GET", "/rest/nonsense", &[], "", 404, "nonsense"),
        ("GET", "/rest/pg_class", &[], "", 404, "pg_class"),
        ("GET", "/rest/plank.log", &[], "", 404, "plank.log"),
        (
            "GET",
            "/rest/orders?nonsense=eq.1",
            &[],
            "",
            400,
            "nonsense",
        ),
        (
            "GET",
            "/rest/orders?select=nonsense",
            &[],
            "",
            400,
            "select",
        ),
        (
            "GET",
            "/rest/orders?select=id::text",
            &[],
            "",
            400,
            "casts are not served",
        ),
        (
            "GET",
            "/rest/orders?select=id,customers(*)",
            &[],
            "",
            400,
            "embedding",
        ),
        (
            "GET",
            "/rest/orders?select=count()",
            &[],
            "",
            400,
            "aggregates",
        ),
        (
            "GET",
            "/rest/orders?select=data->>k",
            &[],
            "",
            400,
            "paths into JSON",
        ),
        (
            "GET",
            "/rest/orders?customers.name=eq.x",
            &[],
            "",
            400,
            "customers.name",
        ),
        (
            "GET",
            "/rest/orders?data->>k=eq.1",
            &[],
            "",
            400,
            "data->>k",
        ),
        ("GET", "/rest/orders?order=nonsense", &[], "", 400, "order"),
        (
            "GET",
            "/rest/orders?order=id.sideways",
            &[],
            "",
            400,
            "order",
        ),
        ("GET", "/rest/orders?id=nope.1", &[], "", 400, "operator"),
        ("GET", "/rest/orders?id=1", &[], "", 400, "id"),
        ("GET", "/rest/orders?id=eq.x", &[], "", 400, "id"),
        (
            "GET",
            "/rest/orders?id=eq.99999999999999999999",
            &[],
            "",
            400,
            "id",
        ),
        ("GET", "/rest/orders?mood=eq.furious", &[], "", 400, "mood"),
        (
            "GET",
            "/rest/orders?mood=gt.furious",
            &[],
            "",
            400,
            "furious",
        ),
        (
            "GET",
            "/rest/orders?tags=cs.x",
            &[],
            "",
            400,
            "malformed array",
        ),
        ("GET", "/rest/orders?data=cs.x", &[], "", 400, "json"),
        (
            "GET",
            "/rest/orders?name=cs.x",
            &[],
            "",
            400,
            "operator does not exist",
        ),
        (
            "GET",
            "/rest/orders?name=match.(",
            &[],
            "",
            400,
            "regular expression",
        ),
        ("GET", "/rest/orders?name=fts(nope).x", &[], "", 400, "nope"),
        ("GET", "/rest/orders?name=is.maybe", &[], "", 400, "name"),
        ("GET", "/rest/orders?address=eq.nope", &[], "", 400, "inet"),
        ("GET", "/rest/orders?or=(id.eq.1", &[], "", 400, "or"),
        ("GET", "/rest/orders?limit=x", &[], "", 400, "limit"),
        ("GET", "/rest/orders?offset=-1", &[], "", 400, "offset"),
        ("GET", "/rest/orders?name=eq.%00", &[], "", 400, "name"),
        ("GET", "/rest/orders?columns=id", &[], "", 400, "columns"),
        ("GET", "/rest/orders", &[("range", "5-1")], "", 416, "range"),
        ("GET", "/rest/orders", &[("range", "x")], "", 400, "Range"),
        ("GET", "/rest/orders", &[STRICT], "", 400, "nonsense=1"),
        (
            "GET",
            "/rest/orders",
            &[("prefer", "count=many")],
            "",
            400,
            "count=many",
        ),
        (
            "GET",
            "/rest/orders",
            &[("accept", "application/pdf")],
            "",
            406,
            "Accept",
        ),
        (
            "GET",
            "/rest/orders?id=eq.1",
            &[("if-none-match", "x")],
            "",
            400,
            "if-none-match",
        ),
        ("OPTIONS", "/rest/orders", &[], "", 405, "GET"),
        ("POST", "/rest/nonsense", &[], body, 404, "nonsense"),
        (
            "POST",
            "/rest/quiet",
            &[],
            r#"{"id":1}"#,
            403,
            "writable => true",
        ),
        ("POST", "/rest/orders", &[], "{}", 400, "empty object"),
        ("POST", "/rest/orders", &[], "[{}]", 400, "empty object"),
        ("POST", "/rest/orders", &[], "nonsense", 400, "body"),
        ("POST", "/rest/orders", &[], "[1]", 400, "body"),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a","name":"b"}"#,
            400,
            "twice",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"[{"name":"a"},{"status":"b"}]"#,
            400,
            "object 1",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"nonsense":1}"#,
            400,
            "nonsense",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"id":"x","name":"a"}"#,
            400,
            "bigint",
        ),
        ("POST", "/rest/orders", &[], r#"{"name":null}"#, 400, "name"),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"status":"open"}"#,
            400,
            "name",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a","status":"bad"}"#,
            400,
            "orders_status_check",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a","mood":"furious"}"#,
            400,
            "furious",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a","qty":-1}"#,
            400,
            "positive",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a","code":"long"}"#,
            400,
            "too long",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a","doubled":1}"#,
            400,
            "doubled",
        ),
        (
            "POST",
            "/rest/orders",
            &[],
            r#"{"name":"a\u0000"}"#,
            400,
            "body",
        ),
        (
            "POST",
            "/rest/orders?columns=nonsense",
            &[],
            body,
            400,
            "columns",
        ),
        (
            "POST",
            "/rest/orders?on_conflict=nonsense",
            &[("prefer", "resolution=merge-duplicates")],
            body,
            400,
            "on_conflict",
        ),
        ("POST", "/rest/orders?id=eq.1", &[], body, 400, "filter"),
        ("POST", "/rest/orders?limit=1", &[], body, 400, "limit"),
        (
            "POST",
            "/rest/orders",
            &[("prefer", "return=all")],
            body,
            400,
            "return=all",
        ),
        (
            "POST",
            "/rest/orders",
            &[("prefer", "resolution=x")],
            body,
            400,
            "resolution=x",
        ),
        (
            "POST",
            "/rest/orders",
            &[("content-profile", "sales")],
            body,
            404,
            "orders",
        ),
        (
            "POST",
            "/rest/orders",
            &[("content-encoding", "gzip")],
            body,
            415,
            "gzip",
        ),
        ("PATCH", "/rest/orders", &[], body, 400, "filter"),
        (
            "PATCH",
            "/rest/orders?id=eq.1",
            &[],
            "{}",
            400,
            "empty object",
        ),
        (
            "PATCH",
            "/rest/orders?id=eq.1",
            &[],
            "[]",
            400,
            "one object",
        ),
        (
            "PATCH",
            "/rest/orders?id=eq.1",
            &[],
            r#"{"nonsense":1}"#,
            400,
            "nonsense",
        ),
        (
            "PATCH",
            "/rest/orders?id=eq.1",
            &[],
            r#"{"doubled":1}"#,
            400,
            "doubled",
        ),
        (
            "PATCH",
            "/rest/orders?nonsense=eq.1",
            &[],
            body,
            400,
            "nonsense",
        ),
        (
            "PATCH",
            "/rest/orders?id=eq.1&limit=1",
            &[],
            body,
            400,
            "limit",
        ),
        (
            "PATCH",
            "/rest/orders?id=eq.1",
            &[("if-match", "x")],
            body,
            400,
            "if-match",
        ),
        ("DELETE", "/rest/orders", &[], "", 400, "filter"),
        ("DELETE", "/rest/orders?id=eq.x", &[], "", 400, "id"),
        ("DELETE", "/rest/quiet?id=eq.1", &[], "", 403, "writable"),
        ("PUT", "/rest/orders?id=gt.1", &[], body, 400, "filter"),
        (
            "PUT",
            "/rest/orders?id=eq.1",
            &[],
            r#"{"id":2,"name":"n"}"#,
            400,
            "body",
        ),
    ];
    let before = get(&app, "/rest/orders?order=id").await;
    for (method, path, headers, body, status, part) in cases {
        let path = path.replace('>', "%3E").replace('^', "%5E");
        let what = format!("{method} {path} {headers:?} {body}");
        let (got, _, answer) = send(&app, method, &path, headers, body).await;
        assert_eq!(got, *status, "{what}: {answer}");
        let text = answer.to_string();
        assert!(text.contains(part), "{what}: {text}");
        if *method != "OPTIONS" {
            for member in [
                "type", "title", "status", "detail", "code", "message", "details", "hint",
            ] {
                assert!(answer.get(member).is_some(), "{what}: {member}: {text}");
            }
        }
        if *status == 400 {
            assert!(
                answer["errors"][0]["field"].is_string() || answer["code"] != json!("PGRST100"),
                "{what}: {text}"
            );
        }
    }
    assert_eq!(get(&app, "/rest/orders?order=id").await, before);
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    let (status, _, answer) = send(&app, "POST", "/rest/orders", &[], &long).await;
    assert_eq!((status, &answer["code"]), (413, &json!("PGRST102")));
    let plain = [("content-type", "text/plain")];
    let request = app.http.post(app.url("/rest/orders")).body(body);
    assert_eq!(
        request
            .header(plain[0].0, plain[0].1)
            .send()
            .await
            .unwrap()
            .status(),
        415
    );
    app.stop().await.unwrap();
}
