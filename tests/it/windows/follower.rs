//! A client that follows windows and counts as docs/PROTOCOL.md says, and believes nothing that does not fit what it has.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{TestApp, WsClient, within};

/// What it holds of one subscription.
#[derive(Debug, Default)]
pub struct Held {
    topic: String,
    key: Vec<String>,
    pub rows: Vec<Value>,
    /// The changes of a batch that is not whole.
    part: Vec<Value>,
    pub cursor: String,
    /// Pieces of a snapshot have come.
    is_loading: bool,
    pub resets: Vec<String>,
    /// What the rows were after each batch.
    pub states: Vec<Vec<Value>>,
    /// All changes so far.
    pub changes: Vec<Value>,
}

impl Held {
    pub fn key_of(&self, row: &Value) -> Value {
        let of = |name: &String| (name.clone(), row[name].clone());
        self.key
            .iter()
            .map(of)
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// Applies one change.
    fn apply(&mut self, change: &Value) {
        let key = &change["key"];
        let at = self.rows.iter().position(|row| self.key_of(row) == *key);
        let row = || change["row"].clone();
        // Counts have no order.
        let place = |rows: &[Value]| {
            change["index"]
                .as_u64()
                .map_or(rows.len(), |at| at as usize)
        };
        match (change["op"].as_str().unwrap(), at) {
            ("insert", None) => {
                let at = place(&self.rows);
                self.rows.insert(at, row());
            }
            ("update", Some(at)) => {
                self.rows.remove(at);
                let at = change["index"].as_u64().map_or(at, |at| at as usize);
                self.rows.insert(at, row());
            }
            ("delete", Some(at)) => drop(self.rows.remove(at)),
            (op, at) => panic!(
                "{op} of a row that is at {at:?}: {change} in {:?}",
                self.rows
            ),
        }
        if !change["row"].is_null() {
            assert_eq!(self.key_of(&change["row"]), *key, "{change}");
        }
    }

    /// Takes a message; its type.
    pub fn take(&mut self, message: &Value) -> String {
        let kind = message["type"].as_str().unwrap();
        let list = |name: &str| message[name].as_array().unwrap().iter().cloned();
        match kind {
            "reset" => {
                self.resets.push(message["reason"].as_str().unwrap().into());
                (self.rows, self.part, self.is_loading) = (Vec::new(), Vec::new(), false);
            }
            "snapshot" => {
                if !self.is_loading {
                    self.rows.clear();
                }
                self.rows.extend(list("rows"));
                self.is_loading = message["more"] == true;
            }
            "subscribed" => {
                self.topic = message["topic"].as_str().unwrap().into();
                let key = list("key").map(|name| name.as_str().unwrap().to_owned());
                self.key = key.collect();
                self.cursor = message["cursor"].as_str().unwrap().into();
                self.states.push(self.rows.clone());
            }
            "changes" => {
                self.part.extend(list("changes"));
                if message["last"] == true {
                    for change in std::mem::take(&mut self.part) {
                        self.apply(&change);
                        self.changes.push(change);
                    }
                    self.cursor = message["cursor"].as_str().unwrap().into();
                    self.states.push(self.rows.clone());
                }
            }
            _ => {}
        }
        kind.into()
    }
}

/// One WebSocket with subscriptions.
pub struct Follower {
    client: WsClient,
    pub held: BTreeMap<String, Held>,
}

impl Follower {
    pub async fn connect(app: &TestApp) -> Self {
        Self::with(app.ws("/ws").await).await
    }

    pub async fn with(mut client: WsClient) -> Self {
        client.expect("welcome").await;
        Self {
            client,
            held: BTreeMap::new(),
        }
    }

    /// Subscribes with a snapshot, unless `more` says otherwise, and waits until it is live.
    pub async fn subscribe(&mut self, id: &str, table: &str, more: Value) {
        self.ask(id, table, more).await;
        while self.read().await != Some((id.to_owned(), "subscribed".into())) {}
    }

    /// The same, without waiting.
    pub async fn ask(&mut self, id: &str, table: &str, more: Value) {
        let mut subscribe =
            json!({"type": "subscribe", "id": id, "table": table, "snapshot": true});
        let members = more.as_object().unwrap().clone();
        subscribe.as_object_mut().unwrap().extend(members);
        self.held.insert(id.into(), Held::default());
        self.client.send(subscribe).await;
    }

    /// Takes the next message; of which subscription it was, and its type.
    pub async fn read(&mut self) -> Option<(String, String)> {
        let message = self.client.next().await;
        let message = message.unwrap_or_else(|closed| panic!("closed: {closed:?}"));
        assert_ne!(message["type"], "error", "{message}");
        let id = match message["id"].as_str() {
            Some(id) => id.to_owned(),
            None => {
                let topic = message["topic"].as_str()?;
                let mut held = self.held.iter();
                let (id, _) = held.find(|(_, held)| held.topic == topic)?;
                id.clone()
            }
        };
        let kind = self.held.get_mut(&id)?.take(&message);
        Some((id, kind))
    }

    /// Waits until a subscription is exact for everything that is committed by now.
    pub async fn sync(&mut self, id: &str) {
        self.client.send(json!({"type": "ping", "id": id})).await;
        let synced = async { while self.read().await != Some((id.to_owned(), "pong".into())) {} };
        within("a pong", synced).await;
    }

    /// The same for all of them.
    pub async fn sync_all(&mut self) {
        let mut awaited: Vec<String> = self.held.keys().cloned().collect();
        for id in &awaited {
            self.client.send(json!({"type": "ping", "id": id})).await;
        }
        let synced = async {
            while !awaited.is_empty() {
                if let Some((id, kind)) = self.read().await
                    && kind == "pong"
                {
                    awaited.retain(|other| *other != id);
                }
            }
        };
        within("all pongs", synced).await;
    }

    /// The rows, when everything that is committed by now is in them.
    pub async fn rows(&mut self, id: &str) -> Vec<Value> {
        self.sync(id).await;
        self.held[id].rows.clone()
    }

    /// The changes since the last time.
    pub fn changes(&mut self, id: &str) -> Vec<Value> {
        std::mem::take(&mut self.held.get_mut(id).unwrap().changes)
    }

    pub async fn expect(&mut self, kind: &str) -> Value {
        self.client.expect(kind).await
    }

    /// The next `error`, whatever comes before it.
    pub async fn expect_error(&mut self) -> Value {
        loop {
            let message = self.client.next().await.unwrap();
            if message["type"] == "error" {
                return message;
            }
        }
    }
}

/// The rows of a query, as clients see them.
pub async fn select(sql: &tokio_postgres::Client, query: &str) -> Vec<Value> {
    let query = format!("select coalesce(json_agg(row_to_json(q)), '[]')::text from ({query}) q");
    let row = sql.query_one(&query, &[]).await;
    let row = row.unwrap_or_else(|e| panic!("{query}: {e:?}"));
    serde_json::from_str(row.get(0)).unwrap()
}
