//! The few places for reading: one principal that takes all that it can get keeps no other from its own.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::auth::{Secure, viewer};
use crate::support::until;

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
