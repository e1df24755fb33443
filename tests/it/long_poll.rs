//! `GET /api/changes?wait=`: a long poll.

use std::time::{Duration, Instant};

use plank::actor::message::Drain;
use serde_json::{Value, json};

use crate::resume::{cursor, names};
use crate::support::{TestApp, until, within};

const SESSIONS: &str = "plank_sessions{transport=\"long-poll\"}";

/// An answer, under the client's own deadline.
pub async fn poll(app: &TestApp, since: &str, more: &str) -> (u16, Value) {
    let path = format!("/api/changes?table=items&since={since}{more}");
    app.request("GET", &path, None).await
}

/// The answer of a poll that waits when the statement is run.
async fn woken(app: &TestApp, since: &str, more: &str, sql: &str) -> (u16, Value) {
    let write = async {
        until("it waits", async || app.metric(SESSIONS).await == 1.0).await;
        app.execute(sql).await;
    };
    tokio::join!(poll(app, since, more), write).0
}

pub fn list(answer: &Value) -> &[Value] {
    answer["changes"].as_array().unwrap()
}

#[actix_web::test]
async fn it_answers_as_soon_as_something_is_committed() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let began = Instant::now();
    let insert = "insert into items (name) values ('a')";
    let (status, answer) = woken(&app, &start, "&wait=20&columns=name", insert).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!((status, &answer["more"]), (200, &json!(false)), "{answer}");
    assert_eq!(names(list(&answer)), ["a"]);
    assert_eq!(answer["changes"][0]["row"], json!({"id": 1, "name": "a"}));
    // What was missed is there at once.
    app.execute("insert into items (name) values ('b')").await;
    let (_, answer) = poll(&app, answer["cursor"].as_str().unwrap(), "&wait=60").await;
    assert_eq!(names(list(&answer)), ["b"]);
    until("its place is free", async || app.health.sessions() == 0).await;
    assert_eq!(app.metric(SESSIONS).await, 0.0);
}

#[actix_web::test]
async fn without_since_it_does_not_wait() {
    let app = TestApp::start().await;
    let path = "/api/changes?table=items&wait=60";
    let (status, now) = app.request("GET", path, None).await;
    assert_eq!(
        (status, list(&now).len(), &now["more"]),
        (200, 0, &json!(false))
    );
    app.execute("insert into items (name) values ('a')").await;
    let (_, answer) = poll(&app, now["cursor"].as_str().unwrap(), "&wait=20").await;
    assert_eq!(names(list(&answer)), ["a"]);
}

#[actix_web::test]
async fn when_time_is_up_it_is_empty_with_a_newer_cursor() {
    let app = TestApp::start().await;
    app.execute("create table other (id int primary key); select plank.watch('other')")
        .await;
    let start = cursor(&app).await;
    let mut other = app.subscribed("other").await;
    app.execute("insert into other values (1)").await;
    other.changes(1).await;
    let began = Instant::now();
    let (status, answer) = poll(&app, &start, "&wait=1").await;
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (status, list(&answer).len(), &answer["more"]),
        (200, 0, &json!(false))
    );
    let newer = answer["cursor"].as_str().unwrap();
    assert_ne!(newer, start);
    // Nothing is behind it but what comes now.
    app.execute("insert into items (name) values ('a')").await;
    let (_, answer) = poll(&app, newer, "&wait=20").await;
    assert_eq!(names(list(&answer)), ["a"]);
    let path = format!("/api/changes?table=other&since={newer}");
    assert_eq!(list(&app.request("GET", &path, None).await.1).len(), 0);
}

#[actix_web::test]
async fn guarantee_2_a_limit_ends_it_between_batches_and_loses_nothing() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let mut live = app.subscribed("items").await;
    for round in 0..20 {
        app.execute(&format!("begin; insert into items (name) values ('{round}'); insert into items (name) values ('{round}'); commit")).await;
        live.changes(2).await;
    }
    for limit in [1, 3, 1000] {
        let (mut since, mut seen, mut pages) = (start.clone(), Vec::new(), 0);
        loop {
            let (status, answer) = poll(&app, &since, &format!("&limit={limit}&wait=20")).await;
            assert_eq!(status, 200, "{answer}");
            let changes = list(&answer);
            assert!(
                !changes.is_empty() && changes.len().is_multiple_of(2),
                "whole transactions"
            );
            assert!(limit > 40 || changes.len() >= limit);
            seen.extend(changes.iter().map(|c| c["seq"].as_i64().unwrap()));
            since = answer["cursor"].as_str().unwrap().to_owned();
            pages += 1;
            if answer["more"] == false {
                break;
            }
        }
        assert_eq!(seen.len(), 40, "{limit}");
        assert!(seen.is_sorted_by(|a, b| a < b));
        assert!(pages >= 1 && (limit < 40 || pages == 1), "{pages}");
        assert_eq!(list(&poll(&app, &since, "").await.1).len(), 0);
    }
}

#[actix_web::test]
async fn a_long_answer_is_streamed_and_whole() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let insert = "insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 20000) i";
    let (status, answer) = woken(&app, &start, "&wait=20&limit=5", insert).await;
    assert_eq!(
        (status, list(&answer).len()),
        (200, 20_000),
        "one transaction is not cut"
    );
    assert_eq!(answer["changes"][19_999]["row"]["name"], "n20000");
    // From the window or from the log it is the same.
    let (_, again) = poll(&app, &start, "&wait=20&limit=5").await;
    assert_eq!(again["changes"], answer["changes"]);
    let (_, plain) = poll(&app, &start, "").await;
    assert_eq!(
        plain["changes"].as_array().unwrap().len(),
        1_000.max(list(&plain).len())
    );
    assert_eq!(plain["changes"], answer["changes"]);
}

#[actix_web::test]
async fn guarantee_4_a_cursor_that_cannot_be_served_is_a_410() {
    let app = TestApp::start().await;
    let other = TestApp::start().await;
    let foreign = cursor(&other).await;
    let (status, problem) = poll(&app, &foreign, "&wait=20").await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:plank:problem:epoch")),
        "{problem}"
    );
    let early = cursor(&app).await;
    app.execute("create table late (id int primary key); select plank.watch('late')")
        .await;
    let path = format!("/api/changes?table=late&since={early}&wait=20");
    let (status, problem) = app.request("GET", &path, None).await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:plank:problem:schema")),
        "{problem}"
    );
    let path = format!("/api/changes?table=nope&since={early}&wait=20");
    assert_eq!(app.request("GET", &path, None).await.0, 404);
    until("no place is kept", async || app.health.sessions() == 0).await;
}

#[actix_web::test]
async fn the_end_of_the_table_and_of_the_server_is_said() {
    let app = TestApp::start().await;
    app.execute("create table brief (id int primary key); select plank.watch('brief')")
        .await;
    crate::live::watched(&app, "brief").await;
    let start = cursor(&app).await;
    let path = format!("/api/changes?table=brief&since={start}&wait=20");
    let unwatch = async {
        until("it waits", async || app.metric(SESSIONS).await == 1.0).await;
        app.execute("select plank.unwatch('brief')").await;
    };
    let ((status, _), ()) = tokio::join!(app.request("GET", &path, None), unwatch);
    assert_eq!(status, 404);
    let drain = async {
        until("it waits", async || app.metric(SESSIONS).await == 1.0).await;
        app.hub.do_send(Drain);
    };
    let ((status, problem), ()) = tokio::join!(poll(&app, &start, "&wait=20"), drain);
    assert_eq!(status, 503, "{problem}");
}

#[actix_web::test]
async fn a_client_that_goes_is_noticed() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let waiting = poll(&app, &start, "&wait=60");
    let gone = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    assert!(gone.is_err());
    let free = until("its place is free", async || app.health.sessions() == 0);
    tokio::time::timeout(Duration::from_secs(5), free)
        .await
        .expect("at once");
}

#[actix_web::test]
async fn guarantee_5_many_that_wait_cost_no_query() {
    let app = TestApp::start().await;
    let mut live = app.subscribed("items").await;
    app.execute("insert into items (name) values ('a')").await;
    let (_, since) = live.batch_and_cursor().await;
    let readers = "select count(*) from pg_stat_activity \
        where datname = current_database() and application_name = 'plank replay'";
    let polls: Vec<_> = (0..500)
        .map(|_| {
            let request = app
                .http
                .get(app.url(&format!("/api/changes?table=items&since={since}&wait=30")));
            tokio::spawn(
                async move { request.send().await.unwrap().json::<Value>().await.unwrap() },
            )
        })
        .collect();
    until("all wait", async || app.metric(SESSIONS).await == 500.0).await;
    let window = "plank_resumes_total{result=\"window\"}";
    until("all are live", async || app.metric(window).await == 500.0).await;
    assert_eq!(app.metric("plank_resumes_total{result=\"log\"}").await, 0.0);
    assert_eq!(
        app.sql
            .query_one(readers, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );
    assert_eq!(app.metric("plank_topics").await, 1.0);
    app.execute("insert into items (name) values ('b')").await;
    // Another node has to read the log: that is what was not needed.
    let other = app.another_node().await;
    poll(&other, &since, "").await;
    assert_eq!(
        app.sql
            .query_one(readers, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        1
    );
    for answer in polls {
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(names(list(&answer)), ["b"]);
    }
}
