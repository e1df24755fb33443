//! The result is the query, for every client.

use serde_json::json;

use super::{BOARD, Followed, SHOP, refreshes, shop, truth, watch};
use crate::support::{SseClient, TestApp, until};

#[actix_web::test]
async fn followed_result_equals_the_query_after_each_change() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    let mut followed = Followed::start(&app, "plank_query.board").await;
    assert_eq!(followed.rows(), truth(&app, BOARD).await, "the first fill");
    for statement in [
        "insert into orders (customer_id, total) values (1, 100)",
        "update orders set total = total + 1 where id <= 3",
        "update customers set name = 'other' where id = 2",
        "delete from orders where id = 4",
        "begin; update orders set customer_id = 3; delete from customers where id = 4; commit",
        "update orders set id = id + 100 where id < 3",
        "truncate orders",
        "insert into orders (id, customer_id, total) select i, 1, i from generate_series(1, 2000) i",
    ] {
        app.execute(statement).await;
        followed.settle().await;
        assert_eq!(followed.rows(), truth(&app, BOARD).await, "{statement}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn result_comes_without_being_asked_for() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    let mut followed = Followed::start(&app, "board").await;
    app.execute("update customers set name = 'other' where id = 2")
        .await;
    followed.read_until("changes").await;
    assert_eq!(followed.rows(), truth(&app, BOARD).await);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn only_rows_that_differ_are_changes() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    let mut followed = Followed::start(&app, "board").await;
    app.execute("update orders set total = 77 where id = 3")
        .await;
    followed.settle().await;
    assert_eq!(followed.changes, 1);
    // What the query does not show makes no change.
    app.execute("insert into customers values (9, 'without orders')")
        .await;
    followed.settle().await;
    assert_eq!(followed.changes, 1);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn nothing_is_refreshed_twice_for_one_change_or_without_one() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", ", every => '10ms'").await;
    let mut followed = Followed::start(&app, "board").await;
    followed.settle().await;
    let before = refreshes(&app, "board").await;
    for i in 1..=10 {
        app.execute(&format!("update orders set total = 100 + {i} where id = 1; insert into items (name) values ('none of its business')"))
            .await;
        followed.read_until("changes").await;
    }
    for _ in 0..10 {
        followed.settle().await;
    }
    assert_eq!(refreshes(&app, "board").await - before, 10.0);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn changes_are_refreshed_at_most_once_in_every() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", ", every => '400ms'").await;
    let mut followed = Followed::start(&app, "board").await;
    let before = refreshes(&app, "board").await;
    let begun = std::time::Instant::now();
    let mut writes = 0;
    while begun.elapsed() < std::time::Duration::from_millis(1_500) {
        app.execute("update orders set total = total + 1 where id = 1")
            .await;
        writes += 1;
    }
    followed.settle().await;
    let done = refreshes(&app, "board").await - before;
    let most = begun.elapsed().as_secs_f64() / 0.4 + 1.0;
    assert!(
        writes > 10 && (2.0..=most).contains(&done),
        "{done} refreshes in {:?}",
        begun.elapsed()
    );
    assert_eq!(followed.rows(), truth(&app, BOARD).await);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn client_resumes_the_result_with_its_cursor() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    let first = Followed::start(&app, "board").await;
    app.execute("update orders set total = 55 where id = 5; delete from orders where id = 6")
        .await;
    let mut again = Followed::start_at(&app, "board", Some(&first)).await;
    again.settle().await;
    assert_eq!(again.changes, 2);
    assert_eq!(again.rows(), truth(&app, BOARD).await);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn ping_is_answered_behind_a_refresh_that_saw_all_that_was_committed() {
    let app = shop().await;
    let sums = "select customer_id, count(*) as orders, sum(total) as total from plank_query.board group by 1";
    watch(&app, "board", BOARD, "id", ", every => '1s'").await;
    // A query of a query: the one that it reads is refreshed first.
    watch(&app, "sums", sums, "customer_id", ", every => '1s'").await;
    let mut followed = Followed::start(&app, "sums").await;
    for i in 0..3 {
        app.execute(&format!(
            "insert into orders (customer_id, total) values (2, {i})"
        ))
        .await;
        followed.settle().await;
        let expected =
            "select customer_id, count(*) as orders, sum(total) as total from orders group by 1";
        assert_eq!(followed.rows(), truth(&app, expected).await, "{i}");
    }
    // With a cursor that is none the client learns that.
    let elsewhere = TestApp::start().await;
    let foreign = crate::resume::cursor(&elsewhere).await;
    followed
        .client
        .send(json!({"type": "ping", "id": "q", "cursor": foreign}))
        .await;
    assert_eq!(followed.client.expect("error").await["code"], "bad_cursor");
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn ping_right_after_watch_query_is_answered_behind_a_refresh() {
    let app = shop().await;
    // Before the refresher has looked which queries there are, and while it looks.
    for i in 0..12 {
        let (name, query) = (
            format!("sums{i}"),
            "select 1 as one, sum(total) as total from orders",
        );
        let client = app.ws("/ws").await;
        watch(&app, &name, query, "one", ", every => '1s'").await;
        app.execute("update orders set total = total + 1 where id = 1")
            .await;
        let mut followed = Followed::of(client, &name, None).await;
        followed.settle().await;
        assert_eq!(followed.rows(), truth(&app, query).await, "{name}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn result_is_shown_on_every_transport_and_nobody_writes_it() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    Followed::start(&app, "board").await;
    let tables = app.request("GET", "/api/tables", None).await.1;
    let listed = tables["tables"].as_array().unwrap();
    let board = listed
        .iter()
        .find(|t| t["table"] == "plank_query.board")
        .unwrap();
    assert_eq!(
        (&board["key"], &board["writable"]),
        (&json!(["id"]), &json!(false))
    );
    for path in [
        "/rest/board?order=id&limit=1",
        "/rest/plank_query.board?order=id&limit=1",
    ] {
        let (status, rows) = app.request("GET", path, None).await;
        assert_eq!(
            (status, &rows[0]["name"]),
            (200, &json!("customer 2")),
            "{path}"
        );
    }
    let (status, page) = app
        .request("GET", "/api/tables/board/rows?customer_id=eq.2", None)
        .await;
    assert_eq!((status, page["rows"].as_array().unwrap().len()), (200, 2));
    let since = page["cursor"].as_str().unwrap().to_owned();
    let mut stream = SseClient::connect(&app, "table=board&customer_id=eq.2").await;
    stream.live().await;
    app.execute("update orders set total = 9 where id = 1")
        .await;
    assert_eq!(stream.changes(1).await[0]["row"]["id"], json!(1));
    let (_, changes) = app
        .request(
            "GET",
            &format!("/api/changes?table=board&since={since}"),
            None,
        )
        .await;
    assert_eq!(changes["changes"][0]["row"]["total"], json!(9));
    for (method, path) in [
        ("POST", "/rest/board"),
        ("PATCH", "/rest/board?id=eq.1"),
        ("DELETE", "/rest/board?id=eq.1"),
    ] {
        let (status, refused) = app.request(method, path, Some(json!({"total": 1}))).await;
        assert!(matches!(status, 403 | 405), "{method}: {status} {refused}");
    }
    for sql in [
        "select plank.watch('plank_query.board', writable => true)",
        "select plank.allow('plank_query.board', 'team', ops => '{select,update}')",
    ] {
        let error = app.sql.batch_execute(sql).await.unwrap_err();
        assert!(
            error
                .as_db_error()
                .unwrap()
                .message()
                .contains("nobody writes"),
            "{error:?}"
        );
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn failing_query_keeps_its_last_result_and_is_marked_stale() {
    let app = shop().await;
    let query = "select id, 100 / total as share from orders";
    watch(&app, "shares", query, "id", ", every => '10ms'").await;
    let mut followed = Followed::start(&app, "shares").await;
    let before = followed.rows();
    app.execute("insert into orders (customer_id, total) values (1, 0)")
        .await;
    let stale = "plank_query_stale{query=\"shares\"}";
    until("stale", async || app.metric(stale).await == 1.0).await;
    assert!(
        app.metric("plank_query_failures_total{query=\"shares\"}")
            .await
            >= 1.0
    );
    let row = app
        .sql
        .query_one(
            "select problem from plank.tables where \"table\"::text like '%shares'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        row.get::<_, &str>(0),
        "stale: the query fails: division by zero"
    );
    followed
        .client
        .send(json!({"type": "ping", "id": "q"}))
        .await;
    assert_eq!(followed.client.expect("error").await["code"], "busy");
    assert_eq!(followed.rows(), before);
    // It comes back by itself.
    app.execute("delete from orders where total = 0").await;
    until("fresh", async || app.metric(stale).await == 0.0).await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, query).await);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn result_that_grows_beyond_its_bound_is_stale_and_counted() {
    let app = TestApp::start_with(|config| config.live_query_rows_max = 10).await;
    app.execute(SHOP).await;
    until("the bound is in the database", async || {
        let row = app
            .sql
            .query_one("select query_rows_max from plank.meta", &[])
            .await
            .unwrap();
        row.get::<_, i64>(0) == 10
    })
    .await;
    watch(&app, "board", BOARD, "id", "").await;
    app.execute("insert into orders (customer_id) select 1 from generate_series(1, 3)")
        .await;
    until("counted", async || {
        app.metric("plank_limits_total{limit=\"live_query_rows\"}")
            .await
            >= 1.0
    })
    .await;
    let row = app
        .sql
        .query_one(
            "select problem, (select count(*) from plank_query.board) from plank.live_query",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, i64>(1)),
        ("the query has more than 10 rows", 8)
    );
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn refresh_never_makes_a_writer_wait() {
    let app = shop().await;
    let slow = "select o.id, o.total, n.n from orders o, (select count(*) as n from generate_series(1, 6000000)) n";
    // The first fill is slow as well.
    watch(&app, "slow", slow, "id", ", every => '10ms'").await;
    app.execute("update orders set total = 1 where id = 1")
        .await;
    let running = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'plank live queries' \
        and state = 'active' and query like '%plank.refresh%' and now() - query_start > '50 ms'";
    until("a refresh is under way", async || {
        app.sql
            .query_one(running, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            > 0
    })
    .await;
    app.execute("set lock_timeout = '300ms'; set statement_timeout = '5s'")
        .await;
    for statement in [
        "update orders set total = 2",
        "insert into orders (customer_id) values (1)",
        "delete from orders where id = 2",
    ] {
        app.execute(statement).await;
    }
    let still = app.sql.query_one(running, &[]).await.unwrap();
    assert!(
        still.get::<_, i64>(0) > 0,
        "the same refresh is still under way"
    );
    app.stop().await.unwrap();
}
