//! Requests for a WebSocket that are refused cost as much as others, and are counted like them.

use std::num::NonZeroU32;

use super::from;
use crate::support::TestApp;
use crate::support::raw::handshake;

#[actix_web::test]
async fn a_refused_upgrade_counts_for_the_rate_of_its_address() {
    let app = TestApp::start_with(|config| {
        config.rates.handshakes = NonZeroU32::MIN;
        config.limit_loopback = true;
    })
    .await;
    let good = handshake("/ws", "");
    let kinds = [
        ("no such path", handshake("/elsewhere", ""), "404"),
        ("another method", good.replace("GET", "POST"), "405"),
        (
            "no key",
            good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            "400",
        ),
        ("a version of old", good.replace("13\r\n", "8\r\n"), "426"),
        (
            "another's page",
            handshake("/ws", "Origin: https://evil.example\r\n"),
            "403",
        ),
        (
            "a token in the address",
            handshake("/ws?token=x", ""),
            "400",
        ),
        ("two tickets", handshake("/ws?ticket=a&ticket=b", ""), "400"),
        (
            "another's name",
            good.replace("localhost", "evil.example"),
            "421",
        ),
    ];
    for (i, (what, request, first)) in kinds.into_iter().enumerate() {
        let address = format!("127.0.1.{}", i + 1);
        let mut statuses = Vec::new();
        // Five may come at once.
        for _ in 0..10 {
            let mut client = from(&address, app.address).await;
            client.send(request.as_bytes()).await;
            statuses.push(client.head().await[9..12].to_owned());
        }
        assert_eq!(statuses[0], first, "{what}");
        assert!(statuses.contains(&"429".into()), "{what}: {statuses:?}");
    }
}
