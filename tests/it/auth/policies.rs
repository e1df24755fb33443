//! What a role may see: the same for rows, changes, history and resumes, and from the moment when it is said.

use serde_json::{Value, json};

use super::{Secure, token, viewer};
use crate::support::{TestApp, WsClient};

pub async fn cursor(app: &TestApp) -> String {
    app.sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0)
}

pub fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

pub fn told(changes: &[Value]) -> Vec<(String, i64)> {
    let of = |c: &Value| {
        (
            c["op"].as_str().unwrap().to_owned(),
            c["key"]["id"].as_i64().unwrap(),
        )
    };
    changes.iter().map(of).collect()
}

pub async fn subscribe(client: &mut WsClient, more: Value) {
    let mut message = json!({"type": "subscribe", "id": "a", "table": "notes"});
    message
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    client.send(message).await;
}

#[actix_rt::test]
async fn nothing_allowed_is_nothing_visible() {
    let app = Secure::start().await;
    let token = viewer("ann");
    let (_, tables) = app.ask(&token, "GET", "/api/tables", None).await;
    assert_eq!(tables, json!({"tables": []}));
    // A table that may not be seen is answered like one that is not there, letter by letter.
    let known = cursor(&app).await;
    for path in [
        "/api/tables/{}/rows".to_owned(),
        "/api/changes?table={}".into(),
        format!("/api/changes?table={{}}&since={known}"),
        "/api/stream?table={}".into(),
    ] {
        let ask = async |table: &str| {
            let (status, answer) = app
                .ask(&token, "GET", &path.replace("{}", table), None)
                .await;
            (status, answer.to_string().replace(table, "T"))
        };
        let forbidden = ask("notes").await;
        assert_eq!(forbidden.0, 404);
        assert_eq!(forbidden, ask("nothing").await, "{path}");
    }
    let mut client = app.socket(&token).await;
    let mut said = Vec::new();
    for table in ["notes", "nothing", "plank.log", "pg_catalog.pg_authid"] {
        for more in [
            json!({}),
            json!({"snapshot": true}),
            json!({"since": known}),
        ] {
            client.send(json!({"type": "ping"})).await;
            client.expect("pong").await;
            let mut message = json!({"type": "subscribe", "id": "a", "table": table});
            message
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            client.send(message).await;
            said.push(client.expect("error").await.to_string().replace(table, "T"));
        }
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
}

#[actix_rt::test]
async fn rows_changes_history_and_resumes_show_the_same() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let token = viewer("ann");
    let since = cursor(&app).await;
    let mut live = app.socket(&token).await;
    subscribe(&mut live, json!({"snapshot": true})).await;
    assert_eq!(ids(&live.snapshot().await.0), [1]);
    live.expect("subscribed").await;
    app.execute(
        "begin;
         insert into notes values (4, 'ann', 1, 'mine'), (5, 'bob', 1, 'bobs');
         update notes set body = 'still bobs' where id = 5;
         update notes set owner = 'ann' where id = 2;
         update notes set owner = 'bob', body = 'secret' where id = 1;
         delete from notes where id in (3, 4);
         commit",
    )
    .await;
    let expected = [("insert", 4), ("insert", 2), ("delete", 1), ("delete", 4)];
    let expected: Vec<(String, i64)> = expected
        .iter()
        .map(|(op, id)| ((*op).to_owned(), *id))
        .collect();
    let changes = live.batch().await;
    assert_eq!(told(&changes), expected);
    assert_eq!(
        changes[2],
        json!({
            "op": "delete", "cause": "update", "key": {"id": 1}, "seq": changes[2]["seq"], "xid": changes[2]["xid"], "at": changes[2]["at"],
        }),
        "of a row that has left only the key is told"
    );
    let text = serde_json::to_string(&changes).unwrap();
    assert!(
        !text.contains("bobs") && !text.contains("secret") && !text.contains("cid"),
        "{text}"
    );
    let (_, history) = app
        .ask(
            &token,
            "GET",
            &format!("/api/changes?table=notes&since={since}"),
            None,
        )
        .await;
    let (_, poll) = app
        .ask(
            &token,
            "GET",
            &format!("/api/changes?table=notes&since={since}&wait=5"),
            None,
        )
        .await;
    let mut resumed = app.socket(&token).await;
    subscribe(&mut resumed, json!({"since": since})).await;
    resumed.expect("subscribed").await;
    let answer = app
        .http
        .get(app.url(&format!("/api/stream?table=notes&since={since}")))
        .bearer_auth(&token);
    let mut stream = answer.send().await.unwrap();
    let mut events = String::new();
    while !events.contains("\"op\":\"delete\",\"key\":{\"id\":4}") {
        let chunk = stream.chunk().await.unwrap().unwrap();
        events.push_str(&String::from_utf8_lossy(&chunk));
    }
    for (name, other) in [
        ("history", history["changes"].as_array().unwrap().clone()),
        ("long poll", poll["changes"].as_array().unwrap().clone()),
        ("resume", resumed.batch().await),
    ] {
        assert_eq!(other, changes, "{name}");
    }
    assert!(
        !events.contains("bobs") && !events.contains("secret"),
        "{events}"
    );
    let (_, rows) = app.ask(&token, "GET", "/api/tables/notes/rows", None).await;
    assert_eq!(ids(rows["rows"].as_array().unwrap()), [2]);
}

#[actix_rt::test]
async fn a_filter_asks_within_what_may_be_seen() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'tenant=eq.1')")
        .await;
    let token = viewer("ann");
    for (filter, expected) in [
        ("", vec![1, 2]),
        ("id=gt.0", vec![1, 2]),
        ("tenant=eq.2", vec![]),
        ("or=(tenant.eq.2,id.eq.1)", vec![1]),
        ("not.and=(tenant.eq.1)", vec![]),
        ("tenant=neq.1", vec![]),
        ("not.or=(tenant.eq.1,tenant.eq.3)", vec![]),
        ("owner=eq.cid", vec![]),
    ] {
        let path = format!("/api/tables/notes/rows?{filter}");
        let (status, rows) = app.ask(&token, "GET", &path, None).await;
        assert_eq!(status, 200, "{filter}: {rows}");
        assert_eq!(ids(rows["rows"].as_array().unwrap()), expected, "{filter}");
        let mut client = app.socket(&token).await;
        subscribe(&mut client, json!({"filter": filter, "snapshot": true})).await;
        assert_eq!(ids(&client.snapshot().await.0), expected, "{filter}");
    }
}

#[actix_rt::test]
async fn what_is_hidden_can_not_be_filtered_or_sorted_by() {
    let app = Secure::start().await;
    app.execute("select plank.watch('notes', columns => '{id,body}'); select plank.allow('notes', 'viewer')").await;
    let token = viewer("ann");
    for query in [
        "owner=eq.ann",
        "or=(owner.eq.ann,id.gt.0)",
        "order=tenant.asc",
        "order=id.asc,owner.desc",
        "columns=owner",
        "columns=id,tenant",
    ] {
        for path in ["/api/tables/notes/rows?", "/api/changes?table=notes&"] {
            let (status, answer) = app
                .ask(&token, "GET", &format!("{path}{query}"), None)
                .await;
            assert_eq!(status, 400, "{path}{query}: {answer}");
        }
    }
    let mut client = app.socket(&token).await;
    for (member, value) in [
        ("filter", json!("owner=eq.ann")),
        ("columns", json!(["owner"])),
    ] {
        subscribe(&mut client, json!({ member: value })).await;
        client.expect("error").await;
    }
    subscribe(&mut client, json!({"snapshot": true})).await;
    let (rows, _) = client.snapshot().await;
    assert_eq!(rows[0], json!({"id": 1, "body": "a"}));
}

#[actix_rt::test]
async fn a_policy_with_a_mistake_shows_nobody_anything() {
    let app = Secure::start().await;
    let mistakes = [
        "ownr=eq.{sub}",
        "owner=eq.{user}",
        "owner={sub}",
        "tenant=eq.x",
        "owner=is.{sub}",
    ];
    for (role, rows) in mistakes.into_iter().enumerate() {
        // plank.allow refuses them; one may have been right once, or come from an older plank.
        app.execute(&format!(
            "insert into plank.policy (rel, role, op, rows) values ('notes', 'r{role}', 'select', '{rows}');
             select plank.announce('notes'::regclass, 'W')"
        ))
        .await;
        let token = token(json!({"sub": "ann", "role": format!("r{role}")}));
        let mut client = app.socket(&token).await;
        subscribe(&mut client, json!({"snapshot": true})).await;
        assert_eq!(ids(&client.snapshot().await.0), Vec::<i64>::new(), "{rows}");
    }
}

#[actix_rt::test]
async fn who_may_say_what_may_be_seen() {
    let app = Secure::start().await;
    app.execute("create table plain (id int primary key); create table thin (id int primary key); select plank.watch('thin', old_rows => false)").await;
    for (sql, part) in [
        ("select plank.allow('plain', 'viewer')", "is not watched"),
        ("select plank.allow('notes', '')", "role is empty"),
        ("select plank.allow('notes', null)", "role is empty"),
        ("select plank.allow('notes', 'viewer', '')", "rows is empty"),
        (
            "select plank.allow('notes', 'viewer', null, '{}')",
            "ops is empty",
        ),
        (
            "select plank.allow('notes', 'viewer', null, '{truncate}')",
            "no op truncate",
        ),
        (
            "select plank.allow('thin', 'viewer', 'id=eq.1')",
            "logs no old rows",
        ),
        ("select plank.deny('notes', 'viewer', '{see}')", "no op see"),
        (
            "create role stranger; set role stranger; select plank.allow('public.notes', 'viewer')",
            "permission denied",
        ),
    ] {
        let error = app.sql.batch_execute(sql).await.unwrap_err();
        let text = error.as_db_error().unwrap().message().to_owned();
        assert!(text.contains(part), "{sql}: {text}");
        app.execute("reset role; drop role if exists stranger")
            .await;
    }
    app.execute("select plank.allow('thin', 'viewer'); select plank.allow('notes', 'a', 'id=eq.1', '{select,update}')").await;
    let listed = app
        .sql
        .query_one(
            "select \"table\"::text, role, rows, ops from plank.policies where role = 'a'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(listed.get::<_, Vec<String>>(3), ["select", "update"]);
    // Who stops being watched is seen by nobody when it is watched again.
    app.execute("select plank.unwatch('notes'); select plank.watch('notes')")
        .await;
    let left: i64 = app
        .sql
        .query_one("select count(*) from plank.policies where role = 'a'", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);
}

/// Found by a review: of a row without a key a bare `delete` would say nothing.
#[actix_rt::test]
async fn a_row_without_a_key_that_leaves_is_told_by_what_was_seen_of_it() {
    let app = Secure::start().await;
    app.execute(
        "create table bare (owner text, body text); select plank.watch('bare');
         insert into bare values ('ann', 'a'); select plank.allow('bare', 'viewer', 'owner=eq.{sub}')",
    )
    .await;
    let mut client = app.socket(&viewer("ann")).await;
    client
        .send(json!({"type": "subscribe", "id": "a", "table": "bare"}))
        .await;
    client.expect("subscribed").await;
    app.execute("update bare set owner = 'bob', body = 'secret'")
        .await;
    let change = &client.batch().await[0];
    assert_eq!(
        (&change["op"], &change["key"]),
        (&json!("delete"), &json!(null))
    );
    assert_eq!(change["old"], json!({"owner": "ann", "body": "a"}));
}
