//! Writing.

use serde_json::{Value, json};

use super::{get, header, send, start};
use crate::support::TestApp;

const BACK: (&str, &str) = ("prefer", "return=representation");

async fn post(app: &TestApp, path: &str, prefer: &str, body: &Value) -> (u16, Value) {
    let (status, _, body) = send(app, "POST", path, &[("prefer", prefer)], &body.to_string()).await;
    (status, body)
}

#[actix_web::test]
async fn a_row_is_inserted_and_found_where_the_answer_says() {
    let app = start().await;
    let (status, headers, body) =
        send(&app, "POST", "/rest/orders", &[], r#"{"name":"new"}"#).await;
    assert_eq!((status, body), (201, json!("")));
    let location = header(&headers, "location");
    assert_eq!(location, "/rest/orders?id=eq.4");
    assert_eq!(header(&headers, "etag"), "\"1\"");
    assert!(!header(&headers, "plank-xid").is_empty());
    assert_eq!(get(&app, location).await[0]["status"], "open");
    let (status, headers, body) = send(
        &app,
        "POST",
        "/rest/orders?select=id,n:name",
        &[BACK],
        r#"[{"name":"a"},{"name":"b"}]"#,
    )
    .await;
    assert_eq!(
        (status, body),
        (201, json!([{"id": 5, "n": "a"}, {"id": 6, "n": "b"}]))
    );
    assert_eq!(
        header(&headers, "preference-applied"),
        "return=representation"
    );
    assert_eq!(
        post(&app, "/rest/orders", "return=representation", &json!([])).await,
        (201, json!([]))
    );
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn values_keep_every_digit_both_ways() {
    let app = start().await;
    // Each as PostgreSQL writes it, so that it has to come back as it was sent.
    let rows = [
        r#"{"name":"n","price":123456789012345678901234567890.123456789012345678901234567890}"#,
        r#"{"name":"inf","price":"Infinity","number":"-Infinity","at":"infinity","day":"0044-03-15 BC"}"#,
        r#"{"name":"nan","price":"NaN","number":0.1}"#,
        r#"{"name":"t","tags":["a,b","\"q\"","",null],"span":"[3,8)","mood":"happy"}"#,
        r#"{"name":"c","place":{"x":1,"y":1.10,"z":"(\",)"},"qty":3,"bytes":"\\x00ff","wait":"1 day 02:00:00","address":"10.0.0.1/8"}"#,
        r#"{"name":"j","data":{"a": [1, {"b": "ü"}], "n": null}}"#,
        r#"{"name":"big","id":9223372036854775807}"#,
    ];
    for row in rows {
        let sent: Value = serde_json::from_str(row).unwrap();
        let mut columns: Vec<&String> = sent.as_object().unwrap().keys().collect();
        columns.sort_by_key(|name| row.find(&format!("\"{name}\":")));
        let columns: Vec<&str> = columns.into_iter().map(String::as_str).collect();
        let path = format!("/rest/orders?select={}", columns.join(","));
        let request = app
            .http
            .post(app.url(&path))
            .header("content-type", "application/json");
        let request = request.header(BACK.0, BACK.1).body(row.to_owned());
        // As text: a number must not go through floating point in this test either.
        let text = request.send().await.unwrap().text().await.unwrap();
        assert_eq!(text, format!("[{row}]"));
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn rows_that_are_there_are_merged_or_left() {
    let app = start().await;
    let lines = "/rest/sales.%22Order%20Lines%22";
    let both = json!([{"a": 1, "b": "x", "c": "new"}, {"a": 3, "b": "z", "c": "new"}]);
    let (status, body) = post(&app, lines, "return=representation", &both).await;
    assert_eq!((status, &body["code"]), (409, &json!("23505")));
    let ignore = "return=representation,resolution=ignore-duplicates";
    let (status, body) = post(&app, lines, ignore, &both).await;
    assert_eq!(
        (status, body),
        (201, json!([{"a": 3, "b": "z", "c": "new"}]))
    );
    let merge = "return=representation,resolution=merge-duplicates";
    let (status, body) = post(&app, lines, merge, &both).await;
    assert_eq!((status, body), (201, both));
    // By another unique constraint.
    app.execute("update orders set code = 'abc' where id = 2")
        .await;
    let path = "/rest/orders?on_conflict=code&select=id,name,status";
    let (status, body) = post(&app, path, merge, &json!({"code": "abc", "name": "other"})).await;
    assert_eq!(
        (status, body),
        (201, json!([{"id": 2, "name": "other", "status": "done"}]))
    );
    let (status, body) = post(
        &app,
        "/rest/orders?on_conflict=name",
        merge,
        &json!({"name": "x"}),
    )
    .await;
    assert_eq!((status, &body["code"]), (400, &json!("42P10")));
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn what_is_missing_is_null_or_the_default() {
    let app = start().await;
    let rows = json!([{"name": "a", "status": "x"}, {"name": "b"}]);
    let path = "/rest/orders?columns=name,status&select=name,status";
    let (status, body) = post(&app, path, "return=representation", &rows).await;
    assert_eq!((status, &body["code"]), (400, &json!("23502")), "{body}");
    let prefer = "return=representation,missing=default";
    let (status, body) = post(&app, path, prefer, &rows).await;
    assert_eq!(
        (status, body),
        (
            201,
            json!([{"name": "a", "status": "x"}, {"name": "b", "status": "open"}])
        )
    );
    // What is not among the columns is left out.
    let path = "/rest/orders?columns=%22name%22&select=name,status";
    let (_, body) = post(
        &app,
        path,
        prefer,
        &json!([{"name": "c", "status": "x", "nonsense": 1}]),
    )
    .await;
    assert_eq!(body, json!([{"name": "c", "status": "open"}]));
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn rows_of_a_filter_are_changed_and_taken_away() {
    let app = start().await;
    let change = r#"{"status":"done","price":null}"#;
    let (status, headers, body) =
        send(&app, "PATCH", "/rest/orders?status=eq.open", &[], change).await;
    assert_eq!(
        (status, body, header(&headers, "content-range")),
        (204, json!(""), "0-1/*")
    );
    let path = "/rest/orders?id=eq.1&select=status";
    let (status, headers, body) = send(
        &app,
        "PATCH",
        path,
        &[BACK],
        r#"{"status":"new","version":2}"#,
    )
    .await;
    assert_eq!(
        (status, body, header(&headers, "etag")),
        (200, json!([{"status": "new"}]), "\"2\"")
    );
    let (status, headers, body) =
        send(&app, "PATCH", "/rest/orders?id=eq.99", &[BACK], change).await;
    assert_eq!(
        (status, body, header(&headers, "content-range")),
        (200, json!([]), "*/*")
    );
    let (status, _, body) = send(
        &app,
        "DELETE",
        "/rest/orders?id=in.(1,2)&select=id",
        &[BACK],
        "",
    )
    .await;
    assert_eq!((status, body), (200, json!([{"id": 1}, {"id": 2}])));
    let (status, headers, _) = send(
        &app,
        "DELETE",
        "/rest/orders?id=eq.1",
        &[("prefer", "count=exact")],
        "",
    )
    .await;
    assert_eq!((status, header(&headers, "content-range")), (204, "*/0"));
    for (method, body) in [("PATCH", change), ("DELETE", "")] {
        let (status, _, answer) = send(&app, method, "/rest/orders", &[], body).await;
        assert_eq!(
            (status, &answer["errors"][0]["field"]),
            (400, &json!("filter"))
        );
        let all = [("prefer", "plank-all-rows")];
        let (status, headers, _) = send(&app, method, "/rest/orders", &all, body).await;
        assert_eq!(
            (status, header(&headers, "preference-applied")),
            (204, "plank-all-rows")
        );
    }
    assert_eq!(get(&app, "/rest/orders").await, json!([]));
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn put_inserts_or_replaces_one_row() {
    let app = start().await;
    let path = "/rest/sales.%22Order%20Lines%22?a=eq.7&b=eq.q";
    let (status, _, _) = send(&app, "PUT", path, &[], r#"{"a":7,"b":"q","c":"v"}"#).await;
    assert_eq!(status, 201);
    // What it does not have goes back to its default.
    let (status, _, body) = send(&app, "PUT", path, &[BACK], r#"{"a":7,"b":"q"}"#).await;
    assert_eq!((status, body), (200, json!([{"a": 7, "b": "q", "c": "c"}])));
    let (status, _, _) = send(&app, "PUT", path, &[], r#"{"a":7,"b":"q","c":"w"}"#).await;
    assert_eq!(status, 204);
    for (path, body, field) in [
        (path, r#"{"a":8,"b":"q"}"#, "body"),
        (path, r#"{"b":"q"}"#, "body"),
        (
            "/rest/sales.%22Order%20Lines%22?a=eq.7",
            r#"{"a":7,"b":"q"}"#,
            "filter",
        ),
        (
            "/rest/sales.%22Order%20Lines%22?a=eq.7&b=gt.q",
            r#"{"a":7,"b":"q"}"#,
            "filter",
        ),
    ] {
        let (status, _, answer) = send(&app, "PUT", path, &[], body).await;
        assert_eq!(
            (status, &answer["errors"][0]["field"]),
            (400, &json!(field)),
            "{path} {body}"
        );
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_write_can_depend_on_the_version() {
    let app = start().await;
    let path = "/rest/orders?id=eq.1";
    let body = r#"{"version":2}"#;
    for (tag, expected) in [
        ("\"7\"", 412),
        ("W/\"1\"", 412),
        ("\"1\"", 204),
        ("\"1\"", 412),
        ("*", 204),
    ] {
        let (status, _, answer) = send(&app, "PATCH", path, &[("if-match", tag)], body).await;
        assert_eq!(status, expected, "{tag} {answer}");
    }
    let (status, _, answer) = send(
        &app,
        "PATCH",
        "/rest/orders?id=gt.1",
        &[("if-match", "*")],
        body,
    )
    .await;
    assert_eq!(
        (status, &answer["errors"][0]["field"]),
        (400, &json!("If-Match"))
    );
    let lines = "/rest/sales.%22Order%20Lines%22?a=eq.1&b=eq.x";
    let (_, headers, _) = send(&app, "GET", lines, &[], "").await;
    let tag = header(&headers, "etag").to_owned();
    app.execute("update sales.\"Order Lines\" set c = 'other'")
        .await;
    let (status, _, _) = send(&app, "DELETE", lines, &[("if-match", &tag)], "").await;
    assert_eq!(status, 412);
    let put = r#"{"a":1,"b":"x","c":"mine"}"#;
    let (status, _, _) = send(&app, "PUT", lines, &[("if-match", &tag)], put).await;
    assert_eq!(status, 412);
    let (_, headers, _) = send(&app, "GET", lines, &[], "").await;
    let tag = header(&headers, "etag").to_owned();
    let (status, _, _) = send(&app, "DELETE", lines, &[("if-match", &tag)], "").await;
    assert_eq!(status, 204);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn what_is_too_much_or_not_one_row_is_not_written() {
    let app = start().await;
    let single = ("accept", "application/vnd.pgrst.object+json");
    let change = r#"{"name":"same"}"#;
    let most = [("prefer", "handling=strict, max-affected=2")];
    let (status, _, body) = send(&app, "PATCH", "/rest/orders?id=gt.0", &most, change).await;
    assert_eq!((status, &body["code"]), (400, &json!("PGRST124")));
    let (status, _, body) = send(
        &app,
        "PATCH",
        "/rest/orders?id=gt.0",
        &[BACK, single],
        change,
    )
    .await;
    assert_eq!((status, &body["code"]), (406, &json!("PGRST116")));
    let dry = [("prefer", "return=representation, tx=rollback")];
    let (status, headers, body) = send(
        &app,
        "PATCH",
        "/rest/orders?id=eq.1&select=name",
        &dry,
        change,
    )
    .await;
    assert_eq!((status, body), (200, json!([{"name": "same"}])));
    assert_eq!(
        header(&headers, "preference-applied"),
        "return=representation, tx=rollback"
    );
    assert_eq!(header(&headers, "plank-xid"), "");
    assert_eq!(get(&app, "/rest/orders?name=eq.same").await, json!([]));
    let (status, _, body) = send(
        &app,
        "PATCH",
        "/rest/orders?id=eq.1&select=name",
        &[BACK, single],
        change,
    )
    .await;
    assert_eq!((status, body), (200, json!({"name": "same"})));
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_subscription_that_has_passed_the_cursor_of_a_write_has_seen_it() {
    let app = start().await;
    for i in 0..20 {
        let (_, headers, _) = send(
            &app,
            "POST",
            "/rest/orders",
            &[],
            &format!(r#"{{"name":"n{i}"}}"#),
        )
        .await;
        let cursor = header(&headers, "plank-cursor").to_owned();
        assert!(!cursor.is_empty());
        // It is as good as any other: what comes behind it does not begin with the write itself.
        app.execute(&format!("insert into orders (name) values ('behind {i}')"))
            .await;
        let changes = get(
            &app,
            &format!("/api/changes?table=orders&since={cursor}&wait=20"),
        )
        .await;
        assert_eq!(
            changes["changes"][0]["row"]["name"],
            format!("behind {i}"),
            "{changes}"
        );
        assert_eq!(changes["changes"].as_array().unwrap().len(), 1);
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn the_functions_of_triggers_find_what_their_owner_means() {
    let app = start().await;
    app.execute(
        "create table audit (what text);
         create function note() returns trigger language plpgsql as $$ begin insert into audit values (new.name); return new; end $$;
         alter function note() security definer;
         create trigger note before insert on orders for each row execute function note();",
    )
    .await;
    let (status, body) = post(&app, "/rest/orders", "", &json!({"name": "seen"})).await;
    assert_eq!(status, 201, "{body}");
    let row = app
        .sql
        .query_one("select what from audit", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "seen");
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_default_may_draw_from_a_sequence_that_tables_share() {
    let app = start().await;
    app.execute(
        "create sequence shared;
         create table first (id bigint primary key default nextval('shared'), name text);
         create table second (like first including all);
         select plank.watch('first', writable => true), plank.watch('second', writable => true)",
    )
    .await;
    let new = json!({"name": "n"});
    for table in ["first", "second"] {
        let (status, body) = post(&app, &format!("/rest/{table}"), "", &new).await;
        assert_eq!(status, 201, "{table}: {body}");
    }
    app.execute("select plank.unwatch('first')").await;
    let (status, body) = post(&app, "/rest/second", "", &new).await;
    assert_eq!(status, 201, "{body}");
    app.execute("select plank.unwatch('second')").await;
    let sql = "select count(*) from pg_class, aclexplode(relacl) a where relname = 'shared' and a.grantee <> relowner";
    let rights: i64 = app.sql.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(rights, 0, "nothing is left of the rights on it");
}
