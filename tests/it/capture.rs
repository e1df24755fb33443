//! What the triggers log: the cases in which a naive trigger is wrong.

use serde_json::{Value, json};

use crate::live::watched;
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

/// Applies changes by key, as a client does; the rows in the order of their keys.
pub fn state(changes: &[Value]) -> Vec<Value> {
    let mut rows = std::collections::BTreeMap::new();
    for change in changes {
        let key = change["key"].to_string();
        match change["op"].as_str().unwrap() {
            "delete" => drop(rows.remove(&key)),
            "truncate" => rows.clear(),
            _ => drop(rows.insert(key, change["row"].clone())),
        }
    }
    rows.into_values().collect()
}

/// Reads until a marker in `items` arrives, and gives what came before it.
pub async fn until_marker(app: &TestApp, client: &mut crate::support::WsClient) -> Vec<Value> {
    app.execute("insert into items (name) values ('marker')")
        .await;
    let mut changes = Vec::new();
    loop {
        for change in client.batch().await {
            if change["row"]["name"] == "marker" {
                return changes;
            }
            changes.push(change);
        }
    }
}

pub async fn table_is_followed(setup: &str, table: &str, statements: &[&str]) {
    let app = TestApp::start().await;
    app.execute(setup).await;
    app.execute(&format!("select plank.watch('{table}')")).await;
    let mut client = watched(&app, table).await;
    client.subscribe("marker", "items").await;
    let mut changes = Vec::new();
    for statement in statements {
        app.execute(statement).await;
        changes.extend(until_marker(&app, &mut client).await);
        let sql = format!("select coalesce(jsonb_agg(t), '[]')::text from {table} t");
        let mut table: Vec<Value> =
            serde_json::from_str(app.sql.query_one(&sql, &[]).await.unwrap().get(0)).unwrap();
        let mut rows = state(&changes);
        rows.sort_by_key(Value::to_string);
        table.sort_by_key(Value::to_string);
        assert_eq!(rows, table, "after: {statement}");
    }
}

#[actix_web::test]
async fn a_trigger_that_changes_its_own_table_again() {
    table_is_followed(
        "create table n (id int primary key, v int);
         create function again() returns trigger language plpgsql as $$ begin
           if new.v between 1 and 9 then update n set v = v + 10 where id = new.id; end if;
           if new.v = 100 then delete from n where id = new.id; end if; return null; end $$;
         create trigger again after insert or update on n for each row execute function again()",
        "n",
        &[
            "insert into n values (1, 1), (2, 20)",
            "update n set v = 3 where id = 1",
            "begin; insert into n values (3, 1); update n set v = v + 1; update n set v = 4 where id = 2; commit",
            "insert into n values (9, 100)",
            "update n set v = 100 where id = 3",
            "delete from n where id = 1",
        ],
    )
    .await;
}

#[actix_web::test]
async fn upsert_merge_and_writable_ctes() {
    table_is_followed(
        "create table u (id int primary key, v int)",
        "u",
        &[
            "insert into u select i, 0 from generate_series(1, 10) i",
            "insert into u select i, 1 from generate_series(6, 15) i on conflict (id) do update set v = u.v + excluded.v",
            "insert into u values (1, 9) on conflict do nothing",
            "merge into u using generate_series(10, 20) s on u.id = s when matched and s < 12 then delete when matched then update set v = 7 when not matched then insert values (s, 3)",
            "with gone as (delete from u where id < 5 returning *), back as (insert into u select id + 100, v from gone) update u set v = 8 where id = 7",
        ],
    )
    .await;
}

#[actix_web::test]
async fn names_that_need_quotes_and_composite_keys() {
    table_is_followed(
        "create schema \"Sales \"\"x\"\"\"; create table \"Sales \"\"x\"\"\".\"Order Lines\" (\"select\" int, \"ü\"\"n\" text, \"new_rows\" int generated always as (\"select\" * 2) stored, primary key (\"ü\"\"n\", \"select\"))",
        "\"Sales \"\"x\"\"\".\"Order Lines\"",
        &[
            "insert into \"Sales \"\"x\"\"\".\"Order Lines\" values (1, 'a'), (2, 'b')",
            "update \"Sales \"\"x\"\"\".\"Order Lines\" set \"select\" = \"select\" + 1",
            "delete from \"Sales \"\"x\"\"\".\"Order Lines\" where \"select\" = 2",
        ],
    )
    .await;
}

#[actix_web::test]
async fn columns_may_be_named_as_the_triggers_name_things() {
    table_is_followed(
        "create table names (x int primary key, n int, o int, s int, c int, r int, at int, k1 int, row int, old int, again int, touched int)",
        "names",
        &[
            "insert into names (x, n) select i, i from generate_series(1, 3) i",
            "update names set r = 1, at = 2, x = x + 10",
            "delete from names where x = 11",
        ],
    )
    .await;
}

#[actix_web::test]
async fn what_was_committed_with_unwatch_still_arrives() {
    let app = TestApp::start().await;
    app.execute("create table w (id int primary key, v text); select plank.watch('w')")
        .await;
    let mut client = watched(&app, "w").await;
    // Enough for several messages.
    app.execute(
        "begin; insert into w select i, repeat('x', 100) from generate_series(1, 9000) i; select plank.unwatch('w'); insert into w values (0); commit",
    )
    .await;
    assert_eq!(client.changes(9_000).await.len(), 9_000);
    client.expect("unsubscribed").await;
    client.nothing().await;
}

#[actix_web::test]
async fn rows_that_are_hidden_by_policies_are_not_taken_for_gone() {
    let app = TestApp::start().await;
    app.execute(
        "create role rls_owner; create schema hidden authorization rls_owner; set role rls_owner; \
         create table hidden.h (id int primary key, v int); \
         create function hidden.again() returns trigger language plpgsql as $$ begin \
           if new.v < 10 then update hidden.h set v = v + 10 where id = new.id; end if; return null; end $$; \
         create trigger again after update on hidden.h for each row execute function hidden.again(); reset role; \
         select plank.watch('hidden.h'); insert into hidden.h values (1, 20)",
    )
    .await;
    let mut client = watched(&app, "hidden.h").await;
    app.execute("alter table hidden.h enable row level security; update hidden.h set v = 1")
        .await;
    let changes = client.changes(2).await;
    assert!(changes.iter().all(|c| c["op"] == "update"), "{changes:?}");
}

#[actix_web::test]
async fn foreign_keys_cascade() {
    table_is_followed(
        "create table f (id int primary key, parent int references f on delete cascade on update cascade)",
        "f",
        &[
            "insert into f values (1, null), (2, 1), (3, 2), (4, 1), (5, null)",
            "update f set id = 10 where id = 1",
            "delete from f where id = 10",
        ],
    )
    .await;
}

#[actix_web::test]
async fn a_writer_needs_no_right_and_can_read_nothing() {
    let app = TestApp::start().await;
    app.execute("create role mere_writer login password 'secret'; grant insert, select on items to mere_writer").await;
    let mut config = Cluster::shared().config(&app.database);
    let writer = connect(config.user("mere_writer").password("secret")).await;
    let mut client = app.subscribed("items").await;
    writer
        .execute("insert into items (name) values ('by a mere writer')", &[])
        .await
        .unwrap();
    assert_eq!(client.change().await["row"]["name"], "by a mere writer");
    for sql in [
        "select * from plank.log",
        "select plank.watch('items')",
        "select nextval('plank.seq')",
        "create table mine (a int); create trigger t after insert on mine for each statement execute function plank.capture_insert()",
    ] {
        assert!(writer.batch_execute(sql).await.is_err(), "{sql}");
    }
}

#[actix_web::test]
async fn a_writer_that_prefers_its_own_schema_changes_nothing() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("create temp table log (a int); create schema evil; create function evil.row_to_json(record) returns json language plpgsql as $$ begin return '{}'; end $$; \
        create function evil.pg_notify(text, text) returns void language sql as $$ select 1/0 $$; set search_path = evil, pg_temp, public, pg_catalog; \
        insert into public.items (name) values ('safe')").await;
    assert_eq!(client.change().await["row"]["name"], "safe");
}

#[actix_web::test]
async fn what_cannot_be_watched_says_why() {
    let app = TestApp::start().await;
    app.execute(
        "create view v as select 1 a; create temp table tt (a int); create table nokey (a int)",
    )
    .await;
    for (sql, part) in [
        ("select plank.watch('v')", "not a table"),
        ("select plank.watch('tt')", "temporary"),
        ("select plank.watch('plank.log')", "belongs to plank"),
        (
            "select plank.watch('items', columns => '{nope}')",
            "no column nope",
        ),
        (
            "select plank.watch('items', level => 'page')",
            "level is page",
        ),
        (
            "create table parent (a int primary key); create table child () inherits (parent); \
             select plank.watch('parent', level => 'statement')",
            "other tables inherit from it",
        ),
        ("select plank.unwatch('nokey')", "not watched"),
    ] {
        let error = app.sql.batch_execute(sql).await.unwrap_err();
        let message = error.as_db_error().unwrap().message();
        assert!(
            message.starts_with("plank: ") && message.contains(part),
            "{sql}: {message}"
        );
    }
    app.execute("select plank.watch('nokey')").await;
    let mut client = watched(&app, "nokey").await;
    app.execute("insert into nokey values (1), (1)").await;
    assert!(
        client
            .changes(2)
            .await
            .iter()
            .all(|c| c["key"].is_null() && c["row"] == json!({"a": 1}))
    );
}

#[actix_web::test]
async fn secret_columns_stay_secret_and_unwatch_ends_it() {
    let app = TestApp::start().await;
    app.execute("create table s (id int primary key, name text, secret text); select plank.watch('s', columns => '{name}')").await;
    let mut client = watched(&app, "s").await;
    client
        .send(json!({"type": "subscribe", "id": "b", "table": "s", "columns": ["secret"]}))
        .await;
    assert_eq!(client.expect("error").await["code"], "unknown_column");
    app.execute("insert into s values (1, 'n', 'x'); update s set secret = 'y'; delete from s")
        .await;
    let changes = client.changes(3).await;
    assert!(
        changes.iter().all(|c| !c.to_string().contains("secret")),
        "{changes:?}"
    );
    assert_eq!(changes[0]["row"], json!({"id": 1, "name": "n"}));
    assert_eq!(changes[2]["old"], json!({"id": 1, "name": "n"}));

    app.execute("select plank.unwatch('s'); insert into s values (2, 'after', 'x')")
        .await;
    assert_eq!(client.expect("unsubscribed").await["id"], "a");
    client.nothing().await;
    let left: i64 = app
        .sql
        .query_one(
            "select count(*) from pg_trigger where tgrelid = 's'::regclass",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);
    client
        .send(json!({"type": "subscribe", "id": "c", "table": "s"}))
        .await;
    assert_eq!(client.expect("error").await["code"], "unknown_table");
}

#[actix_web::test]
async fn the_row_level_serves_a_replica() {
    let app = TestApp::start().await;
    app.execute(
        "create table r (id int primary key, v int); select plank.watch('r', level => 'row')",
    )
    .await;
    let mut client = watched(&app, "r").await;
    app.execute("set session_replication_role = replica; insert into r values (1, 1), (2, 2); update r set v = 3 where id = 1; update r set id = 9 where id = 2; delete from r where id = 1; truncate r").await;
    let changes = client.changes(7).await;
    let ops: Vec<&str> = changes.iter().map(|c| c["op"].as_str().unwrap()).collect();
    assert_eq!(
        ops,
        [
            "insert", "insert", "update", "delete", "insert", "delete", "truncate"
        ]
    );
}

#[actix_web::test]
async fn a_cast_that_the_owner_of_a_table_has_defined_runs_with_no_rights_to_speak_of() {
    let app = TestApp::start().await;
    // row_to_json calls a cast from a type to json that a user has made, and capture runs it in all writes.
    app.execute(
        "create type public.bait as enum ('a'); create table public.whoami (name text); grant insert on public.whoami to public; \
         create function public.spring(public.bait) returns json language plpgsql as $$ begin \
           insert into public.whoami values (current_user); perform set_config('search_path', 'public', false); \
           return json_build_array(current_user, (select bool_or(has_table_privilege(oid, 'insert')) from pg_class where relname like 'log%'), has_schema_privilege('plank', 'usage'), \
             (select rolsuper from pg_roles where rolname = current_user)); end $$; \
         create cast (public.bait as json) with function public.spring(public.bait); \
         create table public.trap (id int primary key, b public.bait); select plank.watch('public.trap')",
    )
    .await;
    let mut client = watched(&app, "trap").await;
    app.execute("insert into public.trap values (1, 'a')").await;
    assert_eq!(
        client.change().await["row"],
        json!({"id": 1, "b": ["plank_json", false, false, false]})
    );
    // What it does besides is undone: neither its rows nor its settings stay with the writer.
    let sql = "select (select count(*) from public.whoami), current_setting('search_path')";
    let row = app.sql.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    assert_ne!(row.get::<_, String>(1), "public");
}

#[actix_web::test]
async fn a_large_statement_does_not_make_the_small_ones_after_it_slow() {
    let app = TestApp::start().await;
    app.execute("set jit = on; set jit_above_cost = 100; create table big (id int primary key, v int); insert into big select i, 0 from generate_series(1, 60000) i; select plank.watch('big'); update big set v = 1").await;
    let compiled = "explain (analyze, format json) update big set v = v + 1 where id in (1, 2)";
    let plan: Value = app.sql.query_one(compiled, &[]).await.unwrap().get(0);
    let triggers = plan[0]["Triggers"].as_array().unwrap();
    let time = triggers
        .iter()
        .find(|t| {
            t["Trigger Name"]
                .as_str()
                .unwrap()
                .starts_with("plank_update")
        })
        .unwrap()["Time"]
        .as_f64()
        .unwrap();
    // A plan that is compiled takes 60 ms and more for these two rows, any other one less than a tenth of a millisecond.
    assert!(time < 20.0, "{time} ms in {triggers:?}");
}
