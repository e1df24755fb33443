//! Counts: how many rows there are of each combination of values.

use serde_json::{Value, json};

use super::{Follower, TABLE, select};
use crate::support::TestApp;

/// Sorted, since groups have no order.
fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

async fn counted(columns: &[&str], filter: &str) -> (TestApp, Follower) {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let mut follower = Follower::connect(&app).await;
    let counts = json!({"columns": columns, "filter": filter});
    follower.subscribe("a", "t", counts).await;
    (app, follower)
}

#[actix_web::test]
async fn groups_are_counted_and_one_without_rows_is_gone() {
    let (app, mut follower) = counted(&["status", "count"], "").await;
    let rows = sorted(follower.held["a"].rows.clone());
    let expected = json!([{"status": "done", "count": 10}, {"status": "open", "count": 10}]);
    assert_eq!(rows, sorted(expected.as_array().unwrap().clone()));
    for (sql, expected) in [
        (
            "insert into t values (30, 1, 'new', '')",
            vec![
                json!({"op": "insert", "key": {"status": "new"}, "row": {"status": "new", "count": 1}}),
            ],
        ),
        (
            "update t set status = null where id = 30",
            vec![
                json!({"op": "delete", "key": {"status": "new"}}),
                json!({"op": "insert", "key": {"status": null}, "row": {"status": null, "count": 1}}),
            ],
        ),
        ("update t set rank = rank + 1, secret = 'other'", vec![]),
        (
            "insert into t select id, 0, null, '' from generate_series(31, 33) id",
            vec![
                json!({"op": "update", "key": {"status": null}, "row": {"status": null, "count": 4}}),
            ],
        ),
        (
            "delete from t where id >= 30 or status = 'open'",
            vec![
                json!({"op": "delete", "key": {"status": null}}),
                json!({"op": "delete", "key": {"status": "open"}}),
            ],
        ),
        (
            "begin; insert into t values (40, 1, 'x', ''); delete from t where id = 40; commit",
            vec![],
        ),
        (
            "truncate t",
            vec![json!({"op": "delete", "key": {"status": "done"}})],
        ),
    ] {
        app.execute(sql).await;
        follower.sync("a").await;
        assert_eq!(sorted(follower.changes("a")), sorted(expected), "{sql}");
    }
    assert!(follower.rows("a").await.is_empty());
}

#[actix_web::test]
async fn count_alone_has_an_empty_key() {
    let (app, mut follower) = counted(&["count"], "").await;
    assert_eq!(follower.held["a"].rows, [json!({"count": 20})]);
    app.execute("delete from t where id > 5").await;
    follower.sync("a").await;
    let expected = json!({"op": "update", "key": {}, "row": {"count": 5}});
    assert_eq!(follower.changes("a"), [expected]);
    app.execute("delete from t").await;
    follower.sync("a").await;
    assert_eq!(follower.changes("a"), [json!({"op": "delete", "key": {}})]);
    let mut second = Follower::connect(&app).await;
    let counts = json!({"columns": ["count"]});
    second.subscribe("a", "t", counts).await;
    assert!(
        second.held["a"].rows.is_empty(),
        "a group without rows is gone"
    );
}

#[actix_web::test]
async fn filter_holds_for_counts() {
    let (app, mut follower) = counted(&["count", "status", "secret"], "rank=gte.100").await;
    for sql in [
        "update t set rank = 99 where id = 10",
        "update t set rank = 100 where id in (1, 2)",
        "update t set status = 'done' where id = 2",
        "delete from t where rank < 150",
        "insert into t values (50, 500, 'open', null), (51, 1, 'open', null)",
    ] {
        app.execute(sql).await;
        let query = "select status, secret, count(*) from t where rank >= 100 group by 1, 2";
        let expected = sorted(select(&app.sql, query).await);
        assert_eq!(sorted(follower.rows("a").await), expected, "{sql}");
    }
    assert_eq!(
        app.metric("plank_live_window_reads_total").await,
        1.0,
        "read once"
    );
}

#[actix_web::test]
async fn values_that_are_equal_are_one_group() {
    let app = TestApp::start().await;
    app.execute(
        "create type mood as enum ('b', 'a'); \
        create table t (id int primary key, n numeric, f float8, c char(5), m mood, at timestamptz); \
        insert into t values (1, 1.0, 0, 'a', 'a', '2026-01-01T00:00Z'), (2, 1.00, '-0', 'a ', 'b', '2026-01-01T01:00+01'); \
        select plank.watch('t')",
    )
    .await;
    let mut follower = Follower::connect(&app).await;
    for column in ["n", "f", "c", "m", "at"] {
        let counts = json!({"columns": [column, "count"]});
        follower.subscribe(column, "t", counts).await;
    }
    app.execute("insert into t values (3, 1, 0, 'a', null, '2026-01-01T00:00Z')")
        .await;
    for (column, groups) in [("n", 1), ("f", 1), ("c", 1), ("m", 3), ("at", 1)] {
        let counted: Vec<i64> = (follower.rows(column).await.iter())
            .map(|row| row["count"].as_i64().unwrap())
            .collect();
        assert_eq!(
            (counted.len(), counted.iter().sum::<i64>()),
            (groups, 3),
            "{column}"
        );
    }
}

#[actix_web::test]
async fn a_column_of_the_name_count_is_a_column() {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, count int); insert into t values (1, 7); select plank.watch('t')")
        .await;
    let mut follower = Follower::connect(&app).await;
    follower
        .subscribe("a", "t", json!({"columns": ["count"]}))
        .await;
    assert_eq!(follower.held["a"].rows, [json!({"id": 1, "count": 7})]);
}
