//! More clients than there is room for.

use serde_json::Value;

use super::{from, knock, neighbour_is_served};
use crate::support::raw::RawClient;
use crate::support::{TestApp, until};

const OF_ONE: &str = "plank_limits_total{limit=\"connections_per_ip\"}";

/// A request by HTTP from an address of loopback.
async fn request(app: &TestApp, address: &str, target: &str) -> (RawClient, String) {
    let mut client = from(address, app.address).await;
    let request = format!("GET {target} HTTP/1.1\r\nHost: plank.test\r\n\r\n");
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    (client, head)
}

fn is_refused(head: &str, status: u16) {
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains("retry-after: "), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
}

#[actix_web::test]
async fn an_address_has_its_share_on_every_transport_and_no_more() {
    let app = TestApp::start_with(|config| {
        (config.connections_per_ip_max, config.limit_loopback) = (3, true);
    })
    .await;
    let mut socket = from("127.0.0.2", app.address).await;
    assert!(knock(&mut socket, "").await.starts_with("HTTP/1.1 101 "));
    let mut second = from("127.0.0.2", app.address).await;
    assert!(knock(&mut second, "").await.starts_with("HTTP/1.1 101 "));
    let (stream, head) = request(&app, "127.0.0.2", "/api/stream?table=items").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");

    let mut fourth = from("127.0.0.2", app.address).await;
    // Only a proxy that is trusted may say that it is another client.
    is_refused(
        &knock(&mut fourth, "X-Forwarded-For: 192.0.2.1\r\n").await,
        429,
    );
    let problem: Value = serde_json::from_slice(&fourth.rest().await).unwrap();
    assert_eq!(problem["type"], "urn:plank:problem:too-many-connections");
    let (_, head) = request(&app, "127.0.0.2", "/api/stream?table=items").await;
    is_refused(&head, 429);
    let cursor = crate::resume::cursor(&app).await;
    let poll = format!("/api/changes?table=items&since={cursor}&wait=30");
    let (_, head) = request(&app, "127.0.0.2", &poll).await;
    is_refused(&head, 429);
    assert_eq!(app.metric(OF_ONE).await, 3.0);
    // What does not stay is served as ever, and so are all others.
    let (_, head) = request(&app, "127.0.0.2", "/api/items").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut other = from("127.0.0.3", app.address).await;
    assert!(knock(&mut other, "").await.starts_with("HTTP/1.1 101 "));

    drop((stream, second));
    until("its places are free again", async || {
        app.health.sessions() == 2
    })
    .await;
    let mut again = from("127.0.0.2", app.address).await;
    assert!(knock(&mut again, "").await.starts_with("HTTP/1.1 101 "));
    drop((socket, other, again));
    until("all have gone", async || app.health.sessions() == 0).await;
}

#[actix_web::test]
async fn loopback_is_exempt_unless_it_is_asked_for() {
    let app = TestApp::start_with(|config| config.connections_per_ip_max = 1).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(app.subscribed("items").await);
    }
    assert_eq!(app.metric(OF_ONE).await, 0.0);
}

#[actix_web::test]
async fn behind_a_trusted_proxy_the_address_is_the_one_that_it_names() {
    let app = TestApp::start_with(|config| {
        config.connections_per_ip_max = 2;
        config.trusted_proxies = vec![plank::config::Network::parse("x", "127.0.0.0/8").unwrap()];
    })
    .await;
    let mut clients = Vec::new();
    for address in ["198.51.100.1", "198.51.100.2", "2001:db8::1"] {
        for n in 0..3 {
            let mut client = from("127.0.0.4", app.address).await;
            // What the client itself claims stands first.
            let forwarded = format!("X-Forwarded-For: 203.0.113.{n}, {address}\r\n");
            let head = knock(&mut client, &forwarded).await;
            match n {
                2 => is_refused(&head, 429),
                _ => assert!(head.starts_with("HTTP/1.1 101 "), "{head}"),
            }
            clients.push(client);
        }
    }
    assert_eq!(app.metric(OF_ONE).await, 3.0);
}

#[actix_web::test]
async fn an_address_that_only_connects_keeps_nobody_out() {
    let app = TestApp::start_with(|config| {
        (config.workers, config.connections_per_ip_max) = (1, 20);
        config.limit_loopback = true;
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(from("127.0.0.5", app.address).await);
    }
    for _ in 0..50 {
        let mut one_more = from("127.0.0.5", app.address).await;
        // It is told without having asked.
        is_refused(&one_more.head().await, 429);
    }
    assert_eq!(app.metric(OF_ONE).await, 50.0);
    neighbour_is_served(&app, "meanwhile").await;
    // A connection that becomes a client that stays makes room for the next.
    assert!(knock(&mut idle[0], "").await.starts_with("HTTP/1.1 101 "));
    until("its place is free", async || {
        let mut again = from("127.0.0.5", app.address).await;
        knock(&mut again, "").await.starts_with("HTTP/1.1 101 ")
    })
    .await;
}

#[actix_web::test]
async fn a_full_server_says_503_on_every_transport() {
    let app = TestApp::start_with(|config| config.connections_max = 1).await;
    let client = app.subscribed("items").await;
    let mut second = from("127.0.0.6", app.address).await;
    is_refused(&knock(&mut second, "").await, 503);
    let (_, head) = request(&app, "127.0.0.6", "/api/stream?table=items").await;
    is_refused(&head, 503);
    let cursor = crate::resume::cursor(&app).await;
    let poll = format!("/api/changes?table=items&since={cursor}&wait=30");
    let (_, head) = request(&app, "127.0.0.6", &poll).await;
    is_refused(&head, 503);
    let limit = "plank_limits_total{limit=\"connections\"}";
    assert_eq!(app.metric(limit).await, 3.0);
    drop(client);
}
