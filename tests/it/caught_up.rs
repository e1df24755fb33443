//! A `ping` that names a subscription: it is answered when that one is live, behind everything that it had missed.

use serde_json::{Value, json};

use crate::resume::cursor;
use crate::slow::{LARGE, fell_behind, stalled};
use crate::support::raw::frame;
use crate::support::{Cluster, SseClient, TestApp, WsClient, cluster::connect, until};

/// Subscribes `a` and asks at once when it is live.
async fn asking(app: &TestApp, more: Value) -> WsClient {
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let mut subscribe = json!({"type": "subscribe", "id": "a", "table": "items"});
    let members = subscribe.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    client.send(subscribe).await;
    client.send(json!({"type": "ping", "id": "a"})).await;
    client
}

/// The keys of all changes before the answer, which comes between two batches.
async fn keys_before_pong(client: &mut WsClient) -> Vec<i64> {
    let (mut keys, mut is_whole) = (Vec::new(), true);
    loop {
        let message = client.next().await.unwrap();
        match message["type"].as_str().unwrap() {
            "changes" => {
                is_whole = message["last"].as_bool().unwrap();
                let changes = message["changes"].as_array().unwrap();
                keys.extend(changes.iter().map(|c| c["key"]["id"].as_i64().unwrap()));
            }
            "pong" => {
                assert_eq!(message, json!({"type": "pong", "id": "a"}));
                assert!(is_whole, "it came within a batch");
                return keys;
            }
            "subscribed" | "heartbeat" => {}
            other => panic!("{other}: {message}"),
        }
    }
}

#[actix_web::test]
async fn it_is_answered_behind_everything_that_was_missed() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    for _ in 0..20 {
        let insert = "insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 150)";
        app.execute(insert).await;
    }
    // One node has it in memory, the other one has to read the log.
    for node in [&app, &app.another_node().await] {
        let mut client = asking(node, json!({"since": start})).await;
        assert!(keys_before_pong(&mut client).await.into_iter().eq(1..=3000));
        client.nothing().await;
    }
}

#[actix_web::test]
async fn while_others_write_it_comes_between_two_batches_and_nothing_is_missing() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let writer = connect(&Cluster::shared().config(&app.database)).await;
    let (stop, mut is_over) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while is_over.try_recv().is_err() {
            let insert = "insert into items (name) select 'n' from generate_series(1, 20)";
            writer.batch_execute(insert).await.unwrap();
            count += 20;
        }
        count
    });
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = asking(&app, json!({"since": start})).await;
        let keys = keys_before_pong(&mut client).await;
        clients.push((client, keys));
    }
    stop.send(()).unwrap();
    let count = writing.await.unwrap();
    for (mut client, mut keys) in clients {
        while keys.len() < count {
            let changes = client.batch().await;
            keys.extend(changes.iter().map(|c| c["key"]["id"].as_i64().unwrap()));
        }
        assert!(keys.into_iter().eq(1..=count as i64), "all, once, in order");
    }
}

#[actix_web::test]
async fn one_that_is_live_or_not_there_is_answered_at_once() {
    let app = TestApp::start().await;
    let mut before = app.subscribed("items").await;
    app.execute("insert into items (name) values ('old')").await;
    // Else it could come to the next one as well, for which it may be new.
    before.change().await;
    let mut client = asking(&app, json!({})).await;
    client.expect("subscribed").await;
    client.expect("pong").await;
    client.send(json!({"type": "ping", "id": "a"})).await;
    assert_eq!(client.expect("pong").await["id"], "a");
    client.send(json!({"type": "ping", "id": "b"})).await;
    assert_eq!(client.expect("pong").await["id"], "b");
    // With a snapshot it is behind that.
    let mut client = asking(&app, json!({"snapshot": true})).await;
    assert_eq!(client.snapshot().await.0.len(), 1);
    client.expect("subscribed").await;
    client.expect("pong").await;
    // One that is refused meanwhile has its answer. Whether the question came before that, nobody knows.
    let mut client = asking(&app, json!({"table": "nope"})).await;
    assert_eq!(client.expect("error").await["code"], "unknown_table");
    client
        .send(json!({"type": "ping", "id": "the last one"}))
        .await;
    let mut pong = client.expect("pong").await;
    if pong["id"] == "a" {
        pong = client.expect("pong").await;
    }
    assert_eq!(pong["id"], "the last one");
}

#[actix_web::test]
async fn one_that_has_fallen_behind_is_answered_when_it_has_made_up_for_it() {
    asks_and_falls_behind(false).await;
}

#[actix_web::test]
async fn one_that_falls_behind_after_it_has_asked_is_answered_when_it_has_made_up_for_it() {
    asks_and_falls_behind(true).await;
}

async fn asks_and_falls_behind(asks_first: bool) {
    let app = TestApp::start().await;
    let mut client = stalled(&app).await;
    app.execute(LARGE).await;
    let mut rounds = 1;
    until("its socket is full", async || {
        app.metric("plank_slow_sessions").await == 1.0
    })
    .await;
    let ping = frame(0x81, br#"{"type":"ping","id":"url"}"#);
    if asks_first {
        client.send(&ping).await;
    }
    while app.metric("plank_sessions_fallen_behind_total").await == 0.0 {
        app.execute(LARGE).await;
        rounds += 1;
    }
    fell_behind(&app, "plank_sessions_fallen_behind_total").await;
    if !asks_first {
        client.send(&ping).await;
    }
    let mut seen = 0;
    loop {
        let (_, payload) = client.frame().await;
        if payload.is_empty() {
            client.send(&frame(0x8a, b"")).await;
            continue;
        }
        let message: Value = serde_json::from_slice(&payload).unwrap();
        match message["type"].as_str().unwrap() {
            "changes" => seen += message["changes"].as_array().unwrap().len(),
            "pong" => break,
            other => assert_eq!(other, "heartbeat"),
        }
    }
    assert_eq!(seen, rounds * 120);
    until("it is live", async || {
        app.metric("plank_catching_up").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn a_stream_is_told_in_a_comment() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    app.execute("insert into items (name) select 'n' from generate_series(1, 500)")
        .await;
    let mut client = SseClient::connect(&app, &format!("table=items&since={start}")).await;
    client.live().await;
    assert_eq!(client.changes(500).await.len(), 500);
    app.execute("insert into items (name) values ('new')").await;
    assert_eq!(client.changes(1).await[0]["row"]["name"], "new");
    assert_eq!(client.comments, ["live"]);
}
