//! A query whose tables are gone or are other ones ends, and says why.

use super::{BOARD, Followed, shop, truth, watch};
use crate::support::until;

async fn problem(app: &crate::support::TestApp, name: &str) -> Option<String> {
    let sql = "select problem from plank.tables where \"table\"::text = 'plank_query.' || $1";
    let row = app.sql.query_opt(sql, &[&name]).await.unwrap();
    row.and_then(|row| row.get(0))
}

#[actix_web::test]
async fn altered_or_dropped_base_table_ends_the_query_with_the_reason() {
    let app = shop().await;
    app.execute("create view open_orders as select id, total from orders where status = 'open'")
        .await;
    let by_view = "select id, total from open_orders";
    let cases = [
        (
            "drop table orders cascade",
            BOARD,
            "public.orders was dropped",
        ),
        (
            "alter table orders drop column total cascade",
            BOARD,
            "the column total of public.orders was dropped",
        ),
        (
            "alter table orders rename column status to state",
            BOARD,
            "the column status text of public.orders is now state text",
        ),
        (
            "alter table customers alter column name type varchar(50)",
            BOARD,
            "the column name text of public.customers is now name character varying(50)",
        ),
        (
            "alter table orders rename to old_orders",
            BOARD,
            "public.orders was changed or renamed",
        ),
        (
            "select plank.unwatch('customers')",
            BOARD,
            "public.customers is not watched any more",
        ),
        (
            "drop view open_orders",
            by_view,
            "public.open_orders was dropped",
        ),
        (
            "create or replace view open_orders as select id, total from orders",
            by_view,
            "public.open_orders was changed or renamed",
        ),
        (
            "drop table plank_query.board",
            by_view,
            "its result was dropped",
        ),
        (
            "select plank.unwatch('plank_query.board'::regclass)",
            by_view,
            "its result is not watched any more",
        ),
    ];
    for (statement, query, reason) in cases {
        watch(&app, "board", query, "id", "").await;
        let mut followed = Followed::start(&app, "board").await;
        // So that the case after it finds all of it again.
        app.execute("create table undo as select 1").await;
        app.execute(statement).await;
        followed.read_until("unsubscribed").await;
        if !statement.contains("drop table plank_query") {
            until(statement, async || problem(&app, "board").await.is_some()).await;
            assert_eq!(
                problem(&app, "board").await.unwrap(),
                format!("ended: {reason}")
            );
        }
        app.execute("select plank.unwatch('board')").await;
        app.execute(
            "drop table undo; drop view if exists open_orders; drop table if exists orders, old_orders cascade; drop table customers cascade",
        )
        .await;
        app.execute(super::SHOP).await;
        app.execute(
            "create view open_orders as select id, total from orders where status = 'open'",
        )
        .await;
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn what_the_query_does_not_read_may_be_altered() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    let mut followed = Followed::start(&app, "board").await;
    app.execute(
        "alter table orders add column note text; alter table customers add column city text default 'x'; \
         create index on orders (total); update orders set note = 'x', total = 3 where id = 1",
    )
    .await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, BOARD).await);
    assert_eq!(problem(&app, "board").await, None);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn circle_through_a_view_ends_the_query() {
    let app = shop().await;
    app.execute("create view v as select id, total from orders")
        .await;
    watch(&app, "board", "select id, total from v", "id", "").await;
    let mut followed = Followed::start(&app, "board").await;
    app.execute("create or replace view v as select id, total from plank_query.board")
        .await;
    followed.read_until("unsubscribed").await;
    assert_eq!(
        problem(&app, "board").await.unwrap(),
        "ended: public.v was changed or renamed"
    );
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn unwatch_takes_the_query_away_with_its_result_and_its_rights() {
    let app = shop().await;
    app.execute(
        "create schema sales; create view sales.open_orders as select id, total from orders",
    )
    .await;
    let rights = "select coalesce((select relacl::text from pg_class where oid = 'sales.open_orders'::regclass), '') || \
        coalesce((select nspacl::text from pg_namespace where nspname = 'sales'), '') like '%plank_reader%'";
    watch(
        &app,
        "board",
        "select id, total from sales.open_orders",
        "id",
        "",
    )
    .await;
    assert!(
        app.sql
            .query_one(rights, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    let mut followed = Followed::start(&app, "board").await;
    app.execute("update orders set total = 4 where id = 1; select plank.unwatch('board')")
        .await;
    followed.read_until("unsubscribed").await;
    assert!(
        !app.sql
            .query_one(rights, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    let left = "select (select count(*) from plank.live_query) + (select count(*) from plank.query_part) + \
        (select count(*) from pg_class where relnamespace = 'plank_query'::regnamespace)";
    assert_eq!(
        app.sql.query_one(left, &[]).await.unwrap().get::<_, i64>(0),
        0
    );
    // A table is let go by its name as before.
    app.execute("select plank.unwatch('customers')").await;
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn uninstalling_removes_live_queries_and_nothing_else() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    let sql = app.stop_keeping_sql().await;
    let listeners = "select count(*) from plank.listeners()";
    until("its sessions have ended", async || {
        let row = sql.query_one(listeners, &[]).await.unwrap();
        row.get::<_, i64>(0) == 0
    })
    .await;
    sql.batch_execute(include_str!("../../../sql/uninstall.sql"))
        .await
        .unwrap();
    let left = "select (select count(*) from pg_namespace where nspname in ('plank', 'plank_query')), (select count(*) from orders)";
    let row = sql.query_one(left, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 8));
}
