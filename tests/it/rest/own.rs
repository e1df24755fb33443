//! Tables that are read and written without a boundary: nothing in their database can be defined by a role that is neither a superuser
//! nor the server's own.

use serde_json::json;

use crate::support::{TestApp, until};

/// A role `boss`, which the server could be, with tables of each kind, and another one, `rival`, which may use them.
const TABLES: &str = "
    do $$ begin create role boss; exception when duplicate_object or unique_violation then null; end $$;
    do $$ begin create role rival; exception when duplicate_object or unique_violation then null; end $$;
    grant plank_owner to boss;
    create schema shop authorization boss; grant usage on schema shop to rival;
    do $$ begin execute format('revoke create on schema public from public; grant temp, connect on database %I to rival', current_database()); end $$;
    set role boss;
    create type shop.size as enum ('s', 'm');
    create function shop.two() returns int language sql immutable as 'select 2';
    create function shop.act() returns trigger language plpgsql as 'begin return new; end';
    create table shop.goods (id int primary key default shop.two(), n int check (n > shop.two()), size shop.size);
    create table shop.parts (id int primary key, goods int references shop.goods on delete cascade);
    create table shop.sold (id int) partition by list (id); create table shop.sold_1 partition of shop.sold for values in (1);
    grant select, insert, update, delete on all tables in schema shop to rival;
    reset role;
    select plank.watch('shop.goods', writable => true), plank.watch('shop.sold', writable => true)";

/// What lets another role define something in the database, and what takes that back.
const PARTS: &[(&str, &str, &str)] = &[
    (
        "a table of another owner",
        "alter table shop.parts owner to rival",
        "alter table shop.parts owner to boss",
    ),
    (
        "a schema",
        "create schema rivals authorization rival",
        "drop schema rivals",
    ),
    (
        "the schema of the table",
        "alter schema shop owner to rival",
        "alter schema shop owner to boss",
    ),
    (
        "the right to create in it",
        "grant create on schema shop to rival",
        "revoke create on schema shop from rival",
    ),
    (
        "the same for everybody",
        "grant create on schema public to public",
        "revoke create on schema public from public",
    ),
    (
        "the right to create schemas",
        "do $$ begin execute format('grant create on database %I to rival', current_database()); end $$",
        "do $$ begin execute format('revoke create on database %I from rival', current_database()); end $$",
    ),
    (
        "the database itself",
        "do $$ begin execute format('alter database %I owner to rival', current_database()); end $$",
        "do $$ begin execute format('alter database %I owner to postgres', current_database()); end $$",
    ),
    (
        "the right to make a trigger",
        "grant trigger on shop.parts to rival",
        "revoke trigger on shop.parts from rival",
    ),
    (
        "the same for everybody who logs in",
        "grant trigger on shop.goods to public",
        "revoke trigger on shop.goods from public",
    ),
    (
        "the right to make a foreign key",
        "grant references on shop.goods to rival",
        "revoke references on shop.goods from rival",
    ),
    (
        "the same of a column",
        "grant references (id) on shop.goods to rival",
        "revoke references (id) on shop.goods from rival",
    ),
    (
        "a function",
        "alter function shop.two() owner to rival",
        "alter function shop.two() owner to boss",
    ),
    (
        "a function in the schema of plank",
        "create function plank.of_rival() returns int language sql as 'select 1'; alter function plank.of_rival() owner to rival",
        "drop function plank.of_rival()",
    ),
    (
        "a type",
        "alter type shop.size owner to rival",
        "alter type shop.size owner to boss",
    ),
    (
        "an operator",
        "create operator shop.=== (leftarg = int, rightarg = int, function = int4eq); alter operator shop.=== (int, int) owner to rival",
        "drop operator shop.=== (int, int)",
    ),
    (
        "statistics",
        "create statistics shop.s on id, n from shop.goods; alter statistics shop.s owner to rival",
        "drop statistics shop.s",
    ),
];

/// What a write of `shop.goods` would do besides, or leave behind, so that only reads need no boundary; and what takes that back.
const WRITES: &[(&str, &str, &str)] = &[
    (
        "a trigger",
        "create trigger t before insert on shop.goods for each row execute function shop.act()",
        "drop trigger t on shop.goods",
    ),
    (
        "a trigger of a table that a foreign key leads to",
        "create trigger t before delete on shop.parts for each row execute function shop.act()",
        "drop trigger t on shop.parts",
    ),
    (
        "a rule",
        "create rule r as on update to shop.goods do also notify x",
        "drop rule r on shop.goods",
    ),
    (
        "a child",
        "create table shop.child () inherits (shop.goods)",
        "drop table shop.child",
    ),
    (
        "capture that is switched off",
        "alter table shop.goods disable trigger user",
        "alter table shop.goods enable trigger user",
    ),
];

/// The tables that a role reads without a boundary, and those of them that it writes so.
async fn own(app: &TestApp, role: &str) -> [Vec<String>; 2] {
    app.execute(&format!("set session authorization {role}"))
        .await;
    let ask = async |which: &str| {
        let sql = format!(
            "select t.rel::regclass::text from plank.own_tables() t where {which} order by 1"
        );
        let rows = app.sql.query(&sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let found = [ask("true").await, ask("is_written").await];
    app.execute("reset session authorization").await;
    found
}

#[actix_rt::test]
async fn where_another_role_can_define_anything_no_table_is_without_a_boundary() {
    let app = TestApp::start().await;
    app.execute(TABLES).await;
    let all = [vec!["shop.goods", "shop.sold"], vec!["shop.goods"]];
    assert_eq!(own(&app, "boss").await, all);
    for (what, give, take) in PARTS {
        app.execute(give).await;
        assert_eq!(own(&app, "boss").await, [vec![""; 0], vec![]], "{what}");
        app.execute(take).await;
        assert_eq!(own(&app, "boss").await, all, "without {what}");
    }
    for (what, give, take) in WRITES {
        app.execute(give).await;
        let found = own(&app, "boss").await;
        assert_eq!(found, [all[0].clone(), vec![]], "{what}");
        app.execute(take).await;
        assert_eq!(own(&app, "boss").await, all, "without {what}");
    }
    // What row security hides from its owner is seen by the role that reads.
    app.execute("alter table shop.goods enable row level security, force row level security")
        .await;
    assert_eq!(own(&app, "boss").await, [vec!["shop.sold"], vec![]]);
    app.execute("grant plank_owner to rival").await;
    let none = [vec![""; 0], vec![]];
    assert_eq!(own(&app, "rival").await, none, "tables of others");
}

#[actix_rt::test]
async fn statements_on_tables_of_its_own_stay_prepared_and_do_the_same() {
    let app = super::start().await;
    let ask = async |path: &str| app.request("GET", path, None).await;
    let row = || Some(json!({"name": "more", "tags": ["x"]}));
    let first = ask("/rest/orders?order=id&limit=3").await;
    // How many sessions have last run a statement of that kind, at the words that only the one without a boundary has.
    let alone = async |words: &str| -> i64 {
        let sql = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'plank' \
                   and query like '%' || $1 || '%' and query not like '%rest\\_%'";
        app.sql.query_one(sql, &[&words]).await.unwrap().get(0)
    };
    until("a read without a boundary", async || {
        let again = ask("/rest/orders?order=id&limit=3").await;
        assert_eq!(again, first);
        alone("plank.holds").await > 0
    })
    .await;
    until("a write without a boundary", async || {
        let (status, _) = app.request("POST", "/rest/orders", row()).await;
        assert_eq!(status, 201);
        alone("plank.judge").await > 0
    })
    .await;
}

#[actix_rt::test]
async fn a_batch_of_tables_with_and_without_a_boundary_is_written_whole() {
    let app = super::start().await;
    app.execute(
        "create table heard (id int primary key);
         create function hear() returns trigger language plpgsql as 'begin return new; end';
         create trigger t before insert on heard for each row execute function hear();
         select plank.watch('heard', writable => true)",
    )
    .await;
    for (round, order) in [["orders", "heard"], ["heard", "orders"]]
        .iter()
        .enumerate()
    {
        let one = |table: &&str| match *table {
            "orders" => json!({"op": "insert", "table": "orders", "values": {"name": "n"}}),
            other => json!({"op": "insert", "table": other, "values": {"id": round}}),
        };
        let batch: Vec<_> = order.iter().map(one).collect();
        let (status, answer) = app.request("POST", "/rest", Some(json!(batch))).await;
        assert_eq!(status, 200, "{order:?}: {answer}");
    }
}

/// From the second time on a statement is prepared: what PostgreSQL refuses then is refused as before.
#[actix_rt::test]
async fn what_can_not_be_prepared_is_refused_in_the_same_words_each_time() {
    let app = super::start().await;
    let merge = [("prefer", "resolution=merge-duplicates")];
    for (method, path, body) in [
        ("POST", "/rest/orders?on_conflict=name", r#"{"name": "n"}"#),
        ("PATCH", "/rest/orders?id=eq.1", r#"{"doubled": 3}"#),
        ("PATCH", "/rest/orders?id=eq.x", r#"{"name": "n"}"#),
    ] {
        let headers: &[_] = if method == "POST" { &merge } else { &[] };
        let (status, _, first) = super::send(&app, method, path, headers, body).await;
        assert!((400..500).contains(&status), "{path}: {status} {first:?}");
        for _ in 0..3 {
            let (again, _, answer) = super::send(&app, method, path, headers, body).await;
            assert_eq!((again, &answer), (status, &first), "{path}");
        }
    }
}
