//! What must never be taken for a change.

use plank::backplane::Link;
use plank::feed::Epoch;

use super::{follows, nodes, reads_the_log};
use crate::support::nats::Nats;

#[actix_web::test]
async fn what_others_write_into_the_stream_is_no_change_and_resets_nobody() {
    let Some(nats) = Nats::start("a stream that others write to").await else {
        return;
    };
    let nodes = nodes(&nats, 1).await;
    let mut client = nodes[1].subscribed("items").await;
    let identity: String = nodes[0]
        .sql
        .query_one("select plank.identity()", &[])
        .await
        .unwrap()
        .get(0);
    let epoch = Epoch::of(&identity);
    let link = Link::connect(&nats.backplane(), "test").await.unwrap();
    let stream = link.find(&epoch).await.unwrap().unwrap();
    // The reader appends at the same time: one of both is refused.
    let mut at = 0;
    for _ in 0..50 {
        let tail = stream.tail().await.unwrap().sequence;
        if let Ok(sequence) = stream.append("{\"op\":\"insert\"}".into(), tail).await {
            at = sequence;
            break;
        }
    }
    assert!(at > 0, "it was appended");
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
