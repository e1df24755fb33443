//! `/api/items`: the contract of DESIGN.md section 4, and every way to get it wrong.

use plank::config::Network;
use serde_json::{Value, json};

use crate::support::{TestApp, until};

pub async fn create(app: &TestApp, body: Value) -> Value {
    let (status, row) = app.request("POST", "/api/items", Some(body)).await;
    assert_eq!(status, 201, "{row}");
    row
}

/// A request with headers; status, headers, body.
pub async fn send(
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

pub const JSON: (&str, &str) = ("content-type", "application/json");

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

#[actix_web::test]
async fn a_tag_that_a_proxy_has_weakened_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    create(&app, json!({"name": "a"})).await;
    let (_, headers, row) = send(&app, "GET", "/api/items/1", &[], "").await;
    assert_eq!(headers["cache-control"], "no-store, no-transform");
    for (method, body) in [("PATCH", "{}"), ("PUT", r#"{"name":"b"}"#), ("DELETE", "")] {
        let headers = [JSON, ("if-match", "W/\"1\"")];
        let (status, headers, problem) = send(&app, method, "/api/items/1", &headers, body).await;
        assert_eq!((status, &headers["etag"]), (412, &"\"1\"".parse().unwrap()));
        assert_eq!(problem["type"], "urn:plank:problem:weak-tag");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("a proxy") && detail.contains("If-Match: \"1\""),
            "{detail}"
        );
        assert!(!detail.contains("changed"), "nobody has: {detail}");
    }
    // Of another version it is true that another client has changed it.
    let headers = [JSON, ("if-match", "W/\"7\"")];
    let (_, _, problem) = send(&app, "PATCH", "/api/items/1", &headers, "{}").await;
    assert_eq!(problem["type"], "urn:plank:problem:changed");
    // The version in the body is the condition that no proxy touches.
    let tag = format!("W/\"9\", \"{}\"", row["version"]);
    let headers = [JSON, ("if-match", tag.as_str())];
    assert_eq!(
        send(&app, "PATCH", "/api/items/1", &headers, r#"{"name":"b"}"#)
            .await
            .0,
        200
    );
}

#[actix_web::test]
async fn if_none_match_keeps_a_write_from_what_is_there() {
    let app = TestApp::start().await;
    create(&app, json!({"name": "a"})).await;
    let put = async |id: i64, headers: &[(&str, &str)]| {
        let headers = [&[JSON][..], headers].concat();
        let path = format!("/api/items/{id}");
        send(&app, "PUT", &path, &headers, r#"{"name":"b"}"#).await
    };
    for tag in ["*", "\"1\"", "W/\"1\"", "\"7\", \"1\""] {
        let (status, _, problem) = put(1, &[("if-none-match", tag)]).await;
        assert_eq!(
            (status, &problem["type"]),
            (412, &json!("urn:plank:problem:exists")),
            "{tag}"
        );
    }
    assert_eq!(
        put(1, &[("if-none-match", "\"1\""), ("if-match", "\"1\"")])
            .await
            .0,
        412
    );
    // Nothing makes an item of a number that is not there.
    assert_eq!(put(7, &[("if-none-match", "*")]).await.0, 404);
    assert_eq!(put(1, &[("if-none-match", "b")]).await.0, 400);
    assert_eq!(put(1, &[("if-none-match", "\"7\"")]).await.0, 200);
    let headers = [("if-none-match", "\"2\"")];
    assert_eq!(
        send(&app, "DELETE", "/api/items/1", &headers, "").await.0,
        412
    );
}

#[actix_web::test]
async fn a_body_with_a_content_encoding_is_415() {
    let app = TestApp::start().await;
    for (coding, status) in [
        (&["gzip"][..], 415),
        (&["br"], 415),
        (&["identity, gzip"], 415),
        (&["identity", "gzip"], 415),
        (&["identity"], 201),
        (&["Identity"], 201),
    ] {
        let mut headers = vec![JSON];
        headers.extend(coding.iter().map(|coding| ("content-encoding", *coding)));
        // What it says it is would not even matter.
        let (got, headers, _) = send(&app, "POST", "/api/items", &headers, r#"{"name":"a"}"#).await;
        assert_eq!(got, status, "{coding:?}");
        assert_eq!(headers.contains_key("accept-encoding"), status == 415);
    }
}

#[actix_web::test]
async fn below_a_path_the_location_is_that_of_the_client_if_the_proxy_is_trusted() {
    for (is_trusted, prefix, expected) in [
        (true, "/live", "/live/api/items/1"),
        (true, "/a/b/", "/a/b/api/items/1"),
        (true, "/", "/api/items/1"),
        (true, "//evil.example", "/api/items/1"),
        (true, "https://evil.example", "/api/items/1"),
        (false, "/live", "/api/items/1"),
    ] {
        let app = TestApp::start_with(|config| {
            let proxies = if is_trusted { "127.0.0.1" } else { "192.0.2.1" };
            config.trusted_proxies = vec![Network::parse("x", proxies).unwrap()];
        })
        .await;
        let headers = [JSON, ("x-forwarded-prefix", prefix)];
        let (_, headers, _) = send(&app, "POST", "/api/items", &headers, r#"{"name":"a"}"#).await;
        assert_eq!(headers["location"], expected, "{is_trusted} {prefix}");
    }
}
