//! How a plank stops: everybody is told when to come back, and nobody holds it up.

use plank::limits::DRAIN_MAX;
use serde_json::Value;
use tokio::time::timeout;

use crate::support::TestApp;
use crate::support::raw::RawClient;

#[actix_web::test]
async fn the_end_of_a_socket_is_a_close_frame_with_a_hint() {
    let app = TestApp::start().await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(app.subscribed("items").await);
    }
    let (stopped, closes) = tokio::join!(app.stop(), async {
        let mut closes = Vec::new();
        for client in &mut clients {
            closes.push(client.closed().await);
        }
        closes
    });
    stopped.unwrap();
    for closed in closes {
        assert_eq!(closed.code, 1012);
        let hint: Value = serde_json::from_str(&closed.reason).unwrap();
        assert!(hint["retry_ms"].as_u64().unwrap() < 5_000);
    }
}

/// A connection that has asked something and stays open.
async fn kept_alive(app: &TestApp) -> RawClient {
    let mut client = RawClient::connect(app.address).await;
    client
        .send(b"GET /livez HTTP/1.1\r\nHost: plank.test\r\n\r\n")
        .await;
    client.until(b"alive\"}").await;
    client
}

#[actix_web::test]
async fn a_connection_on_which_nothing_is_asked_holds_nothing_up() {
    let app = TestApp::start().await;
    let mut client = kept_alive(&app).await;
    let stopped = timeout(DRAIN_MAX / 2, app.stop()).await;
    stopped.expect("nothing to wait for").unwrap();
    assert_eq!(client.rest().await, b"");
}

#[actix_web::test]
async fn a_stream_that_begins_while_others_are_waited_for_is_told_when_to_come_back() {
    let app = TestApp::start().await;
    let mut late = kept_alive(&app).await;
    // It never answers its close frame.
    let mut slow = RawClient::upgraded(app.address).await;
    let (stopped, events) = tokio::join!(app.stop(), async {
        assert_eq!(slow.close_code().await, 1012);
        late.send(b"GET /api/stream?table=items HTTP/1.1\r\nHost: plank.test\r\n\r\n")
            .await;
        assert!(late.head().await.starts_with("HTTP/1.1 200 "));
        late.until(b"\r\n0\r\n\r\n").await
    });
    stopped.unwrap();
    let events = String::from_utf8(events).unwrap();
    assert!(events.contains(": 1012\nretry: "), "{events}");
}
