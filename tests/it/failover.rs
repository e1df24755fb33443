//! The database becomes another one: a standby takes over, a dump is restored, a copy is made. Transaction ids mean
//! something else there, so every cursor from before is told so.

use std::process::Stdio;

use tokio::process::Command;

use crate::resume::cursor;
use crate::support::cluster::connect;
use crate::support::proxy::PgProxy;
use crate::support::{Cluster, TestApp, until, within};

#[actix_web::test]
async fn guarantee_4_failover_to_a_standby_that_lags_is_a_reset_and_a_new_snapshot() {
    let mut primary = Cluster::start();
    let proxy = PgProxy::start(&primary.config("plank")).await;
    let sql = connect(&primary.config("plank")).await;
    let app = TestApp::build(
        proxy.config("postgres", "plank"),
        sql,
        "plank".into(),
        |_| {},
    )
    .await;
    app.ready().await;
    app.execute("insert into items (name) values ('on both')")
        .await;
    let mut client = app.ws("/ws?table=items&snapshot=1").await;
    client.expect("welcome").await;
    assert_eq!(client.snapshot().await.0.len(), 1);
    client.expect("subscribed").await;

    let standby = primary.lagging_standby().await;
    until("the primary is followed again", async || {
        app.health.is_live()
    })
    .await;
    let sql = connect(&primary.config("plank")).await;
    sql.batch_execute("insert into items (name) values ('on the primary only')")
        .await
        .unwrap();
    let (changes, ahead) = client.batch_and_cursor().await;
    assert_eq!(changes[0]["row"]["name"], "on the primary only");

    proxy.redirect(&standby.config("plank"));
    primary.stop().await;
    until("it says that this is a standby", async || {
        app.health.trouble().contains("is a standby")
    })
    .await;
    let sql = connect(&standby.config("plank")).await;
    sql.batch_execute("select pg_promote()").await.unwrap();
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    let (rows, _) = client.snapshot().await;
    assert_eq!(
        rows.len(),
        1,
        "the change that was lost is not shown any more: {rows:?}"
    );
    client.expect("subscribed").await;
    // Its transaction id is given to another one, and that one is not taken for seen.
    sql.batch_execute("insert into items (name) values ('after')")
        .await
        .unwrap();
    assert_eq!(client.change().await["row"]["name"], "after");
    let mut client = app.ws(&format!("/ws?table=items&since={ahead}")).await;
    client.expect("welcome").await;
    assert_eq!(client.expect("reset").await["reason"], "epoch");
}

#[actix_web::test]
async fn a_dump_that_is_restored_has_a_log_of_its_own() {
    let app = TestApp::start().await;
    app.execute("create table kept (id int primary key); select plank.watch('kept'); insert into kept values (1); insert into items (name) values ('kept'); select plank.allow('kept', 'viewer', 'id=gt.0')").await;
    let old = cursor(&app).await;
    let restored = Cluster::shared().empty_database().await;
    let (from, to) = (
        Cluster::shared().url(&app.database),
        Cluster::shared().url(&restored),
    );
    let dump = format!("pg_dump '{from}' | psql -q -v ON_ERROR_STOP=1 '{to}'");
    let mut shell = Command::new("sh")
        .args(["-c", &dump])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(
        within("pg_dump and psql", shell.wait())
            .await
            .unwrap()
            .success()
    );
    let target = Cluster::shared().config(&restored);
    let other = TestApp::build(target.clone(), connect(&target).await, restored, |_| {}).await;
    other.ready().await;
    let logged: i64 = other
        .sql
        .query_one("select count(*) from plank.log", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(logged, 0, "foreign transaction ids are gone");
    // A policy goes by the name of its table, and has been there for all cursors of this log.
    let policies = "select rel::text || ' ' || role || ' ' || since::text from plank.policy";
    let policies = other.sql.query_one(policies, &[]).await.unwrap();
    assert_eq!(policies.get::<_, String>(0), "kept viewer 0");
    let mut client = other
        .ws(&format!("/ws?table=kept&snapshot=1&since={old}"))
        .await;
    client.expect("welcome").await;
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    assert_eq!(client.snapshot().await.0.len(), 1);
    client.expect("subscribed").await;
    other.execute("insert into kept values (2)").await;
    assert_eq!(client.change().await["key"]["id"], 2);
    // And the new log serves its own cursors from the start.
    let new = cursor(&other).await;
    other.execute("insert into kept values (3)").await;
    let mut client = other.ws(&format!("/ws?table=kept&since={new}")).await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    assert_eq!(client.change().await["key"]["id"], 3);
}

#[actix_web::test]
async fn a_restore_into_the_same_database_is_noticed_as_well() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('dumped')")
        .await;
    let url = Cluster::shared().url(&app.database);
    let file = format!("/tmp/plank-it-dump-{}-{}", std::process::id(), app.database);
    let shell = async |command: String| {
        let mut shell = Command::new("sh")
            .args(["-c", &command])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(
            within("a shell", shell.wait()).await.unwrap().success(),
            "{command}"
        );
    };
    shell(format!("pg_dump --clean --if-exists '{url}' > {file}")).await;
    app.execute("insert into items (name) values ('lost by the restore')")
        .await;
    let old = cursor(&app).await;
    let database = app.database.clone();
    app.stop().await.unwrap();
    shell(format!(
        "psql -q -v ON_ERROR_STOP=1 '{url}' -f {file}; status=$?; rm {file}; exit $status"
    ))
    .await;
    let target = Cluster::shared().config(&database);
    let app = TestApp::build(target.clone(), connect(&target).await, database, |_| {}).await;
    app.ready().await;
    let mut client = app
        .ws(&format!("/ws?table=items&snapshot=1&since={old}"))
        .await;
    client.expect("welcome").await;
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    assert_eq!(client.snapshot().await.0.len(), 1);
}
