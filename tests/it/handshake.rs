//! What becomes of a handshake, before there is a session.

use crate::support::raw::{RawClient, handshake};
use crate::support::{TestApp, until};

#[actix_web::test]
async fn a_request_before_the_upgrade_is_answered_before_it() {
    let app = TestApp::start().await;
    let mut client = RawClient::connect(app.address).await;
    client
        .send(
            format!(
                "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n{}",
                handshake("/ws", "")
            )
            .as_bytes(),
        )
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let rest = String::from_utf8_lossy(&client.until(b"welcome").await).into_owned();
    assert!(
        rest.starts_with("{\"status\":\"alive\"}HTTP/1.1 101 "),
        "{rest}"
    );
}

#[actix_web::test]
async fn the_handshake_is_checked() {
    let app = TestApp::start().await;
    let ok = handshake("/ws", "");
    for (request, status) in [
        (handshake("/wss", ""), "404"),
        (ok.replace("GET", "POST"), "405"),
        (ok.replace("Version: 13", "Version: 8"), "426"),
        (
            ok.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            "400",
        ),
        (ok.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400"),
        (handshake("/ws", "Origin: https://evil.example\r\n"), "403"),
        (
            handshake("/ws", "Origin: https://allowed.example\r\n"),
            "101",
        ),
        (handshake("/ws", "Origin: http://localhost\r\n"), "101"),
    ] {
        let mut client = RawClient::connect(app.address).await;
        client.send(request.as_bytes()).await;
        let head = client.head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}{head}"
        );
        assert!(
            status == "101" || head.contains("application/problem+json"),
            "{head}"
        );
    }
    let mut client = RawClient::connect(app.address).await;
    client
        .send(handshake("/ws", "Sec-WebSocket-Protocol: other, plank.v1\r\n").as_bytes())
        .await;
    assert!(
        client
            .head()
            .await
            .contains("sec-websocket-protocol: plank.v1\r\n")
    );
    assert_eq!(app.request("GET", "/ws", None).await.0, 426);
}

#[actix_web::test]
async fn a_full_server_says_503_before_the_upgrade() {
    let app = TestApp::start_with(|config| config.connections_max = 2).await;
    let (one, two) = (app.subscribed("items").await, app.subscribed("items").await);
    let mut third = RawClient::connect(app.address).await;
    third.send(handshake("/ws", "").as_bytes()).await;
    let head = third.head().await;
    assert!(
        head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after"),
        "{head}"
    );
    assert_eq!(
        app.metric("plank_limits_total{limit=\"connections\"}")
            .await,
        1.0
    );
    drop(one);
    until("a place is free again", async || app.health.sessions() == 1).await;
    app.subscribed("items").await;
    drop(two);
}
