//! What can't be followed is refused with the member that is wrong, on each transport.

use serde_json::{Value, json};

use super::TABLE;
use crate::support::TestApp;

/// A request as a query string and as a message, and what its refusal names and says.
struct Case {
    query: &'static str,
    message: Value,
    member: &'static str,
    says: &'static str,
}

fn case(query: &'static str, message: Value, member: &'static str, says: &'static str) -> Case {
    Case {
        query,
        message,
        member,
        says,
    }
}

fn cases() -> Vec<Case> {
    let window = |order: &str, limit: i64| json!({"order": order, "limit": limit});
    vec![
        case(
            "order=rank&limit=0",
            window("rank", 0),
            "limit",
            "from 1 to 1000",
        ),
        case(
            "order=rank&limit=1001",
            window("rank", 1001),
            "limit",
            "from 1 to 1000",
        ),
        case(
            "order=rank&limit=-1",
            window("rank", -1),
            "limit",
            "from 1 to 1000",
        ),
        case(
            "order=rank&limit=x",
            json!({"order": "rank", "limit": "x"}),
            "limit",
            "from 1 to 1000",
        ),
        case(
            "order=rank",
            json!({"order": "rank"}),
            "order",
            "needs limit",
        ),
        case(
            "order=nope&limit=5",
            window("nope", 5),
            "order",
            "no column \"nope\"",
        ),
        case(
            "order=hidden&limit=5",
            window("hidden", 5),
            "order",
            "no column \"hidden\"",
        ),
        case(
            "order=rank,rank&limit=5",
            window("rank,rank", 5),
            "order",
            "\"rank\" twice",
        ),
        case("order=&limit=5", window("", 5), "order", "list of columns"),
        case(
            "order=rank.up&limit=5",
            window("rank.up", 5),
            "order",
            "no column \"rank.up\"",
        ),
        case(
            "order=doc&limit=5",
            window("doc", 5),
            "order",
            "has no order",
        ),
        case(
            "columns=hidden,count",
            json!({"columns": ["hidden", "count"]}),
            "columns",
            "no column \"hidden\"",
        ),
        case(
            "columns=nope,count",
            json!({"columns": ["nope", "count"]}),
            "columns",
            "no column \"nope\"",
        ),
        case(
            "columns=doc,count",
            json!({"columns": ["doc", "count"]}),
            "columns",
            "can't be counted by the column \"doc\"",
        ),
        case(
            "columns=rank,count&order=rank&limit=5",
            json!({"columns": ["rank", "count"], "order": "rank", "limit": 5}),
            "order",
            "counts have none",
        ),
        case(
            "columns=rank&order=rank&limit=5&filter=eq.1",
            json!({"columns": ["rank"], "order": "rank", "limit": 5, "filter": "filter=eq.1"}),
            "filter",
            "no such column",
        ),
    ]
}

const HIDING: &str = "create table t (id int primary key, rank int, hidden text, doc json); \
    select plank.watch('t', '{id,rank,doc}')";

#[actix_web::test]
async fn bad_windows_and_counts_name_the_member_on_each_transport() {
    let app = TestApp::start().await;
    app.execute(HIDING).await;
    for Case {
        query,
        message,
        member,
        says,
    } in cases()
    {
        let names = |said: &str| {
            assert!(said.contains(says), "{query}: {said}");
            assert!(said.contains(member), "{query}: {said}");
        };
        let mut client = app.ws(&format!("/ws?table=t&snapshot=1&{query}")).await;
        client.expect("welcome").await;
        let error = client.expect("error").await;
        names(error["message"].as_str().unwrap());
        let mut subscribe = json!({"type": "subscribe", "id": "a", "table": "t", "snapshot": true});
        let members = message.as_object().unwrap().clone();
        subscribe.as_object_mut().unwrap().extend(members);
        client.send(subscribe.clone()).await;
        let error = client.expect("error").await;
        assert_eq!(error["id"], "a");
        names(error["message"].as_str().unwrap());
        // The socket lives on.
        client.send(json!({"type": "ping"})).await;
        client.expect("pong").await;

        if says == "has no order" {
            // Known to the database only, which is asked when the stream has begun.
            let mut stream =
                crate::support::SseClient::connect(&app, &format!("table=t&{query}")).await;
            stream.expect("welcome").await;
            let event = stream.expect("error").await;
            names(&event.data.to_string());
        } else {
            let (status, problem) = app
                .request("GET", &format!("/api/stream?table=t&{query}"), None)
                .await;
            assert_eq!(status, 400, "{query}: {problem}");
            names(problem["detail"].as_str().unwrap());
        }
        for more in ["", "&wait=1"] {
            let path = format!("/api/changes?table=t&{query}{more}");
            let (status, problem) = app.request("GET", &path, None).await;
            assert_eq!(status, 400, "{path}: {problem}");
            names(problem["detail"].as_str().unwrap());
        }
    }
}

#[actix_web::test]
async fn limit_without_order_is_refused() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let mut client = app.ws("/ws?table=t&limit=5").await;
    client.expect("welcome").await;
    let error = client.expect("error").await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("limit: needs order"),
        "{error}"
    );
    let (status, problem) = app
        .request("GET", "/api/stream?table=t&limit=5", None)
        .await;
    assert_eq!(status, 400, "{problem}");
}

#[actix_web::test]
async fn tables_that_can_t_be_followed_so_are_refused_with_the_reason() {
    let app = TestApp::start().await;
    app.execute(
        "create table keyless (n int); select plank.watch('keyless'); \
        create table blind (id int primary key, n int); insert into blind select n, n from generate_series(1, 9) n; \
        select plank.watch('blind', old_rows => false)",
    )
    .await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    for (subscribe, code, says) in [
        (
            json!({"table": "keyless", "order": "n", "limit": 5}),
            "no_key",
            "order: the table public.keyless has no primary key",
        ),
        (
            json!({"table": "blind", "columns": ["n", "count"]}),
            "bad_message",
            "columns: the table public.blind logs no old rows",
        ),
    ] {
        let mut message = json!({"type": "subscribe", "id": "a"});
        let members = subscribe.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(members);
        client.send(message).await;
        let error = client.expect("error").await;
        assert_eq!(error["code"], code);
        assert!(
            error["message"].as_str().unwrap().starts_with(says),
            "{error}"
        );
    }
    // A window needs no old rows.
    let mut follower = super::Follower::connect(&app).await;
    let window = json!({"order": "n.desc", "limit": 3});
    follower.subscribe("a", "blind", window).await;
    for sql in [
        "delete from blind where n = 8",
        "update blind set n = 20 where id = 1",
        "update blind set n = 0 where id = 9",
        "update blind set n = n + 1 where id < 5",
        "delete from blind where n > 4",
        "truncate blind",
    ] {
        app.execute(sql).await;
        let expected =
            super::select(&app.sql, "select * from blind order by n desc, id limit 3").await;
        assert_eq!(follower.rows("a").await, expected, "{sql}");
    }
}

#[actix_web::test]
async fn rows_that_are_too_large_are_refused() {
    let app = TestApp::start().await;
    app.execute(
        "create table t (id int primary key, s text); \
        insert into t select id, repeat('x', 100000) from generate_series(1, 200) id; select plank.watch('t')",
    )
    .await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let subscribe = json!({"type": "subscribe", "id": "a", "table": "t", "snapshot": true, "order": "id", "limit": 100});
    client.send(subscribe).await;
    let error = client.expect("error").await;
    assert_eq!(error["code"], "too_large", "{error}");
    assert_eq!(
        app.metric("plank_limits_total{limit=\"window_bytes\"}")
            .await,
        1.0
    );
    // Counts of as many groups.
    app.execute("insert into t select id, id::text from generate_series(1000, 12000) id")
        .await;
    let subscribe =
        json!({"type": "subscribe", "id": "b", "table": "t", "columns": ["s", "count"]});
    client.send(subscribe).await;
    let error = client.expect("error").await;
    assert_eq!(error["code"], "too_large", "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("10000 groups"),
        "{error}"
    );
}

#[actix_web::test]
async fn window_whose_rows_become_too_large_ends_with_the_reason() {
    let app = TestApp::start().await;
    app.execute(
        "create table t (id int primary key, s text); \
        insert into t select id, '' from generate_series(1, 200) id; select plank.watch('t')",
    )
    .await;
    let mut follower = super::Follower::connect(&app).await;
    let window = json!({"order": "id", "limit": 100});
    follower.subscribe("a", "t", window.clone()).await;
    app.execute("update t set s = repeat('x', 100000)").await;
    let error = follower.expect_error().await;
    assert_eq!(error["code"], "too_large", "{error}");
    // It can be had again when they are small.
    app.execute("update t set s = ''").await;
    follower.subscribe("a", "t", window).await;
    assert_eq!(follower.held["a"].rows.len(), 100);
}
