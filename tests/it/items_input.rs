//! Every way to get `/api/items` wrong, and what JSON may hold.

use serde_json::{Value, json};

use crate::items::{JSON, create, send};
use crate::support::TestApp;

#[actix_web::test]
async fn bad_input_is_a_4xx_that_names_the_field() {
    let app = TestApp::start().await;
    create(&app, json!({"name": "a"})).await;
    let name = |n: usize| format!(r#"{{"name":"{}"}}"#, "x".repeat(n));
    let (long, ok) = (name(201), name(200));
    let cases: Vec<(&str, &str, &str, &str, u16, &str)> = vec![
        ("POST", "/api/items", "application/json", "{", 400, "body"),
        ("POST", "/api/items", "application/json", "", 400, "body"),
        ("POST", "/api/items", "application/json", "[]", 400, "body"),
        (
            "POST",
            "/api/items",
            "application/json",
            "\u{feff}{}",
            400,
            "body",
        ),
        ("POST", "/api/items", "text/plain", &ok, 415, ""),
        (
            "POST",
            "/api/items",
            "application/merge-patch+json",
            &ok,
            415,
            "",
        ),
        (
            "POST",
            "/api/items",
            "application/json; charset=utf-8",
            &ok,
            201,
            "",
        ),
        ("POST", "/api/items", "application/json", &long, 422, "name"),
        (
            "POST",
            "/api/items",
            "application/json",
            r#"{"name":""}"#,
            422,
            "name",
        ),
        (
            "POST",
            "/api/items",
            "application/json",
            "{\"name\":\"a\\u0000b\"}",
            422,
            "name",
        ),
        (
            "POST",
            "/api/items",
            "application/json",
            r#"{"name":"a","data":{"k\u0000":1}}"#,
            422,
            "data",
        ),
        (
            "POST",
            "/api/items",
            "application/json",
            r#"{"name":"a","owner":1}"#,
            422,
            "owner",
        ),
        (
            "POST",
            "/api/items",
            "application/json",
            r#"{"name":"a","data":{"n":1e400000}}"#,
            422,
            "data",
        ),
        (
            "POST",
            "/api/items",
            "application/json",
            r#"{"name":"\ud800"}"#,
            400,
            "body",
        ),
        (
            "PATCH",
            "/api/items/1",
            "application/json",
            r#"{"status":"gone"}"#,
            422,
            "status",
        ),
        (
            "PATCH",
            "/api/items/1",
            "application/json",
            r#"{"version":7}"#,
            422,
            "version",
        ),
        ("PATCH", "/api/items/x", "application/json", "{}", 400, "id"),
        ("PUT", "/api/items/1", "application/json", "{}", 422, "name"),
        ("GET", "/api/items/9223372036854775808", "", "", 400, "id"),
        ("GET", "/api/items/-1", "", "", 400, "id"),
        ("GET", "/api/items/%00", "", "", 400, "id"),
        ("GET", "/api/items?nope=eq.1", "", "", 400, "nope"),
        ("GET", "/api/items?id=eq.abc", "", "", 400, "id"),
        (
            "GET",
            "/api/items?created_at=gt.yesterday-ish",
            "",
            "",
            400,
            "created_at",
        ),
        ("GET", "/api/items?limit=1000", "", "", 400, "limit"),
        ("GET", "/api/items?after=zzz", "", "", 400, "after"),
        ("GET", "/nowhere", "", "", 404, ""),
        ("DELETE", "/api/items", "", "", 405, ""),
        ("POST", "/livez", "", "", 405, ""),
    ];
    for (method, path, kind, body, status, field) in cases {
        let (got, headers, answer) =
            send(&app, method, path, &[("content-type", kind)], body).await;
        let what = format!("{method} {path} {:.60} -> {got} {answer}", body);
        assert_eq!(got, status, "{what}");
        if status >= 400 {
            assert_eq!(
                headers["content-type"], "application/problem+json",
                "{what}"
            );
            assert_eq!(answer["status"], status, "{what}");
            assert!(
                answer["type"].is_string()
                    && answer["title"].is_string()
                    && answer["detail"].is_string(),
                "{what}"
            );
        }
        if !field.is_empty() {
            assert_eq!(answer["errors"][0]["field"], field, "{what}");
        }
        if status == 405 {
            assert!(headers.contains_key("allow"), "{what}");
        }
    }
    let count: i64 = app
        .sql
        .query_one("select count(*) from items", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 2, "nothing is half done");
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_declared_or_not() {
    let app = TestApp::start_with(|config| config.body_bytes_max = 1000).await;
    let body = format!(r#"{{"name":"a","description":"{}"}}"#, "x".repeat(2000));
    assert_eq!(
        send(&app, "POST", "/api/items", &[JSON], &body).await.0,
        413
    );
    let mut raw = crate::support::raw::RawClient::connect(app.address).await;
    let head = "POST /api/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    raw.send(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes())
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 413 "));
}

#[actix_web::test]
async fn large_numbers_in_data_keep_their_digits() {
    let app = TestApp::start().await;
    let body = r#"{"name":"a","data":{"n":12345678901234567890.123456789,"k":9007199254740993}}"#;
    let response = app
        .http
        .post(app.url("/api/items"))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let text = response.text().await.unwrap();
    assert!(
        text.contains("12345678901234567890.123456789") && text.contains("9007199254740993"),
        "{text}"
    );
}

#[actix_web::test]
async fn data_that_is_too_deep_for_plank_is_still_a_row_like_others() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, data) values ('deep', (repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb)").await;
    let (status, _, row) = send(
        &app,
        "PATCH",
        "/api/items/1",
        &[JSON],
        r#"{"status":"done"}"#,
    )
    .await;
    assert_eq!(
        (status, &row["version"]),
        (200, &Value::Null),
        "too deep for this test's own reader as well"
    );
    assert_eq!(
        send(
            &app,
            "PATCH",
            "/api/items/1",
            &[JSON],
            r#"{"data":{"b":1}}"#
        )
        .await
        .0,
        422
    );
    assert_eq!(
        send(&app, "PUT", "/api/items/1", &[JSON], r#"{"name":"flat"}"#)
            .await
            .2["data"],
        json!({})
    );
}
