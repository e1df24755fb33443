//! One client that takes its cursor from transport to transport, and from node to node.

use serde_json::Value;

use crate::long_poll::{list, poll};
use crate::reconnect::{Seen, write};
use crate::resume::{cursor, resumed};
use crate::support::{Cluster, SseClient, TestApp, until};

#[derive(Clone, Copy, Debug)]
enum Transport {
    WebSocket,
    Sse,
    LongPoll,
    Changes,
}

/// What comes behind a cursor: at least one batch, and the cursor behind it.
async fn take(
    app: &TestApp,
    transport: Transport,
    since: &str,
    round: usize,
) -> (Vec<Value>, String) {
    let batches = 1 + round % 3;
    let limit = format!("&limit={}", 1 + round % 7);
    let answer = match transport {
        Transport::WebSocket => {
            let mut client = resumed(app, since).await;
            client.expect("subscribed").await;
            let (mut changes, mut cursor) = client.batch_and_cursor().await;
            for _ in 1..batches {
                let (more, next) = client.batch_and_cursor().await;
                changes.extend(more);
                cursor = next;
            }
            return (changes, cursor);
        }
        Transport::Sse => {
            // As a browser: the address is from long ago, the header is new.
            let mut client = SseClient::resume(app, "table=items&snapshot=1", Some(since)).await;
            client.live().await;
            let mut changes = Vec::new();
            for _ in 0..batches {
                changes.extend(client.batch().await);
            }
            return (changes, client.last_id.unwrap());
        }
        Transport::LongPoll => poll(app, since, &format!("&wait=20{limit}")).await,
        Transport::Changes => poll(app, since, &limit).await,
    };
    let (status, answer) = answer;
    assert_eq!(status, 200, "{answer}");
    let cursor = answer["cursor"].as_str().unwrap().to_owned();
    (list(&answer).to_vec(), cursor)
}

#[actix_web::test]
async fn guarantee_4_a_cursor_goes_from_transport_to_transport_and_from_node_to_node() {
    let app = TestApp::start().await;
    let other = app.another_node().await;
    let mut since = cursor(&app).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    app.execute("insert into items (name) select 'row' || i from generate_series(0, 6) i")
        .await;
    let config = Cluster::shared().config(&app.database);
    let writers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(write(config.clone(), usize::MAX, stopped.clone())))
        .collect();
    let mut seen = Seen::default();
    // Each behind each other one (a de Bruijn sequence), on one node, on the other, and on both in turns.
    let kinds = [
        Transport::WebSocket,
        Transport::Sse,
        Transport::LongPoll,
        Transport::Changes,
    ];
    let sequence = [0, 0, 1, 0, 2, 0, 3, 1, 1, 2, 1, 3, 2, 2, 3, 3];
    let on_other = [|_| false, |at| at % 2 == 1, |at| at % 2 == 0, |_| true];
    for round in 0..4 * sequence.len() {
        let (turn, at) = (round / sequence.len(), round % sequence.len());
        let transport = kinds[sequence[at]];
        let node = if on_other[turn](at) { &other } else { &app };
        let (changes, next) = take(node, transport, &since, round).await;
        seen.apply(changes);
        since = next;
    }
    stop.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    until("all that was committed", async || {
        let (status, answer) = poll(&other, &since, "&wait=1").await;
        assert_eq!(status, 200, "{answer}");
        seen.apply(list(&answer).to_vec());
        since = answer["cursor"].as_str().unwrap().to_owned();
        seen.is_complete(&app.sql).await
    })
    .await;
    for transport in ["&wait=1", ""] {
        assert_eq!(
            list(&poll(&app, &since, transport).await.1).len(),
            0,
            "nothing twice"
        );
    }
}
