//! `GET /api/tables`: what is watched.

use serde_json::{Value, json};

use crate::support::{TestApp, until};

async fn tables(app: &TestApp) -> Vec<Value> {
    let (status, answer) = app.request("GET", "/api/tables", None).await;
    assert_eq!(status, 200, "{answer}");
    answer["tables"].as_array().unwrap().clone()
}

/// Waits until plank has heard of `plank.watch` and `plank.unwatch`.
async fn until_there_are(app: &TestApp, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until("the tables are known", async || {
        found = tables(app).await;
        found.len() == count
    })
    .await;
    found
}

#[actix_web::test]
async fn the_watched_tables_are_listed_with_what_may_be_seen_of_them() {
    let app = TestApp::start().await;
    app.execute(
        "create schema sales; create table sales.\"Order Lines\" (\"order\" int, line int, secret text, note varchar(20), primary key (line, \"order\")); \
         create table feed (at timestamptz, what text); \
         create table parted (id uuid primary key, n numeric(10,2)) partition by hash (id); \
         create table parted_0 partition of parted for values with (modulus 1, remainder 0); \
         select plank.watch('sales.\"Order Lines\"', columns => '{note}'); select plank.watch('feed', old_rows => false); select plank.watch('parted')",
    )
    .await;
    let tables = until_there_are(&app, 4).await;
    let names: Vec<&str> = tables
        .iter()
        .map(|t| t["table"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "public.feed",
            "public.items",
            "public.parted",
            "sales.\"Order Lines\""
        ]
    );
    assert_eq!(
        tables[0],
        json!({"table": "public.feed", "key": [], "old_rows": false, "writable": false, "may": [], "columns": [
            {"name": "at", "type": "timestamp with time zone"}, {"name": "what", "type": "text"}]})
    );
    assert_eq!(tables[1]["key"], json!(["id"]));
    assert_eq!(
        tables[1]["columns"][0],
        json!({"name": "id", "type": "bigint", "fixed": "identity"})
    );
    assert_eq!(
        tables[2]["columns"][1],
        json!({"name": "n", "type": "numeric(10,2)"})
    );
    assert_eq!(
        tables[3],
        json!({"table": "sales.\"Order Lines\"", "key": ["line", "order"], "old_rows": true, "writable": false, "may": [], "columns": [
            {"name": "order", "type": "integer"}, {"name": "line", "type": "integer"}, {"name": "note", "type": "character varying(20)"}]}),
        "and nothing of the secret"
    );
    app.execute("select plank.unwatch('feed')").await;
    until_there_are(&app, 3).await;
    app.execute(
        "create type mood as enum ('sad', 'glad'); \
         create table diary (id bigint generated always as identity primary key, mood mood, size int generated always as (1) stored); \
         select plank.watch('diary', writable => true)",
    )
    .await;
    let tables = until_there_are(&app, 4).await;
    assert_eq!(
        tables[0],
        json!({"table": "public.diary", "key": ["id"], "old_rows": true, "writable": true, "may": ["insert", "update", "delete"], "columns": [
            {"name": "id", "type": "bigint", "fixed": "identity"}, {"name": "mood", "type": "public.mood", "labels": ["sad", "glad"]},
            {"name": "size", "type": "integer", "fixed": "generated"}]})
    );
}

#[actix_web::test]
async fn it_is_read_only_and_has_a_head() {
    let app = TestApp::start().await;
    assert_eq!(app.request("HEAD", "/api/tables", None).await.0, 200);
    assert_eq!(app.request("POST", "/api/tables", None).await.0, 405);
    assert_eq!(app.request("GET", "/api/tables/", None).await.0, 404);
}

#[actix_web::test]
async fn before_the_database_was_there_nobody_knows() {
    let target = "host=127.0.0.1 port=1 user=nobody dbname=nowhere";
    let other = TestApp::start().await;
    let sql = crate::support::cluster::connect(
        &crate::support::Cluster::shared().config(&other.database),
    )
    .await;
    let app = TestApp::build(target.parse().unwrap(), sql, "nowhere".into(), |_| {}).await;
    for path in ["/api/tables", "/api/tables/items/rows"] {
        let answer = app.http.get(app.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 503, "{path}");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
    }
}
