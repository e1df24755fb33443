//! Tables that are altered while they are followed.

use serde_json::json;

use crate::resume::cursor;
use crate::support::{TestApp, until};

#[actix_web::test]
async fn a_column_that_takes_the_name_of_another_makes_rows_void() {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, a text, b text); select plank.watch('t'); insert into t values (1, 'a', 'b')")
        .await;
    let mut client = app.subscribed("t").await;
    for alter in [
        // Names and types are those of before.
        "begin; alter table t rename a to c; alter table t rename b to a; alter table t rename c to b; commit",
        "alter table t drop column b, add column b text default 'new'",
    ] {
        let before = cursor(&app).await;
        app.execute(alter).await;
        assert_eq!(client.expect("reset").await["reason"], "schema", "{alter}");
        client.expect("subscribed").await;
        let resume = format!("/api/changes?table=t&since={before}");
        assert_eq!(app.request("GET", &resume, None).await.0, 410, "{alter}");
    }
}

#[actix_web::test]
async fn a_schema_that_is_renamed_is_followed() {
    let app = TestApp::start().await;
    app.execute("create schema s; create table s.t (id int primary key); select plank.watch('s.t'); insert into s.t values (1)")
        .await;
    app.execute("alter schema s rename to r").await;
    until("the table has its new name", async || {
        let (status, rows) = app.request("GET", "/api/tables/r.t/rows", None).await;
        status == 200 && rows["rows"] == json!([{"id": 1}])
    })
    .await;
}

#[actix_web::test]
async fn a_label_that_is_added_below_a_domain_can_be_filtered_by() {
    let app = TestApp::start().await;
    app.execute("create type mood as enum ('sad'); create domain feeling as mood; create domain deep as feeling; \
                 create table t (id int primary key, m deep); select plank.watch('t')")
        .await;
    app.execute("alter type mood add value 'ok'").await;
    until("the label is known", async || {
        let (status, _) = app
            .request("GET", "/api/changes?table=t&m=eq.ok", None)
            .await;
        status == 200
    })
    .await;
}

#[actix_web::test]
async fn a_snapshot_waits_until_it_is_known_how_the_table_was_altered() {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, n int); select plank.watch('t'); insert into t values (1, 5)")
        .await;
    let mut client = app.ws("/ws?table=t&n=eq.5&snapshot=1").await;
    client.expect("welcome").await;
    client.expect("snapshot").await;
    client.expect("subscribed").await;
    // The row does not fit what is known of the table, and neither does the condition: it compares with an integer.
    app.execute("alter table t alter column n type text; insert into t values (2, '5')")
        .await;
    loop {
        match client.next().await.unwrap()["type"].as_str().unwrap() {
            "subscribed" => break,
            "reset" | "snapshot" => {}
            other => panic!("{other}"),
        }
    }
    app.execute("insert into t values (3, '5'), (4, '6')").await;
    loop {
        let message = client.next().await.unwrap();
        match message["type"].as_str().unwrap() {
            "changes" => {
                assert_eq!(message["changes"].as_array().unwrap().len(), 1);
                break assert_eq!(message["changes"][0]["row"]["n"], "5");
            }
            "reset" | "snapshot" | "subscribed" => {}
            other => panic!("{other}"),
        }
    }
}
