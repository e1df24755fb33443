//! A client that has missed much: it is led through the log in steps, and nothing of it is in memory at once.

use serde_json::json;

use crate::resume::{cursor, names, resumed};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

#[actix_web::test]
async fn a_backlog_is_led_along_the_marks_and_cut_by_none_of_them() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let mut live = app.subscribed("items").await;
    let mut sent = 0;
    for round in 0..12 {
        app.execute(&format!("begin; insert into items (name) select 'r{round}' from generate_series(1, 2500); insert into items (name) values ('r{round} end'); commit")).await;
        sent += live.changes(2501).await.len();
    }
    let marks: i64 = app
        .sql
        .query_one("select count(*) from plank.mark", &[])
        .await
        .unwrap()
        .get(0);
    assert!((3..=12).contains(&marks), "{marks} marks");
    let other = app.another_node().await;
    let mut client = resumed(&other, &start).await;
    client.expect("subscribed").await;
    let (mut numbers, mut batches) = (Vec::new(), 0);
    while numbers.len() < sent {
        let batch = client.batch().await;
        batches += 1;
        assert!(
            batch.last().unwrap()["row"]["name"]
                .as_str()
                .unwrap()
                .ends_with(" end"),
            "a transaction was cut"
        );
        numbers.extend(batch.iter().map(|c| c["seq"].as_i64().unwrap()));
    }
    // A mark at the end of the last transaction leads nowhere.
    assert!(
        batches + 1 >= marks,
        "{batches} batches along {marks} marks"
    );
    assert!(numbers.is_sorted_by(|a, b| a < b));
    client.nothing().await;
}

#[actix_web::test]
async fn a_client_that_takes_its_time_catches_up_in_bounded_memory() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    // 200 MB: beyond the window and any buffer of a socket.
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 2000) from generate_series(1, 100000) i").await;
    until("it was read", async || {
        app.metric("plank_changes_total{table=\"public.items\",op=\"insert\"}")
            .await
            >= 100_000.0
    })
    .await;
    let before = app.metric("process_resident_memory_bytes").await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut client = resumed(&app, &start).await;
        client.expect("subscribed").await;
        slow.push(client);
    }
    // None of them reads; one that does is served all the same, four places or not.
    let mut quick = resumed(&app, &start).await;
    quick.expect("subscribed").await;
    assert_eq!(quick.changes(100_000).await.len(), 100_000);
    let grown = app.metric("process_resident_memory_bytes").await - before;
    drop(slow);
    // The test's own client is in this process as well, with the 100,000 changes that it has read.
    assert!(grown < 700e6, "{} MB more", grown / 1e6);
}

#[actix_web::test]
async fn a_database_that_goes_away_in_the_middle_of_a_replay_costs_nothing() {
    let mut cluster = Cluster::start();
    let app = TestApp::start_on(&cluster).await;
    app.ready().await;
    let start = cursor(&app).await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 2000) from generate_series(1, 60000) i").await;
    until("it was read", async || {
        app.metric("plank_changes_total{table=\"public.items\",op=\"insert\"}")
            .await
            >= 60_000.0
    })
    .await;
    let mut client = resumed(&app, &start).await;
    client.expect("subscribed").await;
    let mut numbers = Vec::new();
    let mut message = client.expect("changes").await;
    cluster.restart().await;
    loop {
        numbers.extend(
            message["changes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["seq"].as_i64().unwrap()),
        );
        if message["last"] == true {
            break;
        }
        message = client.expect("changes").await;
    }
    assert_eq!(numbers.len(), 60_000);
    assert!(numbers.is_sorted_by(|a, b| a < b), "nothing twice");
    until("live again", async || app.health.is_live()).await;
    let sql = connect(&cluster.config("plank")).await;
    sql.batch_execute("insert into items (name) values ('after')")
        .await
        .unwrap();
    assert_eq!(names(&client.changes(1).await), ["after"]);
}

#[actix_web::test]
async fn a_catch_up_that_nothing_passes_gets_on() {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, a int); select plank.watch('t')")
        .await;
    let since = cursor(&app).await;
    app.execute("insert into t select i, 1 from generate_series(1, 100) i")
        .await;
    // The window of another node does not reach back, so it reads the log.
    let node = app.another_node().await;
    let mut client = node.ws("/ws").await;
    client.expect("welcome").await;
    client
        .send(json!({"type": "subscribe", "id": "a", "table": "t", "filter": "a=eq.2", "since": since}))
        .await;
    client.expect("subscribed").await;
    // A client that is cut off now, or stops waiting, does not begin anew.
    let step = client.expect("changes").await;
    assert_eq!(
        (&step["changes"], &step["last"]),
        (&json!([]), &json!(true))
    );
    assert_ne!(step["cursor"], since);
    app.execute("update t set a = 2 where id = 1").await;
    assert_eq!(client.change().await["cause"], "update");
}
