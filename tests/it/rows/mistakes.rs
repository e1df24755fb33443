//! What can't be had, and what clients try.

use serde_json::{Value, json};

use super::{page, path, watched};
use crate::support::TestApp;
use crate::support::raw::RawClient;

async fn refused(app: &TestApp, table: &str, query: &[(&str, &str)], status: u16, part: &str) {
    let path = path(table, query);
    let (got, problem) = app.request("GET", &path, None).await;
    assert_eq!(got, status, "{path}: {problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(part), "{path}: {detail}");
}

#[actix_web::test]
async fn mistakes_are_named() {
    let app = TestApp::start().await;
    watched(
        &app,
        "odd",
        "create table odd (id int primary key, p point, j json, js json[], secret text, t text)",
    )
    .await;
    app.execute("create table unwatched (id int primary key); select plank.watch('odd', columns => '{p,j,js,t}')")
        .await;
    crate::support::until("the secret is one", async || {
        let (status, _) = app
            .request("GET", &path("odd", &[("columns", "secret")]), None)
            .await;
        status == 400
    })
    .await;
    for (table, query, status, part) in [
        ("nope", ("limit", "1"), 404, "nope"),
        ("unwatched", ("limit", "1"), 404, "unwatched"),
        ("a.b.c", ("limit", "1"), 404, "a.b.c"),
        ("pg_catalog.pg_authid", ("limit", "1"), 404, "pg_authid"),
        ("plank.log", ("limit", "1"), 404, "plank.log"),
        ("odd", ("limit", "0"), 400, "limit: "),
        ("odd", ("limit", "10001"), 400, "limit: "),
        ("odd", ("limit", "x"), 400, "limit: "),
        ("odd", ("since", "abc"), 400, "since: has no meaning here"),
        ("odd", ("columns", "id,nope"), 400, "nope"),
        ("odd", ("columns", "secret"), 400, "secret"),
        (
            "odd",
            ("order", "secret"),
            400,
            "order: the table public.odd has no column \"secret\"",
        ),
        (
            "odd",
            ("order", "id.up"),
            400,
            "order: the table public.odd has no column \"id.up\"",
        ),
        ("odd", ("order", ""), 400, "order: "),
        (
            "odd",
            ("order", "t,t"),
            400,
            "order: names the column \"t\" twice",
        ),
        (
            "odd",
            ("order", "p"),
            400,
            "order: the column \"p\" can't be ordered by: its type point has no order",
        ),
        ("odd", ("order", "t,j.desc"), 400, "order: the column \"j\""),
        ("odd", ("order", "js"), 400, "order: could not identify"),
        ("odd", ("after", "x"), 400, "after: is no place"),
        ("odd", ("after", ""), 400, "after: is no place"),
        ("odd", ("t", "open"), 400, "t: "),
    ] {
        refused(&app, table, &[query], status, part).await;
    }
    let answer = page(&app, "odd", &[]).await;
    assert_eq!(answer["rows"], json!([]));
    let long = "x".repeat(400);
    refused(&app, &long, &[], 400, "table has 400 bytes").await;
    assert_eq!(app.request("POST", &path("odd", &[]), None).await.0, 405);
}

#[actix_web::test]
async fn a_secret_column_never_leaves() {
    let app = TestApp::start().await;
    watched(
        &app,
        "people",
        "create table people (id int primary key, name text, secret text); insert into people values (1, 'ann', 'top'); \
         select plank.watch('people', columns => '{name}')",
    )
    .await;
    // The second call has made all columns visible; that is taken back.
    app.execute("select plank.watch('people', columns => '{name}')")
        .await;
    crate::support::until("it is narrow", async || {
        page(&app, "people", &[]).await["rows"] == json!([{"id": 1, "name": "ann"}])
    })
    .await;
    for accept in ["application/json", "application/x-ndjson"] {
        let answer = app.http.get(app.url("/api/tables/people/rows"));
        let answer = answer.header("accept", accept).send().await.unwrap();
        assert!(!answer.text().await.unwrap().contains("top"));
    }
}

#[actix_web::test]
async fn a_place_belongs_to_its_list() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a'), ('b'), ('c')")
        .await;
    watched(
        &app,
        "other",
        "create table other (id bigint primary key); insert into other values (1), (2)",
    )
    .await;
    let next = page(&app, "items", &[("limit", "1")]).await["next"].clone();
    let next = next.as_str().unwrap();
    let another = "is of another list";
    refused(&app, "other", &[("after", next)], 400, another).await;
    refused(
        &app,
        "items",
        &[("after", next), ("order", "id.desc")],
        400,
        another,
    )
    .await;
    refused(
        &app,
        "items",
        &[("after", next), ("order", "name")],
        400,
        another,
    )
    .await;
    // The same order, said in another way, and other columns.
    let same = [
        ("after", next),
        ("order", "id.asc.nullslast"),
        ("columns", "name"),
    ];
    assert_eq!(
        page(&app, "items", &same).await["rows"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for end in 1..next.len() {
        let (status, _) = app
            .request("GET", &path("items", &[("after", &next[..end])]), None)
            .await;
        assert_eq!(status, 400, "cut off at {end}");
    }
}

/// With the hash of a list a client can write a place of its own.
fn forged(next: &str, values: Value) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut place: Value = serde_json::from_slice(&engine.decode(next).unwrap()).unwrap();
    place[1] = values;
    engine.encode(place.to_string())
}

#[actix_web::test]
async fn nothing_that_a_client_writes_becomes_sql() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) select 'n' || i from generate_series(1, 20) i")
        .await;
    let evil = "x'; drop table items; --";
    for table in [
        evil,
        "items; drop table items",
        "items\" x; drop table items; --",
        "public.items where true",
        "items x",
        "pg_class",
    ] {
        let (status, _) = app.request("GET", &path(table, &[]), None).await;
        assert_eq!(status, 404, "{table}");
    }
    for order in [
        evil,
        "id; drop table items",
        "id desc",
        "(select 1)",
        "id::text",
        "1",
        "\"id\\\" desc; drop table items; --\"",
        "x.id",
        "id.desc.nullslast;--",
    ] {
        let (status, problem) = app
            .request("GET", &path("items", &[("order", order)]), None)
            .await;
        assert_eq!(status, 400, "{order}: {problem}");
    }
    let first = page(&app, "items", &[("limit", "3")]).await;
    let next = first["next"].as_str().unwrap();
    for value in [
        "1); drop table items; --",
        "1 or true",
        "",
        "99999999999999999999",
        "1::bigint",
        "$2",
    ] {
        let after = forged(next, json!([value]));
        refused(
            &app,
            "items",
            &[("after", &after)],
            400,
            "after: is no place in this table",
        )
        .await;
    }
    for values in [
        json!([]),
        json!(["1", "2"]),
        json!([1]),
        json!("1"),
        json!(["1\u{0}"]),
    ] {
        let after = forged(next, values);
        refused(&app, "items", &[("after", &after)], 400, "after: ").await;
    }
    // The key is never null; a place that says so has nothing behind it.
    let after = forged(next, json!([null]));
    assert_eq!(
        page(&app, "items", &[("after", &after)]).await["rows"],
        json!([])
    );
    let again = page(&app, "items", &[("limit", "3"), ("after", next)]).await;
    assert_eq!(again["rows"][0]["id"], 4);
    let refusals = "select count(*) from pg_stat_activity where application_name = 'plank page' and datname = current_database()";
    let connections: i64 = app.sql.query_one(refusals, &[]).await.unwrap().get(0);
    assert!(connections <= plank::limits::PAGES_MAX as i64);
}

#[actix_web::test]
async fn a_table_without_a_primary_key_has_one_page_or_none() {
    let app = TestApp::start().await;
    watched(&app, "feed", "create table feed (n int, t text); insert into feed select i, 't' from generate_series(1, 20) i").await;
    let all = page(&app, "feed", &[("limit", "20"), ("order", "n.desc")]).await;
    assert_eq!(
        (
            all["rows"].as_array().unwrap().len(),
            &all["next"],
            &all["rows"][0]["n"]
        ),
        (20, &Value::Null, &json!(20))
    );
    refused(
        &app,
        "feed",
        &[("limit", "19")],
        400,
        "application/x-ndjson",
    )
    .await;
    refused(&app, "feed", &[("after", "x")], 400, "no primary key").await;
    let answer = app.http.get(app.url(&path("feed", &[("order", "n")])));
    let answer = answer
        .header("accept", "application/x-ndjson")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap().lines().count(), 20);
}

#[actix_web::test]
async fn a_value_that_is_too_long_for_a_place_is_said() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 5000) from generate_series(1, 3)").await;
    refused(
        &app,
        "items",
        &[("limit", "2"), ("order", "description")],
        400,
        "order: a row has 500",
    )
    .await;
    let all = page(&app, "items", &[("order", "description")]).await;
    assert_eq!(all["rows"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn the_form_is_that_which_is_accepted_and_head_has_no_body() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a')").await;
    let url = app.url("/api/tables/items/rows");
    for (accept, status, form) in [
        ("*/*", 200, "application/json"),
        (
            "application/x-ndjson, */*;q=0.1",
            200,
            "application/x-ndjson",
        ),
        (
            "text/html, application/jsonl;q=0.2",
            200,
            "application/jsonl",
        ),
        ("text/csv", 406, "application/problem+json"),
        ("application/json;q=0", 406, "application/problem+json"),
    ] {
        for method in ["GET", "HEAD"] {
            let request = app.http.request(method.parse().unwrap(), &url);
            let answer = request.header("accept", accept).send().await.unwrap();
            assert_eq!(answer.status(), status, "{method} {accept}");
            assert_eq!(answer.headers()["content-type"], form, "{method} {accept}");
            assert_eq!(answer.text().await.unwrap().is_empty(), method == "HEAD");
        }
    }
    // The connection can be used again.
    let mut client = RawClient::connect(app.address).await;
    client
        .send(b"HEAD /api/tables/items/rows HTTP/1.1\r\nHost: plank.test\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.contains("content-length: 0"), "{head}");
    client
        .send(b"GET /livez HTTP/1.1\r\nHost: plank.test\r\nConnection: close\r\n\r\n")
        .await;
    let next = client.head().await;
    assert!(next.starts_with("HTTP/1.1 200"), "{next}");
    let head = app
        .http
        .head(app.url("/api/tables/nope/rows"))
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 404);
}

#[actix_web::test]
async fn a_table_that_may_not_be_read_says_so() {
    let app = TestApp::start().await;
    watched(&app, "shut", "create table shut (id int primary key)").await;
    app.execute("alter table shut rename id to number").await;
    refused(&app, "shut", &[], 404, "has no column \"id\" any more").await;
    app.execute("drop table shut").await;
    refused(&app, "shut", &[], 404, "is not there any more").await;
    watched(
        &app,
        "cast_fails",
        "create type lure as enum ('a'); \
         create function snap(lure) returns json language sql as $$ select (1/0)::text::json $$; \
         create cast (lure as json) with function snap(lure); create table cast_fails (id int primary key, b lure)",
    )
    .await;
    app.execute(
        "alter table cast_fails disable trigger all; insert into cast_fails values (1, 'a')",
    )
    .await;
    refused(&app, "cast_fails", &[], 404, "can't be read").await;
    // The place is free again.
    for _ in 0..6 {
        refused(&app, "cast_fails", &[], 404, "can't be read").await;
    }
}
