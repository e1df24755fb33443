//! The hostile workload on three edges and two candidates for reader: readers, edges, NATS and PostgreSQL are killed and cut while
//! everything writes. In the end every client of every node has exactly what was committed, and none was reset.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::hostile::client::Client;
use crate::hostile::{SCHEMA, account, table, terminate_backends, writer};
use crate::support::Cluster;
use crate::support::cluster::connect;
use crate::support::nats::Nats;
use crate::support::program::Program;
use crate::support::proxy::PgProxy;
use crate::support::within;

const WRITERS: u64 = 4;
const CLIENTS: u64 = 6;
/// Two that may read, and three edges.
const NODES: usize = 5;

async fn node(proxy: &PgProxy, nats: &Nats, i: usize) -> Program {
    let url = format!("postgres://postgres@{}/plank", proxy.address());
    let role = if i < 2 { "auto" } else { "edge" };
    let bytes = "268435456";
    let args = [
        "--database-url",
        &url,
        "--workers",
        "1",
        "--backplane",
        &nats.url(),
        "--backplane-bytes",
        bytes,
        "--role",
        role,
    ];
    Program::serve(&args).await
}

/// For how long; `make hostile` has ten minutes.
fn length() -> Duration {
    let seconds = std::env::var("PLANK_HOSTILE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(45))
}

#[actix_web::test]
async fn guarantee_1_over_a_backplane_everybody_gets_what_was_committed_once_and_in_order() {
    let Some(mut nats) = Nats::start("the hostile workload over a backplane").await else {
        return;
    };
    let mut cluster = Cluster::start();
    let target = cluster.config("plank");
    let (mut proxies, mut nodes) = (Vec::new(), Vec::new());
    for i in 0..NODES {
        proxies.push(PgProxy::start(&target).await);
        nodes.push(node(&proxies[i], &nats, i).await);
    }
    let sql = connect(&target).await;
    sql.batch_execute(SCHEMA).await.unwrap();
    // Behind everything so far: clients and account begin here.
    sql.batch_execute("truncate account").await.unwrap();
    let start: String = sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0);
    let rows = table(&sql).await;
    let addresses = |nodes: &[Program]| -> Vec<_> {
        nodes
            .iter()
            .map(|node| Some(node.address.clone()))
            .collect()
    };
    let (where_they_are, nodes_now) = watch::channel(addresses(&nodes));

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| tokio::spawn(writer::write(target.clone(), seed, stop.clone())))
        .collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| {
            let client = Client::new(seed, start.clone(), rows.clone());
            tokio::spawn(client.run(nodes_now.clone()))
        })
        .collect();

    let (begun, mut random) = (Instant::now(), fastrand::Rng::with_seed(7));
    let mut round = 0;
    while begun.elapsed() < length() {
        // Each kind comes early, and then any.
        let what = if round < 8 { round } else { random.usize(..8) };
        round += 1;
        match what {
            // kill -9 of a candidate, or of an edge, and a new one in its place.
            0..=2 => {
                let i = if what == 2 {
                    random.usize(2..NODES)
                } else {
                    random.usize(..2)
                };
                where_they_are.send_modify(|now| now[i] = None);
                let new = node(&proxies[i], &nats, i);
                let killed = nodes.remove(i);
                let _ = killed.end(Signal::SIGKILL).await;
                nodes.insert(i, new.await);
                where_they_are.send_replace(addresses(&nodes));
            }
            3 => {
                nats.kill().await;
                sleep(Duration::from_millis(random.u64(..9_000))).await;
                nats.start_again().await;
            }
            4 => {
                nats.kill().await;
                nats.wipe();
                nats.start_again().await;
            }
            5 => terminate_backends(&cluster).await,
            6 => {
                nats.freeze(true);
                sleep(Duration::from_millis(random.u64(..7_000))).await;
                nats.freeze(false);
            }
            _ => match random.bool() {
                true => cluster.crash().await,
                false => {
                    proxies[0].swallow(true);
                    sleep(Duration::from_secs(9)).await;
                    proxies[0].swallow(false);
                }
            },
        }
        sleep(Duration::from_millis(random.u64(200..4_000))).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for writer in writers {
        committed += within("a writer", writer).await.unwrap();
    }
    assert!(
        committed > 200,
        "only {committed} transactions were committed"
    );
    let sql = connect(&target).await;
    // The last change of all, by which each client knows that it has everything.
    sql.batch_execute("insert into h values (1000000)")
        .await
        .unwrap();
    let account = account(&sql).await;
    let rows = table(&sql).await;
    let mut cuts = 0;
    for client in clients {
        let client = within("a client", client).await.unwrap();
        assert_eq!(client.rows, rows, "the end of client {}", client.seed);
        assert_eq!(client.account, account, "client {}", client.seed);
        cuts += client.cuts;
    }
    println!("{committed} transactions, {cuts} cuts, {round} faults");
    assert!(cuts > 10, "only {cuts} cuts");
}
