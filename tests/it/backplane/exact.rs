//! What must never be taken for a change.

use plank::backplane::Link;
use plank::feed::{EPOCH_BYTES, Epoch};

use super::{follows, nodes, reads_the_log};
use crate::support::nats::Nats;
use crate::support::{TestApp, until};

/// What is made of the last message, by its name.
type Way<'a> = (&'a str, &'a dyn Fn(&[u8]) -> Vec<u8>);

/// Appends to the stream what `make` makes of its last message; the reader appends at the same time, and one of both is refused.
async fn intrude(nats: &Nats, node: &TestApp, make: impl Fn(&[u8]) -> Vec<u8>) {
    let identity = node.sql.query_one("select plank.identity()", &[]).await;
    let epoch = Epoch::of(identity.unwrap().get(0));
    let link = Link::connect(&nats.backplane(), "test").await.unwrap();
    let stream = link.find(&epoch).await.unwrap().unwrap();
    until("it was appended", async || {
        let tail = stream.tail().await.unwrap().sequence;
        let Some((last, _)) = stream.get(tail).await.unwrap() else {
            return false;
        };
        stream.append(make(&last).into(), tail).await.is_ok()
    })
    .await;
}

#[actix_web::test]
async fn a_forged_part_of_many_and_a_message_that_comes_again_send_nodes_to_the_log() {
    let Some(nats) = Nats::start("parts that others write").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    let forged = |last: &[u8]| {
        // The head of a genuine part, as the first of very many.
        let mut part = last.to_vec();
        let parts = 4 + EPOCH_BYTES + 8 + 8;
        part[parts..parts + 8].copy_from_slice(&[0, 0, 0, 0, 255, 255, 255, 127]);
        part.resize(500_000, 7);
        part
    };
    let again = |last: &[u8]| last.to_vec();
    let ways: [Way; 2] = [("forged", &forged), ("again", &again)];
    for (what, way) in ways {
        let before = nodes[1].metric("plank_backplane_left_total").await;
        intrude(&nats, &nodes[0], way).await;
        until(what, async || {
            nodes[1].metric("plank_backplane_left_total").await > before
        })
        .await;
        assert_eq!(nodes[1].metric("plank_backplane_held_bytes").await, 0.0);
        nodes[0]
            .execute(&format!("insert into items (name) values ('{what}')"))
            .await;
        assert_eq!(client.change().await["row"]["name"], what);
        follows(&nodes[1]).await;
    }
}

#[actix_web::test]
async fn what_others_write_into_the_stream_is_no_change_and_resets_nobody() {
    let Some(nats) = Nats::start("a stream that others write to").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    intrude(&nats, &nodes[0], |_| "{\"op\":\"insert\"}".into()).await;
    reads_the_log(&nodes[1]).await;
    nodes[0]
        .execute("insert into items (name) values ('after')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "after");
    // The reader begins anew behind it.
    follows(&nodes[1]).await;
    nodes[0]
        .execute("insert into items (name) values ('back')")
        .await;
    assert_eq!(client.change().await["row"]["name"], "back");
}

#[actix_web::test]
async fn a_log_that_is_another_one_resets_clients_of_every_node() {
    let Some(nats) = Nats::start("a log that is begun anew").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut clients = [
        nodes[0].subscribed("items").await,
        nodes[1].subscribed("items").await,
    ];
    nodes[0]
        .execute("update plank.meta set log_id = gen_random_uuid()")
        .await;
    nodes[0].cut_listener().await;
    for client in &mut clients {
        assert_eq!(client.expect("reset").await["reason"], "epoch");
    }
}

#[actix_web::test]
async fn a_hole_is_told_before_the_rest_of_the_batch_that_has_it() {
    let Some(nats) = Nats::start("a hole in the log").await else {
        return;
    };
    let first = TestApp::start_with(|config| {
        config.backplane = Some(nats.backplane());
        config.retention.rows_max = 70;
    })
    .await;
    let edge = first
        .another_node_with(|config| {
            config.backplane = Some(nats.edge());
            config.retention.rows_max = 70;
        })
        .await;
    for node in [&first, &edge] {
        follows(node).await;
    }
    until("the retention is known", async || {
        let row = first.sql.query_one("select rows_max from plank.meta", &[]);
        row.await.unwrap().get::<_, i64>(0) == 70
    })
    .await;
    let mut client = edge.subscribed("items").await;
    // The reader has read the first one and can't append it; meanwhile what comes next is thrown away, but for the end of it.
    nats.freeze(true);
    first
        .execute("insert into items (name) values ('before')")
        .await;
    for _ in 0..12 {
        first.execute("insert into items (name) select 'after' from generate_series(1, 20); select plank.prune()").await;
    }
    nats.freeze(false);
    loop {
        let message = client.next().await.unwrap();
        match message["type"].as_str().unwrap() {
            "reset" => break assert_eq!(message["reason"], "expired"),
            "changes" => {
                let changes = message["changes"].as_array().unwrap();
                let mut names = changes.iter().map(|change| &change["row"]["name"]);
                assert!(names.all(|name| name == "before"), "{message}");
            }
            _ => {}
        }
    }
}
