//! The log is bounded, writers never wait for that, and a client that misses something is told.

use std::time::{Duration, Instant};

use plank::config::Retention;
use serde_json::json;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

/// Keeps at most so many rows, for an hour.
fn rows(rows_max: i64) -> Retention {
    Retention {
        keep: Duration::from_secs(3_600),
        rows_max,
    }
}

/// Waits until the server has made it known to the database.
async fn known(app: &TestApp, rows_max: i64) {
    let sql = "select rows_max from plank.meta";
    until("the retention is known", async || {
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == rows_max
    })
    .await;
}

#[actix_web::test]
async fn the_log_stays_within_its_rows() {
    // See below: a transaction of another test that is older than the whole log would make it err.
    let cluster = Cluster::start();
    let target = cluster.config("plank");
    let sql = connect(&target).await;
    let app = TestApp::build(target, sql, "plank".into(), |config| {
        config.retention = rows(7_000)
    })
    .await;
    app.ready().await;
    known(&app, 7_000).await;
    let mut client = app.subscribed("items").await;
    let mut numbers = Vec::new();
    for _ in 0..30 {
        app.execute("insert into items (name) select 'n' from generate_series(1, 1000); select plank.prune()").await;
        numbers.extend(
            client
                .changes(1000)
                .await
                .iter()
                .map(|c| c["seq"].as_i64().unwrap()),
        );
    }
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        30_000,
        "a client that follows misses nothing"
    );
    let rows: i64 = app
        .sql
        .query_one(
            "select sum(case op when 'i' then json_array_length(row) else 1 end) from plank.log",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!((6_000..=9_000).contains(&rows), "{rows}");
    until("it is measured", async || {
        (1.0..20_000.0).contains(&app.metric("plank_log_rows").await)
    })
    .await;
    assert!(app.metric("plank_log_bytes").await > 1e5);
}

#[actix_web::test]
async fn the_log_stays_within_its_time() {
    let keep = Duration::from_secs(2);
    let app = TestApp::start_with(|config| {
        config.retention = Retention {
            keep,
            rows_max: 1_000_000,
        }
    })
    .await;
    app.execute("insert into items (name) values ('old')").await;
    until("it is gone", async || {
        let sql = "select count(*) from plank.log where op in ('I', 'i')";
        app.sql.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('new')").await;
    assert_eq!(client.change().await["row"]["name"], "new");
}

#[actix_web::test]
async fn a_horizon_tells_exactly_which_cursor_is_too_old() {
    // A transaction that is open for long in another database makes it err on the safe side, so: a cluster of its own.
    let cluster = Cluster::start();
    let target = cluster.config("plank");
    let app = TestApp::build(
        target.clone(),
        connect(&target).await,
        "plank".into(),
        |config| {
            config.retention = rows(70);
        },
    )
    .await;
    app.ready().await;
    known(&app, 70).await;
    let mut cursors = Vec::new();
    for _ in 0..12 {
        let cursor: String = app
            .sql
            .query_one("select pg_current_snapshot()::text", &[])
            .await
            .unwrap()
            .get(0);
        cursors.push(cursor);
        app.execute(
            "insert into items (name) select 'n' from generate_series(1, 20); select plank.prune()",
        )
        .await;
    }
    let mut pruned = Vec::new();
    for cursor in &cursors {
        let sql = "select plank.pruned($1::text::pg_snapshot), \
            (select coalesce(sum(case op when 'i' then json_array_length(row) else 1 end), 0) from plank.log \
                where not pg_visible_in_snapshot(xid, $1::text::pg_snapshot) and op in ('I', 'i'))";
        let row = app.sql.query_one(sql, &[cursor]).await.unwrap();
        pruned.push((row.get::<_, bool>(0), row.get::<_, i64>(1)));
    }
    for (i, (is_pruned, rows)) in pruned.iter().enumerate() {
        let expected = (12 - i as i64) * 20;
        assert_eq!(
            *is_pruned,
            *rows < expected,
            "cursor {i}: {rows} of {expected} rows are left: {pruned:?}"
        );
    }
    assert!(pruned[0].0 && !pruned[11].0, "{pruned:?}");
}

#[actix_web::test]
async fn guarantee_6_a_writer_never_waits_for_pruning() {
    // Enough that no writer closes it, and less than a seventh of what is written.
    let app = TestApp::start_with(|config| config.retention = rows(70)).await;
    known(&app, 70).await;
    // A session reads the whole log, slowly.
    let reader = connect(&Cluster::shared().config(&app.database)).await;
    reader
        .batch_execute("begin; select count(*) from plank.log")
        .await
        .unwrap();
    let slot = "select last_value from plank.slot";
    let before: i64 = reader.query_one(slot, &[]).await.unwrap().get(0);
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let started = Instant::now();
        app.execute("insert into items (name) values ('quick'), ('quick')")
            .await;
        longest = longest.max(started.elapsed());
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let current: i64 = app.sql.query_one(slot, &[]).await.unwrap().get(0);
    assert_eq!(current, before, "nothing is thrown away under a reader");
    reader.batch_execute("commit").await.unwrap();
    until("it is pruned afterwards", async || {
        app.execute("select plank.prune()").await;
        app.sql.query_one(slot, &[]).await.unwrap().get::<_, i64>(0) != before
    })
    .await;
}

#[actix_web::test]
async fn guarantee_4_a_listener_that_was_away_for_too_long_says_so() {
    let (proxy, app) = TestApp::behind_a_proxy(|config| {
        config.retention = rows(70);
    })
    .await;
    let mut client = app.subscribed("items").await;
    known(&app, 70).await;
    proxy.swallow(true);
    for _ in 0..12 {
        app.execute("insert into items (name) select 'missed' from generate_series(1, 20); select plank.prune()").await;
    }
    until("the loss is noticed", async || !app.health.is_live()).await;
    proxy.swallow(false);
    assert_eq!(client.expect("reset").await["reason"], "expired");
    let subscribed = client.expect("subscribed").await;
    assert_eq!(subscribed["id"], "a");
    app.execute("insert into items (name) values ('from now on')")
        .await;
    assert_eq!(
        client.batch().await.last().unwrap()["row"]["name"],
        json!("from now on")
    );
}

#[actix_web::test]
async fn another_log_under_the_same_name_is_a_reset() {
    let app = TestApp::start().await;
    let mut client = app.subscribed("items").await;
    // As after a restore: the log has another identity.
    app.execute("update plank.meta set log_id = gen_random_uuid()")
        .await;
    assert_eq!(app.cut_listener().await, 1);
    assert_eq!(client.expect("reset").await["reason"], "epoch");
    client.expect("subscribed").await;
    app.execute("insert into items (name) values ('here')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "here");
}

#[actix_web::test]
async fn guarantee_6_while_plank_is_down_the_log_grows_to_its_bound_and_no_writer_fails() {
    // A transaction of another test would hold its opening up.
    let cluster = Cluster::start();
    let target = cluster.config("plank");
    let build = async || {
        let sql = connect(&target).await;
        let app = TestApp::build(target.clone(), sql, "plank".into(), |config| {
            config.retention = rows(1_000)
        })
        .await;
        app.ready().await;
        app
    };
    let app = build().await;
    known(&app, 1_000).await;
    let old: String = app
        .sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0);
    let sql = app.stop_keeping_sql().await;
    for _ in 0..8 {
        let insert = "insert into items (name) select 'n' from generate_series(1, 5000)";
        sql.batch_execute(insert).await.unwrap();
    }
    let slot = "select last_value from plank.slot";
    assert_eq!(
        sql.query_one(slot, &[]).await.unwrap().get::<_, i64>(0),
        8,
        "closed"
    );
    // Also for those who write as a replica does.
    sql.batch_execute("set session_replication_role = replica; update items set name = 'r' where id < 9; reset session_replication_role").await.unwrap();
    let kept: i64 = sql
        .query_one("select count(*) from plank.log", &[])
        .await
        .unwrap()
        .get(0);
    assert!(kept <= 2 * 1_000 + 5_000 + 10, "{kept} rows are kept");
    let nothing: i64 = sql
        .query_one("select count(*) from plank.log_8", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(nothing, 0);
    // A pruner that had looked before does not open it.
    sql.batch_execute("select plank.set_slot(3)").await.unwrap();
    assert_eq!(sql.query_one(slot, &[]).await.unwrap().get::<_, i64>(0), 8);
    // A writer that is still under way, and whose change was not kept.
    let late = connect(&target).await;
    late.batch_execute("begin; insert into items (name) values ('late')")
        .await
        .unwrap();

    let app = build().await;
    until("it is open again", async || {
        app.sql.query_one(slot, &[]).await.unwrap().get::<_, i64>(0) != 8
    })
    .await;
    // A cursor from before is void at once, and not only when the late one has ended.
    let mut client = app
        .ws(&format!("/ws?table=items&snapshot=1&since={old}"))
        .await;
    client.expect("welcome").await;
    // Before it or behind it there may be what the listener, too, does not know yet.
    loop {
        let message = client.next().await.unwrap();
        if message["type"] == "reset" {
            assert_eq!(message["reason"], "epoch");
            break;
        }
    }
    until("it waits for the late one", async || {
        let waits = "select coalesce(reopened > '0', false) from plank.meta";
        app.sql.query_one(waits, &[]).await.unwrap().get(0)
    })
    .await;
    late.batch_execute("commit").await.unwrap();
    // Nobody can know of the late one but from the table.
    let (mut rows, mut is_whole) = (0, false);
    while !(is_whole && rows == 40_001) {
        let message = client.next().await.unwrap();
        match message["type"].as_str().unwrap() {
            "reset" => (rows, is_whole) = (0, false),
            "snapshot" => {
                rows += message["rows"].as_array().unwrap().len();
                is_whole = message["more"] == false;
            }
            _ => {}
        }
    }
    let opened = "select reopened is null from plank.meta";
    until("it is over", async || {
        app.sql.query_one(opened, &[]).await.unwrap().get(0)
    })
    .await;
    let mut client = app.ws("/ws?table=items").await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    app.execute("insert into items (name) values ('new')").await;
    loop {
        let message = client.next().await.unwrap();
        if message["changes"][0]["row"]["name"] == "new" {
            break;
        }
    }
}

#[actix_web::test]
async fn no_leaf_makes_a_read_sort_the_log() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) select 'n' from generate_series(1, 20000); set enable_seqscan = off; set enable_bitmapscan = off").await;
    let sql = "explain select xid from plank.log order by xid desc limit 1";
    let plan = app.sql.query(sql, &[]).await.unwrap();
    let plan: Vec<&str> = plan.iter().map(|row| row.get(0)).collect();
    assert!(
        !plan
            .iter()
            .any(|line| line.contains("Sort Key") && !line.contains("xid DESC")),
        "{plan:?}"
    );
    assert!(
        plan.iter().any(|line| line.contains("Merge Append"))
            && !plan
                .iter()
                .any(|line| line.trim_start().starts_with("->  Sort")),
        "{plan:?}"
    );
}
