//! Those who catch up, side by side: on one socket, beside others, and when they leave.

use std::collections::HashMap;

use serde_json::json;

use crate::resume::{cursor, names, resumed};
use crate::support::{TestApp, until};

#[actix_web::test]
async fn two_subscriptions_of_one_socket_do_not_get_what_the_other_missed() {
    let app = TestApp::start().await;
    let mut live = app.subscribed("items").await;
    let start = cursor(&app).await;
    app.execute("insert into items (name) values ('missed')")
        .await;
    // Now the hub has read it: "from now" is behind it for everybody who comes later.
    live.change().await;
    let subscribe = |id: &str, since: Option<&str>| json!({"type": "subscribe", "id": id, "table": "items", "since": since});
    for order in [
        [None, Some(&*start)],
        [Some(&*start), None],
        [Some(&*start), Some(&*start)],
    ] {
        let mut client = app.ws("/ws").await;
        client.expect("welcome").await;
        for (id, since) in ["a", "b"].iter().zip(order) {
            client.send(subscribe(id, since)).await;
        }
        // A change is for the subscriptions of its topic that are there when it comes.
        let (mut topics, mut counts) = (HashMap::new(), HashMap::new());
        let wanted = order.iter().flatten().count();
        while topics.len() < 2 || counts.values().sum::<usize>() < wanted {
            let message = client.next().await.unwrap();
            match message["type"].as_str().unwrap() {
                "subscribed" => {
                    let id = message["id"].as_str().unwrap().to_owned();
                    topics.insert(id, message["topic"].clone());
                }
                "changes" => {
                    let count = message["changes"].as_array().unwrap().len();
                    for (id, _) in topics.iter().filter(|(_, t)| **t == message["topic"]) {
                        *counts.entry(id.clone()).or_insert(0) += count;
                    }
                }
                other => assert_eq!(other, "heartbeat"),
            }
        }
        client.nothing().await;
        for (id, since) in ["a", "b"].iter().zip(order) {
            let count = counts.get(*id).copied().unwrap_or(0);
            assert_eq!(
                count,
                since.iter().count(),
                "{order:?} {topics:?} {counts:?}"
            );
        }
    }
}

#[actix_web::test]
async fn clients_that_leave_while_they_catch_up_take_nothing_from_their_neighbours() {
    let (proxy, app) = TestApp::behind_a_proxy(|_| {}).await;
    let mut live = app.subscribed("items").await;
    let start = cursor(&app).await;
    // More than one piece, so that each of them catches up in a task.
    app.execute("insert into items (name, description) select 'n', repeat('x', 500) from generate_series(1, 1000)").await;
    live.changes(1000).await;
    proxy.swallow(true);
    until("the loss is noticed", async || !app.health.is_live()).await;
    let mut leaving = Vec::new();
    for _ in 0..4 {
        leaving.push(resumed(&app, &start).await);
    }
    until("they have asked", async || {
        app.metric("plank_subscriptions").await == 5.0
    })
    .await;
    drop(leaving);
    until("they are gone", async || {
        app.metric("plank_subscriptions").await == 1.0
    })
    .await;
    proxy.swallow(false);
    until("it is back", async || app.health.is_live()).await;
    // And some that leave in the middle, while it is there.
    for _ in 0..8 {
        let mut client = resumed(&app, &start).await;
        client.expect("subscribed").await;
    }
    until("they are gone as well", async || {
        app.metric("plank_subscriptions").await == 1.0
    })
    .await;
    app.execute("insert into items (name) values ('still here')")
        .await;
    assert_eq!(names(&live.changes(1).await), ["still here"]);
}

#[actix_web::test]
async fn to_subscribe_and_take_it_back_for_ever_leaves_nothing_waiting() {
    let app = TestApp::start().await;
    app.execute("insert into items (name, description) select 'n', repeat('x', 1000) from generate_series(1, 20000)").await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    // The first one has its turn for as long as nobody reads.
    client
        .send(json!({"type": "subscribe", "id": "first", "table": "items", "snapshot": true}))
        .await;
    for _ in 0..200 {
        client
            .send(json!({"type": "subscribe", "id": "x", "table": "items", "snapshot": true}))
            .await;
        client.send(json!({"type": "unsubscribe", "id": "x"})).await;
    }
    until("only the first one waits", async || {
        app.metric("plank_subscriptions").await == 1.0
            && app.metric("plank_catching_up").await == 1.0
    })
    .await;
    drop(client);
    until("nobody waits", async || {
        app.metric("plank_catching_up").await == 0.0
    })
    .await;
}
