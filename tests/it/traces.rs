//! Traces: the `traceparent` of a write stays with its change, and a collector gets a span.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::rest::send;
use crate::support::program::{Program, command, run};
use crate::support::{Cluster, TestApp, WsClient, until, within};

const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TWO: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

const TABLES: &str = "create table orders (id int primary key, total numeric); create table lines (id int primary key);
    select plank.watch('orders', writable => true), plank.watch('lines', writable => true)";

fn traces(changes: &[Value]) -> Vec<Option<&str>> {
    let one = changes.iter().map(|change| change.get("traceparent"));
    one.map(|trace| trace.map(|trace| trace.as_str().unwrap()))
        .collect()
}

#[actix_web::test]
async fn traceparent_of_a_request_comes_out_with_its_changes() {
    let app = TestApp::start().await;
    app.execute(TABLES).await;
    let mut client = app.subscribed("orders").await;
    let list = json!([
        {"op": "insert", "table": "orders", "values": {"id": 20}},
        {"op": "update", "table": "orders", "key": {"id": 20}, "values": {"total": 1}},
    ]);
    let list = list.to_string();
    let later = format!("cc{}-more", &ONE[2..]);
    let mut told = Vec::new();
    let rows = "[{\"id\":10},{\"id\":11}]";
    for (method, path, headers, body, expected) in [
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", ONE)],
            "{\"id\":1}",
            vec![Some(ONE)],
        ),
        ("POST", "/rest/orders", vec![], "{\"id\":2}", vec![None]),
        (
            "PATCH",
            "/rest/orders?id=eq.1",
            vec![("traceparent", TWO)],
            "{\"total\":2}",
            vec![Some(TWO)],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", &*later)],
            "{\"id\":3}",
            vec![Some(ONE)],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", "00-0-0-01")],
            "{\"id\":4}",
            vec![None],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", "")],
            "{\"id\":5}",
            vec![None],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", ONE), ("traceparent", TWO)],
            "{\"id\":6}",
            vec![None],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", ONE)],
            rows,
            vec![Some(ONE), Some(ONE)],
        ),
        (
            "POST",
            "/rest",
            vec![("traceparent", ONE)],
            &list,
            vec![Some(ONE), Some(ONE)],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("traceparent", ONE), ("idempotency-key", "a")],
            "{\"id\":7}",
            vec![Some(ONE)],
        ),
        (
            "POST",
            "/rest/orders",
            vec![("prefer", "return=representation")],
            "{\"id\":8}",
            vec![None],
        ),
        (
            "PUT",
            "/rest/orders?id=eq.9",
            vec![("traceparent", ONE)],
            "{\"id\":9,\"total\":0}",
            vec![Some(ONE)],
        ),
        (
            "DELETE",
            "/rest/orders?id=eq.1",
            vec![("traceparent", TWO)],
            "",
            vec![Some(TWO)],
        ),
    ] {
        let (status, _, answer) = send(&app, method, path, &headers, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path} {headers:?}: {status} {answer}"
        );
        let changes = client.changes(expected.len()).await;
        assert_eq!(
            traces(&changes),
            expected,
            "{method} {path} {headers:?} {body}"
        );
        told.extend(expected);
    }
    // The same from the log, and from the beginning of it.
    let (_, _, page) = send(&app, "GET", "/api/changes?table=orders&since=-1h", &[], "").await;
    let mut all = page["changes"].as_array().unwrap().clone();
    all.sort_by_key(|change| change["seq"].as_i64());
    assert_eq!(traces(&all), told);
    // The board's form over the same.
    let mut items = app.subscribed("items").await;
    let body = "{\"name\":\"traced\"}";
    let (status, _, _) = send(&app, "POST", "/api/items", &[("traceparent", ONE)], body).await;
    assert_eq!(status, 201);
    assert_eq!(traces(&items.changes(1).await), [Some(ONE)]);
}

#[actix_web::test]
async fn traceparent_of_a_session_holds_as_long_as_its_setting() {
    let app = TestApp::start().await;
    app.execute(TABLES).await;
    let mut client = app.subscribed("orders").await;
    let long = format!("{ONE}{}", "x".repeat(1_000_000));
    for (sql, expected) in [
        (
            format!("set plank.traceparent = '{ONE}'; insert into orders values (1)"),
            vec![Some(ONE)],
        ),
        ("insert into orders values (2)".into(), vec![Some(ONE)]),
        (
            format!(
                "begin; set local plank.traceparent = '{TWO}'; insert into orders values (3); commit"
            ),
            vec![Some(TWO)],
        ),
        ("insert into orders values (4)".into(), vec![Some(ONE)]),
        (
            "set plank.traceparent = ''; insert into orders values (5)".into(),
            vec![None],
        ),
        (
            "reset plank.traceparent; insert into orders values (6)".into(),
            vec![None],
        ),
        (
            "set plank.traceparent = 'nonsense'; insert into orders values (7)".into(),
            vec![None],
        ),
        (
            format!("set plank.traceparent = '{long}'; insert into orders values (8)"),
            vec![None],
        ),
        (
            format!(
                "set plank.traceparent = '{ONE}'; insert into orders select generate_series(100, 199)"
            ),
            vec![Some(ONE); 100],
        ),
        (
            "update orders set total = 1 where id >= 100".into(),
            vec![Some(ONE); 100],
        ),
        (
            "delete from orders where id >= 100".into(),
            vec![Some(ONE); 100],
        ),
        ("truncate orders".into(), vec![Some(ONE)]),
    ] {
        app.execute(&sql).await;
        let changes = client.changes(expected.len()).await;
        let sql = &sql[..sql.len().min(200)];
        assert_eq!(traces(&changes), expected, "{sql}");
    }
    // No writer fills the log with it.
    let bytes: i32 = {
        let row = app
            .sql
            .query_one("select max(octet_length(trace)) from plank.log", &[])
            .await;
        row.unwrap().get(0)
    };
    assert_eq!(bytes, 56);
    app.execute(
        "select plank.unwatch('orders'); alter table lines add parent int references lines; \
        select plank.watch('lines', level => 'row')",
    )
    .await;
    let mut lines = app.subscribed("lines").await;
    app.execute("insert into lines values (1)").await;
    assert_eq!(traces(&lines.changes(1).await), [Some(ONE)], "at row level");
}

#[actix_web::test]
async fn tail_prints_the_traceparent() {
    let app = TestApp::start().await;
    app.execute(TABLES).await;
    app.execute(&format!(
        "begin; set local plank.traceparent = '{ONE}'; insert into orders values (1); commit"
    ))
    .await;
    let url = app.url("");
    let args = [
        "tail",
        "orders",
        "--format",
        "json",
        "--since=-1h",
        "--url",
        url.as_str(),
    ];
    let mut tail = command(&args).spawn().unwrap();
    let out = tail.stdout.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(out));
    let line = within("a line", lines.next_line()).await.unwrap().unwrap();
    let change: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(change["traceparent"], ONE, "{line}");
}

/// A collector: what it is sent comes out of the channel, as long as it takes it.
struct Collector {
    url: String,
    requests: UnboundedReceiver<Value>,
    is_there: Arc<AtomicBool>,
}

impl Collector {
    fn start() -> Self {
        let (sender, requests) = unbounded_channel::<Value>();
        let is_there = Arc::new(AtomicBool::new(true));
        let state = (sender, is_there.clone());
        type Shared = (UnboundedSender<Value>, Arc<AtomicBool>);
        let server = HttpServer::new(move || {
            let take = |state: Data<Shared>, body: Bytes| async move {
                if !state.1.load(Ordering::Relaxed) {
                    return HttpResponse::ServiceUnavailable().finish();
                }
                state
                    .0
                    .send(serde_json::from_slice(&body).unwrap())
                    .unwrap();
                HttpResponse::Ok().json(json!({}))
            };
            let route =
                web::post().guard(actix_web::guard::Header("content-type", "application/json"));
            let app = App::new().app_data(Data::new(state.clone()));
            app.route("/tenant/v1/traces", route.to(take))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}/tenant", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self {
            url,
            requests,
            is_there,
        }
    }

    /// The spans of the next request, with the attributes of its resource.
    async fn spans(&mut self) -> Vec<Value> {
        let request = within("spans", self.requests.recv()).await.unwrap();
        let resource = &request["resourceSpans"][0];
        assert_eq!(
            attribute(&resource["resource"], "service.name"),
            json!({"stringValue": "plank"})
        );
        let spans = &resource["scopeSpans"][0]["spans"];
        spans.as_array().unwrap().clone()
    }
}

fn attribute(of: &Value, key: &str) -> Value {
    let mut all = of["attributes"].as_array().unwrap().iter();
    all.find(|one| one["key"] == key).unwrap()["value"].clone()
}

#[actix_web::test]
async fn a_collector_gets_a_span_for_each_trace_and_table_of_a_batch() {
    let mut collector = Collector::start();
    let database = Cluster::shared().empty_database().await;
    let url = Cluster::shared().url(&database);
    let plank = Program::serve(&["--database-url", &url, "--otlp-endpoint", &collector.url]).await;
    let sql = crate::support::cluster::connect(&Cluster::shared().config(&database)).await;
    sql.batch_execute(TABLES).await.unwrap();
    let mut client = WsClient::connect(plank.address.parse().unwrap(), "/ws?table=orders").await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    // Not recorded, and none: no span, and nothing that comes before the next one.
    for trace in [TWO, "nonsense", ""] {
        let write = format!(
            "begin; set local plank.traceparent = '{trace}'; insert into orders select coalesce(max(id), 0) + 1 from orders; commit"
        );
        sql.batch_execute(&write).await.unwrap();
        client.changes(1).await;
    }
    let write = format!(
        "begin; set local plank.traceparent = '{ONE}'; insert into orders select generate_series(10, 30); insert into lines values (1); commit"
    );
    sql.batch_execute(&write).await.unwrap();
    let xid = client.changes(21).await[0]["xid"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut spans = collector.spans().await;
    spans.sort_by_key(|span| span["name"].as_str().unwrap().to_owned());
    let names: Vec<_> = spans
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["deliver public.lines", "deliver public.orders"]);
    for (span, changes) in spans.iter().zip(["1", "21"]) {
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        assert_eq!(
            attribute(span, "plank.changes"),
            json!({"intValue": changes})
        );
        assert_eq!(attribute(span, "plank.xid"), json!({"intValue": xid}));
        let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        let (begin, end) = (time("startTimeUnixNano"), time("endTimeUnixNano"));
        assert!(
            begin > 1_700_000_000_000_000_000 && begin <= end && end - begin < 60_000_000_000,
            "{span}"
        );
    }
    assert_ne!(spans[0]["spanId"], spans[1]["spanId"]);

    // A collector that is away costs no write, and is counted.
    let metric = async |line: &str| {
        let text = reqwest::get(format!("http://{}/metrics", plank.address))
            .await
            .unwrap();
        text.text().await.unwrap().lines().any(|own| own == line)
    };
    // Counted behind the collector's answer.
    until("two spans are counted", async || {
        metric("plank_spans_total{result=\"sent\"} 2").await
    })
    .await;
    collector.is_there.store(false, Ordering::Relaxed);
    let write = |id: i32| {
        format!(
            "begin; set local plank.traceparent = '{ONE}'; insert into lines values ({id}); commit"
        )
    };
    sql.batch_execute(&write(2)).await.unwrap();
    until("the span is lost", async || {
        metric("plank_spans_total{result=\"lost\"} 1").await
    })
    .await;
    collector.is_there.store(true, Ordering::Relaxed);

    // The last one is sent before plank ends.
    let mut client = WsClient::connect(plank.address.parse().unwrap(), "/ws?table=lines").await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    sql.batch_execute(&write(3)).await.unwrap();
    client.changes(1).await;
    assert_eq!(plank.end(Signal::SIGTERM).await, Some(0));
    assert_eq!(collector.spans().await.len(), 1);
}

#[actix_web::test]
async fn an_endpoint_that_is_none_is_refused() {
    for (endpoint, part) in [
        ("collector:4317", "4318"),
        ("http://a:b@c", "user or a password"),
    ] {
        let (status, _, err) = run(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--otlp-endpoint",
            endpoint,
        ])
        .await;
        assert!(
            status == 1 && err.contains("--otlp-endpoint ") && err.contains(part),
            "{endpoint}: {err}"
        );
    }
}
