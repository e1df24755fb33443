//! The listener sleeps when nothing happens, polls when much does, and is never late.

mod stress;

use std::time::Duration;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until, within};

async fn bell(app: &TestApp) -> i64 {
    app.sql
        .query_one("select last_value from plank.bell", &[])
        .await
        .unwrap()
        .get(0)
}

/// Writes single rows as fast as it can until it is told to stop; how many.
fn writer(
    sql: tokio_postgres::Client,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        let mut count = 0;
        while !*stop.borrow_and_update() {
            sql.batch_execute("insert into items (name) values ('load')")
                .await
                .unwrap();
            count += 1;
        }
        count
    })
}

/// So many at once are company, also on a machine that is busy with something else.
const WRITERS: usize = 6;

async fn writers(
    target: &tokio_postgres::Config,
    stop: &tokio::sync::watch::Receiver<bool>,
) -> Vec<tokio::task::JoinHandle<usize>> {
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        writers.push(writer(connect(target).await, stop.clone()));
    }
    writers
}

/// How many rows they have written in the end.
async fn sent(writers: Vec<tokio::task::JoinHandle<usize>>) -> usize {
    let mut sent = 0;
    for writer in writers {
        sent += within("a writer", writer).await.unwrap();
    }
    sent
}

#[actix_web::test]
async fn guarantee_6_under_load_writers_do_not_ring_and_afterwards_the_listener_sleeps() {
    let app = TestApp::start().await;
    until("asleep", async || {
        app.metric("plank_bell_armed").await == 1.0
    })
    .await;
    let mut client = app.subscribed("items").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let target = Cluster::shared().config(&app.database);
    let writers = writers(&target, &stopped).await;
    until("the bell is off", async || bell(&app).await == 0).await;
    assert_eq!(app.metric("plank_bell_armed").await, 0.0);
    let mut got = client.batch().await.len();
    stop.send(true).unwrap();
    let sent = sent(writers).await;
    while got < sent {
        got += client.batch().await.len();
    }
    assert_eq!(got, sent);
    until("armed again", async || {
        bell(&app).await == 1 && app.metric("plank_bell_armed").await == 1.0
    })
    .await;
    assert_eq!(app.metric("plank_bell_missed_total").await, 0.0);
}

#[actix_web::test]
async fn asleep_it_does_not_touch_the_database_and_hears_the_first_write() {
    // Alone: a transaction of another test would keep it drowsy.
    let cluster = Cluster::start();
    let app = TestApp::start_on(&cluster).await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    for round in 0..20 {
        app.execute(&format!("insert into items (name) values ('{round}')"))
            .await;
        assert_eq!(client.change().await["row"]["name"], round.to_string());
        assert_eq!(bell(&app).await, 1);
    }
    // With nobody writing it says nothing but a ping every 4 s, so there is a moment when its last word is a second old.
    let quiet = "select clock_timestamp() - query_start >= interval '1 s' from pg_stat_activity where application_name = 'plank listener'";
    until("it sleeps", async || {
        app.sql.query_one(quiet, &[]).await.unwrap().get(0)
    })
    .await;
    app.execute("insert into items (name) values ('awake')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "awake");
    assert_eq!(app.metric("plank_bell_missed_total").await, 0.0);
}

#[actix_web::test]
async fn two_nodes_agree_about_the_bell() {
    let app = TestApp::start().await;
    let target = Cluster::shared().config(&app.database);
    let other = app.another_node().await;
    until("both asleep", async || {
        app.metric("plank_bell_armed").await == 1.0 && other.metric("plank_bell_armed").await == 1.0
    })
    .await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers = writers(&target, &stopped).await;
    until("the bell is off when both are awake", async || {
        bell(&app).await == 0
    })
    .await;
    stop.send(true).unwrap();
    sent(writers).await;
    // One of them ends while it sleeps: the bell stays armed for the other.
    until("armed again", async || {
        bell(&app).await == 1 && other.metric("plank_bell_armed").await == 1.0
    })
    .await;
    let mut client = other.subscribed("items").await;
    // Whatever the hub had not read by then may come as well.
    let sql = app.stop_keeping_sql().await;
    sql.batch_execute("insert into items (name) values ('heard')")
        .await
        .unwrap();
    loop {
        let batch = client.batch().await;
        if batch.iter().any(|change| change["row"]["name"] == "heard") {
            break;
        }
    }
    assert_eq!(other.metric("plank_bell_missed_total").await, 0.0);
}

#[actix_web::test]
async fn with_the_doorbell_off_prepared_transactions_are_delivered_when_they_commit() {
    let mut cluster = Cluster::start();
    let admin = connect(&cluster.config("postgres")).await;
    admin
        .batch_execute("alter system set max_prepared_transactions = 10")
        .await
        .unwrap();
    cluster.restart().await;
    let target = cluster.config("plank");
    let app = TestApp::build(
        target.clone(),
        connect(&target).await,
        "plank".into(),
        |config| config.doorbell = false,
    )
    .await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    until("the bell is off", async || bell(&app).await == 0).await;
    app.execute("begin; insert into items (name) values ('prepared'); prepare transaction 'p'")
        .await;
    app.execute("insert into items (name) values ('meanwhile')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "meanwhile");
    app.execute("commit prepared 'p'").await;
    assert_eq!(client.change().await["row"]["name"], "prepared");
    app.execute("begin; insert into items (name) values ('never'); prepare transaction 'q'")
        .await;
    app.execute("rollback prepared 'q'").await;
    app.execute("insert into items (name) values ('end')").await;
    assert_eq!(client.change().await["row"]["name"], "end");
    assert_eq!(app.metric("plank_bell_armed").await, 0.0);
}

#[actix_web::test]
async fn a_writer_that_was_there_before_the_bell_was_armed_is_not_missed() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    // It reads the bell while it is off, and commits when the listener would like to sleep.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let target = Cluster::shared().config(&app.database);
    let writers = writers(&target, &stopped).await;
    until("the bell is off", async || bell(&app).await == 0).await;
    let old = connect(&target).await;
    old.batch_execute("begin; insert into items (name) values ('old')")
        .await
        .unwrap();
    stop.send(true).unwrap();
    let sent = sent(writers).await;
    let mut got = 0;
    while got < sent {
        got += client.batch().await.len();
    }
    until("armed, and drowsy because of the old one", async || {
        bell(&app).await == 1
    })
    .await;
    let started = std::time::Instant::now();
    old.batch_execute("commit").await.unwrap();
    assert_eq!(client.change().await["row"]["name"], "old");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "not by the slow read that stands behind everything"
    );
    assert_eq!(app.metric("plank_bell_missed_total").await, 0.0);
}
