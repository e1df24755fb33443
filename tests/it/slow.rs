//! A client that does not read costs a bounded amount of memory, delays nobody, and gets everything in the end.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::raw::{RawClient, frame, handshake};
use crate::support::{TestApp, until};

pub async fn stalled(app: &TestApp) -> RawClient {
    stalled_on(app, "items").await
}

async fn stalled_on(app: &TestApp, table: &str) -> RawClient {
    let mut client = RawClient::connect(app.address).await;
    client
        .send(handshake(&format!("/ws?table={table}"), "").as_bytes())
        .await;
    client.head().await;
    client.frame().await;
    assert!(
        String::from_utf8(client.frame().await.1)
            .unwrap()
            .contains("\"subscribed\"")
    );
    client
}

#[actix_web::test]
async fn guarantee_5_a_client_that_reads_late_gets_everything_in_order() {
    let app = TestApp::start().await;
    let (mut slow, mut quick) = (stalled(&app).await, app.subscribed("items").await);
    for round in 0..20 {
        app.execute(&format!("insert into items (name, description) select 'r{round}', repeat('x', 1000) from generate_series(1, 1000)")).await;
        assert_eq!(
            quick.changes(1000).await[999]["row"]["name"],
            format!("r{round}")
        );
    }
    until("it lags", async || {
        app.metric("plank_slow_sessions").await == 1.0
    })
    .await;
    assert!(app.metric("plank_backlog_bytes").await > 1e6);
    let mut ids = Vec::new();
    while ids.len() < 20_000 {
        let (_, payload) = slow.frame().await;
        let message: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        ids.extend(
            message["changes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["key"]["id"].as_i64().unwrap()),
        );
    }
    assert!(ids.iter().copied().eq(1..=20_000), "all, once, in order");
    until("it has caught up", async || {
        app.metric("plank_slow_sessions").await == 0.0
            && app.metric("plank_backlog_bytes").await == 0.0
    })
    .await;
    slow.send(&frame(0x81, br#"{"type":"ping"}"#)).await;
    assert_eq!(slow.frame().await.1, br#"{"type":"pong"}"#);
}

/// 12 MB in a transaction: rows so large that it takes less time to fall behind than a stalled socket is given.
pub const LARGE: &str = "insert into items (name, description) select 'n', repeat('x', 100000) from generate_series(1, 120)";

pub async fn fell_behind(app: &TestApp, metric: &str) {
    until("it falls behind", async || app.metric(metric).await >= 1.0).await;
    assert!(app.metric("plank_backlog_bytes").await <= plank::limits::BACKLOG_BYTES_MAX as f64);
}

/// Reads until the batch is whole that has the change of this number, counted from 1. Gives how many batches there were.
async fn read_batches(client: &mut RawClient, rows: usize) -> usize {
    let (mut seen, mut batches, mut open) = (HashSet::new(), 0, None);
    loop {
        let (first, payload) = client.frame().await;
        if first == 0x89 {
            client.send(&frame(0x8a, b"")).await;
            continue;
        }
        assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
        let message: Value = serde_json::from_slice(&payload).unwrap();
        match message["type"].as_str().unwrap() {
            "changes" => {}
            "heartbeat" if open.is_none() => continue,
            other => panic!("{other}: {}", String::from_utf8_lossy(&payload)),
        }
        let cursor = open.get_or_insert_with(|| message["cursor"].clone());
        assert_eq!(*cursor, message["cursor"], "one batch, one cursor");
        for change in message["changes"].as_array().unwrap() {
            let seq = change["seq"].as_i64().unwrap();
            assert!(seen.insert(seq), "{seq} comes twice");
        }
        if message["last"] == true {
            (batches, open) = (batches + 1, None);
            if seen.len() >= rows {
                assert_eq!(seen.len(), rows);
                return batches;
            }
        }
    }
}

async fn is_live_again(app: &TestApp, client: &mut RawClient, write: &str) {
    until("it has caught up", async || {
        app.metric("plank_catching_up").await == 0.0
            && app.metric("plank_backlog_bytes").await == 0.0
    })
    .await;
    app.execute(write).await;
    read_batches(client, 1).await;
}

#[actix_web::test]
async fn guarantee_5_one_that_falls_behind_the_backlog_goes_on_from_the_log() {
    let app = TestApp::start().await;
    let mut slow = stalled(&app).await;
    for _ in 0..8 {
        app.execute(LARGE).await;
    }
    fell_behind(&app, "plank_sessions_fallen_behind_total").await;
    assert!(read_batches(&mut slow, 8 * 120).await > 1);
    is_live_again(&app, &mut slow, "insert into items (name) values ('live')").await;
    assert_eq!(
        app.metric("plank_closes_total{code=\"lagging\"}").await,
        0.0
    );
}

#[actix_web::test]
async fn guarantee_5_one_that_falls_behind_in_the_middle_of_a_batch_gets_the_rest_of_it() {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, text text)")
        .await;
    app.execute("insert into t select n from generate_series(1, 99) n; select plank.watch('t')")
        .await;
    let mut slow = stalled_on(&app, "t").await;
    // The keys as well: the order of their changes is not that of the log, deletes come before inserts.
    let rows = "insert into t select n, repeat('x', 100000) from generate_series(100, 1059) n";
    let shift = "update t set id = id + 10000 where id < 100";
    app.execute(&format!("begin; {shift}; {rows}; commit"))
        .await;
    fell_behind(&app, "plank_sessions_fallen_behind_total").await;
    let batches = read_batches(&mut slow, 960 + 2 * 99).await;
    assert_eq!(batches, 1, "a transaction is one");
    is_live_again(&app, &mut slow, "insert into t values (0)").await;
}

#[actix_web::test]
async fn one_that_falls_behind_with_a_table_that_changes_is_told_to_begin_anew() {
    let app = TestApp::start().await;
    let mut slow = stalled(&app).await;
    for _ in 0..8 {
        app.execute(LARGE).await;
    }
    fell_behind(&app, "plank_sessions_fallen_behind_total").await;
    app.execute("alter table items rename column id to number")
        .await;
    until("that is known", async || {
        let (_, tables) = app.request("GET", "/api/tables", None).await;
        tables["tables"][0]["key"] == json!(["number"])
    })
    .await;
    loop {
        let (_, payload) = slow.frame().await;
        let message: Value = serde_json::from_slice(&payload).unwrap_or_default();
        if message["type"] == "reset" {
            assert_eq!(message["reason"], "schema");
            break;
        }
    }
    let (_, payload) = slow.frame().await;
    let subscribed: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(subscribed["key"], json!(["number"]));
}

#[actix_web::test]
async fn one_that_falls_behind_with_two_subscriptions_of_a_topic_is_closed_with_4001() {
    let app = TestApp::start().await;
    let mut slow = stalled(&app).await;
    slow.send(&frame(
        0x81,
        br#"{"type":"subscribe","id":"b","table":"items"}"#,
    ))
    .await;
    slow.frame().await;
    for _ in 0..8 {
        app.execute(LARGE).await;
    }
    fell_behind(&app, "plank_limits_total{limit=\"backlog_bytes\"}").await;
    // Whole frames up to the close frame: it is never cut in the middle of one.
    loop {
        let (first, payload) = slow.frame().await;
        if first == 0x88 {
            assert_eq!(payload[..2], 4001u16.to_be_bytes());
            break;
        }
        serde_json::from_slice::<Value>(&payload).unwrap();
    }
    until("its memory is given back", async || {
        app.metric("plank_backlog_bytes").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn one_that_asks_and_does_not_read_is_not_read_either() {
    let app = TestApp::start().await;
    let mut client = RawClient::upgraded(app.address).await;
    let flood = frame(0x81, br#"{"type":"ping"}"#).repeat(4096);
    let mut sent = 0usize;
    // 64 MiB of questions would be 50 MB of answers; the server stops reading long before.
    let stopped = async {
        while sent < 64 << 20 {
            match tokio::time::timeout(
                std::time::Duration::from_secs(2),
                client.stream.write_all(&flood),
            )
            .await
            {
                Ok(result) => result.unwrap(),
                Err(_) => return true,
            }
            sent += flood.len();
        }
        false
    };
    assert!(stopped.await, "{sent} bytes were taken");
    app.subscribed("items").await.nothing().await;
}

#[actix_web::test]
async fn one_that_takes_nothing_for_20_s_is_let_go() {
    let app = TestApp::start().await;
    let slow = stalled(&app).await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 10000)").await;
    until("it lags", async || {
        app.metric("plank_slow_sessions").await == 1.0
    })
    .await;
    until("it is gone", async || app.health.sessions() == 0).await;
    assert_eq!(app.metric("plank_closes_total{code=\"slow\"}").await, 1.0);
    until("its memory is given back", async || {
        app.metric("plank_backlog_bytes").await == 0.0
    })
    .await;
    drop(slow);
}

#[actix_web::test]
async fn a_quiet_client_gets_heartbeats_and_one_that_is_silent_is_let_go() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('a')").await;
    let changes = client.expect("changes").await;
    let heartbeat = client.next().await.unwrap();
    assert_eq!(
        (&heartbeat["type"], &heartbeat["cursor"]),
        (&"heartbeat".into(), &changes["cursor"])
    );

    // This one reads, and answers no ping.
    let mut silent = RawClient::upgraded(app.address).await;
    let mut pings = 0;
    let code = loop {
        let (first, payload) = silent.frame().await;
        match first {
            0x89 => pings += 1,
            0x88 => break u16::from_be_bytes([payload[0], payload[1]]),
            _ => {}
        }
    };
    assert_eq!(code, 4002);
    assert!(pings >= 2, "{pings} pings went unanswered");
}

#[actix_web::test]
async fn a_heartbeat_names_no_cursor_while_a_subscription_waits() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    let since = crate::resume::cursor(&app).await;
    app.execute("insert into items (name) values ('missed')")
        .await;
    proxy.swallow(true);
    until("the loss is noticed", async || !app.health.is_live()).await;
    let mut client = RawClient::upgraded(app.address).await;
    let subscribe = format!(r#"{{"type":"subscribe","id":"a","table":"items","since":"{since}"}}"#);
    client.send(&frame(0x81, subscribe.as_bytes())).await;
    // Its cursor would hold for the subscription that waits, and a client that kept it would have lost 'missed'.
    let (first, payload) = client.frame().await;
    assert_eq!(
        first,
        0x89,
        "a ping, and not {:?}",
        String::from_utf8_lossy(&payload)
    );
    proxy.swallow(false);
    let mut seen = String::new();
    while !seen.contains("missed") {
        let (first, payload) = client.frame().await;
        assert!(first == 0x81 || first == 0x89, "{first:x}");
        let text = String::from_utf8_lossy(&payload).into_owned();
        assert!(!text.contains("heartbeat"), "before the catch-up: {text}");
        seen.push_str(&text);
    }
    assert!(seen.starts_with(r#"{"type":"subscribed""#), "{seen}");
}
