//! The WebSocket protocol, version plank.v1: docs/PROTOCOL.md.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::raw::{RawClient, frame, handshake};
use crate::support::{TestApp, until};

#[actix_web::test]
async fn a_url_is_enough_to_subscribe() {
    let app = TestApp::start().await;
    let mut client = app.ws("/ws?table=items&columns=name,id").await;
    let welcome = client.expect("welcome").await;
    assert_eq!(
        (&welcome["protocol"], &welcome["heartbeat_s"]),
        (&json!("plank.v1"), &json!(25))
    );
    let subscribed = client.expect("subscribed").await;
    assert_eq!(
        (&subscribed["id"], &subscribed["table"], &subscribed["key"]),
        (&json!("url"), &json!("public.items"), &json!(["id"]))
    );
    assert!(!subscribed["cursor"].as_str().unwrap().is_empty());
    app.execute("insert into items (name) values ('a')").await;
    assert_eq!(client.change().await["row"], json!({"id": 1, "name": "a"}));
}

#[actix_web::test]
async fn a_write_after_subscribed_is_always_seen() {
    let app = TestApp::start().await;
    for round in 0..50 {
        let mut client = app.subscribed("items").await;
        app.execute(&format!("insert into items (name) values ('r{round}')"))
            .await;
        let name = client.batch().await.last().unwrap()["row"]["name"].clone();
        assert_eq!(name, format!("r{round}"));
    }
}

#[actix_web::test]
async fn subscriptions_come_and_go() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    let mut stays = app.subscribed("items").await;
    client.send(json!({"type": "unsubscribe", "id": "a"})).await;
    assert_eq!(client.expect("unsubscribed").await["id"], "a");
    app.execute("insert into items (name) values ('unseen')")
        .await;
    stays.change().await;
    client.nothing().await;
    client.subscribe("a", "items").await;
    app.execute("insert into items (name) values ('seen')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "seen");
    drop((client, stays));
    until("topics are forgotten", async || {
        app.metric("plank_topics").await == 0.0 && app.metric("plank_subscriptions").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn a_mistake_is_named_and_the_socket_stays_open() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    let many: Vec<String> = (0..2000).map(|i| format!("c{i}")).collect();
    for (message, code, part) in [
        (
            json!({"type": "subscribe", "id": "b", "table": "nope"}),
            "unknown_table",
            "\"nope\"",
        ),
        (
            json!({"type": "subscribe", "id": "b", "table": "pg_class"}),
            "unknown_table",
            "pg_class",
        ),
        (
            json!({"type": "subscribe", "id": "b", "table": "items; drop table items"}),
            "unknown_table",
            "items",
        ),
        (
            json!({"type": "subscribe", "id": "b", "table": "items", "columns": ["id", "secret"]}),
            "unknown_column",
            "\"secret\"",
        ),
        (
            json!({"type": "subscribe", "id": "b", "table": "items", "columns": many}),
            "bad_message",
            "columns",
        ),
        (
            json!({"type": "subscribe", "id": "a", "table": "items"}),
            "duplicate_id",
            "id",
        ),
        (
            json!({"type": "subscribe", "table": "items"}),
            "bad_message",
            "id",
        ),
        (
            json!({"type": "unsubscribe", "id": "zzz"}),
            "unknown_subscription",
            "id",
        ),
        (json!({"type": "shout"}), "unknown_type", "\"shout\""),
        (json!(["subscribe"]), "bad_message", "object"),
        (json!({}), "bad_message", "type"),
    ] {
        client.send(message.clone()).await;
        let error = client.expect("error").await;
        assert_eq!(error["code"], code, "{message}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert_eq!(error.get("id"), message.get("id"), "{message}");
    }
    client.send_raw(Message::text("{not json")).await;
    assert_eq!(client.expect("error").await["code"], "bad_message");
    app.execute("insert into items (name) values ('alive')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "alive");
}

#[actix_web::test]
async fn subscriptions_of_a_socket_are_bounded() {
    let app = TestApp::start().await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    for i in 0..=plank::limits::SUBSCRIPTIONS_MAX {
        client
            .send(json!({"type": "subscribe", "id": i.to_string(), "table": "items"}))
            .await;
    }
    let (mut live, mut refused) = (0, 0);
    while live + refused <= plank::limits::SUBSCRIPTIONS_MAX {
        let message = client.next().await.unwrap();
        match message["type"].as_str().unwrap() {
            "subscribed" => live += 1,
            _ => {
                assert_eq!(message["code"], "too_many_subscriptions");
                refused += 1;
            }
        }
    }
    assert_eq!((live, refused), (plank::limits::SUBSCRIPTIONS_MAX, 1));
    app.execute("insert into items (name) values ('once')")
        .await;
    assert_eq!(client.batch().await.len(), 1, "one topic, one frame");
    client.nothing().await;
}

#[actix_web::test]
async fn a_protocol_violation_gets_its_close_code() {
    let app = TestApp::start().await;
    let unmasked = b"\x81\x02hi".to_vec();
    let declared_1_gib = [&[0x81, 0xff][..], &(1u64 << 30).to_be_bytes(), &[0; 4]].concat();
    let fragments = [
        frame(0x01, &vec![b'x'; 60_000]),
        frame(0x80, &vec![b'x'; 6_000]),
    ]
    .concat();
    for (bytes, code, what) in [
        (unmasked, 1002, "unmasked"),
        (frame(0xc1, b"x"), 1002, "a reserved bit"),
        (frame(0x83, b""), 1002, "an unknown opcode"),
        (frame(0x80, b""), 1002, "a stray continuation"),
        (frame(0x89, &[0; 126]), 1002, "a long ping"),
        (frame(0x88, &[3]), 1002, "a close of one byte"),
        (
            frame(0x88, &1005u16.to_be_bytes()),
            1002,
            "an illegal close code",
        ),
        (frame(0x82, b"x"), 1003, "binary"),
        (frame(0x81, b"\xff"), 1007, "invalid UTF-8"),
        (
            frame(
                0x01,
                b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80",
            ),
            1007,
            "invalid UTF-8 in a fragment",
        ),
        (declared_1_gib, 1009, "a declared length of 1 GiB"),
        (fragments, 1009, "fragments that are too long together"),
    ] {
        let mut client = RawClient::upgraded(app.address).await;
        client.send(&bytes).await;
        assert_eq!(client.close_code().await, code, "{what}");
    }
    until("they are counted", async || {
        app.metric("plank_closes_total{code=\"too_big\"}").await == 2.0
    })
    .await;
}

#[actix_web::test]
async fn control_frames_are_answered() {
    let app = TestApp::start().await;
    let mut client = RawClient::upgraded(app.address).await;
    // A ping between the fragments of a message, all in one write.
    client
        .send(
            &[
                frame(0x01, b"{\"type\":"),
                frame(0x89, b"hello"),
                frame(0x80, b"\"ping\"}"),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.frame().await, (0x8a, b"hello".to_vec()));
    assert_eq!(
        client.frame().await,
        (0x81, b"{\"type\":\"pong\"}".to_vec())
    );
    client
        .send(&frame(0x88, &[&1000u16.to_be_bytes()[..], b"bye"].concat()))
        .await;
    assert_eq!(client.close_code().await, 1000);
}

#[actix_web::test]
async fn a_frame_in_any_pieces_is_the_same_frame() {
    let app = TestApp::start().await;
    let mut client = RawClient::connect(app.address).await;
    let subscribe = frame(0x81, br#"{"type":"subscribe","id":"a","table":"items"}"#);
    // The first frame comes in one packet with the request, as a hasty client sends it.
    client
        .send(&[handshake("/ws", "").as_bytes(), &subscribe[..10]].concat())
        .await;
    client.head().await;
    client.frame().await;
    for byte in &subscribe[10..] {
        client.send(&[*byte]).await;
    }
    assert!(
        String::from_utf8(client.frame().await.1)
            .unwrap()
            .contains("\"subscribed\"")
    );
}

#[actix_web::test]
async fn one_that_never_stops_talking_keeps_nobody_waiting() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let (mut read, mut write) = RawClient::upgraded(app.address).await.stream.into_split();
    let flood = frame(0x81, br#"{"type":""}"#).repeat(2_000);
    let talk = tokio::spawn(async move {
        while tokio::io::AsyncWriteExt::write_all(&mut write, &flood)
            .await
            .is_ok()
        {}
    });
    let listen =
        tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
    for _ in 0..20 {
        app.subscribed("items").await.nothing().await;
    }
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('heard')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "heard");
    talk.abort();
    listen.abort();
}

#[actix_web::test]
async fn what_is_cancelled_before_it_is_live_keeps_its_place_until_then() {
    let database = crate::support::Cluster::shared().database().await;
    let target = crate::support::Cluster::shared().config(&database);
    let proxy = crate::support::proxy::PgProxy::start(&target).await;
    let sql = crate::support::cluster::connect(&target).await;
    proxy.swallow(true);
    let app = TestApp::build(proxy.config("postgres", &database), sql, database, |_| {}).await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    for _ in 0..plank::limits::SUBSCRIPTIONS_MAX {
        client
            .send(json!({"type": "subscribe", "id": "a", "table": "items"}))
            .await;
        client.send(json!({"type": "unsubscribe", "id": "a"})).await;
        client.expect("unsubscribed").await;
    }
    client
        .send(json!({"type": "subscribe", "id": "a", "table": "items"}))
        .await;
    assert_eq!(
        client.expect("error").await["code"],
        "too_many_subscriptions"
    );
    proxy.swallow(false);
    app.ready().await;
    until("the places are free again", async || {
        app.metric("plank_subscriptions").await == 0.0
    })
    .await;
    client.subscribe("a", "items").await;
    app.execute("insert into items (name) values ('one')").await;
    assert_eq!(client.batch().await.len(), 1);
}
