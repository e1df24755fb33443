//! `plank watch` and `plank unwatch`, the program: what becomes live, and what people are told.

use serde_json::json;

use crate::support::cluster::connect;
use crate::support::program::{Dir, Program, run};
use crate::support::{Cluster, TestApp, WsClient, until};

const NAME: &str = "\"Ünïté €\".\"Order \"\"Lines\"\"\"";

/// Runs it on a database of the shared cluster.
async fn plank(database: &str, args: &[&str]) -> (i32, String, String) {
    let url = Cluster::shared().url(database);
    run(&[args, &["--database-url", &url]].concat()).await
}

/// How `user` connects, with the password `secret`.
fn url_of(database: &str, user: &str) -> String {
    let url = Cluster::shared().url(database);
    url.replace("postgres@", &format!("{user}:secret@"))
}

#[actix_web::test]
async fn a_running_server_serves_a_table_at_once_and_lets_it_go() {
    let app = TestApp::start().await;
    app.execute(&format!(
        "create schema \"Ünïté €\"; create table {NAME} (\"Id\" int primary key, total numeric, hidden text)"
    ))
    .await;
    let done = plank(&app.database, &["watch", NAME, "--columns", "total"]).await;
    let said = format!("{NAME} is live: key Id, columns Id, total\n");
    assert_eq!(done, (0, said, String::new()));
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    until("the table is served", async || {
        client
            .send(json!({"type": "subscribe", "id": "a", "table": NAME}))
            .await;
        client.next().await.unwrap()["type"] == "subscribed"
    })
    .await;
    app.execute(&format!("insert into {NAME} values (1, 2.5, 'x')"))
        .await;
    assert_eq!(client.change().await["row"], json!({"Id": 1, "total": 2.5}));

    let done = plank(&app.database, &["unwatch", NAME]).await;
    let said = format!("{NAME} is not watched any more\n");
    assert_eq!(done, (0, said, String::new()));
    client.expect("unsubscribed").await;
    let (status, _, err) = plank(&app.database, &["unwatch", NAME]).await;
    assert_eq!(
        (status, err),
        (
            1,
            format!("plank: {NAME} is not watched; select * from plank.tables shows what is\n")
        )
    );
}

#[actix_web::test]
async fn a_name_is_one_of_public_and_settings_can_be_changed() {
    // Nothing of plank is there yet.
    let database = Cluster::shared().empty_database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    sql.batch_execute(
        "create schema postgres; create table postgres.t (id int); create table public.t (a int); set search_path = public",
    )
    .await
    .unwrap();
    let (status, out, err) = plank(&database, &["watch", "t"]).await;
    assert_eq!(status, 0, "{err}");
    assert_eq!(
        out,
        "public.t is live: all columns\npublic.t has no primary key: its changes carry no key\n"
    );
    let settings = async || {
        let sql_text = "select \"table\"::text, columns::text[], old_rows, level from plank.tables where \"table\"::text like '%t'";
        let row = sql.query_one(sql_text, &[]).await.unwrap();
        let (table, columns): (String, Option<Vec<String>>) = (row.get(0), row.get(1));
        (
            table,
            columns,
            row.get::<_, bool>(2),
            row.get::<_, String>(3),
        )
    };
    assert_eq!(
        settings().await,
        ("t".into(), None, true, "statement".into())
    );
    let (status, out, _) = plank(
        &database,
        &["watch", "t", "--columns", " a,", "--no-old-rows"],
    )
    .await;
    assert_eq!(status, 0, "{out}");
    let columns = Some(vec!["a".to_owned()]);
    assert_eq!(
        settings().await,
        ("t".into(), columns, false, "statement".into())
    );
    plank(&database, &["watch", "public.t", "--level", "row"]).await;
    assert_eq!(settings().await, ("t".into(), None, true, "row".into()));
}

#[actix_web::test]
async fn several_tables_and_whole_schemas_are_watched_at_once() {
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    let tables = "create table a (id int primary key); create table b (id int primary key); create schema sales; \
        create table sales.orders (id int primary key); create table sales.\"Lines\" (id int primary key) partition by list (id); \
        create table sales.lines_1 partition of sales.\"Lines\" for values in (1); create view sales.v as select 1";
    sql.batch_execute(tables).await.unwrap();
    let watched = async || {
        let rows = sql
            .query("select \"table\"::text from plank.tables order by 1", &[])
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let (status, out, err) = plank(&database, &["watch", "a", "public.b", "a", "--writable"]).await;
    assert_eq!((status, out.lines().count()), (0, 2), "{err}");
    assert!(
        out.lines().all(|line| line.ends_with(", writable")),
        "{out}"
    );
    let (status, out, err) = plank(&database, &["watch", "sales.*"]).await;
    assert_eq!((status, out.lines().count()), (0, 2), "{out} {err}");
    assert_eq!(
        watched().await,
        ["a", "b", "items", "sales.\"Lines\"", "sales.orders"]
    );
    assert_eq!(plank(&database, &["watch", "--schema", "sales"]).await.0, 0);
    assert_eq!(
        plank(&database, &["watch", "--all"])
            .await
            .1
            .lines()
            .count(),
        5
    );
    for (args, part) in [
        (
            &["watch", "nothing.*"][..],
            "the schema \"nothing\" has no table",
        ),
        (&["watch", "ordrs"], "did you mean sales.orders?"),
        (&["watch", "--all", "a"], "cannot be used with"),
        (&["watch"], "required"),
    ] {
        let (status, _, err) = plank(&database, args).await;
        assert!(status != 0 && err.contains(part), "{args:?}: {err}");
    }
}

#[actix_web::test]
async fn nothing_but_serve_makes_a_private_postgresql() {
    let dir = Dir::new("none");
    let data = format!("{}/data", dir.path());
    for args in [
        &["watch", "t"][..],
        &["unwatch", "t"],
        &["migrate"],
        &["policies", "t"],
    ] {
        let (status, _, err) = run(&[args, &["--data-dir", &data]].concat()).await;
        assert!(
            status == 1 && err.contains("which database?") && err.contains(&data),
            "{args:?}: {err}"
        );
        assert!(!std::path::Path::new(&data).exists(), "{args:?}");
    }
}

#[actix_web::test]
async fn a_mistake_is_said_with_what_to_do() {
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    sql.batch_execute(
        "create table t (id int primary key); create view v as select 1 as one; \
         create table p (id int primary key) partition by list (id)",
    )
    .await
    .unwrap();
    let cases: [(&[&str], &str); 9] = [
        (
            &["watch", "nope"],
            "relation \"nope\" does not exist; a name with capitals",
        ),
        (&["unwatch", "nope"], "relation \"nope\" does not exist"),
        (
            &["watch", "nowhere.t"],
            "schema \"nowhere\" does not exist; write the table as",
        ),
        (
            &["watch", "two words"],
            "invalid name syntax; write the table as",
        ),
        (&["watch", "t; drop table t"], "invalid name syntax"),
        (
            &["watch", "t", "--columns", "id,Nope"],
            "public.t has no column \"Nope\"\n",
        ),
        (
            &["watch", "t", "--columns", ""],
            "columns is empty; leave it out",
        ),
        (
            &["watch", "p", "--level", "statement"],
            "public.p can't be captured by statements: it is partitioned; leave level out",
        ),
        (&["watch", "v"], "public.v is not a table; views"),
    ];
    for (args, part) in cases {
        let (status, out, err) = plank(&database, args).await;
        assert_eq!((status, out.as_str()), (1, ""), "{args:?}: {err}");
        assert!(
            err.starts_with("plank: ") && err.contains(part),
            "{args:?}: {err}"
        );
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[actix_web::test]
async fn who_does_not_own_a_table_is_told_who_does() {
    let cluster = Cluster::shared();
    let database = cluster.empty_database().await;
    let admin = connect(&cluster.config(&database)).await;
    admin
        .batch_execute(&format!(
            "create role watch_plank login password 'secret'; create role \"Watch Alice\" login password 'secret'; \
             create role watch_eve login password 'secret'; alter database {database} owner to watch_plank; \
             grant create on schema public to watch_plank; \
             create table theirs (id int primary key); alter table theirs owner to \"Watch Alice\""
        ))
        .await
        .unwrap();
    let as_plank = url_of(&database, "watch_plank");
    let watch = async |url: &str| run(&["watch", "theirs", "--database-url", url]).await;
    let (status, _, err) = watch(&as_plank).await;
    assert_eq!(status, 1);
    for part in [
        "public.theirs belongs to \"Watch Alice\"",
        "alter table public.theirs owner to watch_plank",
        "grant \"Watch Alice\" to watch_plank",
        "grant watch_plank to \"Watch Alice\"",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (status, _, err) = watch(&url_of(&database, "watch_eve")).await;
    assert_eq!(status, 1);
    assert!(
        err.contains("user watch_eve may not use plank in this database"),
        "{err}"
    );

    // What it says to do works.
    admin
        .batch_execute("grant \"Watch Alice\" to watch_plank")
        .await
        .unwrap();
    let (status, out, err) = watch(&as_plank).await;
    assert_eq!(
        (status, out.as_str()),
        (0, "public.theirs is live: key id, all columns\n"),
        "{err}"
    );
}

#[actix_web::test]
async fn a_writer_that_does_not_end_is_said_and_nothing_is_changed() {
    let database = Cluster::shared().database().await;
    let writer = connect(&Cluster::shared().config(&database)).await;
    writer
        .batch_execute("create table t (id int primary key)")
        .await
        .unwrap();
    writer
        .batch_execute("begin; insert into t values (1)")
        .await
        .unwrap();
    let (status, _, err) = plank(&database, &["watch", "t"]).await;
    assert_eq!(status, 1);
    assert!(
        err.contains("public.t is in use by a transaction") && err.contains("try again"),
        "{err}"
    );
    writer.batch_execute("commit").await.unwrap();
    let left = "select count(*) from pg_trigger where tgrelid = 't'::regclass";
    assert_eq!(
        writer.query_one(left, &[]).await.unwrap().get::<_, i64>(0),
        0
    );
    assert_eq!(plank(&database, &["watch", "t"]).await.0, 0);
}

#[actix_web::test]
async fn it_finds_the_private_postgresql_of_a_plank_that_runs() {
    let dir = Dir::new("beside");
    let data = format!("{}/data", dir.path());
    let serve = Program::serve(&["--data-dir", &data]).await;
    let done = run(&["unwatch", "items", "--data-dir", &data]).await;
    assert_eq!(done.0, 0, "{done:?}");
    let done = run(&["watch", "items", "--data-dir", &data]).await;
    assert_eq!(
        done.1, "public.items is live: key id, all columns\n",
        "{done:?}"
    );
    let address = serve.address.parse().unwrap();
    until("the table is served again", async || {
        let mut client = WsClient::connect(address, "/ws?table=items").await;
        client.expect("welcome").await;
        client.next().await.unwrap()["type"] == "subscribed"
    })
    .await;
}
