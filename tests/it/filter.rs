//! Filters in subscriptions: who sees what, and when.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::resume::cursor;
use crate::support::sse::SseClient;
use crate::support::{TestApp, WsClient};

/// Subscribes with a filter and waits until it is live.
pub async fn filtered(app: &TestApp, table: &str, filter: &str) -> (WsClient, Value) {
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    client
        .send(json!({"type": "subscribe", "id": "a", "table": table, "filter": filter}))
        .await;
    let subscribed = client.expect("subscribed").await;
    (client, subscribed)
}

/// What a change says, but for its number, transaction and time.
fn brief(change: &Value) -> Value {
    let mut brief = change.clone();
    let members = brief.as_object_mut().unwrap();
    members.retain(|name, _| !matches!(name.as_str(), "seq" | "xid" | "at"));
    brief
}

pub async fn tasks(app: &TestApp) {
    app.execute("create table tasks (id int primary key, tenant int, status text, n int); select plank.watch('tasks')")
        .await;
}

#[actix_web::test]
async fn rows_enter_and_leave_a_filter() {
    let app = TestApp::start().await;
    tasks(&app).await;
    let (mut open, _) = filtered(&app, "tasks", "status=eq.open").await;
    for sql in [
        "insert into tasks values (1, 1, 'done', 0)",
        "insert into tasks values (2, 1, 'open', 0)",
        "update tasks set status = 'open' where id = 1",
        "update tasks set n = 1 where id = 1",
        "update tasks set status = 'done' where id = 2",
        "update tasks set n = 2 where id = 2",
        "delete from tasks where id = 2",
        "update tasks set id = 10 where id = 1",
        "update tasks set status = null where id = 10",
        "update tasks set status = 'open' where id = 10",
        "delete from tasks where id = 10",
        "truncate tasks",
    ] {
        app.execute(sql).await;
    }
    let row =
        |id: i64, status: &str, n: i64| json!({"id": id, "tenant": 1, "status": status, "n": n});
    let changes = open.changes(10).await;
    let seen: Vec<Value> = changes.iter().map(brief).collect();
    let expected = [
        json!({"op": "insert", "key": {"id": 2}, "row": row(2, "open", 0)}),
        json!({"op": "insert", "cause": "update", "key": {"id": 1}, "row": row(1, "open", 0)}),
        json!({"op": "update", "key": {"id": 1}, "row": row(1, "open", 1)}),
        json!({"op": "delete", "cause": "update", "key": {"id": 2}, "old": row(2, "open", 0)}),
        json!({"op": "delete", "key": {"id": 1}, "old": row(1, "open", 1)}),
        json!({"op": "insert", "key": {"id": 10}, "row": row(10, "open", 1)}),
        json!({"op": "delete", "cause": "update", "key": {"id": 10}, "old": row(10, "open", 1)}),
        json!({"op": "insert", "cause": "update", "key": {"id": 10}, "row": row(10, "open", 1)}),
        json!({"op": "delete", "key": {"id": 10}, "old": row(10, "open", 1)}),
        json!({"op": "truncate", "key": null}),
    ];
    assert_eq!(seen, expected);
}

#[actix_web::test]
async fn who_comes_back_gets_the_same_through_his_filter() {
    let app = TestApp::start().await;
    tasks(&app).await;
    let mut live = app.subscribed("tasks").await;
    let start = cursor(&app).await;
    app.execute(
        "insert into tasks select i, i % 3, 'open', i from generate_series(1, 30) i; update tasks set tenant = 1 where n > 20; \
         delete from tasks where n % 2 = 0",
    )
    .await;
    live.changes(55).await;
    // From the window, from the log over HTTP, and as it would have come live: one and the same.
    let path = format!("/ws?table=tasks&tenant=eq.1&since={start}");
    let mut client = app.ws(&path).await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    let resumed = client.batch().await;
    let path = format!("/api/changes?table=tasks&tenant=eq.1&since={start}");
    let (status, answer) = app.request("GET", &path, None).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["changes"].as_array().unwrap(), &resumed);
    let mut state = BTreeMap::new();
    for change in &resumed {
        let id = change["key"]["id"].as_i64().unwrap();
        match change["op"].as_str().unwrap() {
            "delete" => drop(state.remove(&id).unwrap()),
            _ => drop(state.insert(id, change["row"].clone())),
        }
    }
    let rows = app
        .sql
        .query("select id from tasks where tenant = 1 order by id", &[])
        .await
        .unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.get::<_, i32>(0).into()).collect();
    assert_eq!(state.keys().copied().collect::<Vec<_>>(), ids);
    assert!(resumed.iter().any(|c| c["cause"] == "update"));
}

#[actix_web::test]
async fn equal_filters_share_a_topic_however_they_are_written() {
    let app = TestApp::start().await;
    tasks(&app).await;
    let mut clients = Vec::new();
    for filter in [
        "tenant=eq.1&status=in.(open,done)",
        "status=in.(\"done\",open,open)&tenant=in.(01)",
        "and=(tenant.eq.1,not.and(status.not.in.(open,done)))",
        "not.or=(tenant.neq.1,status.not.in.(open,done))",
    ] {
        clients.push(filtered(&app, "tasks", filter).await);
    }
    let (_, first) = &clients[0];
    for (_, subscribed) in &clients[..3] {
        assert_eq!(subscribed["topic"], first["topic"]);
    }
    app.execute("insert into tasks values (1, 1, 'open', 0)")
        .await;
    for (client, _) in &mut clients {
        assert_eq!(client.change().await["key"]["id"], 1);
    }
}

#[actix_web::test]
async fn thousands_of_tenants_each_get_their_own() {
    const TENANTS: i64 = 1_000;
    let app = TestApp::start().await;
    tasks(&app).await;
    let mut clients: Vec<WsClient> = Vec::new();
    for client in 0..TENANTS / 100 {
        let mut ws = app.ws("/ws").await;
        ws.expect("welcome").await;
        for i in 0..100 {
            let tenant = client * 100 + i;
            ws.send(json!({"type": "subscribe", "id": format!("{tenant}"), "table": "tasks", "filter": format!("tenant=eq.{tenant}")}))
                .await;
        }
        clients.push(ws);
    }
    let mut topics = BTreeMap::new();
    for ws in &mut clients {
        for _ in 0..100 {
            let subscribed = ws.expect("subscribed").await;
            topics.insert(
                subscribed["topic"].as_str().unwrap().to_owned(),
                subscribed["id"].as_str().unwrap().to_owned(),
            );
        }
    }
    assert_eq!(topics.len() as i64, TENANTS);
    app.execute(&format!(
        "insert into tasks select i, i, 'open', 0 from generate_series(0, {}) i; update tasks set tenant = (tenant + 1) % {TENANTS}",
        TENANTS - 1
    ))
    .await;
    for ws in &mut clients {
        // Its insert, the row that left and the one that came, for each of the hundred.
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while seen.values().map(Vec::len).sum::<usize>() < 300 {
            let message = ws.expect("changes").await;
            let tenant = &topics[message["topic"].as_str().unwrap()];
            for change in message["changes"].as_array().unwrap() {
                let row = if change["row"].is_null() {
                    &change["old"]
                } else {
                    &change["row"]
                };
                assert_eq!(row["tenant"].to_string(), *tenant, "{change}");
                seen.entry(tenant.clone())
                    .or_default()
                    .push(format!("{} {}", change["op"], change["cause"]));
            }
        }
        for (tenant, mut ops) in seen {
            ops.sort();
            assert_eq!(
                ops,
                [
                    "\"delete\" \"update\"",
                    "\"insert\" \"update\"",
                    "\"insert\" null"
                ],
                "{tenant}"
            );
        }
        ws.nothing().await;
    }
}

#[actix_web::test]
async fn a_filter_that_cannot_be_served_is_refused_and_the_socket_stays() {
    let app = TestApp::start().await;
    app.execute(
        "create table secrets (id int primary key, name text, salary int); select plank.watch('secrets', columns => '{id,name}'); \
         create table plain (id int primary key, n int); select plank.watch('plain', old_rows => false)",
    )
    .await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let many = vec!["1"; 20_000].join(",");
    for (table, filter, code, part) in [
        (
            "items",
            "nope=eq.1",
            "bad_filter",
            "nope: the table public.items has no such column",
        ),
        (
            "items",
            "id=eq.x",
            "bad_filter",
            "id: \"x\" is no value for it",
        ),
        (
            "items",
            "created_at=gt.yesterday",
            "bad_filter",
            "created_at: \"yesterday\" is no value",
        ),
        (
            "items",
            "id=almost.1",
            "bad_filter",
            "id: at character 1: there is no operator \"almost\"",
        ),
        (
            "items",
            "or=(id.eq.1",
            "bad_filter",
            "or: at character 9: , or ) is missing",
        ),
        (
            "items",
            "data=eq.1",
            "bad_filter",
            "data: values of its type",
        ),
        (
            "items",
            "id=eq.1;drop table items",
            "bad_filter",
            "is no value for it",
        ),
        (
            "items",
            "\"id\" = 1 or 1=eq.1",
            "bad_filter",
            "there is no operator",
        ),
        (
            "secrets",
            "salary=gt.1000",
            "bad_filter",
            "salary: the table public.secrets has no such column",
        ),
        ("plain", "n=eq.1", "bad_filter", "logs no old rows"),
        ("nowhere", "n=eq.1", "unknown_table", "nowhere"),
        ("items", &format!("id=in.({many})"), "bad_filter", "bytes"),
        (
            "items",
            &format!("or=({}id.eq.1{})", "and(".repeat(1_000), ")".repeat(1_000)),
            "bad_filter",
            "nested",
        ),
    ] {
        client
            .send(json!({"type": "subscribe", "id": "a", "table": table, "filter": filter}))
            .await;
        let error = client.expect("error").await;
        let message = error["message"].as_str().unwrap();
        assert_eq!(
            (&error["code"], &error["id"]),
            (&json!(code), &json!("a")),
            "{filter}: {message}"
        );
        assert!(message.contains(part), "{filter}: {message}");
        if filter.len() < 1_000 {
            let query = form_urlencoded::byte_serialize(table.as_bytes()).collect::<String>();
            let escaped = filter
                .replace('"', "%22")
                .replace(' ', "%20")
                .replace(';', "%3B");
            let (status, problem) = app
                .request(
                    "GET",
                    &format!("/api/changes?table={query}&{escaped}"),
                    None,
                )
                .await;
            let expected = if code == "unknown_table" { 404 } else { 400 };
            assert_eq!(status, expected, "{filter}: {problem}");
        }
    }
    client.subscribe("a", "items").await;
}

#[actix_web::test]
async fn one_filter_means_the_same_on_every_transport() {
    let app = TestApp::start().await;
    tasks(&app).await;
    app.execute("insert into tasks select i, i % 3, 'open', i from generate_series(1, 9) i")
        .await;
    let words = "tenant=eq.1&or=(status.eq.open,n.gt.100)";
    let (status, page) = app
        .request("GET", &format!("/api/tables/tasks/rows?{words}"), None)
        .await;
    assert_eq!(status, 200, "{page}");
    let ids: Vec<i64> = page["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [1, 4, 7]);
    let since = page["cursor"].as_str().unwrap();
    let mut stream = SseClient::connect(&app, &format!("table=tasks&{words}&since={since}")).await;
    stream.live().await;
    let mut client = app
        .ws(&format!("/ws?table=tasks&{words}&since={since}"))
        .await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    let path = format!("/api/changes?table=tasks&{words}&since={since}");
    let polled = {
        let (app, path) = (&app, format!("{path}&wait=30"));
        let poll = app.request("GET", &path, None);
        let write = app.execute(
            "update tasks set status = 'done' where id in (1, 2); update tasks set n = 200 where id = 1; delete from tasks where id = 4",
        );
        let ((status, polled), ()) = tokio::join!(poll, write);
        assert_eq!(status, 200, "{polled}");
        polled
    };
    let expected = client.changes(3).await;
    let ops: Vec<(Value, Value)> = expected
        .iter()
        .map(|c| (c["op"].clone(), c["key"]["id"].clone()))
        .collect();
    assert_eq!(
        ops,
        [
            (json!("delete"), json!(1)),
            (json!("insert"), json!(1)),
            (json!("delete"), json!(4))
        ]
    );
    // A poll answers with the first batch; the others come with the next one.
    let mut polled_changes = polled["changes"].as_array().unwrap().clone();
    let next = format!(
        "/api/changes?table=tasks&{words}&since={}",
        polled["cursor"].as_str().unwrap()
    );
    let (_, rest) = app.request("GET", &next, None).await;
    polled_changes.extend(rest["changes"].as_array().unwrap().iter().cloned());
    assert_eq!(polled_changes, expected);
    let (_, history) = app.request("GET", &path, None).await;
    assert_eq!(history["changes"].as_array().unwrap(), &expected);
    assert_eq!(stream.changes(3).await, expected);
}
