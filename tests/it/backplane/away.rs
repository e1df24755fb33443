//! NATS is away, or has lost what it had; PostgreSQL is; the reader is cut off.

use super::{follows, nodes, reads_the_log};
use crate::support::nats::Nats;
use crate::support::{TestApp, WsClient, until};

/// Writes, and waits until each client has it: nothing else may come before.
async fn told(node: &TestApp, clients: &mut [WsClient], title: &str) {
    node.execute(&format!("insert into items (name) values ('{title}')"))
        .await;
    for client in clients {
        assert_eq!(client.change().await["row"]["name"], title);
    }
}

async fn subscribed(nodes: &[TestApp]) -> Vec<WsClient> {
    let mut clients = Vec::new();
    for node in nodes {
        clients.push(node.subscribed("items").await);
    }
    clients
}

#[actix_web::test]
async fn without_nats_all_read_the_log_and_come_back_without_a_reset() {
    let Some(mut nats) = Nats::start("NATS that goes away").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut clients = subscribed(&nodes).await;
    told(&nodes[0], &mut clients, "before").await;
    nats.kill().await;
    told(&nodes[0], &mut clients, "without").await;
    for node in &nodes {
        reads_the_log(node).await;
    }
    told(&nodes[0], &mut clients, "in the log").await;
    nats.start_again().await;
    for node in &nodes {
        follows(node).await;
    }
    told(&nodes[0], &mut clients, "back").await;
}

#[actix_web::test]
async fn a_frozen_nats_is_left_for_the_log() {
    let Some(nats) = Nats::start("NATS that stands still").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut clients = subscribed(&nodes).await;
    nats.freeze(true);
    told(&nodes[0], &mut clients, "frozen").await;
    for node in &nodes {
        reads_the_log(node).await;
    }
    nats.freeze(false);
    for node in &nodes {
        follows(node).await;
    }
    told(&nodes[0], &mut clients, "back").await;
}

#[actix_web::test]
async fn a_wiped_stream_resets_nobody() {
    let Some(mut nats) = Nats::start("a stream that is wiped").await else {
        return;
    };
    let nodes = nodes(&nats, 2).await;
    let mut clients = subscribed(&nodes).await;
    told(&nodes[0], &mut clients, "before").await;
    nats.kill().await;
    nats.wipe();
    nodes[0]
        .execute("insert into items (name) values ('meanwhile')")
        .await;
    nats.start_again().await;
    for client in &mut clients {
        assert_eq!(client.change().await["row"]["name"], "meanwhile");
    }
    for node in &nodes {
        follows(node).await;
    }
    told(&nodes[0], &mut clients, "after").await;
}

#[actix_web::test]
async fn a_node_that_starts_without_nats_reads_the_log() {
    let Some(mut nats) = Nats::start("a start without NATS").await else {
        return;
    };
    nats.kill().await;
    let node = TestApp::start_with(|config| config.backplane = Some(nats.backplane())).await;
    let mut clients = subscribed(std::slice::from_ref(&node)).await;
    told(&node, &mut clients, "in the log").await;
    nats.start_again().await;
    follows(&node).await;
    told(&node, &mut clients, "on the stream").await;
}

#[actix_web::test]
async fn a_reader_whose_connection_is_cut_goes_on() {
    let Some(nats) = Nats::start("a reader that is cut").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut clients = subscribed(&nodes).await;
    for round in 0..3 {
        assert_eq!(nodes[0].cut_listener().await, 1);
        told(&nodes[0], &mut clients, &format!("round {round}")).await;
        until("it reads again", async || {
            nodes[0].metric("plank_backplane_reader").await == 1.0
        })
        .await;
    }
    assert_eq!(nodes[1].metric("plank_backplane_left_total").await, 0.0);
}
