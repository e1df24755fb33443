//! `--stringify-wide-numbers`: `bigint` and `numeric` leave as strings, whatever way they leave by.

use serde_json::{Value, json};

use crate::resume::cursor;
use crate::support::{SseClient, TestApp};

const TABLE: &str = "create domain money_like as numeric(12,2);
    create table accounts (id bigint primary key, small int, total numeric, fee money_like, parts numeric[], ids bigint[], \
        half float8, j jsonb, t text);
    select plank.watch('accounts')";

const INSERT: &str = "insert into accounts values (9007199254740993, 7, -1.10, 2.5, '{{1.0,null},{NaN,3}}', '{1,2}', 0.5, \
    '{\"n\": 9007199254740993}', '12')";

async fn app() -> TestApp {
    let app = TestApp::start_with(|config| config.stringify_wide_numbers = true).await;
    app.execute(TABLE).await;
    app
}

fn row() -> Value {
    json!({
        "id": "9007199254740993", "small": 7, "total": "-1.10", "fee": "2.50",
        "parts": [["1.0", null], ["NaN", "3"]], "ids": ["1", "2"],
        "half": 0.5, "j": {"n": 9_007_199_254_740_993_u64}, "t": "12",
    })
}

#[actix_web::test]
async fn they_are_strings_in_changes_snapshots_streams_and_over_http() {
    let app = app().await;
    let start = cursor(&app).await;
    let mut client = app.subscribed("accounts").await;
    let mut stream = SseClient::connect(&app, "table=accounts&columns=total").await;
    stream.live().await;
    app.execute(INSERT).await;
    let key = json!({"id": "9007199254740993"});
    let change = client.change().await;
    assert_eq!((&change["key"], &change["row"]), (&key, &row()));
    let streamed = stream.changes(1).await.remove(0);
    let narrow = json!({"id": "9007199254740993", "total": "-1.10"});
    assert_eq!((&streamed["key"], &streamed["row"]), (&key, &narrow));

    let mut whole = app.ws("/ws?table=accounts&snapshot=1").await;
    whole.expect("welcome").await;
    assert_eq!(whole.snapshot().await.0, [row()]);
    let (_, rows) = app.request("GET", "/api/tables/accounts/rows", None).await;
    assert_eq!(rows["rows"], json!([row()]));
    let path = format!("/api/changes?table=accounts&since={start}");
    let (_, history) = app.request("GET", &path, None).await;
    assert_eq!(history["changes"][0]["row"], row());

    app.execute("delete from accounts").await;
    let gone = client.change().await;
    assert_eq!((&gone["key"], &gone["old"]), (&key, &row()));
    // One that comes back, and is told from the log.
    let target = format!("/ws?table=accounts&since={start}");
    let other = app.another_node().await;
    let mut back = other.ws(&target).await;
    back.expect("welcome").await;
    back.expect("subscribed").await;
    // That node was not asked for strings.
    let number = json!({"id": 9_007_199_254_740_993_u64});
    assert_eq!(back.changes(2).await[0]["key"], number);
}

#[actix_web::test]
async fn a_filter_compares_numbers_all_the_same() {
    let app = app().await;
    let target = "/ws?table=accounts&id=gt.9007199254740992&total=lt.0";
    let mut client = app.ws(target).await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    app.execute(INSERT).await;
    assert_eq!(client.change().await["row"]["id"], "9007199254740993");
    app.execute("update accounts set total = 1e3").await;
    let left = client.change().await;
    assert_eq!(
        (&left["op"], &left["cause"], &left["old"]["total"]),
        (&json!("delete"), &json!("update"), &json!("-1.10"))
    );
    client.nothing().await;
}

#[actix_web::test]
async fn a_column_that_comes_later_leaves_with_the_others() {
    let app = app().await;
    app.execute("alter table accounts add column late text default 'x'")
        .await;
    let mut client = app.subscribed("accounts").await;
    app.execute(INSERT).await;
    assert_eq!(client.change().await["row"]["late"], "x");
}

#[actix_web::test]
async fn items_are_the_same_by_rest_and_on_the_socket() {
    let app = app().await;
    let mut client = app.subscribed("items").await;
    let (status, made) = app
        .request("POST", "/api/items", Some(json!({"name": "a"})))
        .await;
    assert_eq!((status, &made["id"]), (201, &json!("1")));
    assert_eq!(client.change().await["row"], made);
    let (_, list) = app.request("GET", "/api/items", None).await;
    assert_eq!(list["items"], json!([made]));
    let (_, one) = app.request("GET", "/api/items/1", None).await;
    assert_eq!(one, made);
    // Only what is watched is served.
    app.execute("select plank.unwatch('items')").await;
    client.expect("unsubscribed").await;
    let (status, _) = app.request("GET", "/api/items/1", None).await;
    assert_eq!(status, 404);
}
