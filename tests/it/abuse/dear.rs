//! Changes that cost much: because many filters have to be asked about them, and because many topics get their text.

use std::cell::Cell;

use plank::actor::message::FindTable;
use serde_json::json;

use crate::support::{TestApp, WsClient, within};

async fn subscribed(app: &TestApp, filters: &[String]) -> WsClient {
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    for (id, filter) in filters.iter().enumerate() {
        let id = id.to_string();
        let message = json!({"type": "subscribe", "id": id, "table": "big", "filter": filter});
        client.send(message).await;
        client.expect("subscribed").await;
    }
    client
}

async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.execute("create table big (id int primary key, body text); select plank.watch('big')")
        .await;
    app
}

#[actix_web::test]
async fn the_hub_answers_others_while_a_dear_change_is_worked_on_and_keeps_the_order() {
    let app = start().await;
    // A blank in a part has no quick way.
    let filter = |topic: usize| {
        let leaf = |i: usize| format!("body.ilike.*{topic}_{i}_never*");
        let leaves: Vec<String> = (0..20).map(leaf).collect();
        format!("or=({},id.gt.0)", leaves.join(","))
    };
    let filters: Vec<String> = (0..20).map(filter).collect();
    let mut dear = subscribed(&app, &filters).await;
    let mut neighbour = app.subscribed("big").await;
    let before = app.metric("plank_limits_total{limit=\"hub_turn\"}").await;
    let has_it = Cell::new(false);
    let write = async {
        app.execute(
            "insert into big values (1, 'small');
             insert into big values (2, repeat('0123456789', 2000));
             insert into big values (3, 'small')",
        )
        .await;
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let batch = neighbour.batch().await;
            seen.extend(batch.iter().map(|change| change["key"]["id"].clone()));
        }
        has_it.set(true);
        seen
    };
    let ask = async {
        let mut answers = 0;
        while !has_it.get() {
            let asked = app.hub.send(FindTable {
                name: "public.big".into(),
            });
            within("an answer of the hub", asked).await.unwrap();
            answers += 1;
            tokio::task::yield_now().await;
        }
        answers
    };
    let (seen, answers) = tokio::join!(write, ask);
    assert_eq!(seen, [1, 2, 3], "in order");
    let turns = app.metric("plank_limits_total{limit=\"hub_turn\"}").await - before;
    assert!(turns >= 3.0, "{turns} turns");
    assert!(
        f64::from(answers) >= turns,
        "{answers} answers in {turns} turns"
    );
    let mut changes = 0;
    while changes < 3 * filters.len() {
        let message = dear.expect("changes").await;
        changes += message["changes"].as_array().unwrap().len();
    }
    assert_eq!(changes, 3 * filters.len());
}

#[actix_web::test]
async fn many_topics_of_one_batch_hold_a_bounded_text_and_each_gets_all_of_it() {
    const TOPICS: usize = 100;
    const ROWS: usize = 40;
    let app = start().await;
    let filters: Vec<String> = (1..=TOPICS).map(|n| format!("id=gt.-{n}")).collect();
    let mut client = subscribed(&app, &filters).await;
    app.execute(&format!(
        "insert into big select n, repeat('x', 10000) from generate_series(1, {ROWS}) n"
    ))
    .await;
    let mut topics = std::collections::HashMap::<String, (Vec<i64>, usize)>::new();
    while topics.len() < TOPICS || topics.values().any(|(_, ends)| *ends == 0) {
        let message = client.expect("changes").await;
        let topic = message["topic"].as_str().unwrap().to_owned();
        let (ids, ends) = topics.entry(topic).or_default();
        let changes = message["changes"].as_array().unwrap();
        ids.extend(changes.iter().map(|c| c["key"]["id"].as_i64().unwrap()));
        *ends += usize::from(message["last"] == true);
    }
    let all: Vec<i64> = (1..=ROWS as i64).collect();
    for (topic, (ids, ends)) in &topics {
        assert_eq!((ids, *ends), (&all, 1), "{topic}");
    }
    let limit = "plank_limits_total{limit=\"batch_text\"}";
    assert!(app.metric(limit).await >= 1.0);
}
