//! Who may do what at `/rest` where people have to log in.

use serde_json::{Value, json};

use super::{get, header};
use crate::auth::{Secure, token, viewer};
use crate::support::{Cluster, cluster};

/// Of `notes`: people see those of their tenant, and write their own.
const ALLOW: &str = "
    alter table notes add column version int not null default 1, add column secret text;
    select plank.watch('notes', columns => '{id,owner,tenant,body,version}');
    select plank.allow('notes', 'viewer', 'tenant=eq.{claim.tenant}');
    select plank.allow('notes', 'viewer', 'owner=eq.{sub}', '{insert,update,delete}');
    select plank.allow('notes', 'reader', null);
    select plank.allow('notes', 'writer', null, '{insert}')";

fn of(sub: &str, tenant: i32) -> String {
    token(json!({"sub": sub, "role": "viewer", "tenant": tenant}))
}

async fn start() -> Secure {
    let app = Secure::start().await;
    app.execute(ALLOW).await;
    app
}

async fn send(
    app: &Secure,
    who: &str,
    method: &str,
    path: &str,
    prefer: &str,
    body: Value,
) -> (u16, String, Value) {
    let mut request = app
        .http
        .request(method.parse().unwrap(), app.url(path))
        .bearer_auth(who);
    request = request.header("prefer", prefer);
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let range = header(answer.headers(), "content-range").to_owned();
    let text = answer.text().await.unwrap();
    (
        status,
        range,
        serde_json::from_str(&text).unwrap_or(Value::Null),
    )
}

#[actix_rt::test]
async fn a_policy_holds_of_a_row_before_and_after_it_is_written() {
    let app = start().await;
    let (ann, reader, writer, nobody) = (
        of("ann", 1),
        token(json!({"sub": "r", "role": "reader"})),
        token(json!({"sub": "w", "role": "writer"})),
        viewer("x"),
    );
    let nobody_at_all = token(json!({"sub": "n", "role": "nobody"}));
    let row = |id: i32, owner: &str, tenant: i32| json!({"id": id, "owner": owner, "tenant": tenant, "body": "new"});
    let body = || json!({"body": "changed"});
    let cases = [
        (&ann, "GET", "/rest/notes?id=eq.3", Value::Null, 200),
        (&nobody_at_all, "GET", "/rest/notes", Value::Null, 404),
        (&nobody_at_all, "POST", "/rest/notes", row(9, "n", 1), 404),
        (&writer, "GET", "/rest/notes", Value::Null, 404),
        (&reader, "POST", "/rest/notes", row(9, "r", 1), 403),
        (&reader, "PATCH", "/rest/notes?id=eq.1", body(), 403),
        (&reader, "DELETE", "/rest/notes?id=eq.1", Value::Null, 403),
        (&ann, "POST", "/rest/notes", row(9, "bob", 1), 403),
        // Seen, and of another owner.
        (&ann, "PATCH", "/rest/notes?id=eq.2", body(), 403),
        (&ann, "DELETE", "/rest/notes?id=eq.2", Value::Null, 403),
        (&ann, "PATCH", "/rest/notes?tenant=eq.1", body(), 403),
        // Not seen.
        (&ann, "PATCH", "/rest/notes?id=eq.3", body(), 200),
        (&ann, "DELETE", "/rest/notes?id=eq.3", Value::Null, 200),
        // Would be of another owner after it.
        (
            &ann,
            "PATCH",
            "/rest/notes?id=eq.1",
            json!({"owner": "bob"}),
            403,
        ),
        // What is hidden is not there.
        (
            &ann,
            "PATCH",
            "/rest/notes?id=eq.1",
            json!({"secret": "s"}),
            400,
        ),
        (
            &ann,
            "POST",
            "/rest/notes",
            json!({"id": 9, "owner": "ann", "tenant": 1, "body": "b", "secret": "s"}),
            400,
        ),
        (&ann, "GET", "/rest/notes?secret=is.null", Value::Null, 400),
        (&ann, "GET", "/rest/notes?order=secret", Value::Null, 400),
        (&ann, "GET", "/rest/notes?select=secret", Value::Null, 400),
        (&nobody, "GET", "/rest/notes", Value::Null, 200),
        (&ann, "PATCH", "/rest/notes?id=eq.1", body(), 200),
        (&ann, "POST", "/rest/notes", row(9, "ann", 1), 201),
        (&writer, "POST", "/rest/notes", row(10, "bob", 1), 201),
    ];
    for (who, method, path, body, expected) in cases {
        let what = format!("{method} {path} {body}");
        let (status, range, answer) =
            send(&app, who, method, path, "return=representation", body).await;
        assert_eq!(status, expected, "{what}: {answer}");
        if path.ends_with("id=eq.3") {
            assert_eq!((range.as_str(), &answer), ("*/*", &json!([])), "{what}");
        }
        if who == &writer && status == 201 {
            assert_eq!(answer, json!([]), "what it may not see does not come back");
        }
    }
    let rows = app
        .sql
        .query("select id, owner, body from notes order by id", &[])
        .await
        .unwrap();
    let rows: Vec<(i32, String, String)> = rows
        .iter()
        .map(|r| (r.get(0), r.get(1), r.get(2)))
        .collect();
    let expected = [
        (1, "ann", "changed"),
        (2, "bob", "b"),
        (3, "cid", "c"),
        (9, "ann", "new"),
        (10, "bob", "new"),
    ];
    assert_eq!(
        rows,
        expected.map(|(id, owner, body)| (id, owner.to_owned(), body.to_owned()))
    );
}

#[actix_rt::test]
async fn a_hidden_row_is_told_from_no_other() {
    let app = start().await;
    let ann = of("ann", 1);
    // 2 is seen and of another owner, 3 is not seen.
    let row = |id: i32| json!({"id": id, "owner": "ann", "tenant": 1, "body": "x"});
    let mut answers = Vec::new();
    for id in [2, 3] {
        for prefer in ["", "resolution=merge-duplicates"] {
            let (status, _, answer) =
                send(&app, &ann, "POST", "/rest/notes", prefer, row(id)).await;
            assert_eq!(status, 409, "{prefer}: {answer}");
            assert_eq!(
                answer["details"],
                Value::Null,
                "a table with hidden columns repeats no values"
            );
            answers.push(answer);
        }
        let path = format!("/rest/notes?id=eq.{id}");
        let (status, _, answer) = send(&app, &ann, "PUT", &path, "", row(id)).await;
        assert_eq!(status, 409, "{answer}");
        answers.push(answer);
        let (status, _, answer) = send(
            &app,
            &ann,
            "POST",
            "/rest/notes",
            "resolution=ignore-duplicates,return=representation",
            row(id),
        )
        .await;
        assert_eq!((status, answer), (201, json!([])));
    }
    assert_eq!(answers[..3], answers[3..]);
    // And 99 is not there at all.
    let mut answers = Vec::new();
    for id in [3, 99] {
        for (method, body) in [("PATCH", json!({"body": "y"})), ("DELETE", Value::Null)] {
            let path = format!("/rest/notes?id=eq.{id}");
            answers.push(send(&app, &ann, method, &path, "count=exact", body).await);
        }
        let request = app
            .http
            .patch(app.url(&format!("/rest/notes?id=eq.{id}")))
            .bearer_auth(&ann);
        let answer = request
            .header("if-match", "\"1\"")
            .json(&json!({"body": "y"}))
            .send()
            .await
            .unwrap();
        answers.push((
            answer.status().as_u16(),
            String::new(),
            answer.json().await.unwrap(),
        ));
    }
    assert_eq!(answers[..3], answers[3..]);
    let (_, range, _) = send(&app, &ann, "GET", "/rest/notes", "count=exact", Value::Null).await;
    assert_eq!(range, "0-1/2");
}

#[actix_rt::test]
async fn a_hidden_row_that_another_locks_holds_nobody_up() {
    let app = start().await;
    let ann = of("ann", 1);
    let other =
        crate::support::cluster::connect(&crate::support::Cluster::shared().config(&app.database))
            .await;
    other
        .batch_execute("begin; update notes set body = 'held' where id = 3")
        .await
        .unwrap();
    let started = std::time::Instant::now();
    let change = json!({"body": "y"});
    let (status, range, _) = send(
        &app,
        &ann,
        "PATCH",
        "/rest/notes?id=in.(1,3)",
        "count=exact",
        change,
    )
    .await;
    assert_eq!((status, range.as_str()), (204, "0-0/1"));
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    other.batch_execute("rollback").await.unwrap();
    app.app.stop().await.unwrap();
}

#[actix_rt::test]
async fn nothing_is_written_by_a_policy_that_is_taken_back() {
    let app = start().await;
    let ann = of("ann", 1);
    for i in 0..10 {
        app.execute("select plank.deny('notes', 'viewer', '{update}')")
            .await;
        let before: String = app
            .sql
            .query_one("select body from notes where id = 1", &[])
            .await
            .unwrap()
            .get(0);
        let (status, _, answer) = send(
            &app,
            &ann,
            "PATCH",
            "/rest/notes?id=eq.1",
            "",
            json!({"body": format!("{i}")}),
        )
        .await;
        assert!(matches!(status, 403 | 503), "{answer}");
        let after: String = app
            .sql
            .query_one("select body from notes where id = 1", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(before, after);
        app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}', '{update}')")
            .await;
        // A server learns of it a moment later.
        let change = json!({"body": format!("{i}")});
        crate::support::until("it is allowed again", async || {
            let (status, _, answer) = send(
                &app,
                &ann,
                "PATCH",
                "/rest/notes?id=eq.1",
                "",
                change.clone(),
            )
            .await;
            assert!(matches!(status, 204 | 403 | 503), "{answer}");
            status == 204
        })
        .await;
    }
}

#[actix_web::test]
async fn a_row_that_may_not_be_written_does_not_collide() {
    let app = start().await;
    let ann = of("ann", 1);
    // 2 is seen, 3 is hidden, 99 is free.
    let outside = |id: i32| json!({"id": id, "owner": "bob", "tenant": 1, "body": "x"});
    let unknown = |id: i32| json!({"id": id, "tenant": 1, "body": "x"});
    let pending = cluster::connect(&Cluster::shared().config(&app.database)).await;
    pending
        .batch_execute(
            "begin; insert into notes (id, owner, tenant, body) values (98, 'eve', 7, '')",
        )
        .await
        .unwrap();
    let mut answers = Vec::new();
    for id in [2, 3, 98, 99] {
        for prefer in [
            "",
            "resolution=merge-duplicates",
            "resolution=ignore-duplicates",
        ] {
            let row = outside(id);
            answers.push(send(&app, &ann, "POST", "/rest/notes", prefer, row).await);
        }
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!(answer.0, 403, "{answer:?}");
    }
    pending.batch_execute("rollback").await.unwrap();
    // The policy asks for a column that has no value yet.
    app.execute("alter table notes alter owner set default 'bob'")
        .await;
    let free = send(&app, &ann, "POST", "/rest/notes", "", unknown(99)).await;
    assert_eq!(free.0, 403, "{free:?}");
    for id in [2, 3] {
        assert_eq!(
            send(&app, &ann, "POST", "/rest/notes", "", unknown(id)).await,
            free
        );
    }
    // An update that leads out of the policy.
    let free = send(
        &app,
        &ann,
        "PATCH",
        "/rest/notes?id=eq.1",
        "",
        json!({"id": 99, "owner": "bob"}),
    )
    .await;
    assert_eq!(free.0, 403, "{free:?}");
    for id in [2, 3] {
        let body = json!({"id": id, "owner": "bob"});
        assert_eq!(
            send(&app, &ann, "PATCH", "/rest/notes?id=eq.1", "", body).await,
            free
        );
    }
}

/// A table becomes one with a type that is not built in. Until a server has looked, up to a second, it takes the table for what
/// it was.
#[actix_web::test]
async fn casts_of_a_type_that_has_just_come_run_with_no_right() {
    let app = super::start().await;
    app.execute("create table plain (id int primary key, mind text); insert into plain values (1, 'ok'); select plank.watch('plain')")
        .await;
    assert_eq!(get(&app, "/rest/plain").await[0]["mind"], "ok");
    app.execute(
        "create function told(mood) returns json language sql as 'select to_json(current_user::text)';
         create cast (mood as json) with function told(mood);
         alter table plain alter mind type mood using mind::mood",
    )
    .await;
    // Before and after the server knows of it.
    for _ in 0..3 {
        assert_eq!(get(&app, "/rest/plain").await[0]["mind"], "plank_json");
    }
}
