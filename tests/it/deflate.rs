//! permessage-deflate on `/ws` (RFC 7692).

use serde_json::json;

use crate::support::deflate::{DeflateClient, OFFER, deflate};
use crate::support::raw::{RawClient, frame, handshake};
use crate::support::{TestApp, until};

/// Rows that a compressor makes half as large, so that they fill a socket.
const ROWS: &str = "insert into items (name, description) select 'n', \
    (select string_agg(md5(random()::text || g || s), '') from generate_series(1, 30) s) from generate_series(1, 1000) g";

async fn head(app: &TestApp, headers: &str) -> String {
    let mut client = RawClient::connect(app.address).await;
    client.send(handshake("/ws", headers).as_bytes()).await;
    client.head().await
}

fn extension(head: &str) -> Option<&str> {
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix("sec-websocket-extensions: "))
}

async fn bytes(app: &TestApp, stage: &str) -> f64 {
    let line = format!("plank_deflate_bytes_total{{stage=\"{stage}\"}}");
    app.metric(&line).await
}

#[actix_web::test]
async fn it_is_negotiated_where_an_offer_can_be_taken() {
    let app = TestApp::start().await;
    let taken = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let with_window = format!("{taken}; server_max_window_bits=15");
    for (offers, expected) in [
        (vec![], None),
        (vec!["permessage-deflate"], Some(taken)),
        (
            vec!["permessage-deflate; client_max_window_bits"],
            Some(taken),
        ),
        (
            vec!["permessage-deflate; client_max_window_bits=\"10\""],
            Some(taken),
        ),
        (
            vec!["mux", "permessage-deflate; server_no_context_takeover"],
            Some(taken),
        ),
        (
            vec!["permessage-deflate; server_max_window_bits=15"],
            Some(&*with_window),
        ),
        (vec!["permessage-deflate; server_max_window_bits=10"], None),
        (
            vec!["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
            Some(taken),
        ),
        (vec!["permessage-deflate; unheard_of"], None),
        (vec!["x-webkit-deflate-frame"], None),
    ] {
        let line = |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n");
        let headers: String = offers.iter().map(line).collect();
        let head = head(&app, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(extension(&head), expected, "{offers:?}");
    }
    let refused = head(&app, "Sec-WebSocket-Extensions: permessage-deflate;\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
}

#[actix_web::test]
async fn it_can_be_turned_off() {
    let app = TestApp::start_with(|config| config.compression = false).await;
    assert_eq!(extension(&head(&app, OFFER).await), None);
    let mut client = RawClient::upgraded(app.address).await;
    client.send(&frame(0xc1, &deflate(b"{}"))).await;
    assert_eq!(client.close_code().await, 1002, "RSV1 means nothing here");
}

#[actix_web::test]
async fn one_topic_is_the_same_messages_for_all_and_compressed_once() {
    let app = TestApp::start_with(|config| config.workers = 2).await;
    let mut plain = app.subscribed("items").await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(DeflateClient::subscribed(app.address, "/ws?table=items").await);
    }
    let (before, after) = (bytes(&app, "before").await, bytes(&app, "after").await);
    let insert = "insert into items (name) select 'n' || g from generate_series(1, 300) g";
    app.execute(insert).await;
    let expected = plain.expect("changes").await;
    assert_eq!(expected["changes"].as_array().unwrap().len(), 300);
    for client in &mut clients {
        assert_eq!(client.expect("changes").await, expected);
        assert_eq!(client.compressed, 1);
    }
    // The message with its header, once, however many clients on two workers got it.
    let message = (bytes(&app, "before").await - before) as usize;
    let text = expected.to_string().len();
    assert!(
        (text..text + 11).contains(&message),
        "{message} bytes of {text}"
    );
    assert!(bytes(&app, "after").await - after < message as f64 / 4.0);

    // The last one that can't take it, and then everybody can.
    drop(plain);
    app.execute(insert).await;
    let second = clients[0].batch().await;
    assert_eq!(second.len(), 300);
    for client in &mut clients[1..] {
        assert_eq!(client.batch().await, second);
    }
}

#[actix_web::test]
async fn nothing_is_compressed_for_nobody() {
    let app = TestApp::start().await;
    let mut plain = app.subscribed("items").await;
    // Of another topic.
    let _other = DeflateClient::subscribed(app.address, "/ws?table=items&columns=id").await;
    app.execute("insert into items (name, status) select 'n', 'open' from generate_series(1, 100)")
        .await;
    plain.changes(100).await;
    let mut filtered = app.ws("/ws?table=items&status=eq.done").await;
    filtered.expect("welcome").await;
    filtered.expect("subscribed").await;
    let before = bytes(&app, "before").await;
    app.execute("update items set status = 'done', description = repeat('x', 1000) where id = 1")
        .await;
    filtered.changes(1).await;
    plain.changes(1).await;
    assert_eq!(bytes(&app, "before").await, before);
}

#[actix_web::test]
async fn snapshots_and_what_was_missed_come_compressed() {
    let app = TestApp::start().await;
    let since = crate::resume::cursor(&app).await;
    app.execute("insert into items (name) select 'n' || g from generate_series(1, 1000) g")
        .await;
    let mut client = DeflateClient::connect(app.address, "/ws?table=items&snapshot=1").await;
    assert_eq!(client.snapshot().await.len(), 1000);
    assert!(client.compressed >= 2, "a piece has 64 KiB");
    let since = since.replace('+', "%2B");
    let target = format!("/ws?table=items&since={since}");
    let mut client = DeflateClient::subscribed(app.address, &target).await;
    let changes = client.changes(1000).await;
    assert_eq!(changes[999]["row"]["name"], "n1000");
    assert!(client.compressed >= 1);
    assert!(bytes(&app, "after").await * 4.0 < bytes(&app, "before").await);
}

#[actix_web::test]
async fn guarantee_5_a_compressed_client_that_reads_late_gets_everything_in_order() {
    for others_deflate in [false, true] {
        let app = TestApp::start_with(|config| config.workers = 1).await;
        let mut slow = DeflateClient::subscribed(app.address, "/ws?table=items").await;
        let mut quick = match others_deflate {
            true => Err(DeflateClient::subscribed(app.address, "/ws?table=items").await),
            false => Ok(app.subscribed("items").await),
        };
        for _ in 0..20 {
            app.execute(ROWS).await;
            let changes = match &mut quick {
                Ok(plain) => plain.changes(1000).await,
                Err(deflate) => deflate.changes(1000).await,
            };
            assert_eq!(changes.len(), 1000);
        }
        until("it lags", async || {
            app.metric("plank_slow_sessions").await == 1.0
        })
        .await;
        // Asked for while it lags, so these come behind all of that.
        slow.send(json!({"type": "subscribe", "id": "again", "table": "items", "columns": ["id"]}))
            .await;
        let changes = slow.changes(20_000).await;
        let ids = changes.iter().map(|c| c["key"]["id"].as_i64().unwrap());
        assert!(ids.eq(1..=20_000), "all, once, in order");
        assert!(slow.compressed >= 20, "{}", slow.compressed);
        slow.expect("subscribed").await;
        until("it has caught up", async || {
            app.metric("plank_slow_sessions").await == 0.0
                && app.metric("plank_backlog_bytes").await == 0.0
        })
        .await;
        app.execute("insert into items (name) values ('last')")
            .await;
        assert_eq!(slow.batch().await.len(), 1);
        assert_eq!(slow.batch().await.len(), 1);
    }
}

#[actix_web::test]
async fn a_compressed_client_that_falls_behind_the_backlog_goes_on_from_the_log() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let mut slow = DeflateClient::subscribed(app.address, "/ws?table=items").await;
    let mut plain = app.subscribed("items").await;
    let rows = ROWS.replace("(1, 30)", "(1, 300)");
    let fell_behind = async || app.metric("plank_sessions_fallen_behind_total").await >= 1.0;
    let mut count = 0;
    while !fell_behind().await {
        app.execute(&rows).await;
        plain.changes(1000).await;
        count += 1000;
    }
    assert!(app.metric("plank_backlog_bytes").await <= plank::limits::BACKLOG_BYTES_MAX as f64);
    let changes = slow.changes(count).await;
    let ids = changes.iter().map(|c| c["key"]["id"].as_i64().unwrap());
    assert!(ids.eq(1..=count as i64), "all, once, in order");
    assert!(slow.compressed > 1);
}

#[actix_web::test]
async fn what_clients_compress_is_understood_under_the_same_bounds() {
    let app = TestApp::start().await;
    let mut client = DeflateClient::connect(app.address, "/ws").await;
    client
        .send(json!({"type": "subscribe", "id": "a", "table": "items"}))
        .await;
    client.expect("subscribed").await;
    // In three fragments, with a ping between them, and one that is not compressed.
    let ping = deflate(br#"{"type":"ping"}"#);
    let (one, rest) = ping.split_at(5);
    let (two, three) = rest.split_at(3);
    for part in [
        frame(0x41, one),
        frame(0x89, b"?"),
        frame(0x00, two),
        frame(0x80, three),
    ] {
        client.raw.send(&part).await;
    }
    assert_eq!(client.raw.frame().await, (0x8a, b"?".to_vec()));
    client.expect("pong").await;
    client.raw.send(&frame(0x81, br#"{"type":"ping"}"#)).await;
    client.expect("pong").await;

    // A few reads of these are megabytes of text: they are taken one at a time, and none is lost.
    let long = format!("{{\"type\":\"ping\",\"x\":\"{}\"}}", "x".repeat(60_000));
    let mut flood = frame(0xc1, &deflate(long.as_bytes())).repeat(500);
    flood.extend(frame(0x89, b"last"));
    client.raw.send(&flood).await;
    for _ in 0..500 {
        client.expect("pong").await;
    }
    assert_eq!(client.raw.frame().await, (0x8a, b"last".to_vec()));

    for (bytes, code, what) in [
        (
            frame(0xc1, &deflate(&[b' '; 65_537])),
            1009,
            "one byte too many",
        ),
        (frame(0xc1, &deflate(&vec![b' '; 50 << 20])), 1009, "a bomb"),
        (frame(0xc1, b"\xff\xff\xff\xff"), 1007, "garbage"),
        (frame(0xc1, &deflate(b"\xff")), 1007, "invalid UTF-8"),
        (frame(0xc2, &deflate(b"x")), 1003, "binary"),
        (
            [frame(0x41, one), frame(0xc0, rest)].concat(),
            1002,
            "RSV1 on a continuation",
        ),
        (frame(0xc9, b""), 1002, "RSV1 on a ping"),
        (frame(0xc8, b""), 1002, "RSV1 on a close frame"),
        (frame(0xa1, b"x"), 1002, "RSV2"),
        (frame(0x91, b"x"), 1002, "RSV3"),
    ] {
        let mut client = DeflateClient::connect(app.address, "/ws").await;
        client.raw.send(&bytes).await;
        assert_eq!(client.raw.close_code().await, code, "{what}");
    }
}
