//! `/api/items`: the contract of DESIGN.md section 4, and every way to get it wrong.

use serde_json::{Value, json};

use crate::support::{TestApp, until};

async fn create(app: &TestApp, body: Value) -> Value {
    let (status, row) = app.request("POST", "/api/items", Some(body)).await;
    assert_eq!(status, 201, "{row}");
    row
}

/// A request with headers; status, headers, body.
async fn send(
    app: &TestApp,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, reqwest::header::HeaderMap, Value) {
    let mut request = app
        .http
        .request(method.parse().unwrap(), app.url(path))
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    (
        status,
        headers,
        serde_json::from_str(&text).unwrap_or(Value::Null),
    )
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[actix_web::test]
async fn an_item_lives_through_its_life() {
    let app = TestApp::start().await;
    let (status, headers, row) = send(&app, "POST", "/api/items", &[JSON], r#"{"name":"a"}"#).await;
    assert_eq!(
        (status, &headers["etag"], &headers["location"]),
        (
            201,
            &"\"1\"".parse().unwrap(),
            &"/api/items/1".parse().unwrap()
        )
    );
    assert_eq!(
        (&row["status"], &row["data"], &row["description"]),
        (&json!("open"), &json!({}), &Value::Null)
    );

    let (status, headers, read) = send(&app, "GET", "/api/items/1", &[], "").await;
    assert_eq!(
        (status, &headers["etag"], &read),
        (200, &"\"1\"".parse().unwrap(), &row)
    );

    let (status, headers, patched) = send(
        &app,
        "PATCH",
        "/api/items/1",
        &[JSON, ("if-match", "\"1\"")],
        r#"{"description":"d","data":{"x":1,"y":{"z":2}}}"#,
    )
    .await;
    assert_eq!((status, &headers["etag"]), (200, &"\"2\"".parse().unwrap()));
    assert_eq!(
        (&patched["name"], &patched["description"]),
        (&json!("a"), &json!("d"))
    );

    let merge = ("content-type", "application/merge-patch+json");
    let (_, _, merged) = send(
        &app,
        "PATCH",
        "/api/items/1",
        &[merge],
        r#"{"description":null,"data":{"x":null,"y":{"w":3}}}"#,
    )
    .await;
    assert_eq!(
        (&merged["description"], &merged["data"]),
        (&Value::Null, &json!({"y": {"z": 2, "w": 3}}))
    );

    let (status, _, replaced) = send(
        &app,
        "PUT",
        "/api/items/1",
        &[JSON],
        r#"{"name":"b","status":"done"}"#,
    )
    .await;
    assert_eq!(
        (status, &replaced["data"], &replaced["version"]),
        (200, &json!({}), &json!(4))
    );
    assert!(replaced["updated_at"].as_str() > replaced["created_at"].as_str());

    assert_eq!(
        send(&app, "DELETE", "/api/items/1", &[("if-match", "\"3\"")], "")
            .await
            .0,
        412
    );
    assert_eq!(
        send(&app, "DELETE", "/api/items/1", &[("if-match", "\"4\"")], "")
            .await
            .0,
        204
    );
    assert_eq!(send(&app, "DELETE", "/api/items/1", &[], "").await.0, 404);
    assert_eq!(send(&app, "GET", "/api/items/1", &[], "").await.0, 404);
    assert_eq!(
        send(&app, "PATCH", "/api/items/1", &[JSON], "{}").await.0,
        404
    );
}

#[actix_web::test]
async fn conditions_are_honoured() {
    let app = TestApp::start().await;
    create(&app, json!({"name": "a"})).await;
    let patch = async |tag: &str| {
        send(
            &app,
            "PATCH",
            "/api/items/1",
            &[JSON, ("if-match", tag)],
            r#"{"name":"b"}"#,
        )
        .await
    };
    let (status, headers, body) = patch("\"7\"").await;
    assert_eq!((status, &headers["etag"]), (412, &"\"1\"".parse().unwrap()));
    assert!(body["detail"].as_str().unwrap().contains("version 1"));
    assert_eq!(patch("W/\"1\"").await.0, 412, "If-Match compares strongly");
    assert_eq!(patch("\"abc\"").await.0, 412);
    assert_eq!(patch("1").await.0, 400);
    assert_eq!(patch("\"9\", \"1\"").await.0, 200);
    assert_eq!(patch("*").await.0, 200);
    assert_eq!(
        send(
            &app,
            "GET",
            "/api/items/1",
            &[("if-none-match", "\"3\"")],
            ""
        )
        .await
        .0,
        304
    );
    assert_eq!(
        send(
            &app,
            "GET",
            "/api/items/1",
            &[("if-none-match", "W/\"3\"")],
            ""
        )
        .await
        .0,
        304
    );
    assert_eq!(
        send(
            &app,
            "GET",
            "/api/items/1",
            &[("if-none-match", "\"2\"")],
            ""
        )
        .await
        .0,
        200
    );
}

#[actix_web::test]
async fn two_writers_of_one_version_are_not_both_served() {
    let app = TestApp::start().await;
    create(&app, json!({"name": "a"})).await;
    let write = || {
        send(
            &app,
            "PATCH",
            "/api/items/1",
            &[JSON, ("if-match", "\"1\"")],
            r#"{"status":"done"}"#,
        )
    };
    let (a, b, c) = tokio::join!(write(), write(), write());
    let mut statuses = [a.0, b.0, c.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412]);
}

#[actix_web::test]
async fn pages_show_every_row_once() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, status, created_at) select 'n' || i, case when i % 2 = 0 then 'done' else 'open' end, timestamptz '2026-01-01' + (i / 7) * interval '1 s' from generate_series(1, 100) i").await;
    for (order, filter) in [
        ("created_at.desc", ""),
        ("created_at.asc", ""),
        ("id.desc", ""),
        ("updated_at", "&status=eq.done"),
    ] {
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = app
                .request(
                    "GET",
                    &format!("/api/items?order={order}&limit=13{filter}{after}"),
                    None,
                )
                .await;
            assert_eq!(status, 200, "{page}");
            ids.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row["id"].as_i64().unwrap()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
            if ids.len() == 13 {
                app.execute("insert into items (name, created_at) values ('meanwhile', '2030-01-01'); delete from items where name = 'meanwhile'").await;
            }
        }
        let sql = format!(
            "select array_agg(id order by {0}, id {1}) from items where status = 'done' or {2}",
            order.replace('.', " "),
            if order.ends_with("desc") {
                "desc"
            } else {
                "asc"
            },
            filter.is_empty()
        );
        let expected: Vec<i64> = app.sql.query_one(&sql, &[]).await.unwrap().get(0);
        assert_eq!(ids, expected, "{order}");
    }
    let (_, page) = app
        .request("GET", "/api/items?id=gte.90&id=lt.93&order=id", None)
        .await;
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
}

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

#[actix_web::test]
async fn head_is_get_without_a_body() {
    let app = TestApp::start().await;
    create(&app, json!({"name": "a"})).await;
    let response = app.http.head(app.url("/api/items/1")).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["etag"]),
        (200, &"\"1\"".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "");
}

#[actix_web::test]
async fn without_the_database_it_is_503_and_afterwards_all_is_well() {
    let mut cluster = crate::support::Cluster::start();
    let app = TestApp::start_on(&cluster).await;
    app.ready().await;
    create(&app, json!({"name": "before"})).await;
    cluster.stop().await;
    until("503", async || {
        let (status, headers, body) = send(&app, "GET", "/api/items", &[], "").await;
        assert!(status == 503 || status == 200, "{status} {body}");
        status == 503
            && headers.contains_key("retry-after")
            && !body["detail"].as_str().unwrap().contains("/tmp")
    })
    .await;
    until("not ready", async || {
        app.request("GET", "/readyz", None).await.0 == 503
    })
    .await;
    assert_eq!(app.request("GET", "/livez", None).await.0, 200);
    cluster.start_again().await;
    until("ready again", async || {
        app.request("GET", "/readyz", None).await.0 == 200
    })
    .await;
    until("served again", async || {
        app.request("GET", "/api/items", None).await.0 == 200
    })
    .await;
    create(&app, json!({"name": "after"})).await;
}
