//! The table as a client of the rough weather has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What a client has of the table: the version of each row.
#[derive(Default)]
pub struct Copy {
    pub rows: HashMap<i64, i64>,
    /// Of a snapshot or a batch that has not ended.
    pending: Vec<Value>,
    /// Behind what it has.
    pub cursor: Option<String>,
    /// How often what it had was void.
    pub resets: usize,
}

/// Of a client that is another task.
pub type Shared = Arc<Mutex<Copy>>;

impl Copy {
    /// What has come of something unfinished is void when a connection ends.
    pub fn cut(&mut self) {
        self.pending.clear();
    }

    /// Takes a message.
    pub fn take(&mut self, message: &Value) {
        let id = |of: &Value| of["id"].as_i64().unwrap();
        match message["type"].as_str().unwrap_or_default() {
            "snapshot" => {
                self.pending
                    .extend(message["rows"].as_array().unwrap().iter().cloned());
                if message["more"] == false {
                    let rows = self.pending.drain(..);
                    self.rows = rows
                        .map(|row| (id(&row), row["version"].as_i64().unwrap()))
                        .collect();
                    self.cursor = message["cursor"].as_str().map(str::to_owned);
                }
            }
            "changes" => {
                self.pending
                    .extend(message["changes"].as_array().unwrap().iter().cloned());
                if message["last"] == true {
                    let changes: Vec<Value> = self.pending.drain(..).collect();
                    changes.iter().for_each(|change| self.apply(change));
                    self.cursor = message["cursor"].as_str().map(str::to_owned);
                }
            }
            "subscribed" | "heartbeat" if self.pending.is_empty() => {
                if let Some(cursor) = message["cursor"].as_str() {
                    self.cursor = Some(cursor.to_owned());
                }
            }
            "reset" => {
                self.resets += 1;
                self.pending.clear();
                self.cursor = None;
            }
            _ => {}
        }
    }

    /// Takes a change.
    pub fn apply(&mut self, change: &Value) {
        let key = change["key"]["id"].as_i64();
        match (change["op"].as_str().unwrap(), key) {
            ("delete", Some(key)) => drop(self.rows.remove(&key)),
            ("truncate", _) => self.rows.clear(),
            (_, Some(key)) => {
                let version = change["row"]["version"].as_i64().unwrap();
                let before = self.rows.insert(key, version);
                // Nothing twice, and nothing out of order.
                assert!(
                    before.is_none_or(|before| before < version),
                    "{change} after {before:?}"
                );
            }
            _ => {}
        }
    }

    /// The end of an address with which it resumes.
    pub fn since(&self) -> String {
        self.cursor
            .as_ref()
            .map(|cursor| format!("&since={cursor}"))
            .unwrap_or_default()
    }
}
