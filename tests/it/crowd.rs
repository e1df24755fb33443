//! More sockets on one worker than a flush writes to in a turn.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::TestApp;
use crate::support::ws::WsClient;

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
