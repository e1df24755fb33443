//! Tables that are altered while they are followed.

use serde_json::json;

use crate::capture::table_is_followed;
use crate::filter::{filtered, tasks};
use crate::live::watched;
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

#[actix_web::test]
async fn a_table_made_anew_under_an_old_name_is_the_one_that_is_meant() {
    let app = TestApp::start().await;
    let mut marker = app.subscribed("items").await;
    for round in 0..8 {
        app.execute(&format!(
            "drop table if exists again; create table again (id int primary key); select plank.watch('again'); insert into items (name) values ('{round}')"
        ))
        .await;
        // What was logged before it is known by now.
        marker.change().await;
        let mut client = app.subscribed("again").await;
        app.execute("insert into again values (1)").await;
        assert_eq!(client.change().await["row"], json!({"id": 1}));
    }
}

#[actix_web::test]
async fn a_renamed_key_is_a_reset_and_never_an_empty_key() {
    let app = TestApp::start().await;
    app.execute("create table k (id int primary key, v int); select plank.watch('k')")
        .await;
    let mut client = watched(&app, "k").await;
    app.execute("alter table k rename column id to number; insert into k values (1, 1), (2, 2)")
        .await;
    assert_eq!(client.expect("reset").await["reason"], "schema");
    client.expect("subscribed").await;
    app.execute("select plank.watch('k')").await;
    assert_eq!(client.expect("reset").await["reason"], "schema");
    assert_eq!(client.expect("subscribed").await["key"], json!(["number"]));
    app.execute("insert into k values (3, 3)").await;
    assert_eq!(client.change().await["key"], json!({"number": 3}));
}

#[actix_web::test]
async fn columns_come_and_go_without_failing_writers() {
    table_is_followed(
        "create table c (id int primary key, a int, b int)",
        "c",
        &[
            "insert into c values (1, 1, 1)",
            "alter table c add column d text default 'new'; update c set d = 'x'",
            "alter table c drop column a; insert into c values (2, 2, 'y'); update c set d = 'z' where id = 1",
            "alter table c rename column b to e; update c set e = 5; delete from c where id = 1",
        ],
    )
    .await;
}

#[actix_web::test]
async fn altered_tables_are_followed() {
    let app = TestApp::start().await;
    tasks(&app).await;
    let (mut by_status, _) = filtered(&app, "tasks", "status=eq.open").await;
    let (mut by_n, _) = filtered(&app, "tasks", "n=gt.5").await;
    let mut all = app.subscribed("tasks").await;
    let before = cursor(&app).await;

    // A new column is there for clients that ask for it, and nobody else is disturbed.
    app.execute("alter table tasks add column due date").await;
    let mut by_due = app.ws("/ws").await;
    by_due.expect("welcome").await;
    until("the new column can be filtered by", async || {
        by_due
            .send(json!({"type": "subscribe", "id": "a", "table": "tasks", "filter": "due=gte.2026-01-01"}))
            .await;
        loop {
            match by_due.next().await.unwrap()["type"].as_str().unwrap() {
                "heartbeat" => {}
                answer => break answer == "subscribed",
            }
        }
    })
    .await;
    app.execute("insert into tasks values (1, 1, 'open', 9, '2026-02-01')")
        .await;
    for client in [&mut by_status, &mut by_n, &mut all, &mut by_due] {
        assert_eq!(client.change().await["row"]["due"], "2026-02-01");
    }

    // A column that is gone ends what asked for it, and what others have is void.
    app.execute("alter table tasks rename column status to state")
        .await;
    assert_eq!(by_status.expect("reset").await["reason"], "schema");
    let error = by_status.expect("error").await;
    assert_eq!(error["code"], "bad_filter", "{error}");
    for client in [&mut by_n, &mut all, &mut by_due] {
        assert_eq!(client.expect("reset").await["reason"], "schema");
        client.expect("subscribed").await;
    }
    let (status, _) = app
        .request(
            "GET",
            &format!("/api/changes?table=tasks&since={before}"),
            None,
        )
        .await;
    assert_eq!(status, 410);

    // Another type, which the filter still fits.
    app.execute("alter table tasks alter column n type bigint")
        .await;
    for client in [&mut by_n, &mut all] {
        assert_eq!(client.expect("reset").await["reason"], "schema");
        client.expect("subscribed").await;
    }
    app.execute("update tasks set n = 7000000000 where id = 1")
        .await;
    assert_eq!(by_n.change().await["row"]["n"], 7_000_000_000_i64);
    let (mut by_state, _) = filtered(&app, "tasks", "state=eq.open").await;
    app.execute("update tasks set state = 'done' where id = 1")
        .await;
    assert_eq!(by_state.change().await["op"], "delete");

    app.execute("drop table tasks").await;
    for client in [&mut by_n, &mut by_state] {
        loop {
            let message = client.next().await.unwrap();
            if message["type"] == "unsubscribed" {
                break;
            }
            assert_eq!(message["type"], "changes", "{message}");
        }
    }
}
