//! `Idempotency-Key`: a request is carried out once, however often it is sent.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{TABLES, get, header, send, start};
use crate::support::program::Program;
use crate::support::{Cluster, TestApp, cluster::connect};

const KEY: (&str, &str) = ("idempotency-key", "\"k-1\"");

#[actix_web::test]
async fn the_same_key_gives_the_same_answer_and_writes_nothing() {
    let app = start().await;
    let back = ("prefer", "return=representation");
    for (method, path, body) in [
        ("POST", "/rest/orders", r#"{"name":"once"}"#),
        (
            "PATCH",
            "/rest/orders?name=eq.once",
            r#"{"status":"twice"}"#,
        ),
        ("DELETE", "/rest/orders?name=eq.tea", ""),
        (
            "POST",
            "/rest",
            r#"[{"op":"insert","table":"orders","values":{"name":"batch"}}]"#,
        ),
        // Refusals as well, of the database and of plank.
        ("POST", "/rest/orders", r#"{"id":2,"name":"x"}"#),
        ("POST", "/rest/orders", r#"{"nonsense":1}"#),
        ("PATCH", "/rest/orders?id=eq.2", "{}"),
        (
            "POST",
            "/rest",
            r#"[{"op":"delete","table":"orders","key":{"id":99}}]"#,
        ),
    ] {
        let what = format!("{method} {path} {body}");
        let key = format!("{:x}", fastrand::u64(..));
        let headers = [("idempotency-key", key.as_str()), back];
        let first = send(&app, method, path, &headers, body).await;
        let count = get(&app, "/rest/orders?order=id").await;
        for _ in 0..2 {
            let again = send(&app, method, path, &headers, body).await;
            assert_eq!((first.0, &first.2), (again.0, &again.2), "{what}");
            for name in [
                "location",
                "etag",
                "plank-xid",
                "plank-cursor",
                "content-range",
                "preference-applied",
                "content-type",
            ] {
                assert_eq!(
                    header(&first.1, name),
                    header(&again.1, name),
                    "{what} {name}"
                );
            }
        }
        assert_eq!(get(&app, "/rest/orders?order=id").await, count, "{what}");
        // For another request it is a mistake.
        let (path, other) = match body {
            "" => (format!("{path}&id=gt.0"), String::new()),
            body => (path.to_owned(), format!("{body} ")),
        };
        let (status, _, answer) = send(&app, method, &path, &headers, &other).await;
        assert_eq!(
            (status, &answer["code"]),
            (422, &json!("PGRST422")),
            "{what}"
        );
    }
    for key in ["", "\"\"", &"x".repeat(256)] {
        let headers = [("idempotency-key", key)];
        let (status, _, answer) =
            send(&app, "POST", "/rest/orders", &headers, r#"{"name":"x"}"#).await;
        assert_eq!(
            (status, &answer["errors"][0]["field"]),
            (400, &json!("Idempotency-Key")),
            "{key}"
        );
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn while_the_first_is_under_way_the_second_is_told_so() {
    let app = start().await;
    let other = connect(&Cluster::shared().config(&app.database)).await;
    other
        .batch_execute("begin; lock table orders in share mode")
        .await
        .unwrap();
    let body = r#"{"name":"slow"}"#;
    let first = send(&app, "POST", "/rest/orders", &[KEY], body);
    let second = async {
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        crate::support::until("the first one waits", async || {
            app.sql
                .query_one(waits, &[])
                .await
                .unwrap()
                .get::<_, i64>(0)
                > 0
        })
        .await;
        let answer = send(&app, "POST", "/rest/orders", &[KEY], body).await;
        other.batch_execute("commit").await.unwrap();
        answer
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.0, second.0), (201, 409), "{} {}", first.2, second.2);
    let (status, ..) = send(&app, "POST", "/rest/orders", &[KEY], body).await;
    assert_eq!(status, 201);
    assert_eq!(
        get(&app, "/rest/orders?name=eq.slow")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_key_of_another_day_is_a_new_one() {
    let app = start().await;
    let body = r#"{"name":"daily"}"#;
    assert_eq!(
        send(&app, "POST", "/rest/orders", &[KEY], body).await.0,
        201
    );
    app.execute("update plank.idempotency set at = at - interval '25 hours'")
        .await;
    assert_eq!(
        send(&app, "POST", "/rest/orders", &[KEY], body).await.0,
        201
    );
    assert_eq!(
        get(&app, "/rest/orders?name=eq.daily")
            .await
            .as_array()
            .unwrap()
            .len(),
        2
    );
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_write_is_done_once_whatever_is_killed() {
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    sql.batch_execute(TABLES).await.unwrap();
    let url = Cluster::shared().url(&database);
    let http = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(10))
        .build()
        .unwrap();
    let mut plank = Program::serve(&["--database-url", &url]).await;
    let mut answers: Vec<Value> = Vec::new();
    for round in 0..12 {
        let key = format!("round-{round}");
        let body = json!({"name": key}).to_string();
        let ask = |address: &str| {
            http.post(format!("http://{address}/rest/orders"))
                .header("content-type", "application/json")
                .header("prefer", "return=representation")
                .header("idempotency-key", &key)
                .body(body.clone())
                .send()
        };
        // Killed at some point of its work, or before, or behind it.
        let first = ask(&plank.address);
        let kill = async {
            for _ in 0..fastrand::u32(0..400) {
                tokio::task::yield_now().await;
            }
            match round % 2 {
                0 => nix::sys::signal::kill(plank.pid(), Signal::SIGKILL).unwrap(),
                _ => {
                    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'plank' and datname = current_database()";
                    sql.batch_execute(cut).await.unwrap();
                }
            }
        };
        let _ = tokio::join!(first, kill);
        if round % 2 == 0 {
            plank.ended().await;
            plank = Program::serve(&["--database-url", &url]).await;
        }
        let mut answer = Value::Null;
        crate::support::until("the truth is told", async || {
            let Ok(response) = ask(&plank.address).await else {
                return false;
            };
            let status = response.status().as_u16();
            assert!(matches!(status, 201 | 409 | 503 | 504), "{status}");
            if status == 201 {
                answer = response.json().await.unwrap();
            }
            status == 201
        })
        .await;
        answers.push(answer);
    }
    let rows = sql
        .query(
            "select id, name from orders where name like 'round%' order by id",
            &[],
        )
        .await
        .unwrap();
    let names: Vec<String> = rows.iter().map(|r| r.get(1)).collect();
    assert_eq!(
        names,
        (0..12).map(|i| format!("round-{i}")).collect::<Vec<_>>(),
        "each once"
    );
    for (row, answer) in rows.iter().zip(answers) {
        assert_eq!(answer[0]["id"], row.get::<_, i64>(0));
    }
}

#[actix_web::test]
async fn two_clients_never_share_a_key() {
    let app: crate::auth::Secure = crate::auth::Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', null, '{select,insert}')")
        .await;
    for (i, who) in ["ann", "bob"].iter().enumerate() {
        let body = json!({"id": 20 + i, "owner": who, "tenant": 1, "body": "b"});
        let request = app
            .http
            .post(app.url("/rest/notes"))
            .bearer_auth(crate::auth::viewer(who));
        let answer = request
            .header(KEY.0, KEY.1)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
    }
    let _: &TestApp = &app;
}
