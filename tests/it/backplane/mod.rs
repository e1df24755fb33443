//! Nodes that follow a stream of NATS instead of the log. The server is Debian's; where it is missing these tests say so.

mod away;
mod exact;
mod follow;
mod hostile;
mod stream;
mod ways;

use crate::support::nats::Nats;
use crate::support::{TestApp, until};

/// A node that may read, and so does when there is no other, and edges.
async fn nodes(nats: &Nats, edges: usize) -> Vec<TestApp> {
    let first = TestApp::start_with(|config| config.backplane = Some(nats.backplane())).await;
    let mut nodes = vec![first];
    for _ in 0..edges {
        let edge = nodes[0]
            .another_node_with(|config| config.backplane = Some(nats.edge()))
            .await;
        nodes.push(edge);
    }
    for node in &nodes {
        follows(node).await;
    }
    nodes
}

/// Waits until a node follows the stream.
async fn follows(node: &TestApp) {
    until("it follows the stream", async || {
        node.metric("plank_backplane_followed").await == 1.0
    })
    .await;
}

/// Waits until a node reads the log itself.
async fn reads_the_log(node: &TestApp) {
    until("it reads the log", async || {
        node.metric("plank_backplane_followed").await == 0.0 && node.health.is_live()
    })
    .await;
}

/// How many connections listen to the log.
async fn listeners(node: &TestApp) -> i64 {
    let sql = "select count(*) from pg_stat_activity where application_name = 'plank listener' and datname = current_database()";
    node.sql.query_one(sql, &[]).await.unwrap().get(0)
}
