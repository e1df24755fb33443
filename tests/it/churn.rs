//! Clients that come, go, subscribe and unsubscribe at random while others write: between `subscribed` and
//! `unsubscribed` each of them sees every version of every row, once and in order.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, WsClient};

const ROWS: usize = 12;
const CLIENTS: usize = 24;
const ROUNDS: usize = 12;
const WRITERS: usize = 4;

/// Updates rows until it is told to stop, with pauses between statements of a transaction, and some of it in vain.
async fn write(config: tokio_postgres::Config, seed: u64, stop: watch::Receiver<bool>) -> usize {
    let sql = connect(&config).await;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut committed = 0;
    while !*stop.borrow() {
        let table = if random.bool() { "items" } else { "other" };
        let end = if random.u8(..4) == 0 {
            "rollback"
        } else {
            "commit"
        };
        // In the order of the keys, or two writers would deadlock.
        let mut keys: Vec<usize> = (0..random.usize(1..4))
            .map(|_| random.usize(1..=ROWS))
            .collect();
        keys.sort_unstable();
        let pause = random.u8(..3);
        let updates: String = keys
            .iter()
            .map(|key| format!("update {table} set version = version + 1 where id = {key}; select pg_sleep(0.00{pause});"))
            .collect();
        sql.batch_execute(&format!("begin; {updates} {end}"))
            .await
            .unwrap();
        committed += usize::from(end == "commit");
    }
    committed
}

/// The versions of one subscription must follow each other.
struct Versions(HashMap<i64, i64>);

impl Versions {
    fn take(&mut self, message: &Value) -> usize {
        let changes = message["changes"].as_array().unwrap();
        for change in changes {
            let (id, version) = (
                change["key"]["id"].as_i64().unwrap(),
                change["row"]["version"].as_i64().unwrap(),
            );
            if let Some(before) = self.0.insert(id, version) {
                assert_eq!(
                    version,
                    before + 1,
                    "row {id}: a version was lost, or came twice or late"
                );
            }
        }
        changes.len()
    }
}

async fn come_and_go(address: std::net::SocketAddr, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = 0;
    let mut client: Option<WsClient> = None;
    for round in 0..ROUNDS {
        let table = if random.bool() { "items" } else { "other" };
        let mut socket = match client.take() {
            Some(socket) => socket,
            None => {
                let mut socket = WsClient::connect(address, "/ws").await;
                socket.expect("welcome").await;
                socket
            }
        };
        let id = round.to_string();
        let topic = socket.subscribe(&id, table).await["topic"].clone();
        let mut versions = Versions(HashMap::new());
        for _ in 0..random.usize(1..40) {
            let message = socket.expect("changes").await;
            assert_eq!(message["topic"], topic);
            seen += versions.take(&message);
        }
        if random.u8(..3) == 0 {
            continue;
        }
        socket.send(json!({"type": "unsubscribe", "id": id})).await;
        loop {
            let message = socket.next().await.unwrap();
            match message["type"].as_str().unwrap() {
                "changes" => seen += versions.take(&message),
                "unsubscribed" => break,
                "heartbeat" => {}
                other => panic!("{other}"),
            }
        }
        client = Some(socket);
    }
    seen
}

#[actix_web::test]
async fn guarantee_1_between_subscribed_and_unsubscribed_nothing_is_missing() {
    let app = TestApp::start().await;
    // The version of items is counted by its own trigger.
    app.execute(&format!(
        "create table other (id int primary key, version int not null default 1); insert into other select generate_series(1, {ROWS}); \
         select plank.watch('other'); insert into items (name) select 'row' from generate_series(1, {ROWS})"
    ))
    .await;
    crate::live::watched(&app, "other").await;
    let config = Cluster::shared().config(&app.database);
    let (stop, stopped) = watch::channel(false);
    let writers: Vec<_> = (0..WRITERS)
        .map(|i| tokio::spawn(write(config.clone(), i as u64, stopped.clone())))
        .collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|i| tokio::spawn(come_and_go(app.address, 100 + i as u64)))
        .collect();
    let mut seen = 0;
    for client in clients {
        seen += client.await.unwrap();
    }
    stop.send(true).unwrap();
    let mut committed = 0;
    for writer in writers {
        committed += writer.await.unwrap();
    }
    assert!(
        seen > 1_000 && committed > 50,
        "{seen} changes seen of {committed} transactions: too little to show anything"
    );
    assert_eq!(app.metric("plank_bell_missed_total").await, 0.0);
}
