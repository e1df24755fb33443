//! Random requests, and how they are sent: once and cut off, or until it is known what became of them.

use serde_json::{Value, json};

use crate::auth::Secure;
use crate::rest::header;
use crate::support::until;

/// Few enough rows that principals meet at them.
const IDS: std::ops::RangeInclusive<i64> = 1..=10;

#[derive(Debug)]
pub struct Request {
    method: &'static str,
    path: String,
    prefer: String,
    body: Option<Value>,
    key: String,
    /// What is done: to all rows, or by each operation of a batch.
    ops: Vec<&'static str>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub cursor: String,
    pub xid: String,
    body: Value,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        self.status < 300
    }

    /// The rows that it tells of, each with its place.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &Value)> {
        let list = self.body.as_array().filter(|_| self.is_success());
        let rows = list.into_iter().flatten().map(|one| match one.get("op") {
            Some(_) => &one["row"],
            None => one,
        });
        rows.enumerate().filter(|(_, row)| !row.is_null())
    }

    /// Those of them that were inserted or changed for this key.
    pub fn written(&self, key: &str) -> impl Iterator<Item = &Value> {
        let rows = self.rows().map(|(_, row)| row);
        rows.filter(move |row| row["mark"] == key)
    }
}

fn row(random: &mut fastrand::Rng, key: &str) -> Value {
    let owner = ["ann", "bob", "cid", "dan"][random.usize(..4)];
    let body = ["ann-x", "bob-y", "cid-z", "none"][random.usize(..4)];
    json!({"id": random.i64(IDS), "owner": owner, "tenant": random.i64(1..=3), "body": body, "n": random.i64(0..9), "mark": key})
}

/// A part of a row.
fn part(random: &mut fastrand::Rng, key: &str) -> Value {
    let whole = row(random, key);
    let names = ["id", "owner", "tenant", "body", "n", "n", "n"];
    let name = names[random.usize(..names.len())];
    json!({name: whole[name], "mark": key})
}

fn filter(random: &mut fastrand::Rng) -> String {
    match random.u8(..5) {
        0 => format!("tenant=eq.{}", random.i64(1..=3)),
        1 => format!("owner=eq.{}", ["ann", "bob"][random.usize(..2)]),
        _ => format!("id=eq.{}", random.i64(IDS)),
    }
}

fn operation(random: &mut fastrand::Rng, key: &str) -> (&'static str, Value) {
    let op = ["insert", "update", "upsert", "delete"][random.usize(..4)];
    let of = json!({"id": random.i64(IDS)});
    let operation = match op {
        "update" => json!({"op": op, "table": "docs", "key": of, "values": part(random, key)}),
        "delete" => json!({"op": op, "table": "docs", "key": of}),
        _ => json!({"op": op, "table": "docs", "values": row(random, key)}),
    };
    (op, operation)
}

impl Request {
    pub fn random(random: &mut fastrand::Rng, key: &str) -> Self {
        let docs = "/rest/docs".to_owned();
        let resolution = [
            "",
            ",resolution=merge-duplicates",
            ",resolution=ignore-duplicates",
        ];
        let resolution = resolution[random.usize(..3)];
        let (method, path, more, body, ops) = match random.u8(..10) {
            0 | 1 => {
                let op = if resolution.contains("merge") {
                    "upsert"
                } else {
                    "insert"
                };
                ("POST", docs, resolution, Some(row(random, key)), vec![op])
            }
            2 => {
                let rows = [row(random, key), row(random, key)];
                ("POST", docs, "", Some(json!(rows)), vec!["insert"])
            }
            3 | 4 => {
                let path = format!("{docs}?{}", filter(random));
                ("PATCH", path, "", Some(part(random, key)), vec!["update"])
            }
            5 => {
                let path = format!("{docs}?{}", filter(random));
                ("DELETE", path, "", None, vec!["delete"])
            }
            6 => {
                let row = row(random, key);
                let path = format!("{docs}?id=eq.{}", row["id"]);
                ("PUT", path, "", Some(row), vec!["upsert"])
            }
            _ => {
                let count = random.usize(1..=4);
                let (ops, operations): (Vec<_>, Vec<Value>) =
                    (0..count).map(|_| operation(random, key)).unzip();
                ("POST", "/rest".to_owned(), "", Some(json!(operations)), ops)
            }
        };
        Self {
            method,
            path,
            prefer: format!("return=representation{more}"),
            body,
            key: key.to_owned(),
            ops,
        }
    }

    /// What is done to the row at this place of the answer.
    pub fn op_at(&self, at: usize) -> &'static str {
        self.ops.get(at).unwrap_or(&self.ops[0])
    }

    async fn send(&self, app: &Secure, who: &str) -> reqwest::Result<Answer> {
        let request = app
            .http
            .request(self.method.parse().unwrap(), app.url(&self.path))
            .bearer_auth(who)
            .header("idempotency-key", &self.key)
            .header("prefer", &self.prefer);
        let request = match &self.body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer {
            status,
            cursor: header(&headers, "plank-cursor").to_owned(),
            xid: header(&headers, "plank-xid").to_owned(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        })
    }

    /// Sends it, and is gone after so many turns.
    pub async fn cut_off(&self, app: &Secure, who: &str, turns: u32) {
        let wait = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = self.send(app, who) => {}
            () = wait => {}
        }
    }

    /// Sends it until it is known what became of it.
    pub async fn answered(&self, app: &Secure, who: &str) -> Answer {
        let mut known = Answer::default();
        until("an answer", async || {
            let Ok(answer) = self.send(app, who).await else {
                return false;
            };
            let is_known = match answer.status {
                503 | 504 => false,
                409 => answer.body["code"] != "PGRST409",
                _ => true,
            };
            known = answer;
            is_known
        })
        .await;
        known
    }
}
