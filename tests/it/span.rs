//! A time instead of a cursor: `since=-1h` is from the oldest place of the log that is not older.

use serde_json::{Value, json};

use crate::support::{SseClient, TestApp};

/// Rows 1 to 5, written 50, 40, 30, 20 and 10 minutes ago.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key); select plank.watch('t')")
        .await;
    let client = app.subscribed("t").await;
    drop(client);
    app.execute("update plank.log set at = now() - interval '70 minutes'")
        .await;
    for id in 1..=5 {
        app.execute(&format!("insert into t values ({id})")).await;
        let age = 60 - 10 * id;
        app.execute(&format!(
            "update plank.log set at = now() - interval '{age} minutes' where xid = (select max(xid::text::bigint)::text::xid8 from plank.log)"
        ))
        .await;
    }
    app
}

fn ids(changes: &[Value]) -> Vec<i64> {
    changes
        .iter()
        .map(|change| change["row"]["id"].as_i64().unwrap())
        .collect()
}

async fn since(app: &TestApp, span: &str) -> Vec<i64> {
    let path = format!("/api/changes?table=t&since={span}");
    let (status, answer) = app.request("GET", &path, None).await;
    assert_eq!(status, 200, "{span}: {answer}");
    ids(answer["changes"].as_array().unwrap())
}

#[actix_web::test]
async fn a_span_begins_at_the_oldest_place_that_is_not_older() {
    let app = start().await;
    for (span, expected) in [
        ("-0s", &[][..]),
        ("-300s", &[]),
        ("-15m", &[5]),
        ("-1501s", &[4, 5]),
        ("-45m", &[2, 3, 4, 5]),
        // Since the table is watched.
        ("-1h", &[1, 2, 3, 4, 5]),
        ("-7d", &[1, 2, 3, 4, 5]),
    ] {
        assert_eq!(since(&app, span).await, expected, "{span}");
    }
    // What is under way is behind the place.
    let other =
        crate::support::cluster::connect(&crate::support::Cluster::shared().config(&app.database))
            .await;
    other
        .batch_execute("begin; insert into t values (6)")
        .await
        .unwrap();
    app.execute("insert into t values (7)").await;
    let (_, page) = app
        .request("GET", "/api/changes?table=t&since=-0s", None)
        .await;
    other.batch_execute("commit").await.unwrap();
    let cursor = page["cursor"].as_str().unwrap();
    assert_eq!(since(&app, cursor).await, [6]);
}

#[actix_web::test]
async fn every_transport_takes_a_span() {
    let app = start().await;
    let mut socket = app.ws("/ws?table=t&since=-25m").await;
    socket.expect("welcome").await;
    socket.expect("subscribed").await;
    assert_eq!(ids(&socket.changes(2).await), [4, 5]);
    let mut socket = app.ws("/ws").await;
    socket.expect("welcome").await;
    socket
        .send(json!({"type": "subscribe", "id": "a", "table": "t", "since": "-35m"}))
        .await;
    socket.expect("subscribed").await;
    assert_eq!(ids(&socket.changes(3).await), [3, 4, 5]);
    app.execute("insert into t values (6)").await;
    assert_eq!(ids(&socket.changes(1).await), [6]);
    let mut stream = SseClient::connect(&app, "table=t&since=-15m").await;
    stream.live().await;
    assert_eq!(ids(&stream.changes(2).await), [5, 6]);
    let (_, answer) = app
        .request("GET", "/api/changes?table=t&since=-15m&wait=5", None)
        .await;
    assert_eq!(ids(answer["changes"].as_array().unwrap()), [5, 6]);
}

#[actix_web::test]
async fn beyond_the_retention_a_span_is_a_reset() {
    let app = start().await;
    app.execute(
        "update plank.horizon set prune_xid = pg_current_xact_id(), max_xid = (select min(xid::text::bigint)::text::xid8 from plank.log where op = 'I');
         delete from plank.log where xid <= (select max_xid from plank.horizon);
         update plank.leaf set opened = now() - interval '45 minutes' where opened is not null",
    )
    .await;
    // A node that has no change in memory.
    let node = app.another_node().await;
    assert_eq!(since(&node, "-44m").await, [2, 3, 4, 5]);
    let (status, answer) = node
        .request("GET", "/api/changes?table=t&since=-46m", None)
        .await;
    assert_eq!(status, 410, "{answer}");
    let mut socket = node.ws("/ws?table=t&since=-46m").await;
    socket.expect("welcome").await;
    socket.expect("subscribed").await;
    assert_eq!(socket.expect("reset").await["reason"], "expired");
}

#[actix_web::test]
async fn what_is_no_span_is_named() {
    let app = start().await;
    for span in [
        "-",
        "-1",
        "-h",
        "-1w",
        "--1h",
        "-1.5h",
        "-1234567s",
        "-1h30m",
        "- 1h",
    ] {
        let query = form_urlencoded::byte_serialize(span.as_bytes()).collect::<String>();
        let path = format!("/api/changes?table=t&since={query}");
        let (status, answer) = app.request("GET", &path, None).await;
        assert_eq!(status, 400, "{span}");
        assert_eq!(answer["errors"][0]["field"], "since", "{span}: {answer}");
        let detail = answer["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("is no span"), "{detail}");
    }
}
