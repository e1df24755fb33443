//! What becomes of a window when its client, its table, its policy or the database change.

use serde_json::json;

use super::{Follower, TABLE, followed, ids, select};
use crate::auth::{Secure, viewer};
use crate::support::raw::{RawClient, frame};
use crate::support::{TestApp, until};

#[actix_web::test]
async fn with_since_the_window_comes_anew() {
    let (app, mut follower) = followed().await;
    let cursor = follower.held["a"].cursor.clone();
    app.execute("delete from t where id = 1").await;
    follower.sync("a").await;
    for snapshot in [true, false] {
        let mut second = Follower::connect(&app).await;
        let window = json!({"order": "rank", "limit": 5, "since": cursor, "snapshot": snapshot});
        second.subscribe("a", "t", window).await;
        assert_eq!(second.held["a"].resets, ["window"]);
        assert_eq!(ids(&second.held["a"].rows), [2, 3, 4, 5, 6]);
    }
    // Not even one that the log can't serve is another reason.
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let subscribe = json!({
        "type": "subscribe", "id": "a", "table": "t", "order": "rank", "limit": 5, "since": "garbage",
    });
    client.send(subscribe).await;
    assert_eq!(client.expect("error").await["code"], "bad_cursor");
}

#[actix_web::test]
async fn without_snapshot_only_changes_come() {
    let (app, _follower) = followed().await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let subscribe =
        json!({"type": "subscribe", "id": "a", "table": "t", "order": "rank", "limit": 5});
    client.send(subscribe).await;
    client.expect("subscribed").await;
    app.execute("insert into t values (30, 0, '', '')").await;
    let said: Vec<String> = client.batch().await.iter().map(super::short).collect();
    assert_eq!(said, ["delete 5 window", "insert 30 at 0 window"]);
}

#[actix_web::test]
async fn table_that_changes_is_followed() {
    let (app, mut follower) = followed().await;
    for (sql, resets) in [
        ("alter table t add column more int default 7", 0),
        ("update t set more = id", 0),
        ("alter table t drop column status", 0),
        ("alter table t rename to u; alter table u rename to t", 0),
        ("delete from t where id in (2, 4)", 0),
        ("alter table t alter rank type text using rank::text", 1),
        ("insert into t values (50, '05', '', 8)", 1),
    ] {
        app.execute(sql).await;
        // Or the server does it at the same time.
        let unknown = "select plank.follow_tables(), \
            exists (select from plank.watched w where w.fingerprint is distinct from plank.fingerprint(w.rel))";
        until("the table is known", async || {
            let row = app.sql.query_one(unknown, &[]).await.unwrap();
            !row.get::<_, bool>(1)
        })
        .await;
        follower.sync("a").await;
        let held = &follower.held["a"];
        let expected = select(&app.sql, "select * from t order by rank, id limit 5").await;
        assert_eq!(ids(&held.rows), ids(&expected), "{sql}");
        assert_eq!(held.rows, expected, "{sql}");
        assert!(held.resets.len() >= resets, "{sql}: {:?}", held.resets);
    }
    app.execute("alter table t rename column rank to place; select plank.follow_tables()")
        .await;
    let error = follower.expect_error().await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no column \"rank\""),
        "{error}"
    );
}

#[actix_web::test]
async fn unwatch_ends_a_window() {
    let (app, mut follower) = followed().await;
    app.execute("delete from t where id = 1; select plank.unwatch('t')")
        .await;
    while follower.read().await.unwrap().1 != "unsubscribed" {}
    until("it is gone", async || {
        app.metric("plank_live_windows").await == 0.0
    })
    .await;
}

#[actix_web::test]
async fn lost_database_does_not_lose_a_window() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let mut follower = Follower::connect(&app).await;
    follower
        .subscribe("a", "t", json!({"order": "rank", "limit": 5}))
        .await;
    follower
        .subscribe("n", "t", json!({"columns": ["status", "count"]}))
        .await;
    for round in 0..3 {
        assert_eq!(app.cut_listener().await, 1);
        app.execute("delete from t where id = (select id from t order by rank limit 1)")
            .await;
        app.execute(&format!(
            "insert into t values ({}, {round}, null, '')",
            100 + round
        ))
        .await;
        let rows = follower.rows("a").await;
        assert_eq!(
            rows,
            select(&app.sql, "select * from t order by rank, id limit 5").await
        );
        let counts = follower.rows("n").await;
        let total: i64 = counts
            .iter()
            .map(|row| row["count"].as_i64().unwrap())
            .sum();
        assert_eq!(total, 20);
    }
}

#[actix_web::test]
async fn policy_shows_each_principal_its_own_window() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let mut followers = Vec::new();
    for sub in ["ann", "bob"] {
        let mut client = app.anonymous("/ws").await;
        client
            .send(json!({"type": "auth", "token": viewer(sub)}))
            .await;
        let mut follower = Follower::with(client).await;
        follower.expect("authenticated").await;
        follower
            .subscribe("a", "notes", json!({"order": "id.desc", "limit": 2}))
            .await;
        follower
            .subscribe("n", "notes", json!({"columns": ["count"]}))
            .await;
        followers.push((sub, follower));
    }
    app.execute("insert into notes select id, case when id % 3 = 0 then 'ann' else 'bob' end, 1, '' from generate_series(4, 12) id")
        .await;
    app.execute("update notes set owner = 'ann' where id = 11; delete from notes where id = 12")
        .await;
    for (sub, follower) in &mut followers {
        let query = format!("select * from notes where owner = '{sub}' order by id desc limit 2");
        assert_eq!(
            follower.rows("a").await,
            select(&app.sql, &query).await,
            "{sub}"
        );
        let query = format!("select count(*) from notes where owner = '{sub}'");
        assert_eq!(
            follower.rows("n").await,
            select(&app.sql, &query).await,
            "{sub}"
        );
    }
    // Another policy is another window.
    app.execute("select plank.allow('notes', 'viewer', 'tenant=eq.2')")
        .await;
    for (sub, follower) in &mut followers {
        while follower.held["a"].resets.is_empty() || follower.held["n"].resets.is_empty() {
            follower.read().await;
        }
        let query = "select * from notes where tenant = 2 order by id desc limit 2";
        assert_eq!(
            follower.rows("a").await,
            select(&app.sql, query).await,
            "{sub}"
        );
        assert_eq!(follower.rows("n").await, [json!({"count": 1})], "{sub}");
    }
    app.execute("select plank.deny('notes', 'viewer')").await;
    for (_, follower) in &mut followers {
        let error = follower.expect_error().await;
        assert_eq!(error["code"], "unknown_table");
    }
}

#[actix_web::test]
async fn slow_client_gets_the_window_anew() {
    let app = TestApp::start().await;
    app.execute(
        "create table t (id int primary key, pad text); insert into t select id, '' from generate_series(1, 60) id; \
        select plank.watch('t')",
    )
    .await;
    let mut slow = RawClient::upgraded(app.address).await;
    let subscribe = json!({
        "type": "subscribe", "id": "a", "table": "t", "order": "id.desc", "limit": 50, "snapshot": true,
    });
    slow.send(&frame(0x81, subscribe.to_string().as_bytes()))
        .await;
    // One row of it tells when the next write may come: what comes at once is one change.
    let mut quick = Follower::connect(&app).await;
    let first = json!({"order": "id.desc", "limit": 1});
    quick.subscribe("a", "t", first).await;
    let live = "plank_subscriptions";
    until("both are live", async || {
        app.metric(live).await == 2.0 && app.metric("plank_catching_up").await == 0.0
    })
    .await;
    // More than a worker keeps for sockets that lag.
    let mut round = 0;
    while app.metric("plank_sessions_fallen_behind_total").await == 0.0 {
        round += 1;
        app.execute(&format!(
            "update t set pad = repeat('{}', 60000)",
            round % 10
        ))
        .await;
        quick.sync("a").await;
    }
    app.execute("insert into t values (100, 'last')").await;
    let mut held = super::follower::Held::default();
    while held.rows.first().is_none_or(|row| row["id"] != 100) {
        let (first, payload) = slow.frame().await;
        if first == 0x81 {
            held.take(&serde_json::from_slice(&payload).unwrap());
        }
    }
    assert_eq!(held.resets, ["window"]);
    assert_eq!(held.rows.len(), 50);
}

#[actix_web::test]
async fn wide_numbers_are_strings_in_keys_and_rows() {
    let app = TestApp::start_with(|config| config.stringify_wide_numbers = true).await;
    app.execute(
        "create table t (id bigint primary key, n numeric); \
        insert into t select 9007199254740992 + id, id from generate_series(1, 9) id; select plank.watch('t')",
    )
    .await;
    let mut follower = Follower::connect(&app).await;
    follower
        .subscribe("a", "t", json!({"order": "n.desc", "limit": 2}))
        .await;
    follower
        .subscribe(
            "n",
            "t",
            json!({"columns": ["n", "count"], "filter": "n=lt.3"}),
        )
        .await;
    app.execute("update t set n = 100 where id = 9007199254740993; delete from t where n = 9")
        .await;
    let rows = follower.rows("a").await;
    let row = |id: &str, n: &str| json!({"id": id, "n": n});
    assert_eq!(
        rows,
        [row("9007199254740993", "100"), row("9007199254741000", "8")]
    );
    assert_eq!(follower.rows("n").await, [json!({"n": "2", "count": 1})]);
}

#[actix_web::test]
async fn ping_is_answered_when_the_window_is_exact_also_while_its_table_might_be_a_live_query() {
    let (app, mut follower) = followed().await;
    for n in 0..10 {
        // Nobody knows for a moment which live queries there are.
        app.execute(&format!(
            "create table u{n} (id int primary key); select plank.watch('u{n}'); update t set rank = rank + 1"
        ))
        .await;
        let expected = select(&app.sql, "select * from t order by rank limit 5").await;
        assert_eq!(follower.rows("a").await, expected, "{n}");
    }
}
