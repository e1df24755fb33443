//! What is said of a window: which changes, in which order, with which places.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Follower, TABLE, followed, ids, select, short};
use crate::support::TestApp;

#[actix_web::test]
async fn snapshot_has_the_first_rows_in_order() {
    let (app, mut follower) = followed().await;
    assert_eq!(ids(&follower.held["a"].rows), [1, 2, 3, 4, 5]);
    let expected = select(&app.sql, "select * from t order by rank limit 5").await;
    assert_eq!(follower.held["a"].rows, expected);
    follower
        .subscribe(
            "b",
            "t",
            json!({"order": "status.desc,rank.desc", "limit": 3, "columns": ["rank"]}),
        )
        .await;
    let rows = &follower.held["b"].rows;
    let expected = "select id, rank from t order by status desc, rank desc limit 3";
    assert_eq!(*rows, select(&app.sql, expected).await);
}

#[actix_web::test]
async fn each_change_says_what_becomes_of_the_window() {
    let (app, mut follower) = followed().await;
    let cases: [(&str, &[&str], &str); 10] = [
        (
            "insert into t values (30, 15, 'x', '')",
            &["delete 5 window", "insert 30 at 1 window"],
            "a row moves in, another one out",
        ),
        (
            "delete from t where id = 30",
            &["delete 30 window", "insert 5 at 4 window"],
            "and the other way round",
        ),
        (
            "update t set status = 'y' where id = 3",
            &["update 3 at 2"],
            "a row that stays where it is",
        ),
        (
            "update t set rank = 11 where id = 5",
            &["update 5 at 1"],
            "a row that stays, somewhere else",
        ),
        (
            "update t set rank = 1 where id = 20",
            &["delete 4 window", "insert 20 at 0 window"],
            "an update moves a row in",
        ),
        (
            "update t set rank = 200 where id = 20",
            &["delete 20 window", "insert 4 at 4 window"],
            "and out",
        ),
        (
            "update t set status = 'z' where id = 19; insert into t values (31, 500, 'x', '')",
            &[],
            "what is behind the window is not told",
        ),
        (
            "update t set id = 40 where id = 1",
            &["delete 1 window", "insert 40 at 0 window"],
            "another key is another row",
        ),
        (
            "begin; insert into t values (50, 0, 'x', ''); delete from t where id = 50; commit",
            &[],
            "what cancels out is not told",
        ),
        (
            "truncate t",
            &[
                "delete 40 window",
                "delete 5 window",
                "delete 2 window",
                "delete 3 window",
                "delete 4 window",
            ],
            "TRUNCATE takes all of them",
        ),
    ];
    for (sql, expected, why) in cases {
        app.execute(sql).await;
        let rows = follower.rows("a").await;
        let changes = follower.changes("a");
        let said: Vec<String> = changes.iter().map(short).collect();
        assert_eq!(said, expected, "{why}");
        assert_eq!(
            rows,
            select(&app.sql, "select * from t order by rank, id limit 5").await
        );
    }
    app.execute("insert into t values (1, 1, '', '')").await;
    assert_eq!(ids(&follower.rows("a").await), [1]);
}

#[actix_web::test]
async fn ties_are_broken_by_the_key_and_nulls_come_where_the_order_says() {
    let (app, mut follower) = followed().await;
    let orders = [
        ("rank.desc", "rank desc"),
        ("rank.nullsfirst", "rank nulls first"),
        ("rank.desc.nullslast", "rank desc nulls last"),
        ("status,rank.desc", "status, rank desc"),
        ("id.desc", "id desc"),
    ];
    for (order, _) in orders {
        let window = json!({"order": order, "limit": 4});
        follower.subscribe(order, "t", window).await;
    }
    for sql in [
        "update t set rank = 7",
        "update t set rank = null where id in (3, 9, 20)",
        "update t set status = null where id in (2, 4)",
        "insert into t select id, null, 'open', '' from generate_series(21, 25) id",
        "delete from t where id in (20, 21, 1)",
    ] {
        app.execute(sql).await;
        for (order, by) in orders {
            let query = format!("select * from t order by {by}, id limit 4");
            assert_eq!(
                follower.rows(order).await,
                select(&app.sql, &query).await,
                "{sql}: {by}"
            );
        }
    }
}

#[actix_web::test]
async fn filter_and_columns_hold_for_a_window() {
    let (app, mut follower) = followed().await;
    let window = json!({
        "order": "rank.desc", "limit": 3, "filter": "status=eq.open&rank=lt.500", "columns": ["status"],
    });
    follower.subscribe("b", "t", window).await;
    assert_eq!(ids(&follower.held["b"].rows), [20, 18, 16]);
    follower.changes("b");
    for (sql, expected) in [
        ("update t set secret = 'other' where id = 20", vec![]),
        (
            "update t set status = 'done' where id = 18",
            vec!["delete 18 window", "insert 14 at 2 window"],
        ),
        (
            "update t set status = 'open' where id = 17",
            vec!["delete 14 window", "insert 17 at 1 window"],
        ),
        (
            "update t set rank = 501 where id = 20",
            vec!["delete 20 window", "insert 14 at 2 window"],
        ),
        // The order hides behind the columns: the row is the same, and somewhere else.
        (
            "update t set rank = 400 where id = 14",
            vec!["update 14 at 0"],
        ),
    ] {
        app.execute(sql).await;
        follower.sync("b").await;
        let changes = follower.changes("b");
        let said: Vec<String> = changes.iter().map(short).collect();
        assert_eq!(said, expected, "{sql}");
        for change in changes.iter().filter(|change| change["op"] != "delete") {
            let members: Vec<_> = change["row"].as_object().unwrap().keys().collect();
            assert_eq!(members, ["id", "status"]);
        }
    }
}

#[actix_web::test]
async fn each_batch_is_the_table_at_one_moment() {
    let (app, mut follower) = followed().await;
    let mut moments = vec![select(&app.sql, "select * from t order by rank, id limit 5").await];
    for n in 0..300 {
        let sql = match n % 3 {
            0 => format!(
                "insert into t values ({}, {}, '', '')",
                100 + n,
                60 - n % 50
            ),
            1 => format!("update t set rank = {} where id = {}", n % 90, 1 + n % 20),
            _ => "delete from t where id = (select id from t order by rank, id limit 1)".into(),
        };
        app.execute(&sql).await;
        moments.push(select(&app.sql, "select * from t order by rank, id limit 5").await);
    }
    assert_eq!(follower.rows("a").await, *moments.last().unwrap());
    let mut from = 0;
    for state in &follower.held["a"].states {
        let at = moments[from..].iter().position(|moment| moment == state);
        from += at.unwrap_or_else(|| panic!("at no moment from {from} on: {state:?}"));
    }
}

#[actix_web::test]
async fn many_writes_are_told_at_most_every_50_ms() {
    let (app, mut follower) = followed().await;
    let (began, before) = (Instant::now(), follower.held["a"].states.len());
    for n in 0..400 {
        app.execute(&format!("update t set status = 's{n}' where id = 1"))
            .await;
    }
    follower.sync("a").await;
    let batches = follower.held["a"].states.len() - before;
    let most = began.elapsed().as_millis() / 50 + 2;
    assert!(batches as u128 <= most, "{batches} batches, at most {most}");
    assert_eq!(follower.held["a"].rows[0]["status"], "s399");
}

#[actix_web::test]
async fn writes_outside_of_a_window_cost_no_query() {
    let (app, mut follower) = followed().await;
    let reads = "plank_live_window_reads_total";
    let before = app.metric(reads).await;
    for n in 0..50 {
        let sql = format!(
            "insert into t values ({0}, 1000 + {n}, '', ''); update t set rank = rank + 1 where id = {0}; \
            update t set rank = {n} where id = 1; update t set secret = 'x' where id > 15",
            1_000 + n
        );
        app.execute(&sql).await;
    }
    let rows = follower.rows("a").await;
    assert_eq!(
        rows,
        select(&app.sql, "select * from t order by rank, id limit 5").await
    );
    assert_eq!(app.metric(reads).await, before);
}

#[actix_web::test]
async fn clients_of_the_same_window_share_it() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let mut followers = Vec::new();
    for order in ["rank", "rank", "rank,id", "rank.asc"] {
        let mut follower = Follower::connect(&app).await;
        let window = json!({"order": order, "limit": 5});
        follower.subscribe("a", "t", window).await;
        followers.push(follower);
    }
    assert_eq!(app.metric("plank_live_windows").await, 1.0);
    assert_eq!(app.metric("plank_live_window_reads_total").await, 1.0);
    app.execute("delete from t where id < 4").await;
    for follower in &mut followers {
        assert_eq!(ids(&follower.rows("a").await), [4, 5, 6, 7, 8]);
    }
    drop(followers);
    crate::support::until_within(
        "the window goes with its last client",
        Duration::from_secs(20),
        async || app.metric("plank_live_windows").await == 0.0,
    )
    .await;
    assert_eq!(app.metric("plank_live_window_bytes").await, 0.0);
}

#[actix_web::test]
async fn rows_that_outlast_what_is_held_are_read() {
    let app = TestApp::start().await;
    app.execute(
        "create table t (id int primary key, rank int); \
        insert into t select id, id from generate_series(1, 5000) id; select plank.watch('t')",
    )
    .await;
    let mut follower = Follower::connect(&app).await;
    for limit in [1, 7, 100, 1000] {
        let id = limit.to_string();
        let window = json!({"order": "rank", "limit": limit});
        follower.subscribe(&id, "t", window).await;
    }
    for sql in [
        "delete from t where id % 3 = 0",
        "delete from t where id < 2000",
        "update t set rank = -rank where id % 7 = 0",
        "update t set rank = rank + 5000 where rank < 0",
        "insert into t select id, 3000 from generate_series(10001, 13000) id",
        "delete from t",
    ] {
        app.execute(sql).await;
        for limit in [1, 7, 100, 1000] {
            let query = format!("select * from t order by rank, id limit {limit}");
            let rows = follower.rows(&limit.to_string()).await;
            assert!(
                rows == select(&app.sql, &query).await,
                "{sql}, limit {limit}"
            );
        }
    }
}
