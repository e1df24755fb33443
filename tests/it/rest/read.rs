//! Reading.

use serde_json::{Value, json};

use crate::support::until;

use super::{get, header, send, start};

/// The names of the rows that a query gives.
fn names(rows: &Value) -> Vec<&str> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect()
}

#[actix_web::test]
async fn filters_select_what_postgresql_selects() {
    let app = start().await;
    for (query, expected) in [
        ("", vec!["tea", "Coffee", "milk"]),
        ("id=eq.2", vec!["Coffee"]),
        ("id=neq.2", vec!["tea", "milk"]),
        ("id=gt.1&id=lt.3", vec!["Coffee"]),
        ("id=gte.2", vec!["Coffee", "milk"]),
        ("id=lte.2", vec!["tea", "Coffee"]),
        ("name=like.*e*", vec!["tea", "Coffee"]),
        ("name=ilike.C*", vec!["Coffee"]),
        ("name=ilike.c*", vec!["Coffee"]),
        ("name=match.^[tm]", vec!["tea", "milk"]),
        ("name=imatch.^c", vec!["Coffee"]),
        ("name=gt.m", vec!["tea", "milk"]),
        ("id=in.(1,3)", vec!["tea", "milk"]),
        ("id=not.in.(1,3)", vec!["Coffee"]),
        ("price=is.null", vec!["milk"]),
        ("price=not.is.null", vec!["tea", "Coffee"]),
        ("price=is.not_null", vec!["tea", "Coffee"]),
        ("price=isdistinct.1.5", vec!["Coffee", "milk"]),
        ("tags=cs.{a}", vec!["tea"]),
        ("tags=cd.{a,b,c}", vec!["tea", "Coffee"]),
        ("tags=ov.{b,z}", vec!["tea", "Coffee"]),
        ("data=cs.{\"k\":1}", vec!["tea"]),
        ("data=eq.{\"k\":2}", vec!["milk"]),
        ("span=cs.[1,2)", vec!["tea"]),
        ("span=sr.[0,5)", vec!["Coffee"]),
        ("span=sl.[5,6)", vec!["tea"]),
        ("span=adj.[9,10)", vec!["Coffee"]),
        ("mood=gt.sad", vec!["tea", "Coffee"]),
        ("mood=eq.happy", vec!["Coffee"]),
        ("name=like(any).{t*,m*}", vec!["tea", "milk"]),
        ("name=like(all).{*e*,*f*}", vec!["Coffee"]),
        ("id=eq(any).{1,2}", vec!["tea", "Coffee"]),
        ("name=fts(simple).tea", vec!["tea"]),
        ("name=plfts.milk", vec!["milk"]),
        ("or=(id.eq.1,name.eq.milk)", vec!["tea", "milk"]),
        ("not.or=(id.eq.1,name.eq.milk)", vec!["Coffee"]),
        (
            "or=(tags.cs.{a},and(id.gt.2,status.eq.open))",
            vec!["tea", "milk"],
        ),
        ("and=(status.eq.open,not.and(id.eq.1))", vec!["milk"]),
    ] {
        let rows = get(&app, &format!("/rest/orders?order=id&{}", encoded(query))).await;
        assert_eq!(names(&rows), expected, "{query}");
    }
    app.stop().await.unwrap();
}

/// A query with what a URL can't have.
fn encoded(query: &str) -> String {
    query
        .replace('"', "%22")
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('^', "%5E")
        .replace('[', "%5B")
        .replace(']', "%5D")
}

#[actix_web::test]
async fn columns_order_and_pages_are_as_asked() {
    let app = start().await;
    assert_eq!(
        get(&app, "/rest/orders?select=n:name,id&order=id.desc&limit=2").await,
        json!([{"n": "milk", "id": 3}, {"n": "Coffee", "id": 2}])
    );
    for (order, expected) in [
        ("price", ["tea", "Coffee", "milk"]),
        ("price.nullsfirst", ["milk", "tea", "Coffee"]),
        ("price.desc", ["milk", "Coffee", "tea"]),
        ("price.desc.nullslast", ["Coffee", "tea", "milk"]),
        ("status,price.desc.nullsfirst", ["Coffee", "milk", "tea"]),
        ("mood", ["milk", "tea", "Coffee"]),
    ] {
        let rows = get(&app, &format!("/rest/orders?order={order}")).await;
        assert_eq!(names(&rows), expected, "{order}");
    }
    let count = ("prefer", "count=exact");
    for (query, headers, status, range, expected) in [
        ("", vec![], 200, "0-2/*", 3),
        ("", vec![count], 200, "0-2/3", 3),
        ("limit=2", vec![count], 206, "0-1/3", 2),
        ("limit=2&offset=2", vec![count], 206, "2-2/3", 1),
        ("limit=0", vec![count], 206, "*/3", 0),
        ("id=gt.9", vec![], 200, "*/*", 0),
        (
            "",
            vec![("range", "1-1"), ("range-unit", "items")],
            200,
            "1-1/*",
            1,
        ),
        ("", vec![("range", "1-"), count], 206, "1-2/3", 2),
        ("", vec![("range", "bytes=0-9")], 200, "0-2/*", 3),
        (
            "limit=2",
            vec![("prefer", "count=estimated")],
            206,
            "0-1/3",
            2,
        ),
    ] {
        let path = format!("/rest/orders?{query}");
        let (got, found, body) = send(&app, "GET", &path, &headers, "").await;
        let count = body.as_array().unwrap().len();
        let got = (got, header(&found, "content-range"), count);
        assert_eq!(got, (status, range, expected), "{query} {headers:?}");
        let (head, found, body) = send(&app, "HEAD", &path, &headers, "").await;
        let got = (head, header(&found, "content-range"), body);
        assert_eq!(got, (status, range, json!("")), "HEAD {query} {headers:?}");
    }
    let (status, headers, _) = send(&app, "GET", "/rest/orders?offset=9", &[count], "").await;
    assert_eq!((status, header(&headers, "content-range")), (416, "*/3"));
    let planned = [("prefer", "count=planned")];
    let (status, _, _) = send(&app, "GET", "/rest/orders?limit=1", &planned, "").await;
    assert!(matches!(status, 200 | 206), "{status}");
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn one_row_and_comma_separated_values_are_forms_of_an_answer() {
    let app = start().await;
    let single = [("accept", "application/vnd.pgrst.object+json")];
    let (status, headers, body) = send(
        &app,
        "GET",
        "/rest/orders?id=eq.1&select=id,name",
        &single,
        "",
    )
    .await;
    assert_eq!((status, body), (200, json!({"id": 1, "name": "tea"})));
    assert!(header(&headers, "content-type").starts_with("application/vnd.pgrst.object+json"));
    for (query, count) in [("id=gt.1", 2), ("id=eq.9", 0)] {
        let (status, _, body) =
            send(&app, "GET", &format!("/rest/orders?{query}"), &single, "").await;
        assert_eq!((status, &body["code"]), (406, &json!("PGRST116")));
        assert_eq!(body["details"], format!("The result contains {count} rows"));
    }
    app.execute("insert into orders (name, tags) values ('a \"b\", c', '{x,y}')")
        .await;
    let csv = [("accept", "text/csv")];
    let path = "/rest/orders?id=in.(1,4)&select=id,name,tags,price&order=id";
    let (status, _, body) = send(&app, "GET", path, &csv, "").await;
    let expected = "id,name,tags,price\n1,tea,\"{a,b}\",1.50\n4,\"a \"\"b\"\", c\",\"{x,y}\",";
    assert_eq!((status, body), (200, json!(expected)));
    let (status, _, _) = send(&app, "GET", "/rest/orders", &[("accept", "text/html")], "").await;
    assert_eq!(status, 406);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn an_answer_has_the_cursor_from_which_changes_go_on() {
    let app = start().await;
    let (_, headers, body) = send(&app, "GET", "/rest/orders?order=id", &[], "").await;
    assert_eq!(body.as_array().unwrap().len(), 3);
    let cursor = header(&headers, "plank-cursor").to_owned();
    app.execute("insert into orders (name) values ('later')")
        .await;
    let changes = get(
        &app,
        &format!("/api/changes?table=orders&since={cursor}&wait=20"),
    )
    .await;
    let changes = changes["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0]["row"]["name"], "later");
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_row_by_its_key_has_an_entity_tag() {
    let app = start().await;
    let (_, headers, _) = send(&app, "GET", "/rest/orders?id=eq.1&select=name", &[], "").await;
    assert_eq!(header(&headers, "etag"), "\"1\"");
    let known = [("if-none-match", "W/\"1\"")];
    let (status, _, body) = send(&app, "GET", "/rest/orders?id=eq.1", &known, "").await;
    assert_eq!((status, body), (304, json!("")));
    // Without a version it is a hash of the row.
    let path = "/rest/sales.%22Order%20Lines%22?a=eq.1&b=eq.x";
    let (_, headers, _) = send(&app, "GET", path, &[], "").await;
    let tag = header(&headers, "etag").to_owned();
    assert_eq!(tag.len(), 34, "{tag}");
    app.execute("update sales.\"Order Lines\" set c = 'd' where a = 1 and b = 'x'")
        .await;
    let (status, headers, _) = send(&app, "GET", path, &[("if-none-match", &tag)], "").await;
    assert_eq!(status, 200);
    assert_ne!(header(&headers, "etag"), tag);
    let (_, headers, _) = send(&app, "GET", "/rest/orders?id=gt.1", &[], "").await;
    assert_eq!(header(&headers, "etag"), "");
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn a_schema_is_named_by_the_table_or_by_a_profile() {
    let app = start().await;
    let rows = json!([{"a": 2, "b": "x", "c": "c"}]);
    assert_eq!(
        get(&app, "/rest/sales.%22Order%20Lines%22?a=eq.2").await,
        rows
    );
    let profile = [("accept-profile", "sales")];
    let (status, _, body) = send(
        &app,
        "GET",
        "/rest/%22Order%20Lines%22?a=eq.2",
        &profile,
        "",
    )
    .await;
    assert_eq!((status, body), (200, rows));
    let (status, _, body) = send(&app, "GET", "/rest/orders", &profile, "").await;
    assert_eq!((status, &body["code"]), (404, &json!("PGRST205")));
    app.stop().await.unwrap();
}

/// Statements have short names of their own for rows; a table may have columns of the same names.
#[actix_web::test]
async fn columns_may_be_called_like_the_names_within_a_statement() {
    let app = start().await;
    let names = ["r", "x", "y", "w", "c", "j", "p", "o", "n", "t", "s", "k"];
    let columns = names.map(|name| format!("{name} int4range")).join(", ");
    app.execute(&format!(
        "create table short (id int primary key, {columns}); select plank.watch('short', writable => true)"
    ))
    .await;
    until("the table is known", async || {
        let (_, tables) = app.request("GET", "/api/tables", None).await;
        tables.to_string().contains("public.short")
    })
    .await;
    let mut row = json!({"id": 1});
    for name in names {
        row[name] = json!("[1,5)");
    }
    let (row, one) = (row.to_string(), "/rest/short?id=eq.1");
    for (method, path, body) in [
        ("POST", "/rest/short", row.as_str()),
        ("GET", "/rest/short?id=eq.1&order=r", ""),
        ("PATCH", one, r#"{"x":"[2,3)"}"#),
        ("PUT", one, &row),
        ("DELETE", one, ""),
    ] {
        let prefer = [("prefer", "return=representation")];
        let (status, _, answer) = send(&app, method, path, &prefer, body).await;
        assert!(status < 300, "{method}: {status} {answer}");
        assert_eq!(answer[0]["r"], "[1,5)", "{method}: {answer}");
    }
    let csv = [("accept", "text/csv")];
    let (status, _, answer) = send(&app, "GET", "/rest/short?select=id,r", &csv, "").await;
    assert_eq!((status, answer.as_str().unwrap().trim()), (200, "id,r"));
}
