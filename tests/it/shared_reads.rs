//! A crowd that comes back: what it costs the database does not grow with it, and everybody gets what it has missed.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::resume::{cursor, resumed, with_a_pruned_cursor};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until, within};

const CROWD: usize = 1_000;

/// A cluster that counts statements, and nodes on its database.
struct Counted {
    cluster: Cluster,
    sql: tokio_postgres::Client,
}

impl Counted {
    async fn start() -> Self {
        let mut cluster = Cluster::start();
        let sql = connect(&cluster.config("plank")).await;
        let preload = "alter system set shared_preload_libraries = 'pg_stat_statements'";
        for statement in [preload, "alter system set max_connections = 200"] {
            sql.batch_execute(statement).await.unwrap();
        }
        cluster.restart().await;
        let sql = connect(&cluster.config("plank")).await;
        let create = "create extension pg_stat_statements";
        sql.batch_execute(create).await.unwrap();
        Self { cluster, sql }
    }

    async fn node(&self) -> TestApp {
        let target = self.cluster.config("plank");
        let sql = connect(&target).await;
        let app = TestApp::build(target, sql, "plank".into(), |_| {}).await;
        app.ready().await;
        app
    }

    async fn forget(&self) {
        let forget = "select pg_stat_statements_reset()";
        self.sql.execute(forget, &[]).await.unwrap();
    }

    /// Statements since then that look at the log, by their text: those of the listener are among them.
    async fn calls(&self) -> BTreeMap<String, i64> {
        let sql = "select left(regexp_replace(query, '\\s+', ' ', 'g'), 120), calls from pg_stat_statements \
            where toplevel and query !~ 'pg_stat_statements' \
            and query ~ 'plank\\.(log|mark|pruned|identity|horizon|watched|tables|policy|meta)'";
        let rows = self.sql.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn assert_at_most(&self, most: i64, what: &str) {
        let calls = self.calls().await;
        let sum: i64 = calls.values().sum();
        println!("{what}: {sum} statements");
        assert!(sum <= most, "{what}: {sum} statements: {calls:#?}");
        assert!(sum > 0, "the log was read");
    }
}

fn numbers(changes: &[Value], part: &str) -> Vec<i64> {
    let row = |change: &Value| change["row"][part].as_i64().unwrap();
    changes.iter().map(row).collect()
}

/// Comes back by one of four transports; the numbers in what it has missed, of which there are `count`.
async fn come_back(app: &TestApp, kind: usize, table: &str, since: &str, count: usize) -> Vec<i64> {
    let mut changes = Vec::new();
    match kind % 4 {
        0 => {
            let mut client = app.ws(&format!("/ws?table={table}&since={since}")).await;
            client.expect("welcome").await;
            client.expect("subscribed").await;
            while changes.len() < count {
                changes.extend(client.batch().await);
            }
        }
        1 => {
            let url = app.url(&format!("/api/stream?table={table}&since={since}"));
            let mut answer = app.http.get(url).send().await.unwrap();
            let mut text = String::new();
            while changes.len() < count {
                let piece = within("a piece", answer.chunk()).await.unwrap().unwrap();
                text.push_str(std::str::from_utf8(&piece).unwrap());
                while let Some((event, rest)) = text.split_once("\n\n") {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    let message: Value =
                        data.map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
                    changes.extend(message["changes"].as_array().cloned().unwrap_or_default());
                    text = rest.to_owned();
                }
            }
        }
        transport => {
            let wait = if transport == 2 { "&wait=5" } else { "" };
            let mut since = since.to_owned();
            while changes.len() < count {
                let path = format!("/api/changes?table={table}&since={since}{wait}&limit=10000");
                let (status, answer) = app.request("GET", &path, None).await;
                assert_eq!(status, 200, "{answer}");
                changes.extend(answer["changes"].as_array().unwrap().iter().cloned());
                since = answer["cursor"].as_str().unwrap().to_owned();
            }
        }
    }
    numbers(&changes, "n")
}

const TABLES: usize = 5;

async fn make_tables(app: &TestApp) {
    for i in 0..TABLES {
        let sql = format!("create table t{i} (n int primary key); select plank.watch('t{i}')");
        app.execute(&sql).await;
    }
    for i in 0..TABLES {
        crate::live::watched(app, &format!("t{i}")).await;
    }
}

#[actix_web::test]
async fn a_thousand_clients_from_one_cursor_cost_at_most_20_statements() {
    let counted = Counted::start().await;
    let first = counted.node().await;
    make_tables(&first).await;
    let since = cursor(&first).await;
    for n in 0..20 {
        let all: String = (0..TABLES)
            .map(|i| format!("insert into t{i} values ({n});"))
            .collect();
        first.execute(&all).await;
    }
    // Its window begins behind all of that.
    let node = counted.node().await;
    first.stop().await.unwrap();
    counted.forget().await;
    let clients = (0..CROWD).map(|i| {
        let (node, since) = (&node, &since);
        async move {
            let table = format!("t{}", i / 4 % TABLES);
            come_back(node, i, &table, since, 20).await
        }
    });
    let all: Vec<Vec<i64>> = stream::iter(clients).buffer_unordered(500).collect().await;
    let expected: Vec<i64> = (0..20).collect();
    assert!(all.iter().all(|got| *got == expected), "{all:?}");
    counted.assert_at_most(20, "one cursor").await;
    let line = "plank_shared_reads_total";
    assert!(node.metric(line).await >= 900.0);
    assert!(node.metric("plank_shared_read_bytes").await > 0.0);
}

#[actix_web::test]
async fn a_thousand_clients_from_different_cursors_cost_at_most_100_statements() {
    let counted = Counted::start().await;
    let first = counted.node().await;
    make_tables(&first).await;
    let mut cursors = Vec::new();
    for n in 0..CROWD {
        cursors.push(cursor(&first).await);
        first.execute(&format!("insert into t0 values ({n})")).await;
    }
    first.stop().await.unwrap();
    for order in ["in order", "backwards", "in no order"] {
        let node = counted.node().await;
        counted.forget().await;
        let begun = std::time::Instant::now();
        let mut places: Vec<usize> = (0..CROWD).collect();
        match order {
            "backwards" => places.reverse(),
            "in no order" => fastrand::Rng::with_seed(1).shuffle(&mut places),
            _ => {}
        }
        let clients = places.into_iter().map(|place| {
            let (node, since) = (&node, &cursors[place]);
            async move {
                let got = come_back(node, place, "t0", since, CROWD - place).await;
                (place, got)
            }
        });
        // A few at a time: they do not all come at the same moment.
        let all: Vec<_> = stream::iter(clients).buffer_unordered(20).collect().await;
        println!("{order}: {:?}", begun.elapsed());
        for (place, got) in all {
            let expected: Vec<i64> = (place as i64..CROWD as i64).collect();
            assert_eq!(got, expected, "from cursor {place}");
        }
        counted.assert_at_most(100, order).await;
        node.stop().await.unwrap();
    }
}

/// What each transport says to a cursor that can't be served.
async fn refusals(app: &TestApp, since: &str) -> Vec<String> {
    let mut client = resumed(app, since).await;
    client.expect("subscribed").await;
    let mut said = vec![match client.next().await.unwrap() {
        message if message["type"] == "reset" => message["reason"].as_str().unwrap().to_owned(),
        message => message["type"].as_str().unwrap().to_owned(),
    }];
    for wait in ["", "&wait=5"] {
        let path = format!("/api/changes?table=items&since={since}&limit=10000{wait}");
        let (_, answer) = app.request("GET", &path, None).await;
        said.push(match answer["type"].as_str() {
            Some(kind) => kind.trim_start_matches("urn:plank:problem:").to_owned(),
            None => "changes".to_owned(),
        });
    }
    let url = app.url(&format!("/api/stream?table=items&since={since}"));
    let mut answer = app.http.get(url).send().await.unwrap();
    let mut text = String::new();
    let kind = loop {
        let piece = within("a piece", answer.chunk()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        if text.contains("event: changes") {
            break "changes".to_owned();
        }
        if let Some((_, rest)) = text.split_once("\"reason\":\"") {
            break rest.split('"').next().unwrap().to_owned();
        }
    };
    said.push(kind);
    said
}

#[actix_web::test]
async fn an_expired_cursor_gets_the_same_answer_on_every_transport() {
    let (app, old) = with_a_pruned_cursor().await;
    // The node still has it in memory; another one never had.
    assert_eq!(refusals(&app, &old).await, ["changes"; 4]);
    let other = app.another_node().await;
    assert_eq!(refusals(&other, &old).await, ["expired"; 4]);
}

#[actix_web::test]
async fn a_thousand_clients_with_an_expired_cursor_ask_once() {
    let counted = Counted::start().await;
    let first = counted.node().await;
    make_tables(&first).await;
    let old = cursor(&first).await;
    let set = "update plank.meta set rows_max = 70";
    counted.sql.batch_execute(set).await.unwrap();
    for n in 0..12 {
        let sql = format!(
            "insert into t0 select i from generate_series({n} * 20, {n} * 20 + 19) i; select plank.prune()"
        );
        first.execute(&sql).await;
    }
    first.stop().await.unwrap();
    let node = counted.node().await;
    counted.forget().await;
    let path = format!("/api/changes?table=t0&since={old}");
    let answers = join_all((0..CROWD).map(|_| node.request("GET", &path, None))).await;
    let expired = json!("urn:plank:problem:expired");
    for (status, problem) in answers {
        assert_eq!((status, &problem["type"]), (410, &expired));
    }
    counted.assert_at_most(20, "expired").await;
}

#[actix_web::test]
async fn what_is_too_large_to_be_shared_is_read_by_each_and_nothing_is_lost() {
    let app = TestApp::start().await;
    app.execute("create table wide (n int primary key, text text); select plank.watch('wide')")
        .await;
    crate::live::watched(&app, "wide").await;
    let since = cursor(&app).await;
    // More than a shared read may have, in one transaction, so that no mark parts it.
    app.execute(
        "insert into wide select i, repeat(md5(i::text), 64) from generate_series(1, 12000) i",
    )
    .await;
    let node = app.another_node().await;
    let both = join_all((0..4).map(|i| come_back(&node, i, "wide", &since, 12_000))).await;
    let expected: Vec<i64> = (1..=12_000).collect();
    assert!(both.iter().all(|got| *got == expected));
    assert!(
        node.metric("plank_limits_total{limit=\"shared_read\"}")
            .await
            >= 1.0
    );
    until("nothing of it is kept", async || {
        node.metric("plank_shared_read_bytes").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn a_slow_client_finds_its_place_in_a_shared_read_again() {
    let app = TestApp::start().await;
    let since = cursor(&app).await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 2000) from generate_series(1, 4000) i").await;
    let node = app.another_node().await;
    let mut slow = resumed(&node, &since).await;
    let mut quick = resumed(&node, &since).await;
    quick.expect("subscribed").await;
    assert_eq!(quick.changes(4_000).await.len(), 4_000);
    app.execute("insert into items (name) values ('behind')")
        .await;
    slow.expect("subscribed").await;
    let changes = slow.changes(4_001).await;
    let seqs: Vec<i64> = changes.iter().map(|c| c["seq"].as_i64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "once, and in order");
    assert_eq!(changes[4_000]["row"]["name"], "behind");
    slow.nothing().await;
}

#[actix_web::test]
async fn a_server_that_crashes_voids_what_was_read_for_many() {
    let mut cluster = Cluster::start();
    let first = TestApp::start_on(&cluster).await;
    first.ready().await;
    let since = cursor(&first).await;
    let insert = "insert into items (name) values ('a'); insert into items (name) values ('b')";
    first.execute(insert).await;
    let node = TestApp::start_on(&cluster).await;
    node.ready().await;
    let bytes = "plank_shared_read_bytes";
    let come_back = async || {
        let mut client = resumed(&node, &since).await;
        client.expect("subscribed").await;
        assert_eq!(crate::resume::names(&client.changes(2).await), ["a", "b"]);
    };
    come_back().await;
    assert!(node.metric(bytes).await > 0.0);
    // It may have lost what it had promised with synchronous_commit = off, and give the ids of that to others.
    cluster.crash().await;
    until("it is back", async || {
        node.metric("plank_listener_reconnects_total").await >= 1.0
    })
    .await;
    assert_eq!(node.metric(bytes).await, 0.0);
    come_back().await;
}
