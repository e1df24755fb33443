//! The ordinary course: one node reads, all follow.

use serde_json::json;

use super::{follows, listeners, nodes};
use crate::support::nats::Nats;
use crate::support::{TestApp, until, within};

#[actix_web::test]
async fn one_node_reads_and_all_follow() {
    let Some(nats) = Nats::start("a backplane").await else {
        return;
    };
    let nodes = nodes(&nats, 2).await;
    assert_eq!(listeners(&nodes[0]).await, 1, "that of the reader");
    let mut clients = Vec::new();
    for node in &nodes {
        clients.push(node.subscribed("items").await);
    }
    nodes[0]
        .execute("insert into items (name) select 'x' || i from generate_series(1, 100) i")
        .await;
    nodes[0]
        .execute("update items set name = 'y' where name = 'x7'")
        .await;
    for client in &mut clients {
        let changes = client.changes(101).await;
        assert_eq!(changes[100]["row"]["name"], "y");
    }
    assert_eq!(nodes[0].metric("plank_backplane_reader").await, 1.0);
    for edge in &nodes[1..] {
        assert_eq!(edge.metric("plank_backplane_reader").await, 0.0);
        assert_eq!(edge.metric("plank_backplane_left_total").await, 0.0);
    }
}

#[actix_web::test]
async fn a_write_on_any_node_is_seen_on_any_other_when_the_receipt_comes() {
    let Some(nats) = Nats::start("receipts over a backplane").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    for i in 0..20 {
        nodes[0]
            .execute(&format!("insert into items (name) values ('{i}')"))
            .await;
        let cursor: String = within(
            "a cursor",
            nodes[0].sql.query_one("select plank.cursor()", &[]),
        )
        .await
        .unwrap()
        .get(0);
        client
            .send(json!({"type": "ping", "id": "a", "cursor": cursor}))
            .await;
        assert_eq!(client.change().await["row"]["name"], i.to_string());
        client.expect("pong").await;
    }
}

#[actix_web::test]
async fn a_table_that_is_watched_now_is_known_on_every_edge() {
    let Some(nats) = Nats::start("watching over a backplane").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    nodes[0]
        .execute("create table t (id int primary key, v text); select plank.watch('t')")
        .await;
    let mut client = nodes[1].subscribed("t").await;
    nodes[0]
        .execute("insert into t values (1, 'a'); select plank.unwatch('t')")
        .await;
    assert_eq!(client.change().await["key"]["id"], 1);
    client.expect("unsubscribed").await;
}

#[actix_web::test]
async fn a_row_above_max_payload_comes_whole() {
    let Some(nats) = Nats::start_with("large rows", "max_payload: 65536").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    nodes[0]
        .execute("create table t (id int primary key, v text); select plank.watch('t')")
        .await;
    let mut client = nodes[1].subscribed("t").await;
    let rows =
        "insert into t select i, repeat(chr(96 + i), i * 1000 * 1000) from generate_series(1, 5) i";
    nodes[0].execute(rows).await;
    for change in client.changes(5).await {
        let id = change["key"]["id"].as_u64().unwrap() as usize;
        let text = change["row"]["v"].as_str().unwrap();
        assert_eq!(text.len(), id * 1_000_000);
        assert!(text.bytes().all(|byte| byte == 96 + id as u8));
    }
    assert_eq!(nodes[1].metric("plank_backplane_left_total").await, 0.0);
}

#[actix_web::test]
async fn a_large_transaction_is_one_batch() {
    let Some(nats) = Nats::start("a large batch").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    nodes[0]
        .execute("insert into items (name) select repeat('x', 100) || i from generate_series(1, 20000) i")
        .await;
    assert_eq!(client.batch().await.len(), 20_000);
    assert_eq!(nodes[1].metric("plank_backplane_left_total").await, 0.0);
}

#[actix_web::test]
async fn a_client_goes_on_at_a_node_that_has_just_started_without_a_read_of_the_log() {
    let Some(nats) = Nats::start("a node that starts").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    nodes[0]
        .execute("insert into items (name) values ('first')")
        .await;
    let (_, cursor) = client.batch_and_cursor().await;
    drop(client);
    nodes[0]
        .execute("insert into items (name) values ('second')")
        .await;
    let late = nodes[0]
        .another_node_with(|config| config.backplane = Some(nats.edge()))
        .await;
    follows(&late).await;
    let mut client = late.ws(&format!("/ws?table=items&since={cursor}")).await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    assert_eq!(client.change().await["row"]["name"], "second");
    assert_eq!(
        late.metric("plank_resumes_total{result=\"window\"}").await,
        1.0
    );
    assert_eq!(
        late.metric("plank_resumes_total{result=\"log\"}").await,
        0.0
    );
}

#[actix_web::test]
async fn the_next_candidate_goes_on_when_the_reader_stops() {
    let Some(nats) = Nats::start("a reader that stops").await else {
        return;
    };
    let mut nodes = nodes(&nats, 1).await;
    let second = nodes[0]
        .another_node_with(|config| config.backplane = Some(nats.backplane()))
        .await;
    follows(&second).await;
    let mut clients = [
        nodes[1].subscribed("items").await,
        second.subscribed("items").await,
    ];
    let reader = nodes.remove(0);
    let sql = reader.stop_keeping_sql().await;
    sql.batch_execute("insert into items (name) values ('after')")
        .await
        .unwrap();
    for client in &mut clients {
        assert_eq!(client.change().await["row"]["name"], "after");
    }
    until("it reads", async || {
        second.metric("plank_backplane_reader").await == 1.0
    })
    .await;
    assert_eq!(
        nodes[0].metric("plank_backplane_left_total").await,
        0.0,
        "nobody had to go to the log"
    );
}

#[actix_web::test]
async fn without_a_backplane_nothing_is_said_to_nats() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('x')").await;
    client.change().await;
    assert_eq!(app.metric("plank_backplane_followed").await, 0.0);
    let turns = "select count(*) from pg_stat_activity where application_name = 'plank reading' and datname = current_database()";
    let row = within("a query", app.sql.query_one(turns, &[]))
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}

#[actix_web::test]
async fn vacuum_and_analyze_of_the_whole_database_do_not_wait_for_the_reader() {
    let Some(nats) = Nats::start("vacuum beside a reader").await else {
        return;
    };
    let nodes = nodes(&nats, 0).await;
    let held = "select count(*) from pg_locks where relation = 'plank.reading'::regclass and mode = 'ExclusiveLock' and granted and database = (select oid from pg_database where datname = current_database())";
    let row = nodes[0].sql.query_one(held, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1, "the reader has its lock");
    for sql in ["analyze", "vacuum", "vacuum (analyze)"] {
        within(sql, nodes[0].sql.batch_execute(sql)).await.unwrap();
    }
    assert_eq!(nodes[0].metric("plank_backplane_reader").await, 1.0);
}

#[actix_web::test]
async fn questions_of_a_crowd_do_not_hold_up_the_stream() {
    let Some(nats) = Nats::start("questions beside changes").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    let mut asker = nodes[1].subscribed("items").await;
    // Each has a cursor that its node has not reached yet, so each is a question, while messages come all the time.
    for round in 0..15 {
        for i in 0..20 {
            let sql = format!("insert into items (name) values ('{round} {i}')");
            nodes[0].execute(&sql).await;
            let cursor = nodes[0].sql.query_one("select plank.cursor()", &[]).await;
            let cursor: String = cursor.unwrap().get(0);
            let id = i.to_string();
            asker
                .send(json!({"type": "ping", "id": id, "cursor": cursor}))
                .await;
        }
        let mut pongs = 0;
        while pongs < 20 {
            let message = asker.next().await.unwrap();
            pongs += i32::from(message["type"] == "pong");
        }
    }
    assert_eq!(client.changes(300).await[299]["row"]["name"], "14 19");
    assert_eq!(nodes[1].metric("plank_backplane_left_total").await, 0.0);
}

#[actix_web::test]
async fn doctor_says_what_it_finds_of_the_stream() {
    let Some(nats) = Nats::start("plank doctor and a backplane").await else {
        return;
    };
    let nodes = nodes(&nats, 0).await;
    let url = crate::support::Cluster::shared().url(&nodes[0].database);
    let backplane = nats.url();
    let args = [
        "doctor",
        "--json",
        "--database-url",
        &url,
        "--backplane",
        &backplane,
    ];
    let found = async |check: &str| {
        let (_, out, err) = crate::support::program::run(&args).await;
        let report: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}"));
        let findings = report["findings"].as_array().unwrap().iter();
        let mut states = findings
            .filter(|f| f["check"] == check)
            .map(|f| f["state"].clone());
        states.next().unwrap_or_default()
    };
    for check in ["backplane", "stream", "reader"] {
        assert_eq!(found(check).await, "ok", "{check}");
    }
    for node in nodes {
        node.stop().await.unwrap();
    }
    assert_eq!(found("reader").await, "wrong");
    drop(nats);
    assert_eq!(found("backplane").await, "wrong");
}
