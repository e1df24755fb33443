//! Two nodes, one database: one refreshes, and the other one takes over.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::{BOARD, Followed, SHOP, refreshes, shop, truth, watch};
use crate::support::cluster::connect;
use crate::support::program::Program;
use crate::support::{Cluster, TestApp, WsClient};

#[actix_web::test]
async fn two_nodes_refresh_a_query_once_for_each_change() {
    let app = shop().await;
    let other = app.another_node().await;
    watch(&app, "board", BOARD, "id", ", every => '10ms'").await;
    let mut here = Followed::start(&app, "board").await;
    let mut there = Followed::start(&other, "board").await;
    here.settle().await;
    there.settle().await;
    let before = refreshes(&app, "board").await + refreshes(&other, "board").await;
    for i in 1..=10 {
        app.execute(&format!("update orders set total = 100 + {i} where id = 1"))
            .await;
        here.read_until("changes").await;
        there.read_until("changes").await;
        assert_eq!(here.rows(), there.rows());
    }
    here.settle().await;
    there.settle().await;
    let done = refreshes(&app, "board").await + refreshes(&other, "board").await - before;
    assert_eq!(done, 10.0);
    assert_eq!(here.rows(), truth(&app, BOARD).await);
    other.stop().await.unwrap();
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn another_node_takes_over_within_two_seconds_when_the_refresher_is_killed() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let url = cluster.url(&database);
    let sql = connect(&cluster.config(&database)).await;
    sql.batch_execute(SHOP).await.unwrap();
    let app = TestApp::on(&database).await;
    watch(&app, "board", BOARD, "id", ", every => '50ms'").await;
    let mut followed = Followed::start(&app, "board").await;
    followed.settle().await;
    for round in 0..2 {
        let node = Program::serve(&["--database-url", &url, "--listen", "127.0.0.1:0"]).await;
        let mut there = Followed::of(
            WsClient::connect(node.address.parse().unwrap(), "/ws").await,
            "board",
            None,
        )
        .await;
        // A ping has its node refresh at once, so sooner or later that one is the first, and stays it.
        let mut total = 100 * round;
        loop {
            let before = refreshes(&app, "board").await;
            total += 1;
            let write = format!("update orders set total = 1000 + {total} where id = 2");
            sql.batch_execute(&write).await.unwrap();
            there.settle().await;
            followed.settle().await;
            if refreshes(&app, "board").await == before {
                break;
            }
            assert!(total < 100 * round + 90, "the other node never comes first");
        }
        kill(node.pid(), Signal::SIGSTOP).unwrap();
        let began = Instant::now();
        let write = format!("update orders set total = 2000 + {round} where id = 2");
        sql.batch_execute(&write).await.unwrap();
        followed.read_until("changes").await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        kill(node.pid(), Signal::SIGKILL).unwrap();
        node.ended().await;
    }
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, BOARD).await);
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn refresher_that_is_cut_between_reading_and_committing_forgets_nothing() {
    let app = shop().await;
    let slow = "select o.id, o.total, n.n from orders o, (select count(*) as n from generate_series(1, 300000)) n";
    watch(&app, "slow", slow, "id", ", every => '10ms'").await;
    let mut followed = Followed::start(&app, "slow").await;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() \
        and application_name = 'plank live queries' and state <> 'idle'";
    let mut cuts = 0;
    for i in 0..20 {
        app.execute(&format!(
            "update orders set total = {i} where id = 1 + {i} % 8"
        ))
        .await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(150) {
            cuts += app.sql.query_one(cut, &[]).await.unwrap().get::<_, i64>(0);
        }
    }
    assert!(cuts > 0);
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, slow).await);
    app.stop().await.unwrap();
}
