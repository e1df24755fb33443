//! What a principal may do with items over HTTP: a write outside a policy is 403, a row outside it 404.

use serde_json::json;

use super::{Secure, token};

fn of(sub: &str, role: &str) -> String {
    token(json!({"sub": sub, "role": role, "status": "open"}))
}

#[actix_rt::test]
async fn a_write_outside_the_policy_is_403_and_a_row_outside_it_404() {
    let app = Secure::start().await;
    app.execute(
        "insert into items (name, status) values ('one', 'open'), ('two', 'done');
         select plank.allow('items', 'viewer', 'status=eq.open');
         select plank.allow('items', 'editor', 'status=in.(open,active)');
         select plank.allow('items', 'editor', 'status=eq.{claim.status}', '{insert,update,delete}');
         select plank.allow('items', 'writer', null, '{insert}')",
    )
    .await;
    let (viewer, editor) = (of("ann", "viewer"), of("bob", "editor"));
    let (writer, nobody) = (of("cid", "writer"), of("dan", "nobody"));
    let open = json!({"name": "x", "status": "open"});
    let done = json!({"name": "x", "status": "done"});
    for (who, method, path, body, expected) in [
        ("viewer", "GET", "/api/items/1", None, 200),
        ("viewer", "GET", "/api/items/2", None, 404),
        ("viewer", "GET", "/api/items/99", None, 404),
        ("viewer", "POST", "/api/items", Some(&open), 403),
        ("viewer", "PUT", "/api/items/1", Some(&open), 403),
        ("viewer", "PATCH", "/api/items/1", Some(&open), 403),
        ("viewer", "DELETE", "/api/items/1", None, 403),
        ("viewer", "DELETE", "/api/items/2", None, 403),
        ("nobody", "GET", "/api/items", None, 404),
        ("nobody", "GET", "/api/items/1", None, 404),
        ("nobody", "POST", "/api/items", Some(&open), 403),
        ("nobody", "DELETE", "/api/items/1", None, 403),
        ("editor", "GET", "/api/items/2", None, 404),
        ("editor", "PUT", "/api/items/2", Some(&open), 404),
        ("editor", "PATCH", "/api/items/2", Some(&open), 404),
        ("editor", "DELETE", "/api/items/2", None, 404),
        ("editor", "POST", "/api/items", Some(&done), 403),
        ("editor", "PATCH", "/api/items/1", Some(&done), 403),
        ("editor", "PUT", "/api/items/1", Some(&done), 403),
        (
            "editor",
            "PATCH",
            "/api/items/1",
            Some(&json!({"name": "y"})),
            200,
        ),
        ("editor", "POST", "/api/items", Some(&open), 201),
        ("writer", "GET", "/api/items", None, 404),
        ("writer", "POST", "/api/items", Some(&done), 201),
    ] {
        let token = match who {
            "viewer" => &viewer,
            "editor" => &editor,
            "writer" => &writer,
            _ => &nobody,
        };
        let (status, answer) = app.ask(token, method, path, body.cloned()).await;
        assert_eq!(status, expected, "{who} {method} {path}: {answer}");
    }
    // What was refused was not done.
    let rows = app
        .sql
        .query("select name, status from items order by id", &[])
        .await
        .unwrap();
    let rows: Vec<(String, String)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
    let expected = [("y", "open"), ("two", "done"), ("x", "open"), ("x", "done")];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(n, s)| (n.as_str(), s.as_str())).collect();
    assert_eq!(rows, expected);
    // Nothing is told of a row that may not be seen: not by its version either, nor by the row that was just made.
    let if_match = app
        .http
        .delete(app.url("/api/items/2"))
        .bearer_auth(&editor)
        .header("if-match", "\"77\"");
    assert_eq!(if_match.send().await.unwrap().status(), 404);
    let (_, made) = app
        .ask(
            &writer,
            "POST",
            "/api/items",
            Some(json!({"name": "z", "status": "active"})),
        )
        .await;
    assert_eq!(made.as_object().unwrap().keys().collect::<Vec<_>>(), ["id"]);
    let (_, page) = app
        .ask(&viewer, "GET", "/api/items?order=id.asc", None)
        .await;
    let names: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["name"].clone())
        .collect();
    assert_eq!(
        names,
        ["y", "x"],
        "the list has what the viewer may see, and no more"
    );
}

#[actix_rt::test]
async fn a_hidden_column_of_the_items_can_not_be_read_filtered_or_sorted_by() {
    let app = Secure::start().await;
    app.execute(
        "insert into items (name, description, data) values ('one', 'secret', '{\"a\": 1}');
         select plank.watch('items', columns => '{id,name,status,version}');
         select plank.allow('items', 'viewer')",
    )
    .await;
    let viewer = of("ann", "viewer");
    let (_, one) = app.ask(&viewer, "GET", "/api/items/1", None).await;
    assert_eq!(
        one,
        json!({"id": 1, "name": "one", "status": "open", "version": 1})
    );
    let (_, page) = app
        .ask(&viewer, "GET", "/api/items?order=id.asc", None)
        .await;
    assert_eq!(page["items"], json!([one]));
    for query in [
        "description=like.s*",
        "order=updated_at.asc",
        "or=(id.gt.0,created_at.gt.2000-01-01)",
        "data=not.is.null",
    ] {
        let (status, answer) = app
            .ask(&viewer, "GET", &format!("/api/items?{query}"), None)
            .await;
        assert_eq!(status, 400, "{query}: {answer}");
    }
    let (status, page) = app.ask(&viewer, "GET", "/api/items?limit=1", None).await;
    assert_eq!(
        (status, page["items"].clone()),
        (200, json!([one])),
        "the usual order is by a column that is hidden"
    );
}
