//! What the replica serves.

use serde_json::json;

use super::{Pair, node, reads, snapshot, used_again};
use crate::support::until;

/// Every kind of read, and whether the replica serves it.
#[actix_web::test]
async fn each_kind_of_read_comes_from_the_replica_and_its_cursor_goes_on() {
    let pair = Pair::start().await;
    let app = &pair.app;
    app.execute(
        "create table r (id int primary key, n int); select plank.watch('r', writable => true); \
         insert into r select i, i from generate_series(1, 50) i",
    )
    .await;
    until("the table is known", async || {
        app.request("GET", "/rest/r?id=eq.1", None).await.0 == 200
    })
    .await;
    used_again(app, "r").await;
    // A path, and how many reads of the replica it takes.
    for (path, served) in [
        ("/rest/r?order=id.asc&limit=3", 1.0),
        ("/rest/r?n=gt.10", 1.0),
        // By its key a row is found sooner than it is known where the primary is.
        ("/rest/r?id=eq.7", 0.0),
        ("/api/tables/r/rows?limit=2", 1.0),
        ("/api/tables/r/rows?order=n.desc&limit=2", 1.0),
    ] {
        let before = reads(app, "replica").await;
        let (status, body) = app.request("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert_eq!(reads(app, "replica").await - before, served, "{path}");
    }
    // A window, whose rows are read once.
    let before = reads(app, "replica").await;
    let mut window = app.ws("/ws?table=r&snapshot=1&order=n.desc&limit=2").await;
    window.expect("welcome").await;
    assert_eq!(window.snapshot().await.0.len(), 2);
    assert_eq!(reads(app, "replica").await - before, 1.0, "a window");
    // A whole table; what comes behind its cursor comes once.
    let (rows, cursor) = snapshot(app, "r").await;
    assert_eq!(rows.len(), 50);
    app.execute("insert into r values (51, 51)").await;
    // Another node has no window that reaches back: it reads the log, at the replica.
    let other = node(&pair.primary, pair.standby.config("plank")).await;
    app.execute("insert into r values (52, 52)").await;
    let before = reads(&other, "replica").await;
    let mut client = other.ws(&format!("/ws?table=r&since={cursor}")).await;
    client.expect("welcome").await;
    let mut keys = Vec::new();
    client.expect("subscribed").await;
    for change in client.changes(2).await {
        keys.push(change["key"]["id"].as_i64().unwrap());
    }
    assert_eq!(keys, [51, 52]);
    assert_eq!(reads(&other, "replica").await - before, 1.0, "the log");
    assert_eq!(app.metric("plank_replica_up").await, 1.0);
}

#[actix_web::test]
async fn a_read_after_a_write_sees_it_on_the_replica() {
    let pair = Pair::start().await;
    let app = &pair.app;
    app.execute("create table w (id int primary key); select plank.watch('w', writable => true)")
        .await;
    until("the table is known", async || {
        app.request("GET", "/rest/w?id=eq.1", None).await.0 == 200
    })
    .await;
    used_again(app, "w").await;
    let before = reads(app, "replica").await;
    for id in 1..=40 {
        let (status, _) = app
            .request("POST", "/rest/w", Some(json!({ "id": id })))
            .await;
        assert_eq!(status, 201);
        let path = format!("/rest/w?id=gte.{id}&limit=5");
        let (_, rows) = app.request("GET", &path, None).await;
        assert_eq!(rows, json!([{ "id": id }]), "right behind its write");
        assert_eq!(snapshot(app, "w").await.0.len(), id as usize);
    }
    assert_eq!(reads(app, "replica").await - before, 80.0);
}

/// The primary has nothing to do, and flushes nothing by itself: what is not on disk can't be at the replica.
#[actix_web::test]
async fn what_the_primary_has_not_flushed_is_not_waited_for_in_vain() {
    let pair = Pair::start().await;
    let app = &pair.app;
    app.execute("create table f (id int primary key); select plank.watch('f'); create sequence s")
        .await;
    until("the table is known", async || {
        app.request("GET", "/rest/f?id=eq.1", None).await.0 == 200
    })
    .await;
    used_again(app, "f").await;
    let behind = reads(app, "behind").await;
    for id in 1..=20 {
        // A commit that nobody waits for, and a record that no commit follows.
        app.execute("set synchronous_commit = off").await;
        app.execute(&format!("insert into f values ({id})")).await;
        app.execute("begin").await;
        app.execute("select nextval('s')").await;
        app.execute("rollback").await;
        assert_eq!(snapshot(app, "f").await.0.len(), id);
    }
    assert_eq!(reads(app, "behind").await, behind);
}
