//! Whose rights a query has: those of plank_reader, and never more than its author may see.

use serde_json::json;

use super::{Followed, shop, truth, watch};
use crate::support::Cluster;
use crate::support::cluster::connect;

async fn refused(app: &crate::support::TestApp, role: &str, sql: &str) -> String {
    let mut config = Cluster::shared().config(&app.database);
    config.options(format!("-c role={role}"));
    let client = connect(&config).await;
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.as_db_error().unwrap().message().to_owned()
}

#[actix_web::test]
async fn role_without_the_rights_of_plank_makes_no_live_query() {
    let app = shop().await;
    app.execute("create role lq_nobody; grant select on orders to lq_nobody; grant usage on schema plank to lq_nobody").await;
    let said = refused(
        &app,
        "lq_nobody",
        "select plank.watch_query('a', 'select id from orders', '{id}')",
    )
    .await;
    assert!(said.contains("permission denied for function"), "{said}");
    for sql in [
        "select * from plank.refresh('a', null, false)",
        "select plank.drop_query('a')",
        "select plank.unwatch('a')",
        "select * from plank.query_rows('select 1', null) as n (a int)",
        "select plank.end_query('a', 'x')",
    ] {
        let said = refused(&app, "lq_nobody", sql).await;
        assert!(said.contains("permission denied"), "{sql}: {said}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn author_of_a_query_needs_to_see_what_it_reads() {
    let app = shop().await;
    app.execute(
        "create role lq_author; grant plank_owner to lq_author; grant usage on schema public to lq_author; \
         create table secrets (id int primary key, word text); select plank.watch('secrets'); \
         create table rows (id int primary key, owner name); alter table rows enable row level security; \
         create policy own on rows using (owner = current_user); grant select on rows to lq_author; select plank.watch('rows'); \
         grant select (id) on orders to lq_author; create view theirs as select id from secrets",
    )
    .await;
    for (query, expected) in [
        ("select id from secrets", "you may not read"),
        ("select id, total from orders", "you may not read"),
        ("select id from rows", "row security hides rows"),
        ("select id from theirs", "you may not read"),
    ] {
        let sql = format!("select plank.watch_query('a', '{query}', '{{id}}')");
        let said = refused(&app, "lq_author", &sql).await;
        assert!(said.contains(expected), "{query}: {said}");
    }
    // What it may read it may follow.
    let mut config = Cluster::shared().config(&app.database);
    config.options("-c role=lq_author");
    let author = connect(&config).await;
    author
        .batch_execute("select plank.watch_query('ids', 'select id from orders', '{id}')")
        .await
        .unwrap();
    let mut followed = Followed::start(&app, "ids").await;
    app.execute("delete from orders where id = 3").await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, "select id from orders").await);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn objects_that_are_made_later_change_nothing_in_a_query() {
    let app = shop().await;
    app.execute(
        "create role lq_hostile; create schema early; grant all on schema early to lq_hostile; grant usage on schema plank_query to lq_hostile; \
         create table loot (word text); grant insert on loot to public; set search_path = early, public",
    )
    .await;
    let query = "select id, lower(status) as status, total + 1 as more from orders where total > 0";
    watch(&app, "board", query, "id", ", every => '10ms'").await;
    // In the author's search path, before what the query means.
    app.execute(
        "set role lq_hostile; \
         create table early.orders (id bigint, status text, total numeric); \
         create function early.lower(text) returns text language plpgsql as $$ begin insert into public.loot values (current_user); return 'taken'; end $$; \
         create function early.plus(numeric, int) returns numeric language plpgsql as $$ begin insert into public.loot values (current_user); return 0; end $$; \
         create operator early.+ (function = early.plus, leftarg = numeric, rightarg = int); reset role; reset search_path",
    )
    .await;
    let mut followed = Followed::start(&app, "board").await;
    app.execute("update orders set total = 7 where id = 1; insert into orders (customer_id, total) values (1, 3)").await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, query).await);
    let loot = app
        .sql
        .query_one("select count(*) from loot", &[])
        .await
        .unwrap();
    assert_eq!(loot.get::<_, i64>(0), 0);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn functions_of_others_run_as_the_reader_and_can_not_write() {
    let app = shop().await;
    app.execute(
        "create table loot (word text); grant insert on loot to public; \
         create function peek(bigint) returns text language plpgsql immutable as $$ \
           declare found_one text; begin \
             begin perform from plank.log; found_one := 'log'; exception when insufficient_privilege then found_one := current_user; end; \
             begin execute 'reset role'; exception when others then null; end; \
             return found_one; end $$",
    )
    .await;
    watch(
        &app,
        "board",
        "select id, peek(id) as who from orders",
        "id",
        ", every => '10ms'",
    )
    .await;
    let mut followed = Followed::start(&app, "board").await;
    app.execute("insert into orders (customer_id, total) values (1, 3)")
        .await;
    followed.settle().await;
    assert_eq!(followed.rows().len(), 9);
    assert!(
        followed
            .rows()
            .iter()
            .all(|row| row["who"] == json!("plank_reader")),
        "{:?}",
        followed.rows()
    );
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn functions_of_others_leave_nothing_in_the_session_that_refreshes() {
    let app = shop().await;
    app.execute(
        "create table loot (word text); grant insert on loot to public; create schema early; grant usage on schema early to public; \
         create function early.times(int, interval) returns interval language plpgsql as $$ begin \
           insert into public.loot values (current_user); return '0'; end $$; \
         create operator early.* (function = early.times, leftarg = int, rightarg = interval); \
         create function mess() returns text language plpgsql as $$ begin \
           perform set_config('search_path', 'early, pg_catalog', false); \
           begin insert into public.loot values (current_user); exception when others then null; end; \
           begin execute 'listen hello'; exception when others then null; end; \
           begin execute 'create temp table plank_read (a int)'; exception when others then null; end; \
           begin execute 'declare c cursor with hold for select public.mess()'; exception when others then null; end; \
           return 'done'; end $$; \
         create function looks_harmless(bigint) returns text language plpgsql immutable as $$ begin return public.mess(); end $$",
    )
    .await;
    watch(
        &app,
        "board",
        "select id, looks_harmless(id) as said from orders",
        "id",
        ", every => '10ms'",
    )
    .await;
    let mut followed = Followed::start(&app, "board").await;
    for i in 0..3 {
        app.execute(&format!(
            "update orders set id = id + 100 where id = 1 + {i}"
        ))
        .await;
        followed.settle().await;
    }
    assert!(
        followed
            .rows()
            .iter()
            .all(|row| row["said"] == json!("done"))
    );
    let loot = app
        .sql
        .query_one("select count(*) from loot", &[])
        .await
        .unwrap();
    assert_eq!(loot.get::<_, i64>(0), 0);
    // One that would stand in the place of a statement of the server is removed, and the refresh fails.
    app.execute(
        "create function prepares() returns text language plpgsql as $$ begin \
           if (select count(*) > 8 from public.orders) then execute 'prepare s1 as select 1'; end if; return 'done'; end $$; \
         create function looks_too(bigint) returns text language plpgsql immutable as $$ begin return public.prepares(); end $$",
    )
    .await;
    watch(
        &app,
        "other",
        "select id, looks_too(id) as said from orders",
        "id",
        ", every => '10ms'",
    )
    .await;
    app.execute("insert into orders (customer_id) values (1)")
        .await;
    crate::support::until("stale", async || {
        app.metric("plank_query_stale{query=\"other\"}").await == 1.0
    })
    .await;
    app.stop().await.unwrap();
}
