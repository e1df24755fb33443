//! `GET /api/changes`: the history over HTTP.

use plank::limits::STALL_MAX;
use serde_json::{Value, json};

use crate::resume::cursor;
use crate::support::cluster::connect;
use crate::support::raw::RawClient;
use crate::support::{Cluster, TestApp, until, until_within};

async fn page(app: &TestApp, since: &str, more: &str) -> Value {
    let (status, page) = app
        .request(
            "GET",
            &format!("/api/changes?table=items&since={since}{more}"),
            None,
        )
        .await;
    assert_eq!(status, 200, "{page}");
    page
}

#[actix_web::test]
async fn without_since_it_is_the_cursor_of_now() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('before')")
        .await;
    let (status, now) = app.request("GET", "/api/changes?table=items", None).await;
    assert_eq!(
        (status, &now["changes"], &now["more"]),
        (200, &json!([]), &json!(false))
    );
    app.execute("insert into items (name) values ('after')")
        .await;
    let page = page(&app, now["cursor"].as_str().unwrap(), "").await;
    assert_eq!(page["changes"].as_array().unwrap().len(), 1);
    assert_eq!(page["changes"][0]["row"]["name"], "after");
}

#[actix_web::test]
async fn guarantee_2_pages_end_between_transactions_and_lose_nothing() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    let others = [
        connect(&Cluster::shared().config(&app.database)).await,
        connect(&Cluster::shared().config(&app.database)).await,
    ];
    // Two transactions that write in turns, beside short ones.
    for round in 0..20 {
        for sql in &others {
            sql.batch_execute(&format!(
                "begin; insert into items (name) values ('{round}')"
            ))
            .await
            .unwrap();
        }
        app.execute("insert into items (name) values ('short')")
            .await;
        for sql in others.iter().rev() {
            sql.batch_execute("insert into items (name) values ('second'); commit")
                .await
                .unwrap();
        }
    }
    for limit in [1, 3, 7, 1000] {
        let (mut since, mut numbers, mut pages) = (start.clone(), Vec::new(), 0);
        loop {
            let page = page(&app, &since, &format!("&limit={limit}")).await;
            let changes = page["changes"].as_array().unwrap();
            assert!(
                changes.len() >= limit.min(1) && changes.len() <= limit + 5,
                "{limit}: {}",
                changes.len()
            );
            let mut count = std::collections::HashMap::new();
            for change in changes {
                *count.entry(change["xid"].to_string()).or_insert(0) += 1;
                numbers.push(change["seq"].as_i64().unwrap());
            }
            let is_whole = |change: &Value| {
                count[&change["xid"].to_string()]
                    == if change["row"]["name"] == "short" {
                        1
                    } else {
                        2
                    }
            };
            assert!(
                changes.iter().all(is_whole),
                "a transaction was cut: {changes:?}"
            );
            pages += 1;
            since = page["cursor"].as_str().unwrap().to_owned();
            if page["more"] == false {
                break;
            }
        }
        assert_eq!(numbers.len(), 100);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 100, "nothing twice");
        assert!(limit > 100 || pages >= 100 / (limit + 5), "{pages}");
        // The cursor of the last page is one of the WebSocket as well.
        let mut client = crate::resume::resumed(&app, &since).await;
        client.expect("subscribed").await;
        client.nothing().await;
    }
}

#[actix_web::test]
async fn a_long_answer_is_streamed_and_whole() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    app.execute("insert into items (name, description) select 'n' || i, repeat('x', 1000) from generate_series(1, 20000) i; insert into items (name) values ('next')").await;
    let first = page(&app, &start, "&limit=5").await;
    assert_eq!(
        first["changes"].as_array().unwrap().len(),
        20_001,
        "one transaction: it is not cut"
    );
    assert_eq!(first["more"], false);
    let narrow = page(&app, &start, "&limit=5&columns=name").await;
    assert_eq!(narrow["changes"][7]["row"], json!({"id": 8, "name": "n8"}));
    assert_eq!(narrow["cursor"], first["cursor"]);
}

#[actix_web::test]
async fn mistakes_are_named() {
    let app = TestApp::start().await;
    for (path, status, part) in [
        ("/api/changes", 400, "table"),
        ("/api/changes?table=nope", 404, "nope"),
        ("/api/changes?table=items&columns=nope", 400, "nope"),
        ("/api/changes?table=items&limit=10001", 400, "limit"),
        ("/api/changes?table=items&since=AAAA", 400, "since"),
        ("/api/changes?table=items&wait=61", 400, "wait"),
    ] {
        let (got, problem) = app.request("GET", path, None).await;
        assert_eq!(got, status, "{path}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(part),
            "{path}: {problem}"
        );
    }
    assert_eq!(
        app.request("POST", "/api/changes?table=items", None)
            .await
            .0,
        405
    );
}

#[actix_web::test]
async fn what_other_tables_have_in_between_is_passed_by() {
    let app = TestApp::start().await;
    app.execute("create table quiet (id int primary key); select plank.watch('quiet')")
        .await;
    crate::live::watched(&app, "quiet").await;
    let start = cursor(&app).await;
    app.execute("insert into quiet values (1)").await;
    let mut live = app.subscribed("items").await;
    for _ in 0..4 {
        app.execute("insert into items (name) select 'n' from generate_series(1, 6000)")
            .await;
        live.changes(6000).await;
    }
    let marks: i64 = app
        .sql
        .query_one("select count(*) from plank.mark", &[])
        .await
        .unwrap()
        .get(0);
    assert!(marks > 1, "{marks}");
    for limit in [1, 5] {
        let path = format!("/api/changes?table=quiet&since={start}&limit={limit}");
        let (status, page) = app.request("GET", &path, None).await;
        assert_eq!(
            (
                status,
                page["changes"].as_array().unwrap().len(),
                &page["more"]
            ),
            (200, 1, &json!(false))
        );
    }
}

/// An answer of which nothing but the head has been read.
async fn begun(app: &TestApp, since: &str) -> RawClient {
    let mut client = RawClient::connect(app.address).await;
    let request = format!(
        "GET /api/changes?table=items&since={since} HTTP/1.1\r\nHost: plank.test\r\nConnection: close\r\n\r\n"
    );
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    client
}

#[actix_web::test]
async fn an_answer_whose_client_stalls_has_no_end() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 30000)").await;
    let mut client = begun(&app, &start).await;
    let stalls = "plank_limits_total{limit=\"stall\"}";
    // The time counts from the last byte that was taken, and the kernel takes some more now and then: it asks a closed window
    // again after 0.2 s, and twice as late each time.
    until_within("it is given up", 4 * STALL_MAX, async || {
        app.metric(stalls).await == 1.0
    })
    .await;
    let rest = client.rest().await;
    assert!(rest.len() < 30_000_000, "it was cut");
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "that would be the end of a whole body"
    );
    // One that reads gets it whole, and its end.
    let rest = begun(&app, &start).await.rest().await;
    assert!(rest.len() > 30_000_000 && rest.ends_with(b"0\r\n\r\n"));
}

#[actix_web::test]
async fn guarantee_5_clients_that_do_not_read_their_answer_keep_nobody_from_his() {
    let app = TestApp::start().await;
    let start = cursor(&app).await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 30000)").await;
    let mut slow = Vec::new();
    for _ in 0..plank::limits::REPLAYS_MAX + 1 {
        slow.push(begun(&app, &start).await);
    }
    let page = page(&app, &start, "&limit=1&columns=name").await;
    assert_eq!(page["changes"].as_array().unwrap().len(), 30_000);
}

#[actix_web::test]
async fn a_place_that_nobody_gets_past_is_a_410_and_no_body_that_breaks_off() {
    let app = TestApp::start().await;
    app.execute(
        "create table t (id int primary key, a text) partition by range (id); \
         create table t1 partition of t for values from (0) to (100000); \
         create table t2 (id int primary key, a text); insert into t2 values (100001, 'x'); select plank.watch('t')",
    )
    .await;
    let start = cursor(&app).await;
    for i in 0..20 {
        app.execute(&format!(
            "insert into t select {i} * 100 + i, repeat('x', 100) from generate_series(0, 99) i"
        ))
        .await;
    }
    // Its rows can't be told one by one.
    app.execute("alter table t attach partition t2 for values from (100000) to (200000)")
        .await;
    until("the partition is there", async || {
        let sql = "select count(*) from plank.member where rel = 't2'::regclass";
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    let ask = async |since: &str, limit: usize| {
        let path = format!("/api/changes?table=t&since={since}&limit={limit}");
        app.request("GET", &path, None).await
    };
    assert_eq!(ask(&start, 10_000).await.0, 410);
    let (mut since, mut count) = (start, 0);
    let status = loop {
        let (status, page) = ask(&since, 700).await;
        if status != 200 {
            break status;
        }
        assert_eq!(page["more"], true);
        count += page["changes"].as_array().unwrap().len();
        since = page["cursor"].as_str().unwrap().to_owned();
    };
    assert_eq!((status, count), (410, 1_400));
}
