//! What is wrong in a WebSocket, or too much.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use plank::limits::{LEFT_TOPICS_MAX, SUBSCRIPTIONS_MAX};

use super::{hear, neighbour_is_served, say};
use crate::support::raw::{RawClient, frame};
use crate::support::{TestApp, until};

#[actix_web::test]
async fn each_breach_has_its_code_and_is_counted_under_its_name() {
    let app = TestApp::start().await;
    let many_fragments = [
        frame(0x01, b"x"),
        // A million would be 6 MB; it ends long before.
        frame(0x00, b"").repeat(10_000),
    ];
    for (bytes, code, what) in [
        (b"\x81\x01x".to_vec(), 1002, "unmasked"),
        (frame(0xa1, b"x"), 1002, "RSV2"),
        (frame(0x91, b"x"), 1002, "RSV3"),
        (frame(0x8f, b""), 1002, "opcode 15"),
        (frame(0x09, b""), 1002, "a fragmented ping"),
        (
            [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
            1002,
            "a message in a message",
        ),
        // A character that is cut by a fragment, and goes on as none.
        (
            [
                frame(0x01, b"\xe1"),
                frame(0x00, b"\xbd"),
                frame(0x00, b"x"),
            ]
            .concat(),
            1007,
            "half a character, and no other half",
        ),
        (
            [frame(0x01, b"\xe1\xbd"), frame(0x80, b"")].concat(),
            1007,
            "half a character at the end",
        ),
        (frame(0x82, b"x"), 1003, "binary"),
        // The header is enough.
        (
            frame(0x81, &[b' '; 65_537])[..14].to_vec(),
            1009,
            "a declared length",
        ),
        (
            [frame(0x01, &[b' '; 65_536]), frame(0x80, b" ")].concat(),
            1009,
            "two fragments together",
        ),
        (many_fragments.concat(), 1009, "very many fragments"),
    ] {
        let mut client = RawClient::upgraded(app.address).await;
        client.send(&bytes).await;
        assert_eq!(client.close_code().await, code, "{what}");
    }
    for (name, count) in [
        ("protocol_error", 6.0),
        ("invalid_data", 2.0),
        ("unsupported", 1.0),
        ("too_big", 3.0),
    ] {
        let line = format!("plank_closes_total{{code=\"{name}\"}}");
        until(&line, async || app.metric(&line).await == count).await;
    }
}

#[actix_web::test]
async fn one_that_pings_and_does_not_read_is_not_read_either_and_starves_nobody() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let mut client = RawClient::upgraded(app.address).await;
    let flood = frame(0x89, &[b'x'; 125]).repeat(1_000);
    let mut sent = 0;
    // The answers are nearly as long as the questions.
    while let Ok(result) = timeout(Duration::from_secs(2), client.stream.write_all(&flood)).await {
        result.unwrap();
        sent += flood.len();
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
    let limit = "plank_limits_total{limit=\"replies\"}";
    assert!(app.metric(limit).await >= 1.0);
    neighbour_is_served(&app, "while it waits").await;
    // When it reads, it is read again: each ping has its pong.
    let mut pongs = 0;
    while pongs < sent / flood.len() * 1_000 {
        let (first, payload) = client.frame().await;
        match first {
            0x8a => pongs += 1,
            0x89 => continue,
            other => panic!("{other:x} after {pongs} pongs"),
        }
        assert_eq!(payload, [b'x'; 125]);
    }
}

#[actix_web::test]
async fn a_flood_of_control_frames_that_is_answered_starves_nobody() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let mut floods = Vec::new();
    for first in [0x89, 0x8a, 0x89, 0x8a] {
        let (mut read, mut write) = RawClient::upgraded(app.address).await.stream.into_split();
        let flood = frame(first, b"").repeat(2_000);
        floods.push(tokio::spawn(async move {
            while write.write_all(&flood).await.is_ok() {}
        }));
        floods.push(tokio::spawn(async move {
            let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
        }));
    }
    for round in 0..10 {
        neighbour_is_served(&app, &format!("r{round}")).await;
    }
    assert!(!floods.iter().any(|flood| flood.is_finished()));
    floods.iter().for_each(|flood| flood.abort());
}

fn filtered(id: usize, value: usize) -> serde_json::Value {
    let filter = format!("id=eq.{value}");
    json!({"type": "subscribe", "id": id.to_string(), "table": "items", "filter": filter})
}

#[actix_web::test]
async fn whoever_subscribes_and_unsubscribes_all_the_time_is_not_remembered_longer() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    // As many topics at once as the shard may keep for itself, and some.
    let mut clients = Vec::new();
    for n in 0..LEFT_TOPICS_MAX / SUBSCRIPTIONS_MAX + 2 {
        let mut client = RawClient::upgraded(app.address).await;
        for id in 0..SUBSCRIPTIONS_MAX {
            say(&mut client, filtered(id, n * SUBSCRIPTIONS_MAX + id)).await;
        }
        clients.push(client);
    }
    let all = (clients.len() * SUBSCRIPTIONS_MAX) as f64;
    until("all are subscribed", async || {
        app.metric("plank_topics").await == all
    })
    .await;
    drop(clients);
    let told = "plank_limits_total{limit=\"left_topics\"}";
    until("the hub is told before a second is over", async || {
        app.metric(told).await >= 1.0
    })
    .await;

    let mut client = RawClient::upgraded(app.address).await;
    let mut topics_max: f64 = 0.0;
    for round in 0..60 {
        for id in 0..SUBSCRIPTIONS_MAX {
            say(&mut client, filtered(id, 10_000 + round * 100 + id)).await;
        }
        for id in 0..SUBSCRIPTIONS_MAX {
            assert_eq!(hear(&mut client).await["type"], "subscribed", "{id}");
        }
        for id in 0..SUBSCRIPTIONS_MAX {
            let message = json!({"type": "unsubscribe", "id": id.to_string()});
            say(&mut client, message).await;
        }
        for _ in 0..SUBSCRIPTIONS_MAX {
            assert_eq!(hear(&mut client).await["type"], "unsubscribed");
        }
        topics_max = topics_max.max(app.metric("plank_topics").await);
    }
    let bound = (LEFT_TOPICS_MAX + SUBSCRIPTIONS_MAX) as f64;
    assert!(topics_max <= bound, "{topics_max} topics");
    until("all is forgotten", async || {
        app.metric("plank_topics").await == 0.0 && app.metric("plank_subscriptions").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn thousands_of_subscriptions_on_one_socket_are_refused_one_by_one() {
    let app = TestApp::start().await;
    let mut client = RawClient::upgraded(app.address).await;
    let asked = 3_000;
    let (mut live, mut refused) = (0, 0);
    for first in (0..asked).step_by(500) {
        for id in first..first + 500 {
            say(&mut client, filtered(id, id)).await;
        }
        while live + refused < first + 500 {
            match hear(&mut client).await["code"].as_str() {
                None => live += 1,
                Some(code) => {
                    assert_eq!(code, "too_many_subscriptions");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(
        (live, refused),
        (SUBSCRIPTIONS_MAX, asked - SUBSCRIPTIONS_MAX)
    );
    assert_eq!(app.metric("plank_topics").await, SUBSCRIPTIONS_MAX as f64);
    let limit = "plank_limits_total{limit=\"subscriptions\"}";
    assert_eq!(app.metric(limit).await, refused as f64);
}
