//! With a scope only the rows that a change concerns are computed anew, and the result is the same.

use super::{BOARD, Followed, refreshes, shop, truth, watch};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

const SCOPE: &str =
    ", every => '10ms', scope => '{\"orders\":\"id\",\"customers\":{\"id\":\"customer_id\"}}'";

async fn by_kind(app: &crate::support::TestApp, kind: &str) -> f64 {
    let line = format!("plank_query_refreshes_total{{query=\"board\",kind=\"{kind}\"}}");
    app.metric(&line).await
}

#[actix_web::test]
async fn scoped_refresh_gives_the_same_as_a_whole_one() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", SCOPE).await;
    let mut followed = Followed::start(&app, "board").await;
    followed.settle().await;
    let whole = by_kind(&app, "whole").await;
    for (statement, is_scoped) in [
        (
            "insert into orders (customer_id, total) values (1, 100)",
            true,
        ),
        ("update orders set total = total + 1 where id <= 3", true),
        ("update customers set name = 'other' where id = 2", true),
        ("delete from orders where id = 4", true),
        ("update orders set customer_id = 3 where id = 5", true),
        ("update orders set id = id + 100 where id < 3", true),
        (
            "begin; update customers set id = 40 where id = 99; update orders set customer_id = 3 where customer_id = 4; \
          delete from customers where id = 4; commit",
            true,
        ),
        (
            "insert into orders (id, customer_id) select i, 1 + i % 3 from generate_series(1000, 1900) i",
            true,
        ),
        // Too many, or nobody knows which.
        ("update orders set total = total + 1", true),
        (
            "insert into orders (id, customer_id) select i, 1 + i % 3 from generate_series(2000, 4000) i",
            false,
        ),
        ("truncate orders", false),
    ] {
        let before = (by_kind(&app, "scoped").await, by_kind(&app, "whole").await);
        app.execute(statement).await;
        followed.settle().await;
        assert_eq!(followed.rows(), truth(&app, BOARD).await, "{statement}");
        let after = (by_kind(&app, "scoped").await, by_kind(&app, "whole").await);
        let by = (after.0 - before.0, after.1 - before.1);
        assert_eq!(
            by,
            if is_scoped { (1.0, 0.0) } else { (0.0, 1.0) },
            "{statement}"
        );
    }
    assert!(refreshes(&app, "board").await > whole);
    app.stop().await.unwrap();
}

/// Counts what a refresh reads, in its own transaction. No server runs in this database.
#[actix_web::test]
async fn scoped_refresh_reads_only_rows_of_its_scope() {
    const ORDERS: u64 = 20_000;
    let cluster = Cluster::shared();
    let sql = connect(&cluster.config(&cluster.database().await)).await;
    let create = format!(
        "create table customers (id int primary key, name text); \
         create table orders (id int primary key, customer_id int references customers, total int, status text); create index on orders (customer_id); \
         insert into customers select i, 'customer ' || i from generate_series(1, {0} / 10) i; \
         insert into orders select i, 1 + i % ({0} / 10), 0, 'open' from generate_series(1, {0}) i; \
         analyze customers, orders; select plank.watch('customers'), plank.watch('orders'); \
         select plank.watch_query('board', $$ {BOARD} $$, '{{id}}' {SCOPE})",
        ORDERS
    );
    sql.batch_execute(&create).await.unwrap();
    // Those of transactions that were not counted yet are in it as well.
    let so_far = async || {
        let read = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int8 from pg_stat_xact_user_tables \
            where relname in ('orders', 'customers', 'board')";
        sql.query_one(read, &[]).await.unwrap().get::<_, i64>(0)
    };
    for (statement, rows) in [
        // The first refresh is a whole one: the tables were watched just before.
        ("update orders set total = total + 1 where id = 8", 0),
        ("update orders set total = total + 1 where id = 7", 1),
        ("update orders set total = total + 1 where id = 19999", 1),
        ("update orders set total = total + 1 where id % 4000 = 1", 5),
        ("update customers set name = 'other' where id = 1500", 10),
        ("update orders set customer_id = 8 where id = 12345", 1),
        ("delete from orders where id = 17", 1),
        ("insert into orders values (0, 1, 1)", 1),
        ("update orders set id = -id where id = 19998", 2),
        (
            "begin; update orders set total = 1 where id = 55; update customers set name = 'new' where id = 6; commit",
            11,
        ),
    ] {
        for sql_text in [
            statement,
            "update plank.live_query set began = now() - interval '1 hour'",
            "begin isolation level repeatable read",
        ] {
            sql.batch_execute(sql_text).await.unwrap();
        }
        let before = so_far().await;
        let done = sql
            .query_one(
                "select is_whole, changed from plank.refresh('board', (select pg_snapshot_xmin(place) from plank.live_query), false)",
                &[],
            )
            .await
            .unwrap();
        if rows == 0 {
            sql.batch_execute("commit; analyze plank_query.board")
                .await
                .unwrap();
            continue;
        }
        assert_eq!(
            (done.get(0), done.get(1)),
            (false, rows as i64),
            "{statement}"
        );
        let read = so_far().await - before;
        assert!(
            read <= 20 * rows as i64,
            "{statement}: {read} rows were read"
        );
        sql.batch_execute("commit").await.unwrap();
    }
}

#[actix_web::test]
async fn scoped_refresh_takes_keys_of_any_type() {
    let app = TestApp::start().await;
    let keys = [
        ("text", "'a'"),
        ("int[]", "'{1,2}'"),
        ("text[]", "'{\"a\",null}'"),
        ("numeric", "1.50"),
        ("timestamptz", "'2026-12-01 04:00:00+02'"),
        ("bytea", r"'\xff00'"),
        ("int4range", "'[1,4)'"),
        ("jsonb", r#"'{"a": 1}'"#),
        ("mood", "'good'"),
        ("small", "3"),
        ("smalls", "'{3,4}'"),
    ];
    app.execute("create type mood as enum ('bad', 'good'); create domain small as int check (value < 10); create domain smalls as int[]")
        .await;
    for (n, (kind, value)) in keys.into_iter().enumerate() {
        let table = format!(
            "create table part{n} (id int primary key, own {kind}, n int); insert into part{n} values (1, {value}, 0), (2, null, 0); \
             select plank.watch('part{n}')"
        );
        app.execute(&table).await;
        let (name, query) = (
            format!("by{n}"),
            format!("select own, id, n from part{n} where own is not null"),
        );
        let scope = format!(", every => '10ms', scope => '{{\"part{n}\":\"id\"}}'");
        watch(&app, &name, &query, "own,id", &scope).await;
        let mut followed = Followed::start(&app, &name).await;
        for statement in [
            format!("update part{n} set n = n + 1"),
            format!("insert into part{n} values (3, {value}, 7)"),
            format!("delete from part{n} where id = 1"),
        ] {
            app.execute(&statement).await;
            followed.settle().await;
            assert_eq!(
                followed.rows(),
                truth(&app, &query).await,
                "{kind}: {statement}"
            );
        }
        let failures = format!("plank_query_failures_total{{query=\"{name}\"}}");
        assert_eq!(app.metric(&failures).await, 0.0, "{kind}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn scope_that_is_null_refreshes_the_whole() {
    let app = shop().await;
    app.execute("alter table orders alter customer_id drop not null, drop constraint if exists orders_customer_id_fkey")
        .await;
    const TOTALS: &str = "select coalesce(customer_id, 0)::int as customer, sum(total) as total from orders group by 1";
    let scope = ", every => '10ms', scope => '{\"orders\":{\"customer_id\":\"customer\"}}'";
    watch(&app, "totals", TOTALS, "customer", scope).await;
    let mut followed = Followed::start(&app, "totals").await;
    for statement in [
        "insert into orders (customer_id, total) values (null, 100)",
        "update orders set total = total + 1 where customer_id is null",
        "update orders set customer_id = null where id = 1",
        "update orders set customer_id = 2 where customer_id is null",
    ] {
        app.execute(statement).await;
        followed.settle().await;
        assert_eq!(followed.rows(), truth(&app, TOTALS).await, "{statement}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn table_without_a_scope_refreshes_the_whole() {
    let app = shop().await;
    watch(
        &app,
        "board",
        BOARD,
        "id",
        ", scope => '{\"orders\":\"id\"}'",
    )
    .await;
    let mut followed = Followed::start(&app, "board").await;
    followed.settle().await;
    let whole = by_kind(&app, "whole").await;
    app.execute("update customers set name = 'other'").await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, BOARD).await);
    assert_eq!(by_kind(&app, "whole").await, whole + 1.0);
    app.stop().await.unwrap();
}

/// A build for development compares each refresh in part with a whole one.
#[cfg(debug_assertions)]
#[actix_web::test]
async fn scope_that_does_not_fit_is_found_in_development() {
    let app = shop().await;
    let query = "select id, (select sum(total) from orders) as all_orders from orders";
    watch(
        &app,
        "wrong",
        query,
        "id",
        ", every => '10ms', scope => '{\"orders\":\"id\"}'",
    )
    .await;
    let mut followed = Followed::start(&app, "wrong").await;
    app.execute("update orders set total = 1000 where id = 1")
        .await;
    crate::support::until("found", async || {
        app.metric("plank_query_failures_total{query=\"wrong\"}")
            .await
            >= 1.0
    })
    .await;
    // The next refresh is a whole one: the result is right in the end.
    crate::support::until("right again", async || {
        app.metric("plank_query_stale{query=\"wrong\"}").await == 0.0
    })
    .await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, query).await);
    app.stop().await.unwrap();
}
