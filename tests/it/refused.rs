//! What the database says ends no plank that runs, and is told to a client as what it is. A server that refuses answers
//! each kind of error at each place.

use plank::app::prepare;
use plank::config::Database;
use plank::limits::RACE_RETRIES;
use plank::store::ConnectError;
use serde_json::{Value, json};

use crate::support::cluster::connect;
use crate::support::refusing::{Answer, Place, Refusing};
use crate::support::{Cluster, TestApp, until};

use Answer::{EndAfter, Error};
use Place::{Login, Statement};

/// A code of each class that a server may say during a connect, and whether it passes by itself.
const CODES: &[(&str, bool)] = &[
    ("08P01", true),
    ("25006", true),
    ("25P03", true),
    ("40001", true),
    ("40P01", true),
    ("53100", true),
    ("53300", true),
    ("55P03", true),
    ("57014", true),
    ("57P01", true),
    ("57P03", true),
    ("57P05", true),
    ("58030", true),
    ("XX000", true),
    ("0A000", false),
    ("28000", false),
    ("28P01", false),
    ("3D000", false),
    ("42501", false),
    ("42P01", false),
    ("P0001", false),
];

/// Writes and commits.
const WRITE: &str = "plank.rest_write";

/// With the end of its message: BEGIN has the word in READ COMMITTED.
const COMMIT: &str = "COMMIT\0";

/// The steps of the listener's connection, up to the first read.
const STEPS: &[Place] = &[
    Login("plank listener"),
    Statement("set statement_timeout"),
    Statement("set_config"),
    Statement("server_version_num"),
    Statement("listen plank"),
    Statement("plank.migrations"),
    Statement("plank.listen()"),
    Statement("select plank.identity()"),
    Statement("plank.describe"),
    Statement("select -1::bigint as seq"),
];

async fn refusing() -> (Refusing, TestApp) {
    let database = Cluster::shared().database().await;
    let target = Cluster::shared().config(&database);
    let refusing = Refusing::start(&target).await;
    let through = refusing.config("postgres", &database);
    let app = TestApp::build(through, connect(&target).await, database, |_| {}).await;
    app.ready().await;
    (refusing, app)
}

#[actix_web::test]
async fn no_error_at_a_reconnect_ends_a_plank_that_runs() {
    let (refusing, app) = refusing().await;
    let mut client = app.subscribed("items").await;
    for (i, place) in STEPS.iter().enumerate() {
        // All codes at the first place, and at the others one of each outlook, each time another one.
        let codes = CODES.iter().enumerate();
        let codes =
            codes.filter(|(c, _)| i == 0 || c % STEPS.len() == i || (c + 5) % STEPS.len() == i);
        for (_, (code, _)) in codes {
            refusing.refuse(*place, Error(code));
            refusing.cut();
            until(&format!("{place:?} is refused with {code}"), async || {
                // The reason names the database.
                refusing.refused() >= 1
                    && !app.health.is_live()
                    && app
                        .health
                        .trouble()
                        .contains(&format!("{:?}", app.database))
            })
            .await;
            let (status, _) = app.request("GET", "/readyz", None).await;
            assert_eq!(status, 503, "{place:?} {code}");
            refusing.relent();
            until(&format!("live after {place:?} {code}"), async || {
                app.health.is_live()
            })
            .await;
        }
    }
    app.execute("insert into items (name) values ('after all')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "after all");
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn at_the_first_start_only_what_does_not_pass_is_an_error() {
    let database = Cluster::shared().database().await;
    let target = Cluster::shared().config(&database);
    let refusing = Refusing::start(&target).await;
    let through = refusing.config("postgres", &database);
    let target = Database {
        requests: through.clone().into(),
        listen: through.into(),
    };
    let steps = [
        Login("plank migrate"),
        Statement("set statement_timeout"),
        Statement("server_version_num"),
        Statement("plank.migrating in"),
        Statement("plank.migrations"),
        Statement("plank_owner"),
        Statement("plank.renew()"),
    ];
    for place in steps {
        for (code, passes) in CODES {
            refusing.refuse(place, Error(code));
            let error = prepare(&target).await.unwrap_err();
            let is_away = matches!(error, ConnectError::Away(_));
            assert_eq!(is_away, *passes, "{place:?} {code}: {error}");
            // Only the lock has words of its own.
            if !error.to_string().contains("another plank") {
                assert!(
                    error.to_string().contains(&database),
                    "{place:?} {code}: {error}"
                );
            }
        }
    }
    refusing.relent();
    prepare(&target).await.unwrap();
}

#[actix_web::test]
async fn nothing_is_migrated_at_a_reconnect_when_nothing_is_due() {
    let (refusing, app) = refusing().await;
    refusing.seen();
    refusing.cut();
    until("the cut is noticed", async || !app.health.is_live()).await;
    until("live again", async || app.health.is_live()).await;
    let seen = refusing.seen();
    assert!(seen.iter().any(|sql| sql.contains("plank.migrations")));
    for writes in ["plank.migrating in", "create ", "alter ", "plank.renew()"] {
        let found = seen.iter().find(|sql| sql.contains(writes));
        assert_eq!(found, None, "{writes}");
    }
}

/// A status for each class, and whether a client is told to come back by itself.
const ANSWERS: &[(&str, u16)] = &[
    ("08P01", 503),
    ("21000", 422),
    ("22001", 422),
    ("22003", 422),
    ("22P02", 422),
    ("23502", 422),
    ("23503", 409),
    ("23505", 409),
    ("23514", 422),
    ("23P01", 409),
    ("25006", 503),
    ("27000", 409),
    ("40001", 409),
    ("40P01", 409),
    ("42501", 403),
    ("44000", 422),
    ("53100", 503),
    ("53200", 503),
    ("54000", 422),
    ("55P03", 503),
    ("57014", 503),
    // The session ends: behind the commit for all that is known, or when the statement is prepared (503).
    ("57P01", 504),
    ("57P03", 504),
    ("58030", 503),
    ("P0001", 422),
    ("0A000", 503),
    ("26000", 503),
    ("42P01", 500),
    ("XX000", 500),
];

#[actix_web::test]
async fn what_postgresql_says_of_a_clients_data_is_no_500() {
    let (refusing, app) = refusing().await;
    let (_, item) = app
        .request("POST", "/api/items", Some(json!({"name": "a"})))
        .await;
    let path = format!("/api/items/{}", item["id"]);
    for (code, expected) in ANSWERS {
        for (method, path, body) in [
            ("POST", "/api/items", Some(json!({"name": "b"}))),
            ("PATCH", &path, Some(json!({"name": "c"}))),
            ("DELETE", &path, None),
        ] {
            refusing.refuse(Statement(WRITE), Error(code));
            let (status, answer) = app.request(method, path, body.clone()).await;
            let is_expected = status == *expected || (*expected, status) == (504, 503);
            assert!(is_expected, "{method} {code}: {status} {answer}");
            assert_eq!(answer["status"], status, "{method} {code}");
        }
    }
    refusing.relent();
    let (status, kept) = app.request("GET", &path, None).await;
    assert_eq!(
        (status, &kept["name"]),
        (200, &json!("a")),
        "nothing was done"
    );
    // The pool gives no session away that has failed.
    for _ in 0..20 {
        let (status, _) = app
            .request("POST", "/api/items", Some(json!({"name": "d"})))
            .await;
        assert_eq!(status, 201);
    }
}

#[actix_web::test]
async fn a_write_that_loses_a_race_is_tried_again_three_times() {
    let (refusing, app) = refusing().await;
    for code in ["40001", "40P01"] {
        for (at, path, done) in [(WRITE, "/api/items", 201), (COMMIT, "/rest", 200)] {
            let tries = RACE_RETRIES as usize;
            let item = json!({"name": "a"});
            let body = match path {
                "/rest" => json!([{"op": "insert", "table": "items", "values": item}]),
                _ => item,
            };
            refusing.refuse_times(Statement(at), Error(code), tries);
            let (status, answer) = app.request("POST", path, Some(body.clone())).await;
            assert_eq!(
                (status, refusing.refused()),
                (done, tries),
                "{code} at {at}: {answer}"
            );
            refusing.refuse(Statement(at), Error(code));
            let (status, answer) = app.request("POST", path, Some(body)).await;
            assert_eq!(
                (status, refusing.refused()),
                (409, tries + 1),
                "{code} at {at}"
            );
            assert_eq!(answer["type"], "urn:plank:problem:conflict");
            refusing.relent();
        }
    }
}

#[actix_web::test]
async fn a_write_that_may_have_been_committed_is_not_answered_as_if_it_had_not() {
    let (refusing, app) = refusing().await;
    let batch = |name: &str| json!([{"op": "insert", "table": "items", "values": {"name": name}}]);
    let item = |name: &str| json!({"name": name});
    let mut committed = 0;
    for (at, path, body) in [
        (COMMIT, "/rest", batch("perhaps")),
        (WRITE, "/api/items", item("perhaps")),
    ] {
        for answer in [EndAfter, Error("57P01"), Error("40003")] {
            let response = loop {
                let (status, _) = app.request("POST", path, Some(body.clone())).await;
                assert!(status < 300);
                committed += 1;
                refusing.refuse_times(Statement(at), answer, 1);
                let request = app.http.post(app.url(path)).json(&body);
                let response = request.send().await.unwrap();
                refusing.relent();
                // On another session the statement was only being prepared: nothing was done, or it was tried again.
                match response.status().as_u16() {
                    503 if at == WRITE => {}
                    201 if at == WRITE => committed += 1,
                    _ => break response,
                }
            };
            committed += usize::from(answer == EndAfter);
            assert_eq!(response.status(), 504, "{answer:?} at {at}");
            assert!(
                !response.headers().contains_key("retry-after"),
                "{answer:?} at {at}"
            );
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["type"], "urn:plank:problem:outcome-unknown");
        }
    }
    // Lost before the commit: nothing was done, and the client may come back.
    refusing.refuse_times(Statement(WRITE), EndAfter, 1);
    let (status, _) = app.request("POST", "/rest", Some(batch("not"))).await;
    assert_eq!(status, 503);
    let names = app
        .sql
        .query("select name from public.items", &[])
        .await
        .unwrap();
    let names: Vec<&str> = names.iter().map(|row| row.get(0)).collect();
    // Those that were answered, and the first of each three.
    assert_eq!(names, vec!["perhaps"; committed]);
}

#[actix_web::test]
async fn a_constraint_of_the_operator_is_the_clients_matter() {
    let app = TestApp::start().await;
    app.execute(
        "create unique index items_name on items (name); alter table items add constraint no_x check (name <> 'x'); \
         create function refuse() returns trigger language plpgsql as $$ begin raise exception 'closed on Sundays'; end $$; \
         create trigger refuse before insert on items for each row when (new.name = 'sunday') execute function refuse()",
    )
    .await;
    let post = async |name: &str| {
        app.request("POST", "/api/items", Some(json!({"name": name})))
            .await
    };
    assert_eq!(post("a").await.0, 201);
    for (name, status, part) in [
        ("a", 409, "only once"),
        ("x", 422, "no_x"),
        ("sunday", 422, "closed on Sundays"),
    ] {
        let (got, answer) = post(name).await;
        let detail = answer["detail"].as_str().unwrap();
        assert_eq!(got, status, "{answer}");
        assert!(detail.contains(part), "{detail}");
    }
}

#[actix_web::test]
async fn a_catch_up_waits_for_what_the_database_refuses() {
    let (refusing, app) = refusing().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('a')").await;
    let cursor = client.expect("changes").await["cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    for (code, _) in CODES {
        refusing.refuse_times(Login("plank replay"), Error(code), 1);
        let path = format!("/api/changes?table=items&since={cursor}");
        let (status, answer) = app.request("GET", &path, None).await;
        assert!(matches!(status, 200 | 503), "{code}: {answer}");
        refusing.relent();
    }
    app.stop().await.unwrap();
}
