//! The database goes away and comes back: sockets stay open, everything committed arrives, once and in order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::cluster::connect;
use crate::support::{Cluster, SseClient, TestApp, WsClient, until};

/// Writes until it is told to stop; counts the versions that were committed for each of a few rows.
pub async fn write(
    config: tokio_postgres::Config,
    rounds: usize,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let mut client: Option<Client> = None;
    for round in 0..rounds {
        if *stop.borrow_and_update() {
            return;
        }
        if client.as_ref().is_none_or(Client::is_closed) {
            client =
                config
                    .connect(tokio_postgres::NoTls)
                    .await
                    .ok()
                    .map(|(client, connection)| {
                        tokio::spawn(connection);
                        client
                    });
        }
        let Some(sql) = &client else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let name = round % 7;
        let rollback = if round % 5 == 4 { "rollback" } else { "commit" };
        let insert = if round % 3 == 0 {
            format!("insert into items (name) values ('extra{round}');")
        } else {
            String::new()
        };
        // A lost connection loses the transaction, or not; what counts is what the table says in the end.
        let _ = sql.batch_execute(&format!("begin; {insert} update items set description = 'r{round}' where name = 'row{name}'; {rollback}")).await;
    }
}

/// A client's state, and what it must not see: a number twice, or a version that does not follow.
#[derive(Default)]
pub struct Seen {
    rows: HashMap<i64, Value>,
    numbers: std::collections::HashSet<i64>,
}

impl Seen {
    pub fn apply(&mut self, changes: Vec<Value>) {
        for change in changes {
            assert!(
                self.numbers.insert(change["seq"].as_i64().unwrap()),
                "twice: {change}"
            );
            let (id, row) = (change["key"]["id"].as_i64().unwrap(), change["row"].clone());
            let version = row["version"].as_i64().unwrap();
            let before = self
                .rows
                .insert(id, row)
                .map_or(version - 1, |old| old["version"].as_i64().unwrap());
            assert_eq!(
                version,
                before + 1,
                "a version was lost or came out of order: {change}"
            );
        }
    }

    /// Whether the client's rows are those of the table, which nobody changes any more.
    pub async fn is_complete(&self, sql: &Client) -> bool {
        let rows = sql
            .query("select id, version from items", &[])
            .await
            .unwrap();
        let table: HashMap<i64, i32> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let is_complete = table
            .iter()
            .all(|(id, version)| self.rows.get(id).is_some_and(|r| r["version"] == *version));
        if is_complete {
            assert_eq!(self.rows.len(), table.len(), "nothing that was rolled back");
        }
        is_complete
    }

    /// Reads until the client's rows are those of the table.
    async fn catch_up(&mut self, client: &mut WsClient, sql: &Client) {
        while !self.is_complete(sql).await {
            let batch = client.batch().await;
            self.apply(batch);
        }
    }
}

#[actix_web::test]
async fn guarantee_1_a_cut_listener_loses_nothing_and_repeats_nothing() {
    let mut cluster = Cluster::start();
    let app = TestApp::start_on(&cluster).await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) select 'row' || i from generate_series(0, 6) i")
        .await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(write(cluster.config("plank"), usize::MAX, stopped.clone())))
        .collect();
    let mut seen = Seen::default();
    seen.apply(client.batch().await);

    for cut in 0..10 {
        until("the listener is connected", async || app.health.is_live()).await;
        assert_eq!(app.cut_listener().await, 1, "cut {cut}");
        until("the cut is noticed", async || !app.health.is_live()).await;
        seen.apply(client.batch().await);
    }
    until("the listener is connected", async || app.health.is_live()).await;
    cluster.restart().await;
    until("ready after the restart", async || app.health.is_live()).await;
    for _ in 0..20 {
        seen.apply(client.batch().await);
    }
    stop.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let sql = connect(&cluster.config("plank")).await;
    seen.catch_up(&mut client, &sql).await;
    client.nothing().await;
    assert!(app.metric("plank_listener_reconnects_total").await >= 11.0);
    assert_eq!(app.metric("plank_bell_missed_total").await, 0.0);
}

#[actix_web::test]
async fn guarantee_2_a_batch_that_was_cut_in_the_middle_is_continued_where_it_was() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    let mut client = app.subscribed("items").await;
    // About 100 MB of log rows, which take a while to pass; the link is cut in the middle.
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 80000) i").await;
    let before = proxy.answered();
    let mut numbers = Vec::new();
    let mut message = client.expect("changes").await;
    let cursor = message["cursor"].clone();
    assert_eq!(message["last"], false);
    assert_eq!(app.cut_listener().await, 1);
    app.execute("insert into items (name) values ('later')")
        .await;
    loop {
        assert_eq!(message["cursor"], cursor, "one batch, one cursor");
        numbers.extend(
            message["changes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["seq"].as_i64().unwrap()),
        );
        if message["last"].as_bool().unwrap() {
            break;
        }
        message = client.expect("changes").await;
    }
    assert!(
        app.metric("plank_listener_reconnects_total").await >= 1.0,
        "it was cut before its end: {before}"
    );
    assert_eq!(numbers.len(), 80_000);
    assert!(numbers.is_sorted_by(|a, b| a < b), "no number twice");
    assert_eq!(client.change().await["row"]["name"], "later");
}

#[actix_web::test]
async fn a_black_hole_is_noticed_within_10_s() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    let mut client = app.subscribed("items").await;
    proxy.swallow(true);
    let since = Instant::now();
    app.execute("insert into items (name) values ('in the dark')")
        .await;
    until("not ready", async || {
        app.request("GET", "/readyz", None).await.0 == 503
    })
    .await;
    assert!(
        since.elapsed() < Duration::from_secs(10),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(app.request("GET", "/livez", None).await.0, 200);
    proxy.swallow(false);
    assert_eq!(client.change().await["row"]["name"], "in the dark");
    until("ready again", async || {
        app.request("GET", "/readyz", None).await.0 == 200
    })
    .await;
}

/// A plank that was started while its database was away.
async fn without_a_database() -> (Cluster, TestApp) {
    let mut cluster = Cluster::start();
    let target = cluster.config("plank");
    let sql = connect(&target).await;
    cluster.stop().await;
    let app = TestApp::build(target, sql, "plank".into(), |_| {}).await;
    (cluster, app)
}

#[actix_web::test]
async fn a_database_that_is_away_at_start_is_waited_for() {
    let (mut cluster, app) = without_a_database().await;
    assert_eq!(app.request("GET", "/livez", None).await.0, 200);
    assert_eq!(app.request("GET", "/readyz", None).await.0, 503);
    assert_eq!(app.request("GET", "/api/items", None).await.0, 503);
    let mut client = app.ws("/ws?table=items").await;
    client.expect("welcome").await;
    client.nothing().await;
    cluster.start_again().await;
    client.expect("subscribed").await;
    until("served", async || {
        app.request("POST", "/api/items", Some(json!({"name": "first"})))
            .await
            .0
            == 201
    })
    .await;
    assert_eq!(client.change().await["row"]["name"], "first");
}

#[actix_web::test]
async fn a_stream_that_began_while_the_database_was_away_goes_on_when_it_is_there() {
    let (mut cluster, app) = without_a_database().await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.expect("welcome").await;
    cluster.start_again().await;
    client.expect("subscribed").await;
    let sql = connect(&cluster.config("plank")).await;
    sql.batch_execute("insert into items (name) values ('first')")
        .await
        .unwrap();
    assert_eq!(client.changes(1).await[0]["row"]["name"], "first");
}

#[actix_web::test]
async fn without_its_hub_plank_ends_and_says_why() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.hub.do_send(plank::actor::message::Stop);
    let why = app.ended().await.unwrap_err().to_string();
    assert!(why.contains("hub"), "{why}");
    client.closed().await;
}

#[actix_web::test]
async fn pooled_connections_that_are_silent_cost_one_request_3_s_at_most() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    for round in 0..2 {
        // As many connections as there may be.
        let row = || Some(json!({"name": "warm"}));
        let warm = (0..32).map(|_| app.request("POST", "/api/items", row()));
        for (status, _) in futures_util::future::join_all(warm).await {
            assert_eq!(status, 201);
        }
        let idle = "select count(*) from pg_stat_activity where application_name = 'plank' and datname = current_database() \
            and clock_timestamp() - state_change > interval '150 ms'";
        until("some are idle", async || {
            app.sql.query_one(idle, &[]).await.unwrap().get::<_, i64>(0) >= 5
        })
        .await;
        // A middlebox that acknowledges every byte, and delivers none.
        proxy.swallow_what_is_open();
        let mut slow = 0;
        for request in 0..40 {
            let since = Instant::now();
            let (method, body) = match request % 2 {
                0 => ("POST", Some(json!({"name": "a"}))),
                _ => ("GET", None),
            };
            let (status, answer) = app.request(method, "/api/items", body).await;
            let took = since.elapsed();
            assert!(matches!(status, 200 | 201), "{round} {request}: {answer}");
            assert!(took < Duration::from_secs(3), "{round} {request}: {took:?}");
            slow += usize::from(took > Duration::from_millis(1_000));
        }
        assert!(slow <= 1, "{round}: {slow} requests have paid for it");
    }
}

/// Asks while the path of its connection dies, and nothing says so; how long the answer took.
async fn ask_on_a_dying_path(app: &TestApp, method: &str) -> Duration {
    let since = Instant::now();
    let body = (method == "POST").then(|| json!({"name": "a"}));
    let (status, answer) = app.request(method, "/api/items", body).await;
    // A write may be there or not, and is never called a success.
    assert!(matches!(status, 503 | 504), "{method}: {status} {answer}");
    since.elapsed()
}

#[actix_web::test]
async fn a_request_that_is_under_way_on_a_dying_path_waits_3_s_at_most() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    for method in ["GET", "POST"] {
        app.execute("begin; lock table items in access exclusive mode")
            .await;
        let waiting = ask_on_a_dying_path(&app, method);
        let dying = async {
            let waits = "select count(*) from pg_stat_activity where application_name = 'plank' and datname = current_database() \
                and wait_event_type = 'Lock'";
            until("it is under way", async || {
                // Within a transaction the view stays as it was.
                app.execute("select pg_stat_clear_snapshot()").await;
                app.sql
                    .query_one(waits, &[])
                    .await
                    .unwrap()
                    .get::<_, i64>(0)
                    >= 1
            })
            .await;
            // The answer of the server is on its way, and gets lost.
            proxy.swallow_what_is_open();
            app.execute("commit").await;
            Instant::now()
        };
        let (_, lost) = tokio::join!(waiting, dying);
        assert!(
            lost.elapsed() < Duration::from_secs(3),
            "{method}: {:?}",
            lost.elapsed()
        );
        // Once: the next one has a connection that works.
        let since = Instant::now();
        until("served", async || {
            app.request("GET", "/api/items", None).await.0 == 200
        })
        .await;
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "{:?}",
            since.elapsed()
        );
        app.ready().await;
    }
}

#[actix_web::test]
async fn a_slow_statement_is_not_taken_for_a_dead_path() {
    let app = TestApp::start().await;
    app.execute("begin; lock table items in access exclusive mode")
        .await;
    let waiting = app.request("POST", "/api/items", Some(json!({"name": "a"})));
    let slow = async {
        app.execute("select pg_sleep(6)").await;
        app.execute("commit").await;
    };
    let ((status, answer), ()) = tokio::join!(waiting, slow);
    assert_eq!(status, 201, "{answer}");
}
