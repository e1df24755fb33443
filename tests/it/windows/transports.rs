//! A window is the same on the WebSocket, as Server-Sent Events and by long poll.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::follower::Held;
use super::{TABLE, followed, ids, select, short};
use crate::support::{SseClient, TestApp, until};

const WINDOW: &str = "table=t&order=rank&limit=5";

async fn query(app: &TestApp) -> Vec<Value> {
    select(&app.sql, "select * from t order by rank, id limit 5").await
}

#[actix_web::test]
async fn address_of_a_websocket_asks_for_a_window() {
    let (app, _follower) = followed().await;
    let mut client = app.ws(&format!("/ws?{WINDOW}&snapshot=1")).await;
    client.expect("welcome").await;
    let (rows, _) = client.snapshot().await;
    assert_eq!(rows, query(&app).await);
    client.expect("subscribed").await;
    app.execute("delete from t where id = 3").await;
    let said: Vec<String> = client.batch().await.iter().map(short).collect();
    assert_eq!(said, ["delete 3 window", "insert 6 at 4 window"]);
}

#[actix_web::test]
async fn stream_has_the_window_and_resumes_with_a_reset() {
    let (app, mut follower) = followed().await;
    let window = format!("{WINDOW}&snapshot=1");
    let mut stream = SseClient::connect(&app, &window).await;
    let mut held = Held::default();
    stream.expect("welcome").await;
    held.take(&stream.expect("snapshot").await.data);
    held.take(&stream.expect("subscribed").await.data);
    assert_eq!(held.rows, query(&app).await);
    app.execute("update t set rank = 0 where id = 9").await;
    held.take(&stream.expect("changes").await.data);
    assert_eq!(held.rows, query(&app).await);
    let last = stream.last_id.clone().unwrap();
    drop(stream);
    app.execute("delete from t where id = 9").await;
    follower.sync("a").await;
    let mut stream = SseClient::resume(&app, &window, Some(&last)).await;
    for kind in ["welcome", "reset", "snapshot", "subscribed"] {
        held.take(&stream.expect(kind).await.data);
    }
    assert_eq!(held.resets, ["window"]);
    assert_eq!(held.rows, query(&app).await);
}

#[actix_web::test]
async fn stream_of_several_has_windows_and_counts() {
    let (app, _follower) = followed().await;
    let window = json!({"id": "w", "table": "t", "snapshot": true, "order": "rank", "limit": 5});
    let counts = json!({"id": "n", "table": "t", "snapshot": true, "columns": ["status", "count"]});
    let encode = |subscribe: &Value| {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("subscribe", &subscribe.to_string())
            .finish()
    };
    let both = format!("{}&{}", encode(&window), encode(&counts));
    let mut stream = SseClient::connect(&app, &both).await;
    let (mut seen, mut rows) = (0, 0);
    while seen < 2 {
        let event = stream.next().await.unwrap();
        match event.kind.as_str() {
            "snapshot" => rows += event.data["rows"].as_array().unwrap().len(),
            "subscribed" => seen += 1,
            _ => {}
        }
    }
    assert_eq!(rows, 5 + 2);
}

/// An answer of a long poll.
async fn poll(app: &TestApp, more: &str) -> Value {
    let path = format!("/api/changes?{WINDOW}{more}");
    let (status, answer) = app.request("GET", &path, None).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[actix_web::test]
async fn long_poll_follows_a_window() {
    let (app, mut follower) = followed().await;
    let now = poll(&app, "").await;
    assert_eq!(now["rows"], json!(query(&app).await));
    assert_eq!((&now["changes"], &now["more"]), (&json!([]), &json!(false)));
    assert!(now["reset"].is_null(), "{now}");
    let cursor = now["cursor"].as_str().unwrap();

    // Nothing has changed: it waits, and no longer than it was asked to.
    let began = Instant::now();
    let answer = poll(&app, &format!("&since={cursor}&wait=1")).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer["changes"], json!([]));
    assert!(answer["rows"].is_null(), "{answer}");
    let began = Instant::now();
    assert!(poll(&app, &format!("&since={cursor}")).await["rows"].is_null());
    assert!(began.elapsed() < Duration::from_secs(10));

    // It answers with the changes of the window.
    let cursor = answer["cursor"].as_str().unwrap();
    let write = async {
        let sessions = "plank_sessions{transport=\"long-poll\"}";
        until("it waits", async || app.metric(sessions).await == 1.0).await;
        app.execute("update t set secret = 'far' where id = 20")
            .await;
        app.execute("delete from t where id = 2").await;
    };
    let wait = format!("&since={cursor}&wait=30");
    let (answer, ()) = tokio::join!(poll(&app, &wait), write);
    let said: Vec<String> = answer["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(short)
        .collect();
    assert_eq!(said, ["delete 2 window", "insert 6 at 4 window"]);

    // What it has missed is in no log: the rows come anew, at once.
    app.execute("delete from t where id = 3").await;
    follower.sync("a").await;
    let began = Instant::now();
    let since = format!("&since={}&wait=30", answer["cursor"].as_str().unwrap());
    let answer = poll(&app, &since).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(answer["reset"], "window");
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(ids(rows), ids(&query(&app).await));
    until("no place is taken", async || app.health.sessions() == 1).await;
}

#[actix_web::test]
async fn long_poll_follows_counts() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let path = "/api/changes?table=t&columns=count";
    let (status, now) = app.request("GET", path, None).await;
    assert_eq!(
        (status, &now["rows"]),
        (200, &json!([{"count": 20}])),
        "{now}"
    );
    app.execute("delete from t where id = 1").await;
    let mut follower = super::Follower::connect(&app).await;
    let counts = json!({"columns": ["count"]});
    follower.subscribe("a", "t", counts).await;
    follower.sync("a").await;
    let path = format!("{path}&wait=20&since={}", now["cursor"].as_str().unwrap());
    let (_, answer) = app.request("GET", &path, None).await;
    assert_eq!(
        (&answer["reset"], &answer["rows"]),
        (&json!("window"), &json!([{"count": 19}]))
    );
}
