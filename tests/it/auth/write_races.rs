//! Writes of items that meet others: a `deny`, a lock, a unique index. What is hidden shows in no answer and in no wait.

use serde_json::{Value, json};

use super::{Secure, token};
use crate::support::{Cluster, cluster, until, within};

fn editor() -> String {
    token(json!({"sub": "bob", "role": "editor"}))
}

/// Items of which an editor sees, and may write, those that are open.
async fn start() -> Secure {
    let app = Secure::start().await;
    app.execute(
        "insert into items (name, status) values ('seen', 'open'), ('hidden', 'done'), ('other', 'open');
         select plank.allow('items', 'editor', 'status=eq.open', '{select,insert,update,delete}')",
    )
    .await;
    app
}

async fn another(app: &Secure) -> tokio_postgres::Client {
    cluster::connect(&Cluster::shared().config(&app.database)).await
}

/// Waits until something waits for a lock in this statement.
async fn until_it_waits(app: &Secure, statement: &str) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() \
        and wait_event_type = 'Lock' and query ilike $1";
    let pattern = format!("%{statement}%");
    until("a wait", async || {
        let row = app.sql.query_one(sql, &[&pattern]).await.unwrap();
        row.get::<_, i64>(0) > 0
    })
    .await;
}

/// Waits until the server knows of a policy that lets an editor change items.
async fn until_it_is_known(app: &Secure) {
    until("the policy", async || {
        let request = app.http.patch(app.url("/api/items/1"));
        let request = request.bearer_auth(editor()).header("if-match", "\"999\"");
        let answer = request.json(&json!({"name": "x"})).send().await.unwrap();
        answer.status() == 412
    })
    .await;
}

#[actix_rt::test]
async fn a_deny_waits_for_the_writes_that_were_checked_before_it() {
    let app = start().await;
    let holder = another(&app).await;
    let hold = "begin; select from items where id = 1 for update";
    let (bob, body) = (editor(), json!({"name": "renamed"}));
    for (method, body) in [
        ("PATCH", Some(body.clone())),
        ("PUT", Some(json!({"name": "put"}))),
        ("DELETE", None),
    ] {
        holder.batch_execute(hold).await.unwrap();
        let denier = another(&app).await;
        let deny = denier.batch_execute("select plank.deny('items', 'editor', '{update,delete}')");
        let order = std::sync::Mutex::new(Vec::new());
        let write = async {
            let (status, _) = app.ask(&bob, method, "/api/items/1", body).await;
            order.lock().unwrap().push("write");
            status
        };
        let deny = async {
            until_it_waits(&app, "plank.rest_write").await;
            within("the deny", deny).await.unwrap();
            order.lock().unwrap().push("deny");
        };
        let release = async {
            until_it_waits(&app, "plank.deny").await;
            holder.batch_execute("commit").await.unwrap();
        };
        let (status, (), ()) = tokio::join!(write, deny, release);
        assert!(status < 300, "{method}: {status}");
        app.execute("select plank.allow('items', 'editor', 'status=eq.open', '{update,delete}')")
            .await;
        if method != "DELETE" {
            until_it_is_known(&app).await;
        }
    }
}

#[actix_rt::test]
async fn a_write_waits_for_a_deny_that_was_there_first_and_is_not_done() {
    let app = start().await;
    let (denier, bob) = (another(&app).await, editor());
    for (method, path, body, op) in [
        ("POST", "/api/items", Some(json!({"name": "new"})), "insert"),
        (
            "PATCH",
            "/api/items/1",
            Some(json!({"name": "x"})),
            "update",
        ),
        ("PUT", "/api/items/1", Some(json!({"name": "x"})), "update"),
        ("DELETE", "/api/items/1", None, "delete"),
    ] {
        let deny = format!("begin; select plank.deny('items', 'editor', '{{{op}}}')");
        denier.batch_execute(&deny).await.unwrap();
        let commit = async {
            until_it_waits(&app, "plank.rest_write").await;
            denier.batch_execute("commit").await.unwrap();
        };
        let ((status, answer), ()) = tokio::join!(app.ask(&bob, method, path, body), commit);
        assert!(matches!(status, 403 | 503), "{method}: {status} {answer}");
        let rows = "select count(*) from items where name in ('seen', 'other')";
        let count: i64 = app.sql.query_one(rows, &[]).await.unwrap().get(0);
        assert_eq!(count, 2, "{method}: nothing was done");
        let allow = format!("select plank.allow('items', 'editor', 'status=eq.open', '{{{op}}}')");
        app.execute(&allow).await;
        if method != "DELETE" {
            until_it_is_known(&app).await;
        }
    }
}

#[actix_rt::test]
async fn a_hidden_row_shows_in_no_answer_of_a_write_that_collides_with_it() {
    let app = start().await;
    app.execute("create unique index one_name on items (name)")
        .await;
    let bob = editor();
    let ask = async |method: &str, path: &str, name: &str, status: &str| {
        let body = json!({"name": name, "status": status});
        app.ask(&bob, method, path, Some(body)).await
    };
    for (method, path) in [
        ("POST", "/api/items"),
        ("PATCH", "/api/items/1"),
        ("PUT", "/api/items/1"),
    ] {
        // Outside of the policy: the same, whether there is such a row or not.
        let free = ask(method, path, "free", "done").await;
        for name in ["hidden", "other"] {
            assert_eq!(ask(method, path, name, "done").await, free, "{method}");
        }
        assert_eq!(free.0, 403, "{method}: {}", free.1);
        // Within it: the same, whether the row in the way may be seen or not.
        let seen = ask(method, path, "other", "open").await;
        assert_eq!(ask(method, path, "hidden", "open").await, seen, "{method}");
        assert_eq!(seen.0, 409, "{method}: {}", seen.1);
        assert_eq!(seen.1["type"], "urn:plank:problem:taken");
    }
    // A row that is not committed yet is one that nobody sees: no wait tells of it.
    let writer = another(&app).await;
    let pending = "begin; insert into items (name, status) values ('pending', 'done')";
    writer.batch_execute(pending).await.unwrap();
    for (method, path) in [("POST", "/api/items"), ("PATCH", "/api/items/1")] {
        // It would wait until its statement is cancelled, and be a 503.
        assert_eq!(ask(method, path, "pending", "done").await.0, 403);
    }
    writer.batch_execute("rollback").await.unwrap();
    // Where the policy asks for what is not known before: still nothing is told.
    app.execute("select plank.allow('items', 'editor', 'id=gt.0&status=eq.open', '{insert}')")
        .await;
    until("the policy", async || {
        ask("POST", "/api/items", "hidden", "open").await.0 == 403
    })
    .await;
    assert_eq!(ask("POST", "/api/items", "brand new", "open").await.0, 201);
}

#[actix_rt::test]
async fn a_lock_on_a_hidden_row_is_waited_for_by_nobody_who_can_not_see_it() {
    let app = start().await;
    let (holder, bob) = (another(&app).await, editor());
    let hold = "begin; update items set name = name where id = 2";
    holder.batch_execute(hold).await.unwrap();
    for (method, body) in [
        ("DELETE", None),
        ("PATCH", Some(json!({"name": "x"}))),
        ("PUT", Some(json!({"name": "x"}))),
    ] {
        let locked = app.ask(&bob, method, "/api/items/2", body.clone()).await;
        let missing = app.ask(&bob, method, "/api/items/99", body).await;
        assert_eq!((locked.0, missing.0), (404, 404), "{method}");
        let words = |answer: &Value| answer["detail"].to_string().replace("99", "2");
        assert_eq!(words(&locked.1), words(&missing.1), "{method}");
    }
}

#[actix_rt::test]
async fn what_a_client_can_not_see_it_does_not_change() {
    let app = Secure::start().await;
    app.execute(
        "insert into items (name, description, status, data) values ('one', 'secret', 'open', '{\"a\": 1}');
         select plank.watch('items', columns => '{id,name,status,version}');
         select plank.allow('items', 'editor', null, '{select,insert,update,delete}')",
    )
    .await;
    let bob = editor();
    let kept = async || {
        let sql = "select description = 'secret' and data = '{\"a\": 1}' from items where id = 1";
        let row = app.sql.query_one(sql, &[]).await.unwrap();
        row.get::<_, Option<bool>>(0)
    };
    for (method, body) in [
        ("PUT", json!({"name": "two"})),
        ("PUT", json!({"name": "three", "status": "done"})),
        ("PATCH", json!({"name": "four"})),
    ] {
        let (status, answer) = app.ask(&bob, method, "/api/items/1", Some(body)).await;
        assert_eq!((status, &answer["data"]), (200, &Value::Null), "{answer}");
        assert_eq!(kept().await, Some(true), "{method}");
    }
    for (member, value) in [
        ("description", json!("mine")),
        ("description", json!(null)),
        ("data", json!({})),
    ] {
        for (method, path) in [
            ("POST", "/api/items"),
            ("PUT", "/api/items/1"),
            ("PATCH", "/api/items/1"),
        ] {
            let body = json!({"name": "x", member: value});
            let (status, answer) = app.ask(&bob, method, path, Some(body)).await;
            assert_eq!(status, 422, "{method} {member}: {answer}");
            let unknown = answer["errors"][0]["detail"].as_str().unwrap();
            assert_eq!(unknown, "is unknown; the members are name, status");
        }
    }
    assert_eq!(kept().await, Some(true));
}
