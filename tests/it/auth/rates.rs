//! How often, and how many: by address, by principal, and on one socket.

use std::num::NonZeroU32;

use plank::config::{Network, Rates};
use serde_json::json;

use super::{Secure, token, viewer};
use crate::support::WsClient;

fn slow(config: &mut plank::config::Config) {
    let one = NonZeroU32::MIN;
    config.limit_loopback = true;
    config.rates = Rates {
        requests: one,
        handshakes: one,
        messages: one,
    };
    config.connections_per_principal_max = 2;
}

/// With rates of one in a second five may come at once.
const BURST: usize = 5;

#[actix_rt::test]
async fn who_asks_too_often_gets_a_429_that_says_when() {
    let app = Secure::start_with(slow).await;
    let mut refused = None;
    for _ in 0..=BURST * 4 {
        let answer = app.http.get(app.url("/docs")).send().await.unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a 429");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    let body = refused.text().await.unwrap();
    assert!(
        body.contains("urn:plank:problem:too-many-requests"),
        "{body}"
    );
    assert!(
        app.metric("plank_limits_total{limit=\"requests\"}").await >= 1.0,
        "the metrics are never counted"
    );
    let forged = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(
        app.with_headers("GET", "/docs", &forged).await.0,
        429,
        "nobody else is believed"
    );
}

#[actix_rt::test]
async fn a_trusted_proxy_is_believed_and_each_client_counted() {
    let app = Secure::start_with(|config| {
        slow(config);
        config.trusted_proxies = vec![Network::parse("x", "127.0.0.1").unwrap()];
    })
    .await;
    let from = async |address: &str| {
        app.with_headers("GET", "/docs", &[("x-forwarded-for", address)])
            .await
            .0
    };
    let mut statuses = Vec::new();
    for _ in 0..BURST * 2 {
        statuses.push(from("203.0.113.9").await);
    }
    assert!(
        statuses.contains(&200) && statuses.contains(&429),
        "{statuses:?}"
    );
    assert_eq!(from("203.0.113.10").await, 200, "another one");
    let mut statuses = Vec::new();
    for host in 0..BURST * 4 {
        statuses.push(from(&format!("2001:db8::{host:x}")).await);
    }
    assert!(
        statuses.contains(&429),
        "a host of IPv6 is one, whatever address it takes"
    );
}

#[actix_rt::test]
async fn one_principal_is_one_from_wherever_he_comes() {
    let app = Secure::start_with(|config| {
        slow(config);
        config.trusted_proxies = vec![Network::parse("x", "127.0.0.1").unwrap()];
    })
    .await;
    let ask = async |address: usize, token: &str| {
        let (address, bearer) = (format!("203.0.113.{address}"), format!("Bearer {token}"));
        let headers = [
            ("x-forwarded-for", address.as_str()),
            ("authorization", &bearer),
        ];
        app.with_headers("GET", "/api/session", &headers).await.0
    };
    let mut statuses = Vec::new();
    for address in 0..BURST * 4 {
        statuses.push(ask(address, &viewer("ann")).await);
    }
    assert!(
        statuses.contains(&200) && statuses.contains(&429),
        "{statuses:?}"
    );
    assert_eq!(ask(200, &viewer("bob")).await, 200, "another one");

    // Connections: two of this principal, and no third, whichever credential it sends.
    let bearer = format!("Bearer {}", token(json!({"sub": "cid", "role": "viewer"})));
    let mut open = Vec::new();
    let mut refused = Vec::new();
    for address in 0..3 {
        let address = format!("198.51.100.{address}");
        let headers = [
            ("x-forwarded-for", address.as_str()),
            ("authorization", &bearer),
        ];
        match WsClient::with_headers(app.address, "/ws", &headers).await {
            Ok(client) => open.push(client),
            Err((status, _)) => refused.push(status),
        }
    }
    assert_eq!((open.len(), refused), (2, vec![429]));
    let headers = [("x-forwarded-for", "198.51.100.77")];
    let mut late = WsClient::with_headers(app.address, "/ws", &headers)
        .await
        .unwrap();
    let token = token(json!({"sub": "cid", "role": "viewer"}));
    late.send(json!({"type": "auth", "token": token})).await;
    assert_eq!(late.next().await.unwrap_err().code, 4003);
}

#[actix_rt::test]
async fn handshakes_and_messages_have_a_rate() {
    let app = Secure::start_with(slow).await;
    let mut clients = Vec::new();
    let mut refused = None;
    for _ in 0..=BURST * 2 {
        match WsClient::with_headers(app.address, "/ws", &[]).await {
            Ok(client) => clients.push(client),
            Err(status) => {
                refused = Some(status.0);
                break;
            }
        }
    }
    assert_eq!((clients.len() >= BURST, refused), (true, Some(429)));
    let mut client = clients.pop().unwrap();
    client
        .send(json!({"type": "auth", "token": viewer("ann")}))
        .await;
    client.expect("welcome").await;
    client.expect("authenticated").await;
    for _ in 0..BURST * 4 {
        client.send(json!({"type": "ping"})).await;
    }
    let mut pongs = 0;
    let closed = loop {
        match client.next().await {
            Ok(_) => pongs += 1,
            Err(closed) => break closed,
        }
    };
    assert_eq!(closed.code, 4003, "{closed:?}");
    assert!((1..=BURST).contains(&pongs), "{pongs}");
}
