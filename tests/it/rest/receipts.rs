//! A client that has written learns when its subscription has passed its own change.

use serde_json::json;

use super::{get, header, send, start};
use crate::support::until;

#[actix_web::test]
async fn a_pong_for_the_cursor_of_a_write_comes_behind_its_change() {
    let app = start().await;
    let mut client = app.subscribed("orders").await;
    for i in 0..30 {
        let name = format!("n{i}");
        let body = json!({ "name": name }).to_string();
        let (_, headers, _) = send(&app, "POST", "/rest/orders", &[], &body).await;
        let cursor = header(&headers, "plank-cursor");
        client
            .send(json!({"type": "ping", "id": "a", "cursor": cursor}))
            .await;
        let changes = client.expect("changes").await;
        assert_eq!(changes["changes"][0]["row"]["name"], name.as_str());
        assert_eq!(client.expect("pong").await["id"], "a");
    }
    // Of a write that the subscription does not show there is a receipt as well.
    let (_, headers, _) = send(
        &app,
        "POST",
        "/rest/sales.%22Order%20Lines%22",
        &[],
        r#"{"a":50,"b":"x"}"#,
    )
    .await;
    let cursor = header(&headers, "plank-cursor");
    client
        .send(json!({"type": "ping", "id": "a", "cursor": cursor}))
        .await;
    client.expect("pong").await;
    // And without a cursor, or without a subscription, an answer at once.
    client
        .send(json!({"type": "ping", "id": "none", "cursor": cursor}))
        .await;
    assert_eq!(client.expect("pong").await["id"], "none");
    client
        .send(json!({"type": "ping", "id": "a", "cursor": "nonsense"}))
        .await;
    assert_eq!(client.expect("error").await["code"], "bad_cursor");
    // One of another log will never be passed.
    let elsewhere = crate::support::TestApp::start().await;
    let foreign = crate::resume::cursor(&elsewhere).await;
    client
        .send(json!({"type": "ping", "id": "a", "cursor": foreign}))
        .await;
    let error = client.expect("error").await;
    assert_eq!(
        (&error["id"], &error["code"]),
        (&json!("a"), &json!("bad_cursor"))
    );
    let metric = "plank_subscriptions";
    until("it is still subscribed", async || {
        app.metric(metric).await > 0.0
    })
    .await;
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_write_that_changes_nothing_has_a_receipt_at_once_and_a_place_to_go_on_from() {
    let app = start().await;
    let mut client = app.subscribed("orders").await;
    let none = r#"{"status":"done"}"#;
    let there = r#"{"id":1,"name":"tea"}"#;
    let ignore = "resolution=ignore-duplicates";
    for (method, path, prefer, body) in [
        ("PATCH", "/rest/orders?id=eq.99", "", none),
        ("DELETE", "/rest/orders?id=eq.99", "", ""),
        ("POST", "/rest/orders", ignore, there),
    ] {
        // With a key the transaction writes all the same, only no row of a watched table.
        for key in [None, Some("k")] {
            let what = format!("{method} {path} {key:?}");
            let key = key.map(|key| format!("{key}-{method}"));
            let mut headers = vec![("prefer", prefer)];
            headers.extend(key.as_deref().map(|key| ("idempotency-key", key)));
            let (status, headers, answer) = send(&app, method, path, &headers, body).await;
            assert!(matches!(status, 201 | 204), "{what}: {answer}");
            let cursor = header(&headers, "plank-cursor");
            client
                .send(json!({"type": "ping", "id": "a", "cursor": cursor}))
                .await;
            client.expect("pong").await;
            let path = format!("/api/changes?table=orders&since={cursor}");
            assert_eq!(get(&app, &path).await["changes"], json!([]), "{what}");
        }
    }
    app.stop().await.unwrap();
}
