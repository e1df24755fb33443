//! What others define in a database, and with which rights it runs when plank reads their tables: none that matter, and without a
//! way out.

use serde_json::{Value, json};

use crate::support::{TestApp, until};

/// Ways out of the role that a function runs as: `(name, statement)`.
const ESCAPES: &[(&str, &str)] = &[
    ("reset role", "reset role"),
    ("set role", "set role postgres"),
    ("set local role", "set local role postgres"),
    (
        "session authorization",
        "set session authorization postgres",
    ),
    ("reset session authorization", "reset session authorization"),
    ("set_config", "select set_config('role', 'postgres', false)"),
    (
        "set_config local",
        "select set_config('role', 'none', true)",
    ),
    ("do", "do $do$ begin execute 'reset role'; end $do$"),
    ("definer", "select public.by_its_owner()"),
    ("read the log", "select count(*) from plank.log"),
    (
        "write the log",
        "insert into plank.log (slot, rel, op) values (0, 0, 'N')",
    ),
    (
        "a policy",
        "insert into plank.policy (rel, role, op) values ('public.bait', 'all', 'select')",
    ),
    (
        "beat",
        "create or replace function plank.beat(node uuid, beat bigint) returns void language sql as 'select'",
    ),
    ("authid", "select count(*) from pg_catalog.pg_authid"),
    ("settings", "alter system set work_mem = '1MB'"),
];

/// A role `mallory` with a table that has each place where a function of hers may run: a cast to json, a check of a domain, an
/// operator class's cast to text, a policy of row security, a predicate of an index.
async fn baited(app: &TestApp) {
    let escapes: Vec<String> = ESCAPES
        .iter()
        .map(|(name, sql)| {
            format!(
                "begin execute $try${sql}$try$; tried := tried || jsonb_build_object('{name}', current_user); \
                 exception when others then tried := tried || jsonb_build_object('{name}', sqlstate); end;"
            )
        })
        .collect();
    let escapes = escapes.join("\n");
    app.execute(&format!(
        "do $$ begin create role mallory; exception when duplicate_object or unique_violation then null; end $$; \
         create schema evil authorization mallory; grant create, usage on schema public to mallory; grant temp on database {database} to mallory; \
         set role mallory; \
         create type public.lure as enum ('a', 'b'); \
         create function public.by_its_owner() returns text language plpgsql security definer as $$ begin execute 'reset role'; return current_user; end $$; \
         create function public.attempts() returns jsonb language plpgsql as $f$ declare tried jsonb := '{{}}'; begin {escapes} return tried; end $f$; \
         create function public.snap(public.lure) returns json language plpgsql as $$ declare tried jsonb := public.attempts(); begin \
           perform set_config('search_path', 'evil, public', false), set_config('timezone', 'Asia/Tokyo', false), pg_advisory_lock(1); \
           return tried || jsonb_build_object('user', current_user); end $$; \
         create cast (public.lure as json) with function public.snap(public.lure); \
         create function public.checked(v text) returns boolean language plpgsql as $$ begin \
           if current_user not in ('mallory', 'postgres') then raise exception 'a check ran as %', current_user; end if; return true; end $$; \
         create domain public.odd as text check (public.checked(value)); \
         create function public.shown(id int) returns boolean language plpgsql immutable as $$ begin \
           if current_user not in ('mallory', 'postgres', 'plank_reader') then raise exception 'a policy ran as %', current_user; end if; \
           if current_user = 'plank_reader' then perform set_config('search_path', 'evil, public', false); end if; return true; end $$; \
         create function evil.quote_ident(name) returns text language plpgsql as $$ begin raise exception 'evil.quote_ident'; end $$; \
         create function evil.row_to_json(record) returns json language plpgsql as $$ begin raise exception 'evil.row_to_json'; end $$; \
         create table public.bait (id int primary key, l public.lure, o public.odd, secret text); \
         create index on public.bait (id) where public.shown(7); \
         create policy p on public.bait using (public.shown(id)); \
         reset role; \
         insert into public.bait values (1, 'a', 'x', null); \
         create table public.vault (id int primary key, secret text); insert into public.vault values (1, 'hidden'); \
         select plank.watch('public.bait'), plank.watch('public.vault'); alter table public.bait enable row level security; select plank.watch('public.bait')",
        database = app.database,
    ))
    .await;
}

/// What the cast of a row says that it has tried.
fn failed(row: &Value, role: &str) {
    let tried = &row["l"];
    assert_eq!(tried["user"], role, "{row}");
    for (name, _) in ESCAPES {
        let outcome = tried[*name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {row}"));
        // A state of an error, or it changed nothing.
        let is_refused = outcome.len() == 5 && outcome.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_harmless = ["definer", "do"].contains(name) && outcome == role;
        assert!(is_refused || is_harmless, "{name}: {outcome}");
    }
}

#[actix_rt::test]
async fn nothing_that_others_define_leaves_the_role_that_reads() {
    let app = TestApp::start().await;
    baited(&app).await;
    for round in 0..6 {
        let mut client = app.ws("/ws?table=bait&snapshot=1").await;
        client.expect("welcome").await;
        let (rows, _) = client.snapshot().await;
        failed(&rows[0], "plank_json");
        let (status, page) = app
            .request(
                "GET",
                "/api/tables/bait/rows?l=eq.a&order=o.desc,l,id&limit=5",
                None,
            )
            .await;
        assert_eq!(status, 200, "{page}");
        failed(&page["rows"][0], "plank_json");
        // The sessions are as they were: all of plank's own statements still find what they name.
        let (status, page) = app.request("GET", "/api/tables/vault/rows", None).await;
        assert_eq!(
            (status, &page["rows"]),
            (200, &json!([{"id": 1, "secret": "hidden"}])),
            "{round}"
        );
    }
    let held = "select count(*) from pg_locks l join pg_stat_activity a using (pid) \
        where l.locktype = 'advisory' and l.objid = 1 and a.datname = current_database() and a.application_name like 'plank%'";
    until("no lock outlives a read", async || {
        app.sql.query_one(held, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[actix_rt::test]
async fn nothing_that_others_define_has_a_right_in_capture_or_changes_the_session_of_a_writer() {
    let app = TestApp::start().await;
    baited(&app).await;
    let mut client = crate::live::watched(&app, "bait").await;
    app.execute("set search_path = public").await;
    for (sql, count) in [
        ("insert into public.bait values (2, 'b', 'y', null)", 1),
        ("update public.bait set secret = 's' where id = 2", 1),
        (
            "insert into public.bait select i, 'a', 'z', null from generate_series(10, 40) i",
            31,
        ),
        ("delete from public.bait where id > 5", 31),
    ] {
        app.execute(sql).await;
        for change in client.changes(count).await {
            let row = if change["op"] == "delete" {
                &change["old"]
            } else {
                &change["row"]
            };
            failed(row, "plank_json");
        }
        for (name, value) in [("search_path", "public"), ("role", "none")] {
            let row = app
                .sql
                .query_one("select current_setting($1)", &[&name])
                .await
                .unwrap();
            assert_eq!(row.get::<_, String>(0), value, "{sql}");
        }
    }
    app.execute("truncate public.bait").await;
    assert_eq!(client.change().await["op"], "truncate");
}

/// A role that may connect and nothing else.
#[actix_rt::test]
async fn a_role_that_may_only_connect_can_hold_up_nothing() {
    let app = TestApp::start().await;
    app.execute("do $$ begin create role passer_by login password 'p'; exception when duplicate_object or unique_violation then null; end $$")
        .await;
    let mut config = crate::support::Cluster::shared().config(&app.database);
    let other = crate::support::cluster::connect(config.user("passer_by").password("p")).await;
    for number in 0..8 {
        let lock = format!("select pg_advisory_lock(7012, {number})");
        other.batch_execute(&lock).await.unwrap();
    }
    for table in [
        "pruning",
        "following",
        "reading",
        "listener",
        "migrating",
        "meta",
        "log",
    ] {
        let lock = format!("begin; lock table plank.{table} in access share mode");
        let error = other.batch_execute(&lock).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{table}");
        other.batch_execute("rollback").await.unwrap();
    }
    let node = app.another_node().await;
    let mut clients = [
        app.subscribed("items").await,
        node.subscribed("items").await,
    ];
    for i in 0..3 {
        app.execute(&format!("insert into items (name) values ('{i}')"))
            .await;
        for client in &mut clients {
            assert_eq!(client.change().await["row"]["name"], i.to_string());
        }
    }
    // DDL is followed.
    app.execute(
        "alter table items add column more int; insert into items (name, more) values ('more', 7)",
    )
    .await;
    until("the new column is known", async || {
        let (_, tables) = app.request("GET", "/api/tables", None).await;
        tables.to_string().contains("\"more\"")
    })
    .await;
    // The log is pruned.
    let pruned = "select plank.prune()";
    app.execute("update plank.meta set rows_max = 1; insert into items (name) select 'x' from generate_series(1, 100)").await;
    until("a leaf is begun", async || {
        app.sql
            .query_one(pruned, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    })
    .await;
}
