//! The listener sleeps when nothing happens, polls when much does, and is never late.

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

#[actix_web::test]
async fn guarantee_6_under_load_writers_do_not_ring_and_afterwards_the_listener_sleeps() {
    let app = TestApp::start().await;
    until("asleep", async || {
        app.metric("plank_bell_armed").await == 1.0
    })
    .await;
    let mut client = app.subscribed("items").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for _ in 0..4 {
        writers.push(writer(
            connect(&Cluster::shared().config(&app.database)).await,
            stopped.clone(),
        ));
    }
    until("the bell is off", async || bell(&app).await == 0).await;
    assert_eq!(app.metric("plank_bell_armed").await, 0.0);
    client.changes(1).await;
    stop.send(true).unwrap();
    let mut sent = 0;
    for writer in writers {
        sent += within("a writer", writer).await.unwrap();
    }
    let mut got = 1;
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
