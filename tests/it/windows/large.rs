//! Windows and counts of many rows, and of large ones: they are exact, and others do not wait for them.

use std::cell::Cell;
use std::time::{Duration, Instant};

use plank::actor::message::FindTable;
use serde_json::{Value, json};

use super::{Follower, select};
use crate::support::{TestApp, within};

const GROUPS: usize = 3_000;

/// As many groups as rows, each row with 1 kB.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.execute(&format!(
        "create table t (id int primary key, kind int, pad text); create table small (id int primary key); \
         insert into t select id, id, repeat('x', 1000) from generate_series(1, {GROUPS}) id; \
         select plank.watch('t'); select plank.watch('small')"
    ))
    .await;
    app
}

async fn follow(app: &TestApp) -> Follower {
    let mut follower = Follower::connect(app).await;
    let window = json!({"order": "id.desc", "limit": 1000});
    follower.subscribe("window", "t", window).await;
    let counts = json!({"columns": ["kind", "count"]});
    follower.subscribe("counts", "t", counts).await;
    follower
}

async fn assert_exact(app: &TestApp, follower: &mut Follower, after: &str) {
    follower.sync_all().await;
    let window = select(&app.sql, "select * from t order by id desc limit 1000").await;
    assert!(follower.held["window"].rows == window, "window: {after}");
    let counts = "select kind, count(*) from t group by kind order by kind nulls last";
    let mut held = follower.held["counts"].rows.clone();
    held.sort_by_key(|row| row["kind"].as_i64().unwrap_or(i64::MAX));
    assert!(held == select(&app.sql, counts).await, "counts: {after}");
}

#[actix_web::test]
async fn large_window_and_many_groups_are_exact_also_for_those_that_join_meanwhile() {
    let app = start().await;
    let mut follower = follow(&app).await;
    let statements = [
        "update t set kind = kind + 10000, pad = pad || 'y'",
        "delete from t where id % 3 = 0",
        "update t set id = id + 100000 where id % 2 = 0",
        "update t set kind = id % 7",
        "insert into t select id, id, 'new' from generate_series(200000, 202000) id",
        "truncate t",
    ];
    for statement in statements {
        let (joined, ()) = tokio::join!(self::follow(&app), app.execute(statement));
        let mut joined = joined;
        assert_exact(&app, &mut follower, statement).await;
        assert_exact(&app, &mut joined, statement).await;
        drop(joined);
    }
}

#[actix_web::test]
async fn hub_answers_others_while_a_large_window_and_many_groups_change() {
    let app = start().await;
    let mut follower = follow(&app).await;
    let mut others = app.subscribed("small").await;
    for round in 1..=2 {
        let is_done = Cell::new(false);
        let change = async {
            let begun = Instant::now();
            let update = format!("update t set kind = kind + 10000, pad = repeat('{round}', 1000)");
            app.execute(&update).await;
            follower.sync_all().await;
            is_done.set(true);
            begun.elapsed()
        };
        let ask = async {
            let mut longest = Duration::ZERO;
            while !is_done.get() {
                let begun = Instant::now();
                let name = "public.t".into();
                let asked = app.hub.send(FindTable { name });
                within("an answer of the hub", asked).await.unwrap();
                longest = longest.max(begun.elapsed());
                tokio::task::yield_now().await;
            }
            longest
        };
        let (all, longest) = tokio::join!(change, ask);
        eprintln!("round {round}: {longest:?} of {all:?}");
        // One long piece of work would be most of the time.
        assert!(longest < all / 3, "{longest:?} of {all:?}");
        app.execute(&format!("insert into small values ({round})"))
            .await;
        let batch: Vec<Value> = others.batch().await;
        assert_eq!(batch[0]["key"]["id"], round);
    }
}
