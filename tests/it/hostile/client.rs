//! A client that applies whole batches, keeps the cursor of the last one, and is cut at any moment.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::Nodes;
use crate::support::WsClient;

/// See the module's documentation.
pub struct Client {
    pub seed: u64,
    random: fastrand::Rng,
    cursor: String,
    pub rows: BTreeMap<i64, Value>,
    /// See `super::account`.
    pub account: BTreeMap<(String, i64), Vec<String>>,
    numbers: HashSet<i64>,
    transactions: HashSet<String>,
    pub cuts: usize,
}

impl Client {
    pub fn new(seed: u64, cursor: String, rows: BTreeMap<i64, Value>) -> Self {
        Self {
            seed,
            random: fastrand::Rng::with_seed(seed),
            cursor,
            rows,
            account: BTreeMap::new(),
            numbers: HashSet::new(),
            transactions: HashSet::new(),
            cuts: 0,
        }
    }

    /// Until it has the last change of all.
    pub async fn run(mut self, nodes: Nodes) -> Self {
        while !self.rows.contains_key(&1_000_000) {
            let node = {
                let nodes = nodes.borrow();
                nodes[self.random.usize(..nodes.len())].clone()
            };
            match node {
                Some(address) => self.connect(&address).await,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
        self
    }

    /// One connection, for a while.
    async fn connect(&mut self, address: &str) {
        let target = format!("/ws?table=h&since={}", self.cursor);
        let connect = WsClient::try_connect(address, &target);
        let Ok(Some(mut socket)) = timeout(Duration::from_secs(2), connect).await else {
            return sleep(Duration::from_millis(20)).await;
        };
        let mut left = self.random.usize(1..60);
        let mut batch = Vec::new();
        while left > 0 {
            left -= 1;
            // A node that has lost its database says nothing; the other one may.
            let Ok(Ok(message)) = timeout(Duration::from_secs(3), socket.next()).await else {
                break;
            };
            match message["type"].as_str().unwrap() {
                "welcome" | "subscribed" => {}
                "heartbeat" => assert!(batch.is_empty(), "a heartbeat in the middle of a batch"),
                "changes" => {
                    batch.extend(message["changes"].as_array().unwrap().iter().cloned());
                    if message["last"] == true {
                        self.apply(std::mem::take(&mut batch));
                        self.cursor = message["cursor"].as_str().unwrap().to_owned();
                        if self.rows.contains_key(&1_000_000) {
                            return;
                        }
                    }
                }
                other => panic!("client {}: {other}: {message}", self.seed),
            }
        }
        // What it has of a batch is thrown away with the socket.
        self.cuts += 1;
    }

    fn apply(&mut self, batch: Vec<Value>) {
        let mut transactions = HashSet::new();
        for change in batch {
            assert!(
                self.numbers.insert(change["seq"].as_i64().unwrap()),
                "twice: {change}"
            );
            let xid = change["xid"].as_str().unwrap().to_owned();
            assert!(
                !self.transactions.contains(&xid),
                "a transaction in two batches: {change}"
            );
            transactions.insert(xid.clone());
            let (id, op) = (
                change["key"]["id"].as_i64().unwrap(),
                change["op"].as_str().unwrap(),
            );
            self.account
                .entry((xid, id))
                .or_default()
                .push(op.to_owned());
            let row = change["row"].clone();
            match op {
                "insert" => assert!(
                    self.rows.insert(id, row).is_none(),
                    "it was there: {change}"
                ),
                "delete" => assert_eq!(
                    self.rows.remove(&id).as_ref(),
                    Some(&change["old"]),
                    "{change}"
                ),
                _ => {
                    let version = row["ver"].as_i64().unwrap();
                    let old = self
                        .rows
                        .insert(id, row)
                        .unwrap_or_else(|| panic!("not there: {change}"));
                    assert_eq!(
                        version,
                        old["ver"].as_i64().unwrap() + 1,
                        "out of order: {change}"
                    );
                }
            }
        }
        self.transactions.extend(transactions);
    }
}
