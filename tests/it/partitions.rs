//! A partitioned table is one table, with all its partitions.

use serde_json::json;

use crate::capture::table_is_followed;
use crate::live::watched;
use crate::support::TestApp;

#[actix_web::test]
async fn partitions_are_their_root() {
    table_is_followed(
        "create table p (id int, k int, v text, primary key (id, k)) partition by list (k);
         create table p1 partition of p for values in (1); create table p2 partition of p for values in (2) partition by list (id);
         create table p2a partition of p2 for values in (1, 2, 3); create table p2b partition of p2 default",
        "p",
        &[
            "insert into p values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')",
            "insert into p2 values (7, 2, 'direct')",
            "update p set k = 2 where id = 1",
            "update p2a set v = 'there'",
            "delete from p1",
            "insert into p values (5, 1, 'x')",
            "truncate p1",
            "truncate p2",
            "insert into p values (6, 1, 'y'), (6, 2, 'z')",
            "truncate p2b, p",
            "insert into p values (8, 1, 'y')",
        ],
    )
    .await;
}

#[actix_web::test]
async fn partitions_that_come_and_go_are_followed() {
    // Its house is kept often, as with a short retention.
    let app =
        TestApp::start_with(|config| config.retention.keep = std::time::Duration::from_secs(14))
            .await;
    app.execute("create table q (id int, k int, primary key (id, k)) partition by list (k); create table q1 partition of q for values in (1); select plank.watch('q')").await;
    let mut client = watched(&app, "q").await;
    // Through the root a new one is seen at once.
    app.execute("create table q2 partition of q for values in (2); insert into q values (1, 2)")
        .await;
    assert_eq!(client.change().await["key"], json!({"id": 1, "k": 2}));
    // With rows in it, clients are told to load the table again; from then on it is seen directly as well.
    assert_eq!(client.expect("reset").await["reason"], "schema");
    client.expect("subscribed").await;
    app.execute("insert into q2 values (2, 2)").await;
    assert_eq!(client.change().await["key"], json!({"id": 2, "k": 2}));
    app.execute("create table q3 (id int, k int not null, primary key (id, k)); insert into q3 values (3, 3); alter table q attach partition q3 for values in (3)").await;
    client.expect("reset").await;
    client.expect("subscribed").await;
    app.execute("alter table q detach partition q1").await;
    client.expect("reset").await;
    client.expect("subscribed").await;
    let left = "select count(*) from pg_trigger where tgrelid = 'q1'::regclass";
    assert_eq!(
        app.sql.query_one(left, &[]).await.unwrap().get::<_, i64>(0),
        0
    );
    app.execute("drop table q2").await;
    client.expect("reset").await;
    client.expect("subscribed").await;
    // An empty one is no news.
    app.execute("create table q4 partition of q for values in (4)")
        .await;
    let known = "select count(*) from plank.member where rel = 'q4'::regclass";
    crate::support::until("it is known", async || {
        app.sql
            .query_one(known, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 1
    })
    .await;
    app.execute("insert into q4 values (4, 4)").await;
    assert_eq!(client.change().await["key"], json!({"id": 4, "k": 4}));
}
