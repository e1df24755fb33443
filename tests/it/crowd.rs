//! More sockets on one worker than a flush writes to in a turn.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::raw::{RawClient, frame, handshake};
use crate::support::{TestApp, WsClient, until};

const CLIENTS: usize = 2 * plank::limits::FLUSH_SOCKETS_MAX + 100;

/// Reads until the change of the row `last`; all ids that came, from `first` on without a gap.
async fn read_to(client: &mut WsClient, first: i64, last: i64) {
    let mut next = first;
    while next <= last {
        for change in client.batch().await {
            assert_eq!(change["key"]["id"], next, "once, and in order");
            next += 1;
        }
    }
}

async fn subscribed(app: &TestApp) -> WsClient {
    let mut client = app.subscribed("items").await;
    client.send(json!({"type": "ping"})).await;
    client.expect("pong").await;
    client
}

#[actix_web::test]
async fn guarantee_1_a_crowd_gets_everything_once_while_others_come_and_go() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let mut crowd = Vec::new();
    for _ in 0..CLIENTS / 50 {
        crowd.extend(join_all((0..50).map(|_| subscribed(&app))).await);
    }
    let mut written = 0;
    for round in 0..20 {
        // Not awaited one by one: flushes are running while these come.
        let writes = async {
            for _ in 0..10 {
                app.execute("insert into items (name) values ('n')").await;
            }
        };
        let ((), newcomers) = tokio::join!(writes, async {
            let mut newcomers = Vec::new();
            for _ in 0..5 {
                let mut client = app.ws("/ws?table=items&snapshot=1").await;
                client.expect("welcome").await;
                let (rows, _) = client.snapshot().await;
                client.expect("subscribed").await;
                newcomers.push((client, rows.len() as i64));
            }
            newcomers
        });
        written += 10;
        for (mut client, had) in newcomers {
            read_to(&mut client, had + 1, written).await;
            client.send(json!({"type": "ping"})).await;
            client.expect("pong").await;
        }
        crowd.truncate(CLIENTS - 20 * round);
    }
    join_all(crowd.iter_mut().map(|client| read_to(client, 1, written))).await;
}

#[actix_web::test]
async fn a_small_topic_and_a_large_one_in_one_flush() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    app.execute("create table small (id bigint primary key); select plank.watch('small')")
        .await;
    let mut both = app.subscribed("small").await;
    both.subscribe("b", "items").await;
    let mut crowd = Vec::new();
    for _ in 0..CLIENTS / 50 {
        crowd.extend(join_all((0..50).map(|_| subscribed(&app))).await);
    }
    for n in 1..=30 {
        app.execute(&format!(
            "begin; insert into items (name) values ('n'); insert into small values ({n}); commit"
        ))
        .await;
    }
    let (mut small, mut items) = (0, 0);
    while small + items < 60 {
        for change in both.batch().await {
            match change["row"].get("name") {
                Some(_) => items += 1,
                None => small += 1,
            }
        }
    }
    assert_eq!((small, items), (30, 30));
    join_all(crowd.iter_mut().map(|client| read_to(client, 1, 30))).await;
}

/// A client whose kernel takes little, so that its socket is full, and has room again, all the time.
async fn narrow(app: &TestApp, target: &str) -> RawClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = RawClient::of(socket.connect(app.address).await.unwrap());
    client.send(handshake(target, "").as_bytes()).await;
    client.head().await;
    client
}

/// Reads what comes for `items` and for another table up to a change of the row `last`. In between it asks for the rows of
/// the other table over and over, which are as large as the changes are.
async fn read_and_ask(mut client: RawClient, last: i64) {
    let (mut next, mut asked, mut open) = (1, 0, HashMap::new());
    while next <= last {
        let (first, payload) = client.frame().await;
        if first == 0x89 {
            continue;
        }
        assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
        let message: Value = serde_json::from_slice(&payload).unwrap();
        let (kind, cursor) = (message["type"].as_str().unwrap(), &message["cursor"]);
        if kind == "heartbeat" {
            assert!(open.is_empty(), "not within a batch");
        }
        if kind == "changes" {
            let topic = message["topic"].to_string();
            let batch = open.entry(topic.clone()).or_insert_with(|| cursor.clone());
            assert_eq!(batch, cursor, "one batch, one cursor");
            for change in message["changes"].as_array().unwrap() {
                if change["row"].get("status").is_some() {
                    assert_eq!(change["key"]["id"], next, "once, and in order");
                    next += 1;
                }
            }
            if message["last"] == true {
                open.remove(&topic);
            }
            let ping = frame(0x81, br#"{"type":"ping"}"#);
            client.send(&ping).await;
        }
        if kind == "welcome" || (kind == "subscribed" && message["id"] != "url") {
            for text in [
                format!(r#"{{"type":"unsubscribe","id":"o{asked}"}}"#),
                format!(
                    r#"{{"type":"subscribe","id":"o{}","table":"other","snapshot":true}}"#,
                    asked + 1
                ),
            ] {
                client.send(&frame(0x81, text.as_bytes())).await;
            }
            asked += 1;
        }
    }
    assert!(asked > 0);
}

#[actix_web::test]
async fn guarantee_1_replies_and_changes_on_a_socket_that_is_full_now_and_then() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    app.execute(
        "create table other (id int primary key, text text); select plank.watch('other'); \
         insert into other select n, repeat('x', 4000) from generate_series(1, 40) n",
    )
    .await;
    let mut crowd = Vec::new();
    for _ in 0..CLIENTS / 50 {
        crowd.extend(join_all((0..50).map(|_| subscribed(&app))).await);
    }
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let client = narrow(&app, "/ws?table=items").await;
        tasks.push(actix_rt::spawn(read_and_ask(client, 300)));
    }
    until("they are subscribed", async || {
        app.metric("plank_subscriptions").await >= (crowd.len() + tasks.len()) as f64
    })
    .await;
    // They read meanwhile: one that takes nothing for 20 s is closed as slow.
    let (first, others) = crowd.split_first_mut().unwrap();
    let write = async {
        for n in 0..300 {
            app.execute(&format!(
                "insert into items (name, description) values ('n', repeat('x', {}))",
                n % 7 * 2000
            ))
            .await;
            if n % 3 == 0 {
                read_to(first, n - 2.min(n) + 1, n + 1).await;
            }
        }
        read_to(first, 299, 300).await;
    };
    let read = join_all(others.iter_mut().map(|client| read_to(client, 1, 300)));
    futures_util::future::join(write, read).await;
    for done in join_all(tasks).await {
        done.unwrap();
    }
}
