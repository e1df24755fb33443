//! All rows at once, as NDJSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{page, path, selected, watched};
use crate::support::program::Program;
use crate::support::raw::RawClient;
use crate::support::{Cluster, TestApp};

const NDJSON: &str = "application/x-ndjson";

async fn get(app: &TestApp, path: &str, accept: &str) -> reqwest::Response {
    let answer = app.http.get(app.url(path)).header("accept", accept);
    answer.send().await.unwrap()
}

async fn lines(app: &TestApp, path: &str) -> Vec<Value> {
    let answer = get(app, path, NDJSON).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], NDJSON);
    let text = answer.text().await.unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A request for all rows, of which nothing but the head has been read.
async fn begun(app: &TestApp, table: &str) -> RawClient {
    let mut client = RawClient::connect(app.address).await;
    let request = format!(
        "GET /api/tables/{table}/rows HTTP/1.1\r\nHost: plank.test\r\nAccept: {NDJSON}\r\nConnection: close\r\n\r\n"
    );
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    client
}

#[actix_web::test]
async fn a_row_is_a_line() {
    let app = TestApp::start().await;
    watched(
        &app,
        "t",
        "create table t (id int primary key, j json, s text); \
         insert into t values (2, E'{\"a\":\\n [1,\\r\\n 2]}', E'x\\ny'), (1, null, null), (3, '1', '')",
    )
    .await;
    let rows = lines(&app, &path("t", &[("order", "id")])).await;
    assert_eq!(rows, selected(&app, "t x order by id").await);
    assert_eq!(rows[1]["j"], json!({"a": [1, 2]}));
    let rows = lines(&app, &path("t", &[("columns", "s"), ("limit", "2")])).await;
    assert_eq!(
        rows,
        [json!({"id": 1, "s": null}), json!({"id": 2, "s": "x\ny"})]
    );
    let next = page(&app, "t", &[("limit", "1")]).await;
    let next = next["next"].as_str().unwrap();
    assert_eq!(lines(&app, &path("t", &[("after", next)])).await.len(), 2);
    assert_eq!(
        lines(&app, "/api/tables/items/rows").await,
        [] as [Value; 0]
    );
    let answer = get(&app, "/api/tables/t/rows", "application/jsonl").await;
    assert_eq!(answer.headers()["content-type"], "application/jsonl");
    // The cursor is one to go on with.
    let cursor = answer.headers()["plank-cursor"]
        .to_str()
        .unwrap()
        .to_owned();
    app.execute("delete from t where id = 3").await;
    let changes = format!("/api/changes?table=t&since={cursor}");
    let (_, changes) = app.request("GET", &changes, None).await;
    assert_eq!(changes["changes"][0]["op"], "delete");
}

#[actix_web::test]
async fn a_large_table_is_whole_and_in_nobodys_memory() {
    let app = TestApp::start().await;
    app.execute(
        "insert into items (name, description) select 'n' || i, repeat('x', 50) from generate_series(1, 200000) i",
    )
    .await;
    // A process of its own: there is nothing in its window, and nothing of other tests in its memory.
    let url = Cluster::shared().url(&app.database);
    let plank = Program::serve(&["--database-url", &url]).await;
    let status = format!("/proc/{}/status", plank.pid());
    let kib = |name: &str| -> i64 {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    };
    let before = kib("VmRSS:");
    let url = format!("http://{}/api/tables/items/rows", plank.address);
    let answer = app.http.get(url).header("accept", NDJSON).send().await;
    let text = answer.unwrap().text().await.unwrap();
    assert!(text.len() > 40_000_000 && text.ends_with("}\n"));
    let ids = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        row["id"].as_i64().unwrap()
    });
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 200_000);
    let grown = kib("VmHWM:") - before;
    assert!(grown < 8_192, "{grown} KiB more for {} bytes", text.len());
}

#[actix_web::test]
async fn an_answer_that_breaks_has_no_end() {
    let app = TestApp::start().await;
    app.execute(
        "insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 50000) i",
    )
    .await;
    let mut client = begun(&app, "items").await;
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
        where application_name = 'plank snapshot' and datname = current_database()";
    let cut: i64 = app.sql.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(cut, 1);
    let rest = client.rest().await;
    assert!(rest.len() < 50_000_000, "it was cut");
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "that would be the end of a whole body"
    );
    // An ordinary client notices as well.
    let mut answer = get(&app, "/api/tables/items/rows", NDJSON).await;
    answer.chunk().await.unwrap();
    let cut: i64 = app.sql.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(cut, 1);
    let error = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(error.is_err(), "{error:?}");
    // The next one gets all.
    assert_eq!(
        lines(&app, "/api/tables/items/rows?columns=id").await.len(),
        50_000
    );
}

#[actix_web::test]
async fn guarantee_5_clients_that_do_not_read_their_rows_keep_nobody_from_his() {
    let app = TestApp::start().await;
    app.execute(
        "insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 50000) i",
    )
    .await;
    let mut slow = Vec::new();
    for _ in 0..plank::limits::SNAPSHOTS_MAX {
        slow.push(begun(&app, "items").await);
    }
    // A page does not even wait.
    let page = page(&app, "items", &[("limit", "10")]).await;
    assert_eq!(page["rows"].as_array().unwrap().len(), 10);
    assert_eq!(
        app.metric("plank_limits_total{limit=\"snapshot_pause\"}")
            .await,
        0.0
    );
    let rows = lines(&app, "/api/tables/items/rows?columns=id").await;
    assert_eq!(rows.len(), 50_000);
    // And a WebSocket has its turn as well.
    let mut client = app.ws("/ws?table=items&snapshot=1&columns=id").await;
    client.expect("welcome").await;
    assert_eq!(client.snapshot().await.0.len(), 50_000);
    // A client that had to give up its place learns it when it reads on.
    let mut broken = 0;
    for mut client in slow {
        let rest = client.rest().await;
        broken += usize::from(!rest.ends_with(b"0\r\n\r\n"));
    }
    let mut counted = 0.0;
    for limit in ["snapshot_pause", "stall"] {
        let line = format!("plank_limits_total{{limit=\"{limit}\"}}");
        counted += app.metric(&line).await;
    }
    assert!(broken > 0, "one had to");
    assert_eq!(broken, counted as usize);
}

#[actix_web::test]
async fn a_client_that_leaves_leaves_its_place() {
    let app = TestApp::start().await;
    app.execute(
        "insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 50000) i",
    )
    .await;
    let open = async || -> i64 {
        let sql = "select count(*) from pg_stat_activity where application_name = 'plank snapshot' \
            and datname = current_database() and state <> 'idle'";
        app.sql.query_one(sql, &[]).await.unwrap().get(0)
    };
    let client = begun(&app, "items").await;
    assert_eq!(open().await, 1);
    drop(client);
    crate::support::until("the statement has ended", async || open().await == 0).await;
}
