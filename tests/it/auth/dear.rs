//! What filters and topics may cost, of one principal.

use serde_json::json;

use super::{Secure, viewer};
use crate::support::WsClient;

async fn subscribe(client: &mut WsClient, id: usize, filter: &str) -> serde_json::Value {
    let message =
        json!({"type": "subscribe", "id": id.to_string(), "table": "notes", "filter": filter});
    client.send(message).await;
    loop {
        let answer = client.next().await.unwrap();
        if matches!(answer["type"].as_str(), Some("subscribed" | "error")) {
            return answer;
        }
    }
}

fn patterns(count: usize, salt: usize) -> String {
    let leaf = |i| format!("body.ilike.*{salt}x{i}*");
    let leaves: Vec<String> = (0..count).map(leaf).collect();
    format!("or=({})", leaves.join(","))
}

#[actix_rt::test]
async fn filters_that_cost_too_much_are_refused_for_one_principal_and_for_no_other() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let mut ann = app.socket(&viewer("ann")).await;
    let mut refused = None;
    for id in 0..100 {
        let answer = subscribe(&mut ann, id, &patterns(100, id)).await;
        if answer["type"] == "error" {
            refused = Some((id, answer));
            break;
        }
    }
    let (count, answer) = refused.expect("a refusal");
    assert_eq!((count, &answer["code"]), (10, &json!("too_dear")));
    let limit = "plank_limits_total{limit=\"filter_cost_per_principal\"}";
    assert!(app.metric(limit).await >= 1.0);
    // From another socket it is the same principal; what is shared costs nothing; nobody else notices.
    let mut again = app.socket(&viewer("ann")).await;
    let answer = subscribe(&mut again, 0, &patterns(100, 500)).await;
    assert_eq!(answer["code"], "too_dear");
    let answer = subscribe(&mut again, 1, &patterns(100, 0)).await;
    assert_eq!(answer["type"], "subscribed");
    let mut bob = app.socket(&viewer("bob")).await;
    let answer = subscribe(&mut bob, 0, &patterns(100, 600)).await;
    assert_eq!(answer["type"], "subscribed");
    // What ends gives it back.
    drop((ann, again));
    let mut later = app.socket(&viewer("ann")).await;
    for id in 0.. {
        let answer = subscribe(&mut later, id, &patterns(100, 700)).await;
        if answer["type"] == "subscribed" {
            break;
        }
        assert_eq!(answer["code"], "too_dear", "{answer}");
    }
}
