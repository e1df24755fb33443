//! A client that was away comes back with its cursor: it gets what it has missed, once, whatever has it.

use serde_json::{Value, json};

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, WsClient, until};

/// A socket that resumes `items` with a cursor, behind its `welcome`.
pub async fn resumed(app: &TestApp, cursor: &str) -> WsClient {
    let mut client = app.ws(&format!("/ws?table=items&since={cursor}")).await;
    client.expect("welcome").await;
    client
}

pub fn names(changes: &[Value]) -> Vec<&str> {
    let name = |c: &'_ Value| c["row"]["name"].as_str().map(str::to_owned);
    assert!(changes.iter().all(|c| name(c).is_some()), "{changes:?}");
    changes
        .iter()
        .map(|c| c["row"]["name"].as_str().unwrap())
        .collect()
}

/// A place behind everything that has been committed so far, as psql says it.
pub async fn cursor(app: &TestApp) -> String {
    app.sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0)
}

#[actix_web::test]
async fn guarantee_1_whoever_comes_back_gets_what_he_has_missed_from_memory() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('seen')")
        .await;
    let (changes, cursor) = client.batch_and_cursor().await;
    assert_eq!(names(&changes), ["seen"]);
    drop(client);
    for name in ["a", "b", "c"] {
        app.execute(&format!("insert into items (name) values ('{name}')"))
            .await;
    }
    let mut client = resumed(&app, &cursor).await;
    let subscribed = client.expect("subscribed").await;
    assert_eq!(subscribed["cursor"], cursor, "the place where it goes on");
    assert_eq!(names(&client.changes(3).await), ["a", "b", "c"]);
    app.execute("insert into items (name) values ('live')")
        .await;
    assert_eq!(names(&client.changes(1).await), ["live"]);
    client.nothing().await;
    assert_eq!(
        app.metric("plank_resumes_total{result=\"window\"}").await,
        1.0
    );
    assert_eq!(app.metric("plank_resumes_total{result=\"log\"}").await, 0.0);
}

#[actix_web::test]
async fn guarantee_4_a_cursor_works_on_another_node_and_after_a_restart() {
    let app = TestApp::start().await;
    let cursor = cursor(&app).await;
    app.execute("insert into items (name) values ('a'); insert into items (name) values ('b')")
        .await;
    // Another node of the same database, which was not there at the time: its window begins later.
    let other = app.another_node().await;
    let mut client = resumed(&other, &cursor).await;
    assert_eq!(client.expect("subscribed").await["cursor"], cursor);
    let (changes, next) = client.batch_and_cursor().await;
    assert_eq!(names(&changes), ["a", "b"]);
    until("it is counted", async || {
        let line = "plank_resumes_total{result=\"log\"}";
        other.metric(line).await == 1.0
    })
    .await;
    app.execute("insert into items (name) values ('c')").await;
    assert_eq!(names(&client.changes(1).await), ["c"]);
    // And back, with the cursor of a batch that this node has cut in another way.
    let mut client = resumed(&app, &next).await;
    client.expect("subscribed").await;
    assert_eq!(names(&client.changes(1).await), ["c"]);
    client.nothing().await;
}

#[actix_web::test]
async fn a_cursor_of_psql_is_that_of_the_server() {
    let app = TestApp::start().await;
    let running = connect(&Cluster::shared().config(&app.database)).await;
    running
        .batch_execute("begin; insert into items (name) values ('open')")
        .await
        .unwrap();
    app.execute("insert into items (name) values ('before')")
        .await;
    let before = cursor(&app).await;
    app.execute("insert into items (name) values ('after')")
        .await;
    running.batch_execute("commit").await.unwrap();
    let mut client = resumed(&app, &before).await;
    client.expect("subscribed").await;
    let mut changes = client.changes(2).await;
    changes.sort_by_key(|c| c["row"]["name"].to_string());
    assert_eq!(names(&changes), ["after", "open"]);
    client.nothing().await;

    // What a transaction has done itself is not behind its own cursor.
    app.execute("begin; insert into items (name) values ('own')")
        .await;
    let own = cursor(&app).await;
    app.execute("commit").await;
    let mut client = resumed(&app, &own).await;
    client.expect("subscribed").await;
    assert_eq!(names(&client.changes(1).await), ["own"]);
}

#[actix_web::test]
async fn a_client_that_is_ahead_of_the_node_gets_nothing_twice() {
    let app = TestApp::start().await;
    let other = app.another_node().await;
    for round in 0..30 {
        // The cursor is taken as soon as the row is there, most often before either node has read it.
        app.execute(&format!("insert into items (name) values ('seen {round}')"))
            .await;
        let ahead = cursor(&app).await;
        let mut client = resumed(&other, &ahead).await;
        client.expect("subscribed").await;
        app.execute(&format!("insert into items (name) values ('new {round}')"))
            .await;
        assert_eq!(names(&client.changes(1).await), [format!("new {round}")]);
        client.nothing().await;
    }
}

#[actix_web::test]
async fn no_cursor_at_all_is_an_error_and_a_foreign_one_a_reset() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a')").await;
    let good = cursor(&app).await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    for bad in [
        "",
        "x",
        &good[..good.len() - 1],
        &format!("{good}A"),
        "\u{1F600}",
    ] {
        client
            .send(json!({"type": "subscribe", "id": "a", "table": "items", "since": bad}))
            .await;
        let error = client.expect("error").await;
        assert_eq!(
            (&error["code"], &error["id"]),
            (&json!("bad_cursor"), &json!("a")),
            "{bad}"
        );
    }
    assert_eq!(
        app.request("GET", "/api/changes?table=items&since=x", None)
            .await
            .0,
        400
    );

    let elsewhere = TestApp::start().await;
    let foreign = cursor(&elsewhere).await;
    client
        .send(json!({"type": "subscribe", "id": "a", "table": "items", "since": foreign}))
        .await;
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    client.expect("subscribed").await;
    app.execute("insert into items (name) values ('b')").await;
    assert_eq!(names(&client.changes(1).await), ["b"]);
    let (status, problem) = app
        .request(
            "GET",
            &format!("/api/changes?table=items&since={foreign}"),
            None,
        )
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:plank:problem:epoch"))
    );
    assert_eq!(
        app.metric("plank_resumes_total{result=\"reset\"}").await,
        1.0
    );
}

#[actix_web::test]
async fn a_cursor_from_the_future_is_a_reset() {
    let app = TestApp::start().await;
    let target = Cluster::shared().config(&app.database);
    // As after a restore: the log claims to be the same, and has not got as far.
    let sql = "select plank.identity()";
    let identity: String = app.sql.query_one(sql, &[]).await.unwrap().get(0);
    let snapshot = plank::feed::Snapshot::parse("999999999:999999999:").unwrap();
    let epoch = plank::feed::Epoch::of(&identity);
    let future = plank::feed::Cursor { epoch, snapshot }.to_string();
    drop(target);
    let mut client = resumed(&app, &future).await;
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    client.expect("subscribed").await;
    let (status, _) = app
        .request(
            "GET",
            &format!("/api/changes?table=items&since={future}"),
            None,
        )
        .await;
    assert_eq!(status, 410);
}

#[actix_web::test]
async fn a_cursor_from_before_the_watch_is_a_reset() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a')").await;
    let before = cursor(&app).await;
    app.execute("create table late (id int primary key); select plank.watch('late')")
        .await;
    let mut client = crate::live::watched(&app, "late").await;
    client.send(json!({"type": "unsubscribe", "id": "a"})).await;
    client.expect("unsubscribed").await;
    client
        .send(json!({"type": "subscribe", "id": "b", "table": "late", "since": before}))
        .await;
    assert_eq!(client.expect("reset").await["reason"], "schema");
    let after = client.expect("subscribed").await["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    // To watch it again with other columns is no break, and with another key it is one.
    app.execute(
        "insert into late values (1); select plank.watch('late'); insert into late values (2)",
    )
    .await;
    client.changes(2).await;
    client
        .send(json!({"type": "subscribe", "id": "c", "table": "late", "since": after}))
        .await;
    client.expect("subscribed").await;
    assert_eq!(client.changes(2).await.len(), 2);
    app.execute("alter table late drop constraint late_pkey, add column k int generated always as (id) stored; \
        alter table late add primary key (k); select plank.watch('late')").await;
    client.expect("reset").await;
    client.expect("subscribed").await;
    client.expect("reset").await;
    client.expect("subscribed").await;
    client
        .send(json!({"type": "subscribe", "id": "d", "table": "late", "since": after}))
        .await;
    assert_eq!(client.expect("reset").await["id"], "d");
}

/// A node, and a cursor behind which the log was pruned. The node has what came since in memory.
pub async fn with_a_pruned_cursor() -> (TestApp, String) {
    let app = TestApp::start_with(|config| config.retention.rows_max = 70).await;
    until("its retention is known", async || {
        let sql = "select rows_max from plank.meta";
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 70
    })
    .await;
    let old = cursor(&app).await;
    for _ in 0..12 {
        app.execute(
            "insert into items (name) select 'n' from generate_series(1, 20); select plank.prune()",
        )
        .await;
    }
    (app, old)
}

#[actix_web::test]
async fn a_pruned_cursor_is_a_reset() {
    let (app, old) = with_a_pruned_cursor().await;
    // Not from memory either: another node has never had it there.
    let other = app.another_node().await;
    let mut client = resumed(&other, &old).await;
    client.expect("subscribed").await;
    assert_eq!(client.expect("reset").await["reason"], "expired");
    client.expect("subscribed").await;
    let path = format!("/api/changes?table=items&since={old}");
    let (status, problem) = other.request("GET", &path, None).await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:plank:problem:expired"))
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("load the table again")
    );
}
