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

#[actix_web::test]
async fn a_handshake_that_a_proxy_has_taken_the_upgrade_out_of_is_told_so() {
    let app = TestApp::start().await;
    let ok = handshake("/ws", "");
    let without = |line: &str| ok.replace(line, "");
    for (request, part) in [
        (ok.replace("HTTP/1.1", "HTTP/1.0"), "HTTP/1.0"),
        (
            without("Upgrade: websocket\r\nConnection: Upgrade\r\n").replace("1.1", "1.0"),
            "HTTP/1.0",
        ),
        (without("Connection: Upgrade\r\n"), "a proxy between"),
        (without("Upgrade: websocket\r\n"), "a proxy between"),
        (
            ok.replace("Connection: Upgrade", "Connection: close"),
            "a proxy between",
        ),
        (
            without("Upgrade: websocket\r\nConnection: Upgrade\r\n"),
            "a proxy between",
        ),
        // No browser and no proxy: a person has typed the address.
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".into(), "ws://"),
    ] {
        let mut client = RawClient::connect(app.address).await;
        client.send(request.as_bytes()).await;
        let head = client.head().await;
        assert!(
            head.contains(" 426 ") && head.contains("upgrade: websocket"),
            "{request}{head}"
        );
        let body = String::from_utf8(client.until(b"}").await).unwrap();
        assert!(body.contains(part), "{request}{body}");
    }
}

#[actix_web::test]
async fn a_page_whose_handshake_was_refused_is_told_why_and_when_to_come_back() {
    let app = TestApp::start_with(|config| {
        config.limit_loopback = true;
        config.rates.handshakes = 4.try_into().unwrap();
        config.connections_per_ip_max = 22;
    })
    .await;
    let status = async |request: &str| {
        let mut client = RawClient::connect(app.address).await;
        client.send(request.as_bytes()).await;
        let head = client.head().await;
        let retry = head
            .lines()
            .find_map(|line| line.strip_prefix("retry-after: "));
        (
            head[9..12].to_owned(),
            retry.map(|s| s.parse::<u64>().unwrap()),
            client,
        )
    };
    let plain = "GET /ws?why HTTP/1.1\r\nHost: plank.test\r\nConnection: close\r\n\r\n";
    let socket = handshake("/ws", "");
    assert_eq!(
        status(plain).await.0,
        "204",
        "nothing is in the way of a handshake"
    );
    let mut open = Vec::new();
    let mut refused = Vec::new();
    while refused.len() < 8 {
        match status(&socket).await {
            (code, None, client) if code == "101" => open.push(client),
            (code, retry, _) => {
                assert_eq!(code, "429");
                refused.push(retry.unwrap());
            }
        }
    }
    assert!(
        refused.is_sorted() && refused[7] > refused[0],
        "one after the other: {refused:?}"
    );
    let mut told = Vec::new();
    loop {
        match status(plain).await {
            (code, Some(retry), _) if code == "429" => told.push(retry),
            (code, ..) => {
                assert_eq!(code, "204", "all have been told");
                break;
            }
        }
    }
    assert!(told.len() >= 7 && told.is_sorted(), "{told:?}");
    // All places of the address are taken: that too is told.
    let mut last = String::new();
    until("the address is full", async || {
        let (code, retry, client) = status(&socket).await;
        if code == "101" {
            open.push(client);
        }
        last = format!("{code} {retry:?}");
        open.len() == 22
    })
    .await;
    while status(plain).await.1 != Some(10) {}
    let (code, retry, _) = status(plain).await;
    assert_eq!((code.as_str(), retry), ("429", Some(10)), "{last}");
}

#[actix_web::test]
async fn a_page_is_told_that_a_full_server_or_its_origin_is_why() {
    let app = TestApp::start_with(|config| config.connections_max = 1).await;
    let one = app.subscribed("items").await;
    assert_eq!(app.request("GET", "/ws", None).await.0, 503);
    drop(one);
    until("the place is free", async || app.health.sessions() == 0).await;
    let request = app.http.get(app.url("/ws"));
    let response = request
        .header("Origin", "https://evil.example")
        .send()
        .await;
    assert_eq!(response.unwrap().status(), 403);
}
