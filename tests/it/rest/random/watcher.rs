//! A client that keeps the rows of `docs`, as PROTOCOL.md says, across everything that happens to its subscription.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::auth::Secure;
use crate::support::{WsClient, within};

#[derive(Default)]
pub struct Watcher {
    token: String,
    client: Option<WsClient>,
    pub rows: BTreeMap<i64, Value>,
    /// States of rows that it was told of.
    pub seen: HashSet<i64>,
    /// How often all rows came anew: then states in between did not come.
    pub snapshots: usize,
    unfinished: Vec<Value>,
    pieces: Vec<Value>,
    is_live: bool,
}

enum Heard {
    /// The answer to a ping.
    Pong,
    /// What was asked about the subscription has to be asked again.
    Again,
    Other,
}

impl Watcher {
    pub async fn connect(app: &Secure, token: &str) -> Self {
        let mut watcher = Self {
            token: token.to_owned(),
            ..Self::default()
        };
        watcher.reconnect(app).await;
        watcher
    }

    async fn reconnect(&mut self, app: &Secure) {
        self.client = Some(app.socket(&self.token).await);
        self.subscribe().await;
    }

    async fn subscribe(&mut self) {
        (self.is_live, self.unfinished, self.pieces) = (false, Vec::new(), Vec::new());
        let message = json!({"type": "subscribe", "id": "a", "table": "docs", "snapshot": true});
        self.send(message).await;
    }

    async fn send(&mut self, message: Value) {
        self.client.as_mut().unwrap().send(message).await;
    }

    /// Reads until its rows are these.
    pub async fn settle(&mut self, app: &Secure, expected: &[Value]) {
        let read = async {
            while !(self.is_live && self.rows.values().eq(expected)) {
                self.hear(app).await;
            }
        };
        within("the rows under new policies", Box::pin(read)).await;
    }

    /// Reads until it has passed this place.
    pub async fn pass(&mut self, app: &Secure, cursor: &str) {
        let ping = json!({"type": "ping", "id": "a", "cursor": cursor});
        let read = async {
            self.send(ping.clone()).await;
            loop {
                match self.hear(app).await {
                    Heard::Pong => break,
                    Heard::Again => self.send(ping.clone()).await,
                    Heard::Other => {}
                }
            }
            assert!(self.is_live && self.unfinished.is_empty());
        };
        within("a receipt", Box::pin(read)).await;
    }

    async fn hear(&mut self, app: &Secure) -> Heard {
        let Ok(message) = self.client.as_mut().unwrap().next().await else {
            self.reconnect(app).await;
            return Heard::Again;
        };
        match message["type"].as_str().unwrap() {
            "pong" => return Heard::Pong,
            "changes" => {
                let changes = message["changes"].as_array().unwrap();
                self.unfinished.extend(changes.iter().cloned());
                if message["last"] == true {
                    for change in std::mem::take(&mut self.unfinished) {
                        self.apply(&change);
                    }
                }
            }
            "snapshot" => {
                let rows = message["rows"].as_array().unwrap();
                self.pieces.extend(rows.iter().cloned());
                if message["more"] == false {
                    let rows = std::mem::take(&mut self.pieces).into_iter();
                    self.rows = rows.map(|row| (row["id"].as_i64().unwrap(), row)).collect();
                    self.snapshots += 1;
                }
            }
            "subscribed" => self.is_live = true,
            "reset" => {
                (self.is_live, self.unfinished, self.pieces) = (false, Vec::new(), Vec::new())
            }
            "error" => {
                assert_ne!(message["code"], "bad_cursor", "{message}");
                self.subscribe().await;
                return Heard::Again;
            }
            "heartbeat" => {}
            other => panic!("{other}"),
        }
        Heard::Other
    }

    /// Exactly once, and nothing of a row that was never seen.
    fn apply(&mut self, change: &Value) {
        let id = change["key"]["id"].as_i64().unwrap();
        let row = &change["row"];
        if let Some(v) = row["v"].as_i64() {
            assert!(self.seen.insert(v), "twice {change}");
        }
        let before = match row {
            Value::Null => self.rows.remove(&id),
            row => self.rows.insert(id, row.clone()),
        };
        let was_there = change["op"] != "insert";
        assert_eq!(before.is_some(), was_there, "{change} on {before:?}");
    }
}
