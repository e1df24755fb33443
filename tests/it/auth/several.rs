//! Several policies of one role for one op: what one of them shows is shown.

use serde_json::{Value, json};

use super::policies::{ids, subscribe};
use super::{Secure, token};
use crate::support::{WsClient, until};

fn of(sub: &str, claims: Value) -> String {
    let mut all = json!({"sub": sub, "role": "viewer"});
    all.as_object_mut()
        .unwrap()
        .extend(claims.as_object().unwrap().clone());
    token(all)
}

async fn sees(app: &Secure, token: &str) -> Vec<i64> {
    let (status, body) = app.ask(token, "GET", "/api/tables/notes/rows", None).await;
    // While a policy changes a page is 503: asked again, the server knows better.
    match body["rows"].as_array() {
        Some(rows) => ids(rows),
        None => {
            if status == 404 {
                vec![]
            } else {
                vec![-1]
            }
        }
    }
}

#[actix_rt::test]
async fn policies_of_one_role_add_up_and_the_same_name_replaces() {
    let app = Secure::start().await;
    let (ann, chief) = (of("ann", json!({})), of("ann", json!({"tenant": 2})));
    for (sql, of_ann, of_chief) in [
        (
            "select plank.allow('notes', 'viewer', 'owner=eq.{sub}', name => 'own')",
            vec![1],
            vec![1],
        ),
        // A claim that is missing takes nothing away from what another policy shows.
        (
            "select plank.allow('notes', 'viewer', 'tenant=eq.{claim.tenant}', name => 'tenant')",
            vec![1],
            vec![1, 3],
        ),
        (
            "select plank.allow('notes', 'viewer', 'id=eq.2', name => 'own')",
            vec![2],
            vec![2, 3],
        ),
        (
            "select plank.allow('notes', 'viewer')",
            vec![1, 2, 3],
            vec![1, 2, 3],
        ),
        (
            "select plank.deny('notes', 'viewer', name => 'default')",
            vec![2],
            vec![2, 3],
        ),
        (
            "select plank.deny('notes', 'viewer', name => 'nobody')",
            vec![2],
            vec![2, 3],
        ),
        (
            "select plank.deny('notes', 'viewer', name => 'own')",
            vec![],
            vec![3],
        ),
        ("select plank.deny('notes', 'viewer')", vec![], vec![]),
    ] {
        app.execute(sql).await;
        until(sql, async || sees(&app, &ann).await == of_ann).await;
        until(sql, async || sees(&app, &chief).await == of_chief).await;
    }
}

/// A socket of a principal that follows all it may see, with what it has.
async fn follow(app: &Secure, token: &str) -> WsClient {
    let mut client = app.socket(token).await;
    subscribe(&mut client, json!({"snapshot": true})).await;
    let _ = client.snapshot().await;
    client.expect("subscribed").await;
    client
}

#[actix_rt::test]
async fn a_change_of_one_policy_resets_those_who_have_seen_by_another() {
    let app = Secure::start().await;
    app.execute(
        "select plank.allow('notes', 'viewer', 'owner=eq.{sub}', name => 'own');
         select plank.allow('notes', 'viewer', 'tenant=eq.2', name => 'tenant')",
    )
    .await;
    let ann = of("ann", json!({}));
    let mut client = follow(&app, &ann).await;
    let before = super::policies::cursor(&app).await;
    app.execute("insert into notes values (7, 'eve', 2, 'x')")
        .await;
    assert_eq!(client.batch().await[0]["key"]["id"], 7);
    // The row goes out of sight, and no change of it says so: the rows have to be loaded anew.
    app.execute("select plank.deny('notes', 'viewer', name => 'tenant')")
        .await;
    client.expect("reset").await;
    let (rows, _) = client.snapshot().await;
    assert_eq!(ids(&rows), [1]);
    let mut late = app.socket(&ann).await;
    subscribe(&mut late, json!({"since": before})).await;
    late.expect("reset").await;
}

#[actix_rt::test]
async fn a_write_needs_one_of_the_policies_before_and_after() {
    let app = Secure::start().await;
    app.execute(
        "insert into items (name, status) values ('one', 'open'), ('two', 'done');
         select plank.allow('items', 'viewer');
         select plank.allow('items', 'viewer', 'status=eq.open', '{insert,update}', 'open');
         select plank.allow('items', 'viewer', 'status=eq.active', '{insert,update}', 'active')",
    )
    .await;
    let ann = of("ann", json!({}));
    for (method, path, status, expected) in [
        ("PATCH", "/api/items/1", "active", 200),
        ("PATCH", "/api/items/1", "open", 200),
        ("PATCH", "/api/items/1", "done", 403),
        ("PATCH", "/api/items/2", "open", 403),
        ("POST", "/api/items", "active", 201),
        ("POST", "/api/items", "done", 403),
    ] {
        let body = json!({"name": "x", "status": status});
        let (got, answer) = app.ask(&ann, method, path, Some(body)).await;
        assert_eq!(got, expected, "{method} {path} {status}: {answer}");
    }
}

#[actix_rt::test]
async fn policies_are_listed_by_name() {
    let app = Secure::start().await;
    app.execute(
        "select plank.allow('notes', 'viewer', 'id=eq.1', '{select,update}', 'a');
         select plank.allow('notes', 'viewer', 'id=eq.2', name => 'b')",
    )
    .await;
    let sql = "select name, rows, ops from plank.policies where role = 'viewer' order by name";
    let rows = app.sql.query(sql, &[]).await.unwrap();
    let list: Vec<(String, String, Vec<String>)> = rows
        .iter()
        .map(|r| (r.get(0), r.get(1), r.get(2)))
        .collect();
    let op = |list: &[&str]| list.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        list,
        [
            ("a".into(), "id=eq.1".into(), op(&["select", "update"])),
            ("b".into(), "id=eq.2".into(), op(&["select"])),
        ]
    );
    let many = "select plank.allow('notes', 'many', 'id=eq.1', name => n::text) from generate_series(1, 33) n";
    let error = app.sql.batch_execute(many).await.unwrap_err();
    assert!(
        error
            .as_db_error()
            .unwrap()
            .message()
            .contains("more than 32")
    );
}
