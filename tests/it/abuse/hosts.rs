//! A page that has made its own name point to this machine (DNS rebinding) reads nothing of a plank without log-in.

use crate::support::raw::{RawClient, handshake};
use crate::support::{TestApp, WsClient};

#[actix_web::test]
async fn a_rebound_name_is_answered_by_no_route_and_no_socket() {
    let app = TestApp::start_with(|config| {
        config.allowed_hosts = vec!["plank.example.org".into()];
    })
    .await;
    let ask = async |host: &str, target: &str| {
        let request = app.http.get(app.url(target)).header("host", host);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for target in [
        "/",
        "/api/items",
        "/api/stream?table=items",
        "/metrics",
        "/nothing",
    ] {
        for host in ["evil.example:8080", "localhost.evil.example", "192.0.2.1"] {
            let (status, body) = ask(host, target).await;
            assert_eq!(status, 421, "{host} {target}");
            assert!(body.contains("--allowed-host"), "{body}");
        }
    }
    for host in [
        "localhost:8080",
        "127.0.0.1",
        "[::1]:1",
        "plank.example.org",
    ] {
        assert_eq!(ask(host, "/api/items").await.0, 200, "{host}");
    }
    // A socket: the page is of its own origin there, so nothing but the name tells.
    let mut client = RawClient::connect(app.address).await;
    let request = handshake("/ws", "").replace(
        "Host: localhost",
        "Host: evil.example\r\nOrigin: http://evil.example",
    );
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 421 "), "{head}");
    let own = WsClient::with_headers(app.address, "/ws", &[]).await;
    assert!(own.is_ok(), "by its address");
}
