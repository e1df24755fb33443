//! The rows and the stream, from the same place: no seam between them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::resume::cursor;
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

/// The rows of a client, by key.
#[derive(Default)]
struct Rows(BTreeMap<i64, Value>);

impl Rows {
    fn load(&mut self, rows: Vec<Value>) {
        self.0 = rows
            .into_iter()
            .map(|row| (row["id"].as_i64().unwrap(), row))
            .collect();
    }

    fn apply(&mut self, changes: Vec<Value>) {
        for change in changes {
            let id = change["key"]["id"].as_i64();
            match change["op"].as_str().unwrap() {
                "truncate" => self.0.clear(),
                "delete" => assert!(
                    self.0.remove(&id.unwrap()).is_some(),
                    "deleted and never there: {change}"
                ),
                "insert" => assert!(
                    self.0.insert(id.unwrap(), change["row"].clone()).is_none(),
                    "twice: {change}"
                ),
                _ => {
                    let old = self.0.insert(id.unwrap(), change["row"].clone());
                    let version = |row: &Value| row["version"].as_i64().unwrap();
                    let old = old.unwrap_or_else(|| panic!("updated and never there: {change}"));
                    assert_eq!(
                        version(&change["row"]),
                        version(&old) + 1,
                        "one version after the other"
                    );
                }
            }
        }
    }
}

async fn table(app: &TestApp) -> BTreeMap<i64, Value> {
    let sql = "select id, row_to_json(x)::text from items x";
    let rows = app.sql.query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap()))
        .collect()
}

#[actix_web::test]
async fn guarantee_3_snapshot_and_changes_are_the_table_under_write_load() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 100) from generate_series(1, 5000) i").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for writer in 0..4 {
        let sql = connect(&Cluster::shared().config(&app.database)).await;
        let mut stopped = stopped.clone();
        writers.push(tokio::spawn(async move {
            let mut round = writer;
            while !*stopped.borrow_and_update() {
                round += 4;
                let end = if round % 7 == 0 { "rollback" } else { "commit" };
                let id = round * 37 % 5000 + 1;
                sql.batch_execute(&format!("begin; update items set name = 'r{round}' where id = {id}; delete from items where id = {id} + 1000; \
                    insert into items (name) values ('new {round}'); {end}")).await.unwrap();
            }
        }));
    }
    for round in 0..15 {
        let mut client = app.ws("/ws?table=items&snapshot=1").await;
        client.expect("welcome").await;
        let mut rows = Rows::default();
        let (snapshot, cursor) = client.snapshot().await;
        assert!(snapshot.len() > 1000, "round {round}: {}", snapshot.len());
        rows.load(snapshot);
        assert_eq!(client.expect("subscribed").await["cursor"], cursor);
        for _ in 0..10 {
            rows.apply(client.batch().await);
        }
        if round == 14 {
            stop.send(true).unwrap();
            for writer in writers.drain(..) {
                writer.await.unwrap();
            }
            app.execute("insert into items (name) values ('the end')")
                .await;
            while !rows.0.values().any(|row| row["name"] == "the end") {
                rows.apply(client.batch().await);
            }
            assert_eq!(rows.0, table(&app).await);
        }
    }
}

#[actix_web::test]
async fn an_empty_table_has_a_snapshot_too() {
    let app = TestApp::start().await;
    let mut client = app.ws("/ws?table=items&snapshot=1&columns=name").await;
    client.expect("welcome").await;
    let (rows, _) = client.snapshot().await;
    assert!(rows.is_empty());
    client.expect("subscribed").await;
    app.execute("insert into items (name) values ('first')")
        .await;
    assert_eq!(
        client.change().await["row"],
        json!({"id": 1, "name": "first"})
    );
}

#[actix_web::test]
async fn a_snapshot_comes_in_pieces_with_the_columns_that_were_asked_for() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 100) from generate_series(1, 3000) i").await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    client.send(json!({"type": "subscribe", "id": "s", "table": "items", "columns": ["description"], "snapshot": true})).await;
    let (mut pieces, mut count) = (0, 0);
    loop {
        let piece = client.expect("snapshot").await;
        assert_eq!(piece["id"], "s");
        pieces += 1;
        for row in piece["rows"].as_array().unwrap() {
            assert_eq!(
                row.as_object().unwrap().keys().collect::<Vec<_>>(),
                ["description", "id"]
            );
            count += 1;
        }
        if piece["more"] == false {
            break;
        }
    }
    assert_eq!(count, 3000);
    assert!(pieces > 3, "{pieces} pieces");
    assert_eq!(client.expect("subscribed").await["id"], "s");
}

#[actix_web::test]
async fn values_of_a_snapshot_are_those_of_the_log() {
    let app = TestApp::start().await;
    app.execute("create table kinds (id int primary key, t timestamptz, f float8, b bytea, i interval, d date, n numeric, j jsonb, a int[]); select plank.watch('kinds')").await;
    let mut client = crate::live::watched(&app, "kinds").await;
    app.execute("set timezone = 'Asia/Tokyo'; insert into kinds values (1, '2026-11-23 08:00:00.000001+00', 0.1::float8 + 0.2::float8, '\\xdeadbeef', '1 day 02:03:04', '2026-11-23', 1.10, '{\"b\": [1, 2]}', '{1,2}')").await;
    let logged = client.change().await["row"].clone();
    client
        .send(json!({"type": "subscribe", "id": "s", "table": "kinds", "snapshot": true}))
        .await;
    let (rows, _) = client.snapshot().await;
    assert_eq!(rows, [logged]);
}

#[actix_web::test]
async fn a_reset_with_snapshot_brings_the_rows_again() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a')").await;
    let mut client = app.ws("/ws?table=items&snapshot=1").await;
    client.expect("welcome").await;
    assert_eq!(client.snapshot().await.0.len(), 1);
    client.expect("subscribed").await;
    app.execute(
        "update plank.meta set log_id = gen_random_uuid(); insert into items (name) values ('b')",
    )
    .await;
    assert_eq!(app.cut_listener().await, 1);
    loop {
        // 'b' may still come as a change.
        let message = client.next().await.unwrap();
        if message["type"] == "reset" {
            assert_eq!(message["reason"], "epoch");
            break;
        }
    }
    assert_eq!(client.snapshot().await.0.len(), 2);
    client.expect("subscribed").await;
    app.execute("insert into items (name) values ('c')").await;
    assert_eq!(client.change().await["row"]["name"], "c");
}

#[actix_web::test]
async fn since_wins_over_snapshot_until_it_cannot_be_served() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a')").await;
    let good = cursor(&app).await;
    app.execute("insert into items (name) values ('b')").await;
    let mut client = app
        .ws(&format!("/ws?table=items&snapshot=1&since={good}"))
        .await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    assert_eq!(client.change().await["row"]["name"], "b");
    let foreign = cursor(&TestApp::start().await).await;
    let mut client = app
        .ws(&format!("/ws?table=items&snapshot=1&since={foreign}"))
        .await;
    client.expect("welcome").await;
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    assert_eq!(client.snapshot().await.0.len(), 2);
    client.expect("subscribed").await;
}

#[actix_web::test]
async fn guarantee_5_clients_that_do_not_read_their_snapshot_keep_nobody_from_his() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 30000) i").await;
    let mut slow = Vec::new();
    for _ in 0..plank::limits::SNAPSHOTS_MAX {
        let mut client = app.ws("/ws?table=items&snapshot=1").await;
        client.expect("welcome").await;
        client.expect("snapshot").await;
        slow.push(client);
    }
    // All places are taken, by clients that read no further.
    let mut quick = app.ws("/ws?table=items&snapshot=1").await;
    quick.expect("welcome").await;
    assert_eq!(quick.snapshot().await.0.len(), 30_000);
    quick.expect("subscribed").await;
    let closed = app
        .metric("plank_limits_total{limit=\"snapshot_pause\"}")
        .await;
    assert!(closed > 0.0, "one had to give up its place");
}

#[actix_web::test]
async fn a_slow_client_gets_its_snapshot_when_nobody_waits() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 30000) i").await;
    let mut slow = app.ws("/ws?table=items&snapshot=1").await;
    slow.expect("welcome").await;
    let begun = slow.expect("snapshot").await["rows"]
        .as_array()
        .unwrap()
        .len();
    let mut quick = app.ws("/ws?table=items&snapshot=1").await;
    quick.expect("welcome").await;
    assert_eq!(quick.snapshot().await.0.len(), 30_000);
    app.execute("insert into items (name) values ('later')")
        .await;
    assert_eq!(
        begun + slow.snapshot().await.0.len(),
        30_000,
        "of the moment when it was begun"
    );
    slow.expect("subscribed").await;
    assert_eq!(slow.change().await["row"]["name"], "later");
}

#[actix_web::test]
async fn a_table_that_may_not_be_read_says_so() {
    let app = TestApp::start().await;
    app.execute("create role private_owner; create schema private authorization private_owner; set role private_owner; \
        create table private.t (id int primary key); reset role; select plank.watch('private.t')").await;
    let role = format!("reader_{}", app.database);
    app.execute(&format!(
        "create role {role} login in role plank_owner, plank_reader; grant connect on database {} to {role}",
        app.database
    ))
    .await;
    let mut target = Cluster::shared().config(&app.database);
    target.user(&role);
    // plank's own role reads through plank_reader, and that right has been taken away.
    app.execute("revoke select on private.t from plank_reader")
        .await;
    let sql = connect(&Cluster::shared().config(&app.database)).await;
    let mut other = Cluster::shared().config(&app.database);
    other.user(&role).password("x");
    app.execute(&format!("alter role {role} password 'x'"))
        .await;
    let node = TestApp::build(other, sql, app.database.clone(), |_| {}).await;
    node.ready().await;
    let mut client = node.ws("/ws?table=private.t&snapshot=1").await;
    client.expect("welcome").await;
    let error = client.expect("error").await;
    assert_eq!(error["code"], "forbidden");
    assert!(
        error["message"].as_str().unwrap().contains("grant select"),
        "{error}"
    );
    until("it is forgotten", async || {
        node.metric("plank_subscriptions").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn a_table_that_was_dropped_holds_up_nobody() {
    let app =
        TestApp::start_with(|config| config.retention.keep = std::time::Duration::from_secs(14))
            .await;
    app.execute("create table gone (id int primary key); select plank.watch('gone')")
        .await;
    let mut live = crate::live::watched(&app, "gone").await;
    app.execute("drop table gone").await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    client
        .send(json!({"type": "subscribe", "id": "gone", "table": "gone", "snapshot": true}))
        .await;
    client
        .send(json!({"type": "subscribe", "id": "good", "table": "items", "snapshot": true}))
        .await;
    let error = client.expect("error").await;
    assert_eq!(
        (&error["id"], &error["code"]),
        (&json!("gone"), &json!("unknown_table"))
    );
    assert_eq!(client.snapshot().await.0.len(), 0);
    assert_eq!(client.expect("subscribed").await["id"], "good");
    // Those who are subscribed already are told when a server has looked.
    live.expect("unsubscribed").await;
}

#[actix_web::test]
async fn a_snapshot_runs_nothing_with_the_rights_of_plank() {
    let app = TestApp::start().await;
    app.execute(
        "create type public.lure as enum ('a'); create function public.snap(public.lure) returns json language sql as $$ select to_json(current_user::text) $$; \
         create cast (public.lure as json) with function public.snap(public.lure); create table public.pit (id int primary key, b public.lure); \
         create function public.row_to_json(public.pit) returns json language sql as $$ select '{\"id\": 1, \"b\": \"overload\"}'::json $$; \
         select plank.watch('public.pit'); insert into pit values (1, 'a')",
    )
    .await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    client
        .send(json!({"type": "subscribe", "id": "p", "table": "pit", "snapshot": true}))
        .await;
    assert_eq!(
        client.snapshot().await.0,
        [json!({"id": 1, "b": "plank_json"})]
    );
}

#[actix_web::test]
async fn a_snapshot_does_not_keep_the_log_from_being_pruned() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 30000)").await;
    let mut client = app.ws("/ws?table=items&snapshot=1").await;
    client.expect("welcome").await;
    client.expect("snapshot").await;
    let locks = "select count(*) from pg_locks l join pg_stat_activity a using (pid) join pg_class c on c.oid = l.relation \
        where a.application_name = 'plank snapshot' and a.datname = current_database() and c.relname like $1";
    let held =
        async |name: &str| -> i64 { app.sql.query_one(locks, &[&name]).await.unwrap().get(0) };
    assert!(held("items").await > 0, "it is under way");
    assert_eq!(held("log%").await, 0);
}

/// To a snapshot that is older than a TRUNCATE the table is empty, as it never was.
#[actix_web::test]
async fn a_snapshot_does_not_show_the_emptiness_of_a_later_truncate() {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, n int); insert into t values (1, 0); select plank.watch('t')")
        .await;
    let other = connect(&Cluster::shared().config(&app.database)).await;
    other
        .batch_execute("begin; update t set n = 1; truncate t; insert into t values (2, 0)")
        .await
        .unwrap();
    let mut client = app.ws("/ws?table=t&snapshot=1").await;
    client.expect("welcome").await;
    until("the snapshot waits for the table", async || {
        let sql = "select count(*) from pg_locks l join pg_stat_activity a using (pid) \
            where a.datname = current_database() and a.application_name = 'plank snapshot' and not l.granted";
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    other.batch_execute("commit").await.unwrap();
    let (rows, _) = client.snapshot().await;
    assert_eq!(rows, [json!({"id": 2, "n": 0})]);
    client.expect("subscribed").await;
    app.execute("update t set n = 2").await;
    assert_eq!(client.change().await["row"], json!({"id": 2, "n": 2}));
}
