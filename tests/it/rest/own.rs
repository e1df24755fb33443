//! Tables that run nothing of other roles: their statements run without a boundary, and stay prepared. One that any other role has a part in
//! is none of them.

use serde_json::json;

use crate::support::{TestApp, until};

/// A role `boss`, which the server could be, with tables of each kind, and another one, `rival`.
const TABLES: &str = "
    do $$ begin create role boss; exception when duplicate_object or unique_violation then null; end $$;
    do $$ begin create role rival; exception when duplicate_object or unique_violation then null; end $$;
    grant plank_owner to boss, rival;
    create schema shop authorization boss; create schema rivals authorization rival;
    grant usage, create on schema shop to rival; grant usage on schema rivals to boss;
    set role rival;
    create table rivals.elsewhere (id int primary key); grant references on rivals.elsewhere to boss;
    create type rivals.mood as enum ('good'); create domain rivals.positive as int check (value > 0);
    create function rivals.act() returns trigger language plpgsql as 'begin return new; end';
    create function rivals.one(v int) returns int language plpgsql immutable as 'begin return 1; end';
    set role boss;
    create type shop.size as enum ('s', 'm'); create domain shop.named as text check (value <> '');
    create function shop.two() returns int language sql immutable as 'select 2';
    create function shop.act() returns trigger language plpgsql as 'begin return new; end';
    create table shop.parent (id int primary key);
    create table shop.goods (id int primary key default shop.two(), n int, size shop.size, name shop.named, parent int references shop.parent);
    create index on shop.goods ((n + shop.two()));
    create trigger t before insert on shop.goods for each row execute function shop.act();
    create table shop.sold (id int) partition by list (id); create table shop.sold_1 partition of shop.sold for values in (1);
    reset role;
    select plank.watch('shop.goods', writable => true), plank.watch('shop.sold', writable => true)";

/// What gives another role a part in `shop.goods` (or, for the partitions, in `shop.sold`), and what takes it back.
const PARTS: &[(&str, &str, &str)] = &[
    (
        "another owner",
        "alter table shop.goods owner to rival",
        "alter table shop.goods owner to boss",
    ),
    (
        "the right to make a trigger",
        "grant trigger on shop.goods to rival",
        "revoke trigger on shop.goods from rival",
    ),
    (
        "the same for everybody",
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
        "a function of a trigger",
        "create trigger other before update on shop.goods for each row execute function rivals.act()",
        "drop trigger other on shop.goods",
    ),
    (
        "a function of its own trigger",
        "alter function shop.act() owner to rival",
        "alter function shop.act() owner to boss",
    ),
    (
        "a default",
        "alter table shop.goods alter n set default rivals.one(1)",
        "alter table shop.goods alter n drop default",
    ),
    (
        "a generated column",
        "alter table shop.goods add g int generated always as (rivals.one(n)) stored",
        "alter table shop.goods drop g",
    ),
    (
        "a check",
        "alter table shop.goods add constraint c check (rivals.one(n) = 1)",
        "alter table shop.goods drop constraint c",
    ),
    (
        "an expression of an index",
        "create index i on shop.goods (rivals.one(n))",
        "drop index shop.i",
    ),
    (
        "a condition of an index",
        "create index i on shop.goods (n) where rivals.one(n) = 1",
        "drop index shop.i",
    ),
    (
        "statistics",
        "create statistics shop.s on (rivals.one(n)) from shop.goods",
        "drop statistics shop.s",
    ),
    (
        "a type",
        "alter table shop.goods add m rivals.mood",
        "alter table shop.goods drop m",
    ),
    (
        "a list of a type",
        "alter table shop.goods add m rivals.mood[]",
        "alter table shop.goods drop m",
    ),
    (
        "a domain",
        "alter table shop.goods add m rivals.positive",
        "alter table shop.goods drop m",
    ),
    (
        "a type that has another owner now",
        "alter type shop.size owner to rival",
        "alter type shop.size owner to boss",
    ),
    (
        "a member of a type",
        "create type shop.pair as (a int, b rivals.mood); alter table shop.goods add m shop.pair",
        "alter table shop.goods drop m; drop type shop.pair",
    ),
    (
        "a check of a domain",
        "create domain shop.odd as int check (rivals.one(value) = 1); alter table shop.goods add m shop.odd",
        "alter table shop.goods drop m; drop domain shop.odd",
    ),
    (
        "a cast",
        "create function rivals.cast(v shop.size) returns json language sql as $$ select '1'::json $$; \
         alter function rivals.cast(shop.size) owner to rival; create cast (shop.size as json) with function rivals.cast(shop.size)",
        "drop cast (shop.size as json); drop function rivals.cast(shop.size)",
    ),
    (
        "a table that refers to it",
        "create table rivals.refers (id int references shop.goods on delete cascade); alter table rivals.refers owner to rival",
        "drop table rivals.refers",
    ),
    (
        "a table that it refers to",
        "alter table shop.goods add other int references rivals.elsewhere",
        "alter table shop.goods drop other",
    ),
    (
        "a table that a table refers to",
        "alter table shop.parent add other int references rivals.elsewhere",
        "alter table shop.parent drop other",
    ),
    (
        "a child",
        "create table rivals.child () inherits (shop.goods); alter table rivals.child owner to rival",
        "drop table rivals.child",
    ),
    (
        "a rule",
        "create rule r as on update to shop.goods do also notify x",
        "drop rule r on shop.goods",
    ),
    (
        "row security that holds for its owner",
        "alter table shop.goods enable row level security, force row level security",
        "alter table shop.goods disable row level security, no force row level security",
    ),
    (
        "a schema that is closed",
        "alter schema shop owner to rival; revoke all on schema shop from boss",
        "alter schema shop owner to boss",
    ),
    (
        "a partition",
        "alter table shop.sold_1 owner to rival",
        "alter table shop.sold_1 owner to boss",
    ),
    (
        "a trigger of a partition",
        "create trigger other before insert on shop.sold_1 for each row execute function rivals.act()",
        "drop trigger other on shop.sold_1",
    ),
];

/// The tables that a role runs without a boundary.
async fn own(app: &TestApp, role: &str) -> Vec<String> {
    app.execute(&format!("set session authorization {role}"))
        .await;
    let rows = app
        .sql
        .query(
            "select t::regclass::text from plank.own_tables() t order by 1",
            &[],
        )
        .await
        .unwrap();
    app.execute("reset session authorization").await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[actix_rt::test]
async fn a_table_that_another_role_has_a_part_in_runs_behind_the_boundary() {
    let app = TestApp::start().await;
    app.execute(TABLES).await;
    let both = ["shop.goods", "shop.sold"];
    assert_eq!(own(&app, "boss").await, both);
    for (what, give, take) in PARTS {
        app.execute(give).await;
        let left = own(&app, "boss").await;
        assert!(left.len() < both.len(), "{what}: {left:?}");
        app.execute(take).await;
        assert_eq!(own(&app, "boss").await, both, "without {what}");
    }
    assert_eq!(own(&app, "rival").await, [""; 0], "tables of others");
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
