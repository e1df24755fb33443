//! What the server, the database and the role have set for other programs does not reach plank's own sessions.

use std::time::Duration;

use futures_util::future::join_all;
use plank::app::prepare;
use plank::config::Database;
use serde_json::json;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

/// Settings that would change what plank's statements mean, or end them.
const FOREIGN: &[(&str, &str)] = &[
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_deferrable", "on"),
    ("statement_timeout", "250ms"),
    ("lock_timeout", "20ms"),
    ("idle_in_transaction_session_timeout", "20ms"),
    ("idle_session_timeout", "100ms"),
    ("row_security", "off"),
    ("session_replication_role", "replica"),
    ("synchronous_commit", "off"),
    ("search_path", "nowhere"),
    ("exit_on_error", "on"),
    ("quote_all_identifiers", "on"),
    ("standard_conforming_strings", "off"),
    ("array_nulls", "off"),
    ("datestyle", "German"),
    ("intervalstyle", "sql_standard"),
    ("timezone", "Asia/Kathmandu"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("default_tablespace", "nowhere"),
];

async fn set(database: &str, settings: &[(&str, &str)]) {
    let admin = connect(&Cluster::shared().config("postgres")).await;
    for (name, value) in settings {
        let sql = format!("alter database {database} set {name} = '{value}'");
        admin.batch_execute(&sql).await.unwrap();
    }
}

/// A connection of the test that has what every other program has.
async fn plain(database: &str) -> tokio_postgres::Client {
    let client = connect(&Cluster::shared().config(database)).await;
    let own = "set default_transaction_read_only = off; set session_replication_role = origin; set statement_timeout = 0; \
        set lock_timeout = 0; set idle_session_timeout = 0; set idle_in_transaction_session_timeout = 0; \
        set search_path = public; set row_security = on; set exit_on_error = off; set default_transaction_deferrable = off";
    client.batch_execute(own).await.unwrap();
    client
}

#[actix_web::test]
async fn settings_of_the_database_do_not_reach_a_session_of_plank() {
    let database = Cluster::shared().empty_database().await;
    set(&database, FOREIGN).await;
    let target = Cluster::shared().config(&database);
    let app = TestApp::build(target, plain(&database).await, database, |_| {}).await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    // Longer than the foreign timeout, within a transaction.
    app.execute(
        "create function public.slowly() returns trigger language plpgsql as \
         $$ begin perform pg_sleep(0.4); return new; end $$; \
         create trigger slowly before insert on public.items for each row execute function public.slowly()",
    )
    .await;
    let body = json!({"name": "a\\b", "data": {"at": 1}});
    let (status, item) = app.request("POST", "/api/items", Some(body)).await;
    assert_eq!((status, &item["name"]), (201, &json!("a\\b")), "{item}");
    let change = client.change().await;
    assert_eq!(change["row"], item, "capture and REST write alike");
    let (status, rows) = app.request("GET", "/api/tables/items/rows", None).await;
    assert_eq!((status, &rows["rows"][0]), (200, &item));
    let path = "/api/changes?table=items&since=-1h";
    let (status, _) = app.request("GET", path, None).await;
    assert!(matches!(status, 200 | 400), "{status}");
    // An idle connection is not ended.
    let sql = "select count(*) from pg_stat_activity where application_name = 'plank' and datname = current_database() \
        and clock_timestamp() - state_change > interval '1 s'";
    until("a connection stays although it is idle", async || {
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    assert_eq!(app.metric("plank_listener_reconnects_total").await, 0.0);
}

/// Pruning needs READ COMMITTED, and may write.
#[actix_web::test]
async fn log_is_pruned_whatever_the_database_has_set() {
    let database = Cluster::shared().empty_database().await;
    set(&database, FOREIGN).await;
    let target = Cluster::shared().config(&database);
    let app = TestApp::build(target, plain(&database).await, database, |config| {
        config.retention.keep = Duration::from_secs(2);
    })
    .await;
    app.ready().await;
    app.execute("insert into public.items (name) values ('old')")
        .await;
    let sql = "select count(*) from plank.log where op in ('I', 'i')";
    until("the log is pruned", async || {
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[actix_web::test]
async fn concurrent_writes_succeed_whatever_the_default_isolation_is() {
    for isolation in ["repeatable read", "serializable"] {
        let database = Cluster::shared().database().await;
        set(&database, &[("default_transaction_isolation", isolation)]).await;
        let app = TestApp::on(&database).await;
        let (_, item) = app
            .request("POST", "/api/items", Some(json!({"name": "a"})))
            .await;
        let path = format!("/api/items/{}", item["id"]);
        let patches = (0..200).map(|i| {
            app.request(
                "PATCH",
                &path,
                Some(json!({"description": format!("n{i}")})),
            )
        });
        for (status, body) in join_all(patches).await {
            assert_eq!(status, 200, "{isolation}: {body}");
        }
    }
}

#[actix_web::test]
async fn a_setting_that_plank_may_not_change_back_is_named() {
    let database = Cluster::shared().database().await;
    let admin = connect(&Cluster::shared().config(&database)).await;
    admin
        .batch_execute(
            "create role replica_only login password 'secret'; \
             alter role replica_only set session_replication_role = replica",
        )
        .await
        .unwrap();
    let mut config = Cluster::shared().config(&database);
    config.user("replica_only").password("secret");
    let target = Database {
        requests: config.clone().into(),
        listen: config.into(),
    };
    let refused = prepare(&target).await.unwrap_err().to_string();
    assert!(refused.contains("session_replication_role"), "{refused}");
}
