//! `"conflate": true`: of each key the newest change, for a client that reads slowly and wants the state.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::raw::{RawClient, frame};
use crate::support::{TestApp, until};

/// A client that applies changes as docs/PROTOCOL.md says.
struct State {
    client: RawClient,
    rows: BTreeMap<String, Value>,
    changes: usize,
}

impl State {
    async fn subscribed(app: &TestApp, subscribe: Value) -> Self {
        let mut client = RawClient::upgraded(app.address).await;
        client
            .send(&frame(0x81, subscribe.to_string().as_bytes()))
            .await;
        let mut state = Self {
            client,
            rows: BTreeMap::new(),
            changes: 0,
        };
        while state.read().await != "subscribed" {}
        state
    }

    /// Takes the next message; its type, `part` for a message of changes that is not the last of its batch.
    async fn read(&mut self) -> String {
        loop {
            let (first, payload) = self.client.frame().await;
            if first == 0x89 {
                self.client.send(&frame(0x8a, b"")).await;
                continue;
            }
            assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
            let message: Value = serde_json::from_slice(&payload).unwrap();
            let list = |name: &str| message[name].as_array().cloned().unwrap_or_default();
            for row in list("rows") {
                self.rows.insert(row["id"].to_string(), row);
            }
            for change in list("changes") {
                self.changes += 1;
                let id = change["key"]["id"].to_string();
                match change["op"].as_str().unwrap() {
                    "truncate" => self.rows.clear(),
                    "delete" => drop(self.rows.remove(&id)),
                    _ => drop(self.rows.insert(id, change["row"].clone())),
                }
            }
            let kind = message["type"].as_str().unwrap();
            return match message["last"] == false {
                true => "part".into(),
                false => kind.into(),
            };
        }
    }

    /// Reads until the row `id` is `n`, and the batch is whole.
    async fn read_until(&mut self, id: i64, n: i64) {
        while self.read().await == "part"
            || self.rows.get(&id.to_string()).is_none_or(|r| r["n"] != n)
        {}
    }
}

const TABLE: &str = "create table t (id int primary key, n int, pad text); \
    insert into t select id, 0, '' from generate_series(1, 50) id; select plank.watch('t')";

async fn table(app: &TestApp, filter: &str) -> BTreeMap<String, Value> {
    let path = format!("/api/tables/t/rows?limit=1000&{filter}");
    let (status, page) = app.request("GET", &path, None).await;
    assert_eq!(status, 200, "{page}");
    let rows = page["rows"].as_array().unwrap().iter();
    rows.map(|row| (row["id"].to_string(), row.clone()))
        .collect()
}

#[actix_web::test]
async fn one_that_reads_slowly_gets_the_newest_of_each_key() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let subscribe =
        json!({"type": "subscribe", "id": "a", "table": "t", "snapshot": true, "conflate": true});
    let mut slow = State::subscribed(&app, subscribe).await;
    for n in 1..=400 {
        app.execute(&format!("update t set n = {n}, pad = repeat('x', 1000)"))
            .await;
    }
    until("it lags", async || {
        app.metric("plank_catching_up").await == 1.0
    })
    .await;
    app.execute("delete from t where id = 7; insert into t values (51, 1, ''); update t set n = 401 where id = 50")
        .await;
    slow.read_until(50, 401).await;
    assert_eq!(slow.rows, table(&app, "").await);
    assert!(slow.changes < 400 * 50 / 2, "{} of 20,000", slow.changes);
    // Live again, and one that keeps up gets each batch.
    until("it has caught up", async || {
        app.metric("plank_catching_up").await == 0.0
    })
    .await;
    let before = slow.changes;
    for n in 1..=3 {
        app.execute(&format!("update t set n = {n} where id = 51"))
            .await;
        slow.read_until(51, n).await;
    }
    assert_eq!(slow.changes, before + 3);
}

#[actix_web::test]
async fn what_enters_and_leaves_a_filter_meanwhile_ends_as_the_table() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let subscribe = json!({"type": "subscribe", "id": "a", "table": "t", "snapshot": true, "conflate": true,
        "filter": "n=lt.5"});
    let mut slow = State::subscribed(&app, subscribe).await;
    let rounds = "update t set n = floor(random() * 10), pad = repeat('x', 2000)";
    for round in 0..300 {
        app.execute(rounds).await;
        if round % 50 == 7 {
            app.execute(&format!(
                "delete from t where id = {round} % 50; insert into t values ({round} + 100, 1, '')"
            ))
            .await;
        }
    }
    app.execute(
        "begin; truncate t; insert into t select id, id, '' from generate_series(1, 60) id; commit",
    )
    .await;
    app.execute("insert into t values (1000, 4, 'last')").await;
    slow.read_until(1000, 4).await;
    assert_eq!(slow.rows, table(&app, "n=lt.5").await);
}

#[actix_web::test]
async fn a_batch_has_one_change_of_each_key() {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let (mut plain, mut conflating) = (app.ws("/ws").await, app.ws("/ws").await);
    plain.expect("welcome").await;
    conflating.expect("welcome").await;
    plain.subscribe("a", "t").await;
    conflating
        .send(json!({"type": "subscribe", "id": "a", "table": "t", "conflate": true}))
        .await;
    conflating.expect("subscribed").await;
    app.execute("begin; update t set n = 1 where id = 1; update t set n = 2 where id = 2; update t set n = 3 where id = 1; commit")
        .await;
    let seen = |changes: Vec<Value>| -> Vec<Value> {
        changes
            .iter()
            .map(|c| json!([c["row"]["id"], c["row"]["n"]]))
            .collect()
    };
    assert_eq!(
        seen(plain.batch().await),
        [json!([1, 1]), json!([2, 2]), json!([1, 3])]
    );
    assert_eq!(
        seen(conflating.batch().await),
        [json!([2, 2]), json!([1, 3])]
    );
}

#[actix_web::test]
async fn a_table_without_a_key_has_no_newest_change_of_each() {
    let app = TestApp::start().await;
    app.execute("create table log (text text); select plank.watch('log')")
        .await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    client
        .send(json!({"type": "subscribe", "id": "a", "table": "log", "conflate": true}))
        .await;
    let error = client.expect("error").await;
    assert_eq!(
        (&error["id"], &error["code"]),
        (&json!("a"), &json!("no_key"))
    );
}
