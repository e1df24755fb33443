//! Policies that change while clients are subscribed.

use serde_json::json;

use super::policies::{cursor, ids, subscribe, told};
use super::{Secure, token, viewer};
use crate::support::cluster::connect;
use crate::support::proxy::PgProxy;
use crate::support::{Cluster, TestApp, until};

#[actix_rt::test]
async fn what_is_revoked_is_over_at_once_on_every_node() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer'); select plank.allow('notes', 'editor')")
        .await;
    let (token, editor) = (
        viewer("ann"),
        token(json!({"sub": "eve", "role": "editor"})),
    );
    let before = cursor(&app).await;
    let mut revoked = app.socket(&token).await;
    subscribe(&mut revoked, json!({})).await;
    revoked.expect("subscribed").await;
    let mut other = app.socket(&editor).await;
    subscribe(&mut other, json!({})).await;
    other.expect("subscribed").await;
    let answer = app
        .http
        .get(app.url("/api/stream?table=notes"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    // In one transaction with a row that is not to be seen any more.
    app.execute("begin; insert into notes values (4, 'x', 1, 'before'); select plank.deny('notes', 'viewer'); insert into notes values (5, 'x', 1, 'after'); commit").await;
    let mut seen = String::new();
    loop {
        let message = revoked.next().await.unwrap();
        seen.push_str(&message.to_string());
        match message["type"].as_str().unwrap() {
            "error" => {
                assert_eq!(message["code"], "unknown_table");
                break;
            }
            "reset" | "changes" | "heartbeat" => {}
            other => panic!("{other}"),
        }
    }
    assert!(!seen.contains("after"), "{seen}");
    app.execute("insert into notes values (6, 'x', 1, 'later')")
        .await;
    revoked.send(json!({"type": "ping"})).await;
    revoked.expect("pong").await;
    assert_eq!(
        told(&[other.batch().await, other.batch().await].concat()).len(),
        3,
        "nobody else notices"
    );
    let mut events = answer;
    let mut text = String::new();
    while !text.contains("event: error") {
        let chunk = events.chunk().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(!text.contains("after") && !text.contains("later"), "{text}");
    for path in [
        format!("/api/changes?table=notes&since={before}"),
        "/api/tables/notes/rows".into(),
    ] {
        assert_eq!(app.ask(&token, "GET", &path, None).await.0, 404, "{path}");
    }
}

#[actix_rt::test]
async fn a_policy_that_changes_begins_anew_for_those_whom_it_is_for() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'tenant=eq.1')")
        .await;
    let token = viewer("ann");
    let before = cursor(&app).await;
    let mut rows = app.socket(&token).await;
    subscribe(&mut rows, json!({"snapshot": true})).await;
    assert_eq!(ids(&rows.snapshot().await.0), [1, 2]);
    rows.expect("subscribed").await;
    let mut only = app.socket(&token).await;
    subscribe(&mut only, json!({})).await;
    only.expect("subscribed").await;
    app.execute("select plank.allow('notes', 'viewer', 'tenant=eq.2')")
        .await;
    assert_eq!(rows.expect("reset").await["reason"], "schema");
    assert_eq!(ids(&rows.snapshot().await.0), [3]);
    rows.expect("subscribed").await;
    only.expect("reset").await;
    only.expect("subscribed").await;
    app.execute("insert into notes values (4, 'x', 1, 'd'), (5, 'x', 2, 'e')")
        .await;
    for client in [&mut rows, &mut only] {
        assert_eq!(told(&client.batch().await), [("insert".to_owned(), 5)]);
    }
    // A cursor from before is of a principal that saw other rows.
    let path = format!("/api/changes?table=notes&since={before}");
    assert_eq!(app.ask(&token, "GET", &path, None).await.0, 410);
    let mut resumed = app.socket(&token).await;
    subscribe(&mut resumed, json!({"since": before, "snapshot": true})).await;
    resumed.expect("reset").await;
    assert_eq!(ids(&resumed.snapshot().await.0), [3, 5]);
    resumed.expect("subscribed").await;
    // The same said again is no news.
    app.execute("select plank.allow('notes', 'viewer', 'tenant=eq.2'); insert into notes values (6, 'x', 2, 'f')").await;
    assert_eq!(told(&resumed.batch().await), [("insert".to_owned(), 6)]);
}

/// Found by a review: a node that can't hear of a policy must not go on with the one before.
#[actix_rt::test]
async fn what_is_revoked_is_over_also_while_the_listener_is_away() {
    let database = Cluster::shared().database().await;
    let target = Cluster::shared().config(&database);
    let proxy = PgProxy::start(&target).await;
    let dir = tempfile::TempDir::new().unwrap();
    let (auth, through) = (super::settings(&dir), proxy.config("postgres", &database));
    let sql = connect(&target).await;
    let app = TestApp::build(target, sql, database, |config| {
        config.auth = Some(auth);
        config.database.as_mut().unwrap().listen = through.into();
    })
    .await;
    app.ready().await;
    app.execute(
        "insert into items (name) values ('one');
         select plank.allow('items', 'viewer', null, '{select,insert,update,delete}')",
    )
    .await;
    let token = viewer("ann");
    let ask = async |method: &str, path: &str| {
        let request = app.http.request(method.parse().unwrap(), app.url(path));
        let body = json!({"name": "x"});
        let answer = request
            .bearer_auth(&token)
            .json(&body)
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    };
    let since: String = app
        .sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0);
    until("the items", async || {
        ask("GET", "/api/items/1").await == 200
    })
    .await;
    proxy.swallow(true);
    app.execute("select plank.deny('items', 'viewer')").await;
    for (method, path) in [
        ("GET", "/api/items/1"),
        ("GET", "/api/items"),
        ("POST", "/api/items"),
        ("PATCH", "/api/items/1"),
        ("DELETE", "/api/items/1"),
    ] {
        let status = ask(method, path).await;
        assert_eq!(status, 503, "{method} {path}: what it may do is not known");
    }
    let items: i64 = app
        .sql
        .query_one("select count(*) from items where name = 'one'", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(items, 1);
    proxy.swallow(false);
    // What was swallowed was the bell.
    app.execute("insert into items (name) values ('two')").await;
    until("the news", async || ask("GET", "/api/items/1").await == 404).await;
    let history = format!("/api/changes?table=items&since={since}");
    assert_eq!(ask("GET", &history).await, 404);
}
