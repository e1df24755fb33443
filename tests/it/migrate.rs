//! The schema: by the node that is first, with the rights that there are.

use plank::app::{prepare, prepare_for};
use plank::config::Database;
use tokio_postgres::Config;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

/// How many there are.
const MIGRATIONS: usize = 13;

fn both(config: Config) -> Database {
    Database {
        requests: config.clone().into(),
        listen: config.into(),
    }
}

/// A role of this test's own, which may do what `rights` say; how it connects to `database`.
async fn role(name: &str, rights: &str, database: &str) -> Config {
    let admin = connect(&Cluster::shared().config("postgres")).await;
    admin
        .batch_execute(&format!(
            "create role {name} login {rights} password 'secret'"
        ))
        .await
        .unwrap();
    let mut config = Cluster::shared().config(database);
    config.user(name).password("secret");
    config
}

#[actix_web::test]
async fn several_nodes_may_start_at_once() {
    // Several rounds: what they can get into each other's way with is a matter of microseconds.
    for _ in 0..4 {
        let database = Cluster::shared().empty_database().await;
        let target = both(Cluster::shared().config(&database));
        let nodes = (0..6).map(|_| prepare(&target));
        let applied = futures_util::future::join_all(nodes).await;
        let mut counts: Vec<_> = applied.into_iter().map(|n| n.unwrap().len()).collect();
        counts.sort_unstable();
        assert_eq!(
            counts,
            [0, 0, 0, 0, 0, MIGRATIONS],
            "one of them has done it all"
        );
        let sql = connect(&target.listen.config).await;
        let owner: String = sql
            .query_one(
                "select nspowner::regrole::text from pg_namespace where nspname = 'plank'",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(owner, "plank_owner");
    }
}

#[actix_web::test]
async fn the_owner_of_the_database_needs_no_other_right() {
    let database = Cluster::shared().empty_database().await;
    let config = role("owner_of_db", "", &database).await;
    let admin = connect(&Cluster::shared().config(&database)).await;
    admin
        .batch_execute(&format!("alter database {database} owner to owner_of_db"))
        .await
        .unwrap();
    assert_eq!(
        prepare(&both(config.clone())).await.unwrap().len(),
        MIGRATIONS
    );
    let app = TestApp::build(config.clone(), connect(&config).await, database, |_| {}).await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    app.execute("create table mine (id int primary key); select plank.watch('mine'); insert into items (name) values ('a')").await;
    assert_eq!(client.change().await["row"]["name"], "a");
    let secret = admin.query_one("select rolname::text from pg_roles r join pg_namespace n on n.nspowner = r.oid where nspname = 'plank'", &[]).await.unwrap();
    assert_eq!(secret.get::<_, String>(0), "owner_of_db");
}

#[actix_web::test]
async fn one_that_may_create_roles_gives_the_schema_away() {
    // A cluster of its own: since PostgreSQL 16 a role that another one has made is not usable.
    let cluster = Cluster::start();
    let database = cluster.empty_database().await;
    let admin = connect(&cluster.config(&database)).await;
    let role = "create role role_maker login createrole password 'secret'";
    admin
        .batch_execute(&format!(
            "{role}; alter database {database} owner to role_maker"
        ))
        .await
        .unwrap();
    let mut config = cluster.config(&database);
    config.user("role_maker").password("secret");
    prepare(&both(config.clone())).await.unwrap();
    let sql = "select count(*) from pg_proc where pronamespace = 'plank'::regnamespace and proowner::regrole::text <> plank.runs_as(proname)";
    assert_eq!(admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    let app = TestApp::build(config.clone(), connect(&config).await, database, |_| {}).await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    app.execute(
        "insert into items (name) values ('a'); create table t (id int primary key); select plank.watch('t'); select plank.unwatch('t')",
    )
    .await;
    assert_eq!(client.change().await["row"]["name"], "a");
}

#[actix_web::test]
async fn a_plank_that_ended_before_it_gave_the_schema_away_is_made_up_for() {
    let database = Cluster::shared().database().await;
    let config = Cluster::shared().config(&database);
    let sql = connect(&config).await;
    sql.batch_execute("alter function plank.capture_insert() owner to postgres; alter schema plank owner to postgres").await.unwrap();
    assert!(prepare(&both(config)).await.unwrap().is_empty());
    let owner = "select proowner::regrole::text from pg_proc where oid = 'plank.capture_insert()'::regprocedure";
    assert_eq!(
        sql.query_one(owner, &[]).await.unwrap().get::<_, String>(0),
        "plank_capture"
    );
}

#[actix_web::test]
async fn a_missing_right_is_named() {
    let database = Cluster::shared().empty_database().await;
    let config = role("has_nothing", "", &database).await;
    let error = prepare(&both(config)).await.unwrap_err().to_string();
    assert!(
        error.contains("has_nothing") && error.contains("grant create on database"),
        "{error}"
    );
}

#[actix_web::test]
async fn a_database_that_takes_any_bytes_for_text_is_refused() {
    let admin = connect(&Cluster::shared().config("postgres")).await;
    admin
        .batch_execute("create database ascii encoding 'SQL_ASCII' locale 'C' template template0")
        .await
        .unwrap();
    let error = prepare(&both(Cluster::shared().config("ascii")))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SQL_ASCII") && error.contains("UTF8"),
        "{error}"
    );
}

#[actix_web::test]
async fn a_foreign_table_named_items_is_not_touched() {
    let database = Cluster::shared().empty_database().await;
    let config = Cluster::shared().config(&database);
    let sql = connect(&config).await;
    sql.batch_execute("create table items (a int); insert into items values (7)")
        .await
        .unwrap();
    let error = prepare_for(&both(config.clone()), true).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("public.items") && error.contains("without --demo"),
        "{error}"
    );
    // Without the demo it is a table like any other, and /api/items is not there.
    let own = connect(&config).await;
    let app = TestApp::build(config, own, database, |config| config.demo = false).await;
    app.ready().await;
    app.execute(
        "alter table items add primary key (a); select plank.watch('items', writable => true)",
    )
    .await;
    crate::support::until("it is watched", async || {
        app.request("GET", "/rest/items", None).await.0 == 200
    })
    .await;
    assert_eq!(
        app.request("GET", "/rest/items", None).await.1,
        serde_json::json!([{"a": 7}])
    );
    assert_eq!(app.request("GET", "/api/items", None).await.0, 404);
    assert_eq!(
        sql.query_one("select a from items", &[])
            .await
            .unwrap()
            .get::<_, i32>(0),
        7
    );
}

#[actix_web::test]
async fn uninstall_leaves_nothing_behind() {
    let database = Cluster::shared().empty_database().await;
    let url = Cluster::shared().url(&database);
    let sql = connect(&Cluster::shared().config(&database)).await;
    let refused =
        crate::support::program::run(&["migrate", "--uninstall", "--yes", "--database-url", &url])
            .await;
    assert!(
        refused.0 == 1 && refused.2.contains("there is no plank in this database"),
        "{refused:?}"
    );
    assert_eq!(
        prepare_for(&both(Cluster::shared().config(&database)), true)
            .await
            .unwrap()
            .len(),
        MIGRATIONS
    );
    // What a catalog looks like, as far as a table's owner can be bothered by it.
    let traces = "select (select count(*) from pg_trigger where tgname like 'plank%') + (select count(*) from pg_policy where polname like 'plank%') \
        + (select count(*) from pg_namespace where nspname in ('plank', 'plank_query')) + (select count(*) from pg_proc where proname like 'capture%') \
        + (select count(*) from pg_class c, aclexplode(c.relacl) a where a.grantee in (select oid from pg_roles where rolname in ('plank_owner', 'plank_reader', 'plank_writer', 'plank_capture'))) \
        + (select count(*) from pg_namespace n, aclexplode(n.nspacl) a where a.grantee in (select oid from pg_roles where rolname in ('plank_owner', 'plank_reader', 'plank_writer', 'plank_capture')))";
    sql.batch_execute(
        "create role shop_owner; create schema shop authorization shop_owner; create table shop.orders (id int primary key); alter table shop.orders owner to shop_owner; \
         alter table shop.orders enable row level security; create table shop.parts (id int primary key) partition by list (id); create table shop.part1 partition of shop.parts for values in (1); \
         select plank.watch('shop.orders', writable => true); select plank.watch('shop.parts'); \
         create view shop.ids as select id from shop.parts; select plank.watch_query('ids', 'select id from shop.ids', '{id}'); insert into shop.parts values (1); insert into items (name) values ('stays')",
    )
    .await
    .unwrap();
    let app = TestApp::build(
        Cluster::shared().config(&database),
        connect(&Cluster::shared().config(&database)).await,
        database.clone(),
        |_| {},
    )
    .await;
    app.ready().await;
    let refused =
        crate::support::program::run(&["migrate", "--uninstall", "--yes", "--database-url", &url])
            .await;
    assert!(
        refused.0 == 1
            && refused
                .2
                .contains("a server is running on this database (stop it first"),
        "{refused:?}"
    );
    app.stop().await.unwrap();
    let refused =
        crate::support::program::run(&["migrate", "--uninstall", "--database-url", &url]).await;
    assert!(
        refused.0 == 1
            && refused
                .2
                .contains("nothing was changed; answer yes, or say --yes"),
        "{refused:?}"
    );
    assert!(
        refused.1.contains("items") && refused.1.contains("shop.orders"),
        "{refused:?}"
    );

    // One table first: only what is of the other one stays.
    sql.batch_execute("select plank.unwatch('shop.orders')")
        .await
        .unwrap();
    let left = "select count(*) from pg_class c, aclexplode(c.relacl) a where c.relname = 'orders' and a.grantee in (select oid from pg_roles where rolname in ('plank_owner', 'plank_reader', 'plank_capture'))";
    assert_eq!(sql.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    crate::support::until("the server's sessions have ended", async || {
        let sessions = "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'plank%'";
        sql.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let (status, out, err) =
        crate::support::program::run(&["migrate", "--uninstall", "--yes", "--database-url", &url])
            .await;
    assert!(
        status == 0 && out.ends_with("plank is gone from this database\n"),
        "{out} {err}"
    );
    assert_eq!(
        sql.query_one(traces, &[]).await.unwrap().get::<_, i64>(0),
        0
    );
    sql.batch_execute("insert into shop.parts values (1) on conflict do nothing; update items set name = 'x'; delete from shop.part1").await.unwrap();
}

/// The list of what plank has made is kept by hand, and goes for what `--uninstall` drops.
#[actix_web::test]
async fn all_that_the_migrations_make_is_on_the_list() {
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    let missing = "select coalesce(string_agg(name, ' '), '') from (
        select relname::text as name from pg_class where relnamespace = 'plank'::regnamespace and relkind in ('r', 'p', 'v', 'S') and not plank.is_made('r', relname)
        union all select proname::text from pg_proc where pronamespace = 'plank'::regnamespace and not plank.is_made('f', proname)) x";
    assert_eq!(
        sql.query_one(missing, &[])
            .await
            .unwrap()
            .get::<_, String>(0),
        ""
    );
}

/// The search path of a role named plank leads into the schema plank.
#[actix_web::test]
async fn what_others_put_into_the_schema_stays() {
    let database = Cluster::shared().database().await;
    let (url, sql) = (
        Cluster::shared().url(&database),
        connect(&Cluster::shared().config(&database)).await,
    );
    sql.batch_execute(
        "create table plank.orders (id int primary key); insert into plank.orders values (1)",
    )
    .await
    .unwrap();
    let refused = sql
        .batch_execute("select plank.watch('plank.orders')")
        .await
        .unwrap_err();
    let hint = refused
        .as_db_error()
        .unwrap()
        .hint()
        .unwrap_or_default()
        .to_owned();
    assert!(hint.contains("set schema public"), "{hint}");
    let (status, out, err) =
        crate::support::program::run(&["migrate", "--uninstall", "--yes", "--database-url", &url])
            .await;
    assert_eq!(status, 0, "{out} {err}");
    let left = "select count(*) from plank.orders";
    assert_eq!(sql.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 1);
    let others = "select count(*) from pg_class where relnamespace = 'plank'::regnamespace and relkind in ('r', 'p', 'v', 'S')";
    assert_eq!(
        sql.query_one(others, &[]).await.unwrap().get::<_, i64>(0),
        1
    );
}

#[actix_web::test]
async fn schema_of_a_development_version_is_refused_with_what_to_do() {
    let database = Cluster::shared().database().await;
    let (url, sql) = (
        Cluster::shared().url(&database),
        connect(&Cluster::shared().config(&database)).await,
    );
    let development = "development version; plank migrate --uninstall";
    for (change, back, said) in [
        (
            "insert into plank.migrations values (1, 'items', '2026-11-01T00:00:00Z', '1')",
            "delete from plank.migrations where version = 1",
            development,
        ),
        (
            "insert into plank.migrations values (99, 'later', '2026-11-01T00:00:00Z', '1')",
            "delete from plank.migrations where version = 99",
            "newer plank",
        ),
        (
            "update plank.migrations set checksum = '1' where version = 3",
            "",
            development,
        ),
    ] {
        sql.batch_execute(change).await.unwrap();
        let (status, _, err) =
            crate::support::program::run(&["migrate", "--database-url", &url]).await;
        assert_eq!(status, 1);
        for part in said.split("; ") {
            assert!(err.contains(part), "{change}: {err}");
        }
        sql.batch_execute(back).await.unwrap();
    }
}
