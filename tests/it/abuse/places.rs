//! The few places for reading: one principal that takes all that it can get keeps no other from its own.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::auth::{Secure, viewer};
use crate::support::cluster::connect;
use crate::support::{Cluster, until};

/// More than there are places, so that most of them wait.
const HOSTILE: usize = 24;

/// Far below the time after which one that waits for a place gives up.
const SOON: Duration = Duration::from_secs(30);

#[actix_rt::test]
async fn slow_readers_of_one_principal_keep_no_other_from_snapshot_page_and_history() {
    let app = Secure::start().await;
    app.execute(
        "select plank.allow('notes', 'viewer'); \
        insert into notes select i, 'x', 1, repeat('y', 4000) from generate_series(10, 8000) i",
    )
    .await;
    let since = super::super::auth::policies::cursor(&app).await;
    app.execute("update notes set tenant = 2").await;
    let (hostile, other) = (viewer("hostile"), viewer("other"));
    // They don't read: some have a place, and the others wait for one.
    let mut slow = Vec::new();
    for _ in 0..HOSTILE {
        let mut socket = app.socket(&hostile).await;
        socket
            .send(json!({"type": "subscribe", "id": "s", "table": "notes", "snapshot": true}))
            .await;
        slow.push(socket);
    }
    let mut histories = Vec::new();
    for _ in 0..HOSTILE {
        let url = app.url(&format!(
            "/api/changes?table=notes&limit=10000&since={since}"
        ));
        histories.push(tokio::task::spawn_local(
            app.http.get(url).bearer_auth(&hostile).send(),
        ));
    }
    until("all places that it may have are taken", async || {
        app.metric("plank_catching_up").await >= HOSTILE as f64
    })
    .await;
    // One that waits does so outside of a transaction.
    let open = "select count(*) from pg_stat_activity where datname = current_database() \
        and application_name = 'plank snapshot' and state <> 'idle'";
    let open: i64 = app.sql.query_one(open, &[]).await.unwrap().get(0);
    assert!(
        open < plank::limits::SNAPSHOTS_MAX as i64,
        "{open} hold a place"
    );

    let mut socket = app.socket(&other).await;
    socket
        .send(json!({"type": "subscribe", "id": "o", "table": "notes", "snapshot": true}))
        .await;
    let (rows, _) = timeout(SOON, socket.snapshot()).await.expect("a snapshot");
    assert_eq!(rows.len(), 7_994);
    let page = app.ask(&other, "GET", "/api/tables/notes/rows?limit=10", None);
    assert_eq!(timeout(SOON, page).await.expect("a page").0, 200);
    let history = format!("/api/changes?table=notes&limit=10&since={since}");
    let history = app.ask(&other, "GET", &history, None);
    assert_eq!(timeout(SOON, history).await.expect("history").0, 200);
    let (_, text) = app.with_headers("GET", "/metrics", &[]).await;
    assert!(
        text.contains("plank_place_wait_seconds_count{kind=\"snapshot\"}"),
        "{text}"
    );
    for history in histories {
        history.abort();
    }
}

/// The connections for requests are shared as well: writes that wait for a lock hold all that their principal may have.
#[actix_rt::test]
async fn slow_writes_of_one_principal_keep_no_other_from_requests() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', null, '{select,insert,update}')")
        .await;
    let (hostile, other) = (viewer("hostile"), viewer("other"));
    let locker = connect(&Cluster::shared().config(&app.database)).await;
    let lock = "begin; select from notes where id = 1 for update";
    locker.batch_execute(lock).await.unwrap();
    let mut writes = Vec::new();
    for _ in 0..HOSTILE {
        let write = app.http.patch(app.url("/rest/notes?id=eq.1"));
        let write = write.bearer_auth(&hostile).json(&json!({"body": "x"}));
        writes.push(tokio::task::spawn_local(write.send()));
    }
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'plank' \
        and wait_event_type = 'Lock'";
    until("all connections that it may have wait", async || {
        let waiting: i64 = app.sql.query_one(waiting, &[]).await.unwrap().get(0);
        waiting == plank::limits::POOL_CONNECTIONS_MAX as i64 - 1
    })
    .await;
    for (method, path, body, status) in [
        ("GET", "/rest/notes?id=eq.2", None, 200),
        ("GET", "/rest/notes?owner=eq.bob", None, 200),
        (
            "POST",
            "/rest/notes",
            Some(json!({"id": 9, "owner": "o", "tenant": 1, "body": "b"})),
            201,
        ),
        (
            "PATCH",
            "/rest/notes?id=eq.2",
            Some(json!({"body": "c"})),
            204,
        ),
    ] {
        let answer = app.ask(&other, method, path, body);
        let (got, said) = timeout(SOON, answer).await.expect("an answer");
        assert_eq!(got, status, "{method} {path}: {said}");
    }
    locker.batch_execute("commit").await.unwrap();
    for write in writes {
        write.abort();
    }
}
