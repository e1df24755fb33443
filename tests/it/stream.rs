//! `GET /api/stream`: the same changes as Server-Sent Events.

use std::collections::{HashMap, HashSet};

use plank::actor::message::Drain;
use serde_json::{Value, json};

use crate::resume::{cursor, names};
use crate::support::raw::RawClient;
use crate::support::{SseClient, TestApp, until};

const SESSIONS: &str = "plank_sessions{transport=\"sse\"}";

#[actix_web::test]
async fn changes_are_events_with_an_id() {
    let app = TestApp::start().await;
    let mut client = SseClient::connect(&app, "table=items&columns=id,name").await;
    let subscribed = client.live().await;
    assert_eq!(subscribed.data["table"], "public.items");
    assert!(subscribed.id.is_some() && client.retry_ms.is_some_and(|ms| ms >= 2_000));
    assert_eq!(app.metric(SESSIONS).await, 1.0);
    app.execute("insert into items (name) values ('a')").await;
    app.execute("update items set name = 'b'").await;
    app.execute("delete from items").await;
    let changes = client.changes(3).await;
    let ops: Vec<_> = changes.iter().map(|c| c["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["insert", "update", "delete"]);
    assert_eq!(changes[0]["row"], json!({"id": 1, "name": "a"}));
    assert_eq!(changes[1]["row"]["name"], "b");
    assert_eq!(changes[2]["key"], json!({"id": 1}));
    let now = client.last_id.clone().unwrap();
    assert_ne!(now, subscribed.id.unwrap());
    // A cursor of a stream is one everywhere.
    let mut socket = crate::resume::resumed(&app, &now).await;
    socket.expect("subscribed").await;
    socket.nothing().await;
}

#[actix_web::test]
async fn a_value_with_line_ends_is_one_event() {
    let app = TestApp::start().await;
    app.execute(
        "create table notes (id int primary key, j json, t text); select plank.watch('notes')",
    )
    .await;
    let mut client = SseClient::connect(&app, "table=notes").await;
    client.live().await;
    app.execute("insert into notes values (1, E'{\\n\"a\":\\r\\n1}', E'two\\nlines')")
        .await;
    let row = client.changes(1).await.remove(0)["row"].clone();
    assert_eq!(row, json!({"id": 1, "j": {"a": 1}, "t": "two\nlines"}));
}

#[actix_web::test]
async fn guarantee_1_last_event_id_loses_nothing_and_repeats_nothing() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let url = format!("table=items&since={start}");
    let mut client = SseClient::connect(&app, &url).await;
    client.live().await;
    app.execute("insert into items (name) values ('a')").await;
    assert_eq!(names(&client.changes(1).await), ["a"]);
    let mut last = client.last_id.clone();
    drop(client);
    app.execute("insert into items (name) values ('b')").await;
    // The address keeps its old `since`; an empty header is none.
    let mut client = SseClient::resume(&app, &url, Some("")).await;
    client.live().await;
    assert_eq!(names(&client.changes(2).await), ["a", "b"]);
    let mut client = SseClient::resume(&app, &url, last.as_deref()).await;
    client.live().await;
    assert_eq!(names(&client.changes(1).await), ["b"]);
    last.clone_from(&client.last_id);
    // Cut in the middle of a batch: it comes again, from its beginning.
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 2000) i").await;
    let first = client.expect("changes").await;
    assert_eq!((&first.data["last"], first.id), (&json!(false), None));
    assert_eq!(client.last_id, last);
    drop(client);
    let mut client = SseClient::resume(&app, &url, last.as_deref()).await;
    client.live().await;
    let changes = client.changes(2000).await;
    assert_eq!(changes[0]["row"]["name"], "n1");
    assert!(changes.is_sorted_by(|a, b| a["seq"].as_i64() < b["seq"].as_i64()));
}

#[actix_web::test]
async fn guarantee_3_a_snapshot_and_the_stream_without_a_seam() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 200)").await;
    let mut client = SseClient::connect(&app, "table=items&snapshot=1").await;
    client.expect("welcome").await;
    let mut rows = 0;
    loop {
        let event = client.expect("snapshot").await;
        rows += event.data["rows"].as_array().unwrap().len();
        let is_whole = event.data["more"] == false;
        assert_eq!(event.id.is_some(), is_whole);
        if is_whole {
            break;
        }
        // Before it has committed nobody knows whether the snapshot sees it.
        app.execute("insert into items (name) values ('meanwhile')")
            .await;
    }
    assert_eq!(rows, 200);
    let count: i64 = (app.sql.query_one("select count(*) from items", &[]).await)
        .unwrap()
        .get(0);
    client.expect("subscribed").await;
    client.changes(count as usize - rows).await;
    // What it has is enough to come back, and the address still says snapshot=1.
    let last = client.last_id.clone();
    app.execute("insert into items (name) values ('away')")
        .await;
    let mut client = SseClient::resume(&app, "table=items&snapshot=1", last.as_deref()).await;
    client.live().await;
    assert_eq!(names(&client.changes(1).await), ["away"]);
}

#[actix_web::test]
async fn guarantee_4_a_cursor_that_cannot_be_served_is_a_reset_and_no_status() {
    let app = TestApp::start().await;
    let other = TestApp::start().await;
    let foreign = cursor(&other).await;
    app.execute("insert into items (name) values ('a')").await;
    let url = format!("table=items&since={foreign}");
    let mut client = SseClient::connect(&app, &url).await;
    client.expect("welcome").await;
    let reset = client.expect("reset").await;
    assert_eq!((&reset.data["reason"], reset.id), (&json!("epoch"), None));
    client.expect("subscribed").await;
    // The address with a snapshot is good for ever.
    let mut client = SseClient::connect(&app, &format!("{url}&snapshot=1")).await;
    client.expect("welcome").await;
    client.expect("reset").await;
    let rows = client.expect("snapshot").await;
    assert_eq!(rows.data["rows"].as_array().unwrap().len(), 1);
    client.expect("subscribed").await;
}

#[actix_web::test]
async fn mistakes_are_problems_before_the_stream_begins() {
    let app = TestApp::start().await;
    for (query, last_id, status, part) in [
        ("", None, 400, "table"),
        ("table=nope", None, 404, "nope"),
        ("table=items&columns=nope", None, 400, "nope"),
        ("table=items&since=AAAA", None, 400, "since"),
        ("table=items&limit=3", None, 400, "limit"),
        ("table=items&snapshot=2", None, 400, "snapshot"),
        ("table=items&name=sideways.3", None, 400, "name"),
        (
            "table=items",
            Some("AAAA"),
            400,
            "Last-Event-ID: not a cursor",
        ),
    ] {
        let response = SseClient::request(&app, query, last_id).await;
        assert_eq!(response.status(), status, "{query}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let problem: serde_json::Value = response.json().await.unwrap();
        assert!(
            problem["detail"].as_str().unwrap().contains(part),
            "{problem}"
        );
    }
    for method in [reqwest::Method::HEAD, reqwest::Method::POST] {
        let request = app.http.request(method, app.url("/api/stream?table=items"));
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"GET".parse().unwrap())
        );
    }
    until("no place is kept", async || app.health.sessions() == 0).await;
}

#[actix_web::test]
async fn a_table_that_was_watched_a_moment_ago_is_there() {
    let app = TestApp::start().await;
    for round in 0..10 {
        app.execute(&format!(
            "create table t{round} (id int primary key); select plank.watch('t{round}')"
        ))
        .await;
        let mut client = SseClient::connect(&app, &format!("table=t{round}")).await;
        client.live().await;
        app.execute(&format!("insert into t{round} values (1)"))
            .await;
        client.changes(1).await;
    }
}

#[actix_web::test]
async fn the_end_of_the_table_is_the_end_of_the_stream() {
    let app = TestApp::start().await;
    app.execute("create table brief (id int primary key); select plank.watch('brief')")
        .await;
    let mut client = SseClient::connect(&app, "table=brief").await;
    client.live().await;
    app.execute("begin; insert into brief values (1); select plank.unwatch('brief'); commit")
        .await;
    assert_eq!(client.changes(1).await[0]["key"], json!({"id": 1}));
    client.expect("unsubscribed").await;
    assert_eq!(client.next().await, None);
    until("its place is free", async || app.health.sessions() == 0).await;
    assert_eq!(
        SseClient::request(&app, "table=brief", None).await.status(),
        404
    );
}

#[actix_web::test]
async fn a_heartbeat_has_an_id_and_a_client_that_says_nothing_stays() {
    let app = TestApp::start().await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    app.execute("insert into items (name) values ('a')").await;
    client.changes(1).await;
    // Beyond the 65 s after which a silent WebSocket is closed.
    for _ in 0..4 {
        let event = client.next().await.unwrap();
        assert_eq!(
            (event.kind.as_str(), event.id),
            ("heartbeat", client.last_id.clone())
        );
    }
    assert!(client.comments.len() >= 3, "the ping frames are comments");
    app.execute("insert into items (name) values ('b')").await;
    assert_eq!(names(&client.changes(1).await), ["b"]);
}

#[actix_web::test]
async fn a_client_that_goes_is_noticed() {
    let app = TestApp::start().await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    assert_eq!(app.health.sessions(), 1);
    drop(client);
    // Long before a heartbeat would fail.
    let gone = until("it is gone", async || app.health.sessions() == 0);
    tokio::time::timeout(std::time::Duration::from_secs(5), gone)
        .await
        .expect("at once");
    assert_eq!(app.metric(SESSIONS).await, 0.0);
    assert_eq!(app.metric("plank_subscriptions").await, 0.0);
    assert_eq!(app.metric("plank_closes_total{code=\"normal\"}").await, 1.0);
}

#[actix_web::test]
async fn without_a_free_place_it_is_503() {
    let app = TestApp::start_with(|config| config.connections_max = 1).await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    let start = cursor(&app).await;
    let paths = [
        "/api/stream?table=items".to_owned(),
        format!("/api/changes?table=items&wait=9&since={start}"),
    ];
    for path in paths {
        let response = app.http.get(app.url(&path)).send().await.unwrap();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
    }
    drop(client);
    until("the place is free", async || app.health.sessions() == 0).await;
    SseClient::connect(&app, "table=items").await.live().await;
}

#[actix_web::test]
async fn a_drain_says_when_to_come_back() {
    let app = TestApp::start().await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    app.execute("insert into items (name) values ('last')")
        .await;
    assert_eq!(names(&client.changes(1).await), ["last"]);
    client.retry_ms = None;
    app.hub.do_send(Drain);
    client.ended().await;
    let retry_ms = client.retry_ms.expect("a retry");
    assert!((1_000..6_000).contains(&retry_ms), "{retry_ms}");
    assert_eq!(
        app.metric("plank_closes_total{code=\"restart\"}").await,
        1.0
    );
    // A drain of the whole process ends too.
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    let (stopped, ()) = tokio::join!(app.stop(), client.ended());
    stopped.unwrap();
}

/// A stream that is not read any more.
async fn stalled(app: &TestApp) -> RawClient {
    let mut client = RawClient::connect(app.address).await;
    client
        .send(b"GET /api/stream?table=items HTTP/1.1\r\nHost: plank.test\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    client.until(b"event: subscribed").await;
    client
}

#[actix_web::test]
async fn guarantee_5_a_stream_that_is_not_read_delays_nobody_and_is_let_go() {
    let app = TestApp::start().await;
    let mut quick = SseClient::connect(&app, "table=items&columns=name").await;
    quick.live().await;
    let slow = stalled(&app).await;
    // Beyond what the buffers of both sockets take.
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 20000)").await;
    quick.changes(20_000).await;
    until("it lags", async || {
        app.metric("plank_slow_sessions").await == 1.0
            && app.metric("plank_backlog_bytes").await > 1e6
    })
    .await;
    app.execute("insert into items (name) values ('more')")
        .await;
    assert_eq!(names(&quick.changes(1).await), ["more"]);
    until("it is let go", async || app.health.sessions() == 1).await;
    assert_eq!(app.metric("plank_closes_total{code=\"slow\"}").await, 1.0);
    until("its memory is given back", async || {
        app.metric("plank_backlog_bytes").await == 0.0
    })
    .await;
    // The kernel ends the connection, which would stay full for ever: who says something there gets a reset.
    let is_cut = async || slow.stream.try_write(b"\r\n").is_err();
    until("its connection is cut", is_cut).await;
    app.execute("insert into items (name) values ('on')").await;
    assert_eq!(names(&quick.changes(1).await), ["on"]);
}

/// 12 MB in a transaction.
const LARGE: &str = "insert into items (name, description) select 'n', repeat('x', 100000) from generate_series(1, 120)";

#[actix_web::test]
async fn guarantee_5_a_stream_that_falls_behind_the_backlog_goes_on_from_the_log() {
    let app = TestApp::start().await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    let fell_behind = async || app.metric("plank_sessions_fallen_behind_total").await >= 1.0;
    for _ in 0..8 {
        app.execute(LARGE).await;
    }
    until("it falls behind", fell_behind).await;
    assert!(app.metric("plank_backlog_bytes").await <= plank::limits::BACKLOG_BYTES_MAX as f64);
    let changes = client.changes(8 * 120).await;
    let seqs = changes.iter().map(|c| c["seq"].as_i64().unwrap());
    assert!(seqs.is_sorted_by(|a, b| a < b), "all, once, in order");
    app.execute("insert into items (name) values ('on')").await;
    assert_eq!(names(&client.changes(1).await), ["on"]);
}

#[actix_web::test]
async fn guarantee_5_a_stream_whose_log_is_gone_ends_with_a_word_and_whole_batches() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    app.execute("create table notes (id int primary key, text text); select plank.watch('notes')")
        .await;
    let mut client = SseClient::connect(&app, "table=items").await;
    client.live().await;
    let mut other = SseClient::connect(&app, "table=notes").await;
    other.live().await;
    for _ in 0..3 {
        app.execute(LARGE).await;
    }
    until("it lags", async || {
        app.metric("plank_slow_sessions").await >= 1.0
    })
    .await;
    app.execute("select plank.unwatch('items')").await;
    for n in 0..8 {
        app.execute(&format!(
            "insert into notes select n, repeat('x', 100000) from generate_series({n}001, {n}120) n"
        ))
        .await;
    }
    until("it falls behind", async || {
        app.metric("plank_limits_total{limit=\"backlog_bytes\"}")
            .await
            >= 1.0
    })
    .await;
    let (mut whole, mut open) = (0, 0);
    while let Some(event) = client.next().await {
        if event.kind == "changes" {
            open += event.data["changes"].as_array().unwrap().len();
            if event.id.is_some() {
                (whole, open) = (whole + open, 0);
            }
        }
    }
    assert!(whole % 120 == 0 && whole < 3 * 120, "{whole}");
    let said = |c: &String| c.starts_with("4001 ");
    assert!(client.comments.iter().any(said), "{:?}", client.comments);
}

#[actix_web::test]
async fn one_stream_carries_several_subscriptions_and_none_ends_the_others() {
    let app = TestApp::start().await;
    app.execute(
        "create table a (id int primary key); create table b (id int primary key);
         select plank.watch('a'), plank.watch('b'); insert into a values (1)",
    )
    .await;
    let subscribe = |list: &[Value]| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for one in list {
            query.append_pair("subscribe", &one.to_string());
        }
        // What a polyfill adds.
        query.append_pair("_", "1764489600").finish()
    };
    let query = subscribe(&[
        json!({"id": "1", "table": "a", "snapshot": true}),
        json!({"id": "2", "table": "nope"}),
        json!({"type": "subscribe", "id": "3", "table": "b", "filter": "id=gt.1"}),
        json!({"id": "4", "table": "a", "filter": "nope=eq.1"}),
        json!({"id": "5", "table": "a", "since": "cut off"}),
    ]);
    let mut client = SseClient::connect(&app, &query).await;
    let (mut cursors, mut topics) = (HashMap::new(), HashMap::new());
    let (mut errors, mut caught_up) = (HashMap::new(), HashSet::new());
    while cursors.len() < 2 || errors.len() < 3 || caught_up.len() < 2 {
        let event = client.next().await.expect("it goes on");
        assert_eq!(event.id, None, "each subscription has a place of its own");
        let id = event.data["id"].as_str().unwrap_or_default().to_owned();
        match event.kind.as_str() {
            "subscribed" => {
                topics.insert(event.data["topic"].clone(), id.clone());
                cursors.insert(id, event.data["cursor"].clone());
            }
            "error" => drop(errors.insert(id, event.data["code"].clone())),
            "pong" => drop(caught_up.insert(id)),
            "snapshot" => assert_eq!(event.data["rows"], json!([{"id": 1}])),
            _ => {}
        }
    }
    assert_eq!(errors["2"], "unknown_table");
    assert!(["unknown_column", "bad_filter"].contains(&errors["4"].as_str().unwrap()));
    assert_eq!(errors["5"], "bad_cursor");
    app.execute("insert into a values (2); insert into b values (1), (2)")
        .await;
    let mut seen = HashSet::new();
    while seen.len() < 2 {
        let event = client.expect("changes").await;
        for change in event.data["changes"].as_array().unwrap() {
            let id = &topics[&event.data["topic"]];
            assert!(seen.insert(format!("{id} {}", change["key"]["id"])));
        }
    }
    assert_eq!(seen, HashSet::from(["1 2".to_owned(), "3 2".to_owned()]));
    // One of them ends.
    app.execute("select plank.unwatch('a')").await;
    let ended = client.expect("unsubscribed").await;
    assert_eq!(ended.data["id"], "1");
    app.execute("insert into b values (3)").await;
    client.expect("changes").await;
    // And comes back with the cursor of each.
    let query = subscribe(&[json!({"id": "3", "table": "b", "since": cursors["3"]})]);
    let mut client = SseClient::connect(&app, &query).await;
    client.live().await;
    let mut missed = Vec::new();
    while missed.len() < 3 {
        let event = client.next().await.expect("it goes on");
        for change in event.data["changes"].as_array().into_iter().flatten() {
            missed.push(change["key"]["id"].clone());
        }
    }
    assert_eq!(missed, [1, 2, 3]);
}

#[actix_web::test]
async fn a_mistake_beside_several_subscriptions_is_named() {
    let app = TestApp::start().await;
    let one = "subscribe=%7B%22id%22:%221%22,%22table%22:%22items%22%7D";
    for (query, status) in [
        (one.to_owned(), 200),
        (format!("{one}&_=7"), 200),
        (format!("{one}&table=items"), 400),
        (format!("{one}&since=AAAA"), 400),
        (format!("{one}&name=eq.a"), 400),
        // A filter on a column of this name, which items does not have.
        ("table=items&subscribe=eq.a".into(), 400),
    ] {
        let response = SseClient::request(&app, &query, None).await;
        assert_eq!(response.status(), status, "{query}");
    }
}

#[actix_web::test]
async fn what_polyfills_of_event_source_send_is_taken() {
    let app = TestApp::start().await;
    let mut client = SseClient::connect(&app, "table=items").await;
    let first = client.live().await.id.unwrap();
    app.execute("insert into items (name) values ('one')").await;
    client.changes(1).await;
    let second = client.last_id.clone().unwrap();
    app.execute("insert into items (name) values ('two')").await;
    for (query, header, expected) in [
        (format!("lastEventId={first}"), None, 2),
        (format!("lastEventId={second}"), None, 1),
        (format!("lastEventId={first}"), Some(""), 2),
        (format!("lastEventId={first}&_=1764489600123"), None, 2),
        // The header of a browser is newer than what its script wrote, and the last word than the first.
        (format!("lastEventId={first}"), Some(second.as_str()), 1),
        (format!("lastEventId={first}&lastEventId={second}"), None, 1),
        (format!("since={first}&lastEventId={second}"), None, 1),
        (format!("since={first}&lastEventId="), None, 2),
        (format!("_=&since={second}"), Some(""), 1),
    ] {
        let mut client = SseClient::resume(&app, &format!("table=items&{query}"), header).await;
        client.expect("welcome").await;
        let mut changes = 0;
        while changes < expected {
            let event = client.next().await.unwrap();
            if event.kind == "changes" {
                changes += event.data["changes"].as_array().unwrap().len();
            }
        }
        assert_eq!(changes, expected, "{query}");
    }
    for query in ["lastEventId=AAAA", "_=abc"] {
        let response = SseClient::request(&app, &format!("table=items&{query}"), None).await;
        assert_eq!(response.status(), 400, "{query}");
    }
}
