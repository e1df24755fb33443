//! What an operator sees from outside: every metric of the contract, the canary, names of requests, forms of the log.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::program::command;
use crate::support::{Cluster, TestApp, until, within};

async fn text(app: &TestApp) -> String {
    let answer = app.http.get(app.url("/metrics")).send().await.unwrap();
    answer.text().await.unwrap()
}

#[actix_web::test]
async fn every_metric_of_the_contract_is_there_and_right() {
    let app = TestApp::start().await;
    let mut all = app.subscribed("items").await;
    let mut one = app.ws("/ws?table=items&status=eq.done").await;
    one.expect("welcome").await;
    let since = one.expect("subscribed").await["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let stream = app
        .http
        .get(app.url("/api/stream?table=items"))
        .send()
        .await
        .unwrap();
    app.execute("insert into items (name) values ('a'), ('b'); update items set status = 'done' where name = 'a'").await;
    all.changes(3).await;
    one.changes(1).await;
    let mut back = app.ws(&format!("/ws?table=items&since={since}")).await;
    back.expect("welcome").await;
    assert_eq!(app.request("GET", "/api/items/999", None).await.0, 404);
    for (line, value) in [
        ("plank_sessions{transport=\"websocket\"}", 3.0),
        ("plank_sessions{transport=\"sse\"}", 1.0),
        ("plank_subscriptions", 4.0),
        ("plank_topics", 2.0),
        (
            "plank_changes_total{table=\"public.items\",op=\"insert\"}",
            2.0,
        ),
        (
            "plank_changes_total{table=\"public.items\",op=\"update\"}",
            1.0,
        ),
        // Three to each of two, one to another, and three to the one that came back.
        ("plank_deliveries_total", 10.0),
        ("plank_listener_up", 1.0),
        ("plank_listener_reconnects_total", 0.0),
        ("plank_resumes_total{result=\"window\"}", 1.0),
        ("plank_slow_sessions", 0.0),
        ("plank_canary_seconds", 0.0),
        (
            "plank_http_requests_total{route=\"/api/items/{id}\",method=\"GET\",status=\"404\"}",
            1.0,
        ),
        (
            "plank_http_request_seconds_count{route=\"/api/items/{id}\"}",
            1.0,
        ),
    ] {
        until(line, async || app.metric(line).await == value).await;
    }
    let now = text(&app).await;
    for line in [
        "plank_listener_lag_seconds ",
        "plank_bell_armed ",
        "plank_log_rows ",
        "plank_log_bytes ",
        "plank_window_bytes ",
        "plank_delivery_seconds_bucket{",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_max_fds ",
        "process_cpu_seconds_total ",
    ] {
        let line = now
            .lines()
            .find(|l| l.starts_with(line))
            .unwrap_or_else(|| panic!("{line} in {now}"));
        assert!(
            line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(),
            "{line}"
        );
    }
    let value = |name: &str| {
        let line = now.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.trim().parse::<f64>().unwrap()
    };
    assert!(
        value("plank_window_bytes ") > 0.0
            && value("process_open_fds ") < value("process_max_fds "),
        "{now}"
    );

    drop(stream);
    all.send_raw(tokio_tungstenite::tungstenite::Message::Close(None))
        .await;
    until("a close", async || {
        text(&app).await.contains("plank_closes_total{code=\"")
    })
    .await;
    app.cut_listener().await;
    until("the reconnect", async || {
        app.metric("plank_listener_reconnects_total").await == 1.0
    })
    .await;
}

#[actix_web::test]
async fn the_canary_comes_back_and_a_listener_that_hears_nothing_shows() {
    let every = Duration::from_millis(200);
    let (proxy, app) = TestApp::behind_a_proxy(|config| config.canary = Some(every)).await;
    let mut client = app.subscribed("items").await;
    let took = async || app.metric("plank_canary_seconds").await;
    until("the first beat is back", async || took().await > 0.0).await;
    // Another node's are not taken for its own, and nobody else sees them.
    app.execute("select plank.beat(gen_random_uuid(), 1)").await;
    let rows = app
        .sql
        .query("select beat from plank.canary order by at", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    let (_, tables) = app.request("GET", "/api/tables", None).await;
    assert!(!tables.to_string().contains("canary"), "{tables}");
    proxy.swallow(true);
    until("it does not come back", async || took().await > 2.0).await;
    proxy.swallow(false);
    until("it comes back", async || {
        let took = took().await;
        took > 0.0 && took < 1.0
    })
    .await;
    app.execute("insert into items (name) values ('between beats')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "between beats");
}

#[actix_web::test]
async fn a_canary_that_is_off_writes_nothing_and_a_bell_that_is_off_is_enough_for_it() {
    let app = TestApp::start_with(|config| {
        config.doorbell = false;
        config.canary = Some(Duration::from_millis(100));
    })
    .await;
    until("a beat is back", async || {
        app.metric("plank_canary_seconds").await > 0.0
    })
    .await;
    let quiet = TestApp::start().await;
    assert_eq!(quiet.request("GET", "/readyz", None).await.0, 200);
    let beats = quiet
        .sql
        .query("select from plank.canary", &[])
        .await
        .unwrap();
    assert_eq!(
        (beats.len(), quiet.metric("plank_canary_seconds").await),
        (0, 0.0)
    );
}

#[actix_web::test]
async fn a_request_has_a_name() {
    let app = TestApp::start().await;
    let ask = async |given: Option<&str>| {
        let mut request = app.http.get(app.url("/api/items"));
        if let Some(given) = given {
            request = request.header("x-request-id", given);
        }
        let answer = request.send().await.unwrap();
        answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(ask(Some("from-a-proxy")).await, "from-a-proxy");
    let (one, other) = (ask(None).await, ask(Some("no name")).await);
    assert!(one.len() == 16 && other.len() == 16 && one != other);
}

#[actix_web::test]
async fn the_log_is_written_as_it_is_asked_for() {
    let url = Cluster::shared().url(&Cluster::shared().database().await);
    for format in ["text", "logfmt", "json"] {
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &url,
            "--log",
            "debug",
            "--log-format",
            format,
        ];
        let mut child = command(&args).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let live = within("live", said.next_line()).await.unwrap().unwrap();
        let address = live.strip_prefix("plank is live at ").unwrap().to_owned();
        let http = reqwest::Client::new();
        let ask = http
            .post(format!("{address}/api/items"))
            .header("x-request-id", "r-1");
        assert_eq!(
            ask.json(&json!({"name": "x"}))
                .send()
                .await
                .unwrap()
                .status(),
            201
        );
        kill(Pid::from_raw(child.id().unwrap() as i32), Signal::SIGTERM).unwrap();
        let log = within("the end", child.wait_with_output())
            .await
            .unwrap()
            .stderr;
        let log = String::from_utf8(log).unwrap();
        let start = log.lines().find(|l| l.contains("plank starts")).unwrap();
        let request = log
            .lines()
            .find(|l| l.contains("request served"))
            .unwrap_or_else(|| panic!("{log}"));
        match format {
            "json" => {
                for line in log.lines() {
                    serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                }
                let start: Value = serde_json::from_str(start).unwrap();
                assert_eq!(
                    (&start["msg"], &start["level"]),
                    (&json!("plank starts"), &json!("info"))
                );
                assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
                let request: Value = serde_json::from_str(request).unwrap();
                assert_eq!(
                    (&request["request"], &request["status"]),
                    (&json!("r-1"), &json!("201"))
                );
            }
            "logfmt" => {
                assert!(
                    start.starts_with("ts=2")
                        && start.contains(" level=info msg=\"plank starts\" version="),
                    "{start}"
                );
                assert!(
                    request.contains(" msg=\"request served\" method=POST ")
                        && request.ends_with(" request=r-1"),
                    "{request}"
                );
            }
            _ => assert!(
                start.contains("INFO ") && start.contains("] plank starts version="),
                "{start}"
            ),
        }
    }
}
