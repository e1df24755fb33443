//! Everybody comes back at once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use super::{from, hear};
use crate::support::raw::{RawClient, handshake};
use crate::support::{TestApp, until, within};

const CLIENTS: usize = 2_000;

/// One of the many, from one of twenty addresses.
async fn client(app: &TestApp, n: usize, since: Option<&str>) -> RawClient {
    let mut client = from(&format!("127.0.1.{}", n % 20 + 1), app.address).await;
    let since = since.map_or_else(String::new, |since| format!("&since={since}"));
    let target = format!("/ws?table=items{since}");
    client.send(handshake(&target, "").as_bytes()).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(hear(&mut client).await["type"], "welcome");
    // A heartbeat between the two would say that it has missed nothing, before it has what it has missed.
    assert_eq!(hear(&mut client).await["type"], "subscribed");
    client
}

/// The names of all changes up to the one that is named `last`, each once, in whole batches; and the last cursor.
async fn names(client: &mut RawClient, last: &str) -> (Vec<String>, String) {
    let (mut names, mut numbers) = (Vec::new(), HashSet::new());
    loop {
        let message = hear(client).await;
        if message["type"] == "heartbeat" {
            continue;
        }
        assert_eq!(message["type"], "changes", "{message}");
        for change in message["changes"].as_array().unwrap() {
            assert!(numbers.insert(change["seq"].as_i64()), "twice: {change}");
            names.push(change["row"]["name"].as_str().unwrap().to_owned());
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        if message["last"] == true && names.iter().any(|name| name == last) {
            return (names, text(&message["cursor"]));
        }
    }
}

async fn write(app: &TestApp, names: std::ops::Range<usize>) {
    for n in names {
        app.execute(&format!("insert into items (name) values ('{n}')"))
            .await;
    }
}

/// All come back with the same cursor while a program writes; how long it took until the last one had everything.
async fn storm(app: &TestApp, cursor: &str, written: usize) -> Duration {
    let started = Instant::now();
    let come_back = join_all((0..CLIENTS).map(|n| client(app, n, Some(cursor))));
    let more = written + 20;
    let (mut clients, ()) = tokio::join!(come_back, write(app, written..more));
    app.execute("insert into items (name) values ('end')").await;
    let everything: Vec<String> = (1..more)
        .map(|n| n.to_string())
        .chain(["end".into()])
        .collect();
    for client in &mut clients {
        let got = within("all that it has missed", names(client, "end"))
            .await
            .0;
        assert_eq!(got, everything);
    }
    started.elapsed()
}

/// How many were served from where.
async fn resumed(app: &TestApp, result: &str) -> f64 {
    let line = format!("plank_resumes_total{{result=\"{result}\"}}");
    app.metric(&line).await
}

#[actix_web::test]
async fn thousands_that_come_back_at_once_are_served_from_memory() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    let mut clients = join_all((0..CLIENTS).map(|n| client(&app, n, None))).await;
    write(&app, 0..1).await;
    let mut cursors = HashSet::new();
    for client in &mut clients {
        cursors.insert(names(client, "0").await.1);
    }
    assert_eq!(cursors.len(), 1, "all are at the same place");
    drop(clients);
    until("all have gone", async || app.health.sessions() == 0).await;
    write(&app, 1..50).await;
    let insert = "plank_changes_total{table=\"public.items\",op=\"insert\"}";
    until("it is in memory", async || app.metric(insert).await == 50.0).await;

    let answered = proxy.answered();
    let took = storm(&app, cursors.iter().next().unwrap(), 50).await;
    assert_eq!(resumed(&app, "window").await, CLIENTS as f64);
    assert_eq!(
        resumed(&app, "log").await + resumed(&app, "reset").await,
        0.0
    );
    // What the listener reads anyway. A query each would be 2,000 times 70 rows.
    let bytes = proxy.answered() - answered;
    eprintln!(
        "{CLIENTS} clients had everything after {took:?}, and the database said {bytes} bytes"
    );
    assert!(bytes < 1 << 20, "{bytes} bytes came from the database");
}

#[actix_web::test]
async fn thousands_that_come_back_to_a_new_node_are_served_from_the_log_a_few_at_a_time() {
    let app = TestApp::start().await;
    let cursor = crate::resume::cursor(&app).await;
    write(&app, 1..50).await;
    let node = app.another_node().await;
    let took = storm(&node, &cursor, 50).await;
    eprintln!("{CLIENTS} clients had everything after {took:?}");
    assert_eq!(resumed(&node, "log").await, CLIENTS as f64);
    // They stay connected, so these are the most there were.
    let connections = "select count(*) from pg_stat_activity \
        where application_name = 'plank replay' and datname = current_database()";
    let count: i64 = app.sql.query_one(connections, &[]).await.unwrap().get(0);
    assert!(
        (1..=plank::limits::REPLAYS_MAX as i64).contains(&count),
        "{count}"
    );
}

#[actix_web::test]
async fn a_restart_tells_everybody_another_time_to_come_back() {
    let app = TestApp::start().await;
    let mut clients = join_all((0..400).map(|n| client(&app, n, None))).await;
    let hint = async |client: &mut RawClient| {
        let payload = loop {
            let (first, payload) = client.frame().await;
            if first == 0x88 {
                break payload;
            }
        };
        assert_eq!(payload[..2], 1012_u16.to_be_bytes());
        let hint: Value = serde_json::from_slice(&payload[2..]).unwrap();
        hint["retry_ms"].as_u64().unwrap()
    };
    let (stopped, hints) = tokio::join!(app.stop(), async {
        let mut hints = Vec::new();
        for client in &mut clients {
            hints.push(hint(client).await);
        }
        hints
    });
    stopped.unwrap();
    // 40 in each tenth of 5 s, give or take.
    let mut tenths = [0; 10];
    hints.iter().for_each(|ms| tenths[*ms as usize / 500] += 1);
    assert!(tenths.iter().all(|n| (10..=90).contains(n)), "{tenths:?}");
}
