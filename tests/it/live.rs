//! A committed change of a watched table arrives, whatever made it; one that was rolled back never does.

use serde_json::{Value, json};

use crate::support::{Cluster, TestApp, within};

#[actix_web::test]
async fn a_post_arrives_with_the_right_row() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    let (status, row) = app
        .request(
            "POST",
            "/api/items",
            Some(json!({"name": "ä \"b\"", "data": {"n": 1.50}})),
        )
        .await;
    assert_eq!(status, 201);
    let change = client.change().await;
    assert_eq!(change["op"], "insert");
    assert_eq!(
        change["row"], row,
        "the WebSocket and HTTP show the same row"
    );
    assert_eq!(change["key"], json!({"id": row["id"]}));
    assert!(change["seq"].is_i64() && change["xid"].is_string());
    let at = change["at"].as_str().unwrap();
    assert!(at.len() == 27 && at.ends_with('Z'), "{at}");
    assert_eq!(
        row["created_at"].as_str().unwrap().replace("+00:00", ""),
        at.trim_end_matches('0')
            .trim_end_matches('Z')
            .trim_end_matches('0')
    );
}

#[actix_web::test]
async fn every_kind_of_statement_arrives() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('a'), ('b'), ('c')")
        .await;
    let changes = client.changes(3).await;
    assert!(
        changes
            .iter()
            .all(|c| c["op"] == "insert" && c["xid"] == changes[0]["xid"])
    );

    app.execute("update items set status = 'done' where name = 'b'")
        .await;
    let change = client.change().await;
    assert_eq!(
        (
            &change["op"],
            &change["row"]["status"],
            &change["row"]["version"]
        ),
        (&json!("update"), &json!("done"), &json!(2))
    );
    assert!(change.get("old").is_none());

    app.execute("delete from items where name = 'b'").await;
    let change = client.change().await;
    assert_eq!(
        (&change["op"], &change["key"], &change["old"]["name"]),
        (&json!("delete"), &json!({"id": 2}), &json!("b"))
    );
    assert!(change.get("row").is_none());

    let url = Cluster::shared().url(&app.database);
    let copy = "copy items (name) from stdin";
    let mut psql = tokio::process::Command::new("psql")
        .args(["-q", &url, "-c", copy])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = psql.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, b"x\ny\n\\.\n")
        .await
        .unwrap();
    drop(input);
    assert!(within("psql", psql.wait()).await.unwrap().success());
    assert_eq!(client.changes(2).await[1]["row"]["name"], "y");

    app.execute("truncate items").await;
    let change = client.change().await;
    assert_eq!(
        (&change["op"], &change["key"]),
        (&json!("truncate"), &Value::Null)
    );
}

#[actix_web::test]
async fn what_was_rolled_back_is_never_seen() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("begin; insert into items (name) values ('never'); rollback")
        .await;
    app.execute("begin; insert into items (name) values ('kept'); savepoint s; insert into items (name) values ('undone'); rollback to s; commit").await;
    assert!(
        app.sql
            .batch_execute("insert into items (name) values ('half'), ('')")
            .await
            .is_err()
    );
    app.execute("insert into items (name) values ('end')").await;
    let names: Vec<Value> = client
        .changes(2)
        .await
        .into_iter()
        .map(|c| c["row"]["name"].clone())
        .collect();
    assert_eq!(names, ["kept", "end"]);
}

#[actix_web::test]
async fn a_transaction_is_one_batch() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    for round in 0..20 {
        app.execute(&format!("begin; insert into items (name) values ('a{round}'); update items set status = 'active' where name = 'a{round}'; delete from items where name = 'a{round}'; commit")).await;
    }
    let mut rounds = 0;
    while rounds < 20 {
        let batch = client.batch().await;
        for transaction in batch.chunk_by(|a, b| a["xid"] == b["xid"]) {
            let ops: Vec<&Value> = transaction.iter().map(|c| &c["op"]).collect();
            assert_eq!(ops, ["insert", "update", "delete"]);
            rounds += 1;
        }
    }
}

#[actix_web::test]
async fn a_key_change_is_a_delete_and_an_insert() {
    let app = TestApp::start().await;
    app.execute("create table pairs (id int primary key deferrable, v text); insert into pairs select n, 'v' || n from generate_series(1, 5) n; select plank.watch('pairs')").await;
    let mut client = watched(&app, "pairs").await;
    app.execute("update pairs set id = id + 1").await;
    let changes = client.changes(10).await;
    let mut keys: Vec<i64> = (1..=5).collect();
    for change in &changes {
        let id = change["key"]["id"].as_i64().unwrap();
        match change["op"].as_str().unwrap() {
            "delete" => keys.retain(|k| *k != id),
            "insert" => keys.push(id),
            other => panic!("{other}"),
        }
    }
    keys.sort();
    assert_eq!(keys, [2, 3, 4, 5, 6]);
    let mut numbers: Vec<i64> = changes.iter().map(|c| c["seq"].as_i64().unwrap()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 10, "each change has a number of its own");
}

/// Subscribes to a table that has just been watched: the server follows within a second.
pub async fn watched(app: &TestApp, table: &str) -> crate::support::WsClient {
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let mut found = json!(null);
    crate::support::until("the table is known", async || {
        client
            .send(json!({"type": "subscribe", "id": "a", "table": table}))
            .await;
        found = client.next().await.unwrap();
        found["type"] == "subscribed"
    })
    .await;
    client
}

#[actix_web::test]
async fn a_large_transaction_arrives_whole_in_several_messages() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 100) from generate_series(1, 20000) i").await;
    let (mut count, mut messages) = (0, 0);
    loop {
        let message = client.expect("changes").await;
        messages += 1;
        count += message["changes"].as_array().unwrap().len();
        if message["last"].as_bool().unwrap() {
            break;
        }
    }
    assert_eq!(count, 20_000);
    assert!(messages > 5, "{messages} messages");
    client.nothing().await;
}

#[actix_web::test]
async fn a_transaction_that_was_open_for_long_does_not_make_the_server_late() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("begin; insert into items (name) values ('slow'); select pg_sleep(2); commit")
        .await;
    client.change().await;
    let (status, ready) = app.request("GET", "/readyz", None).await;
    assert!(
        status == 200 && ready["lag_s"].as_f64().unwrap() < 1.5,
        "{ready}"
    );
}

#[actix_web::test]
async fn a_row_of_16_mb_arrives() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name, description) values ('big', repeat('ü', 8000000)); insert into items (name) values ('next')").await;
    let first = client.batch().await;
    assert_eq!(
        first[0]["row"]["description"].as_str().unwrap().len(),
        16_000_000
    );
    let next = if first.len() == 2 {
        first[1].clone()
    } else {
        client.change().await
    };
    assert_eq!(next["row"]["name"], "next");
}

#[actix_web::test]
async fn values_are_written_the_same_way_whatever_the_writer_has_set() {
    let app = TestApp::start().await;
    app.execute("create table kinds (id int primary key, t timestamptz, f float8, b bytea, i interval, d date); select plank.watch('kinds')").await;
    let mut client = watched(&app, "kinds").await;
    let row = "insert into kinds values (1, '2026-11-23 08:00:00.000001+00', 0.1::float8 + 0.2::float8, '\\xdeadbeef', '1 day 02:03:04', '2026-11-23')";
    app.execute(&format!(
        "set timezone = 'Asia/Tokyo'; set datestyle = 'German'; set extra_float_digits = 0; set bytea_output = 'escape'; set intervalstyle = 'iso_8601'; {row}"
    ))
    .await;
    let expected = json!({"id": 1, "t": "2026-11-23T08:00:00.000001+00:00", "f": 0.30000000000000004, "b": "\\xdeadbeef",
        "i": "1 day 02:03:04", "d": "2026-11-23"});
    assert_eq!(client.change().await["row"], expected);
}

#[actix_web::test]
async fn subscribers_of_several_tables_get_each_change_once() {
    let app = TestApp::start().await;
    app.execute("create table other (id int primary key); select plank.watch('other')")
        .await;
    let mut both = watched(&app, "other").await;
    both.subscribe("b", "items").await;
    both.subscribe("c", "public.items").await;
    let mut one = app.subscribed("items").await;
    for round in 1..=10 {
        app.execute(&format!("begin; insert into other values ({round}); insert into items (name) values ('i{round}'); commit")).await;
    }
    assert_eq!(both.changes(20).await.len(), 20);
    assert_eq!(one.changes(10).await.len(), 10);
    both.nothing().await;
}
