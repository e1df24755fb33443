//! Clients of the rough weather that run plank's own `plank.js`: many in Node.js, one in a page of a real Chromium. Their
//! clocks can be shifted.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::within;

/// The process in which they are; it ends with this value.
pub struct Browsers {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// What a client says of itself.
#[derive(Debug)]
pub struct Told {
    /// The version of each row.
    pub rows: HashMap<i64, i64>,
    /// `ws` or `sse`.
    pub transport: String,
    /// All that it says.
    pub text: String,
}

impl Browsers {
    /// `count` clients of the server at `port`. `None` without Node.js, which is a failure in CI; so is a lack of Chromium or of its driver.
    pub async fn start(port: u16, count: usize) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/weather.mjs");
        let started = Command::new("node")
            .args(["--experimental-websocket", "--no-warnings"])
            .arg(script)
            .args([format!("http://127.0.0.1:{port}"), count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = started else {
            assert!(std::env::var_os("CI").is_none(), "Node.js is missing");
            println!("skipped: plank.js in rough weather: Node.js is missing");
            return None;
        };
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut browsers = Self {
            _process: process,
            input,
            output,
        };
        let ready = browsers.ask(json!({"type": "start"})).await;
        println!("{} clients in Node.js", ready["node"]);
        if ready["chromium"] != "one page" {
            let why = format!("a page in rough weather: {}", ready["chromium"]);
            assert!(std::env::var_os("CI").is_none(), "{why}");
            println!("skipped: {why}");
        }
        Some(browsers)
    }

    async fn ask(&mut self, command: Value) -> Value {
        let line = format!("{command}\n");
        within("a command", self.input.write_all(line.as_bytes()))
            .await
            .unwrap();
        let answer = within("what the clients say", self.output.next_line()).await;
        let answer = answer.unwrap().expect("Node.js has ended");
        serde_json::from_str(&answer).unwrap()
    }

    /// Shifts the clocks of all of them, from what they would be.
    pub async fn shift_clocks(&mut self, seconds: i64) {
        self.ask(json!({"type": "shift", "ms": seconds * 1_000}))
            .await;
    }

    /// What each of them has.
    pub async fn report(&mut self) -> Vec<Told> {
        let report = self.ask(json!({"type": "report"})).await;
        let clients = report["clients"].as_array().unwrap().iter();
        let row = |row: &Value| (row[0].as_i64().unwrap(), row[1].as_i64().unwrap());
        clients
            .map(|client| Told {
                rows: client["rows"].as_array().unwrap().iter().map(row).collect(),
                transport: client["state"]["transport"].as_str().unwrap().to_owned(),
                text: client["state"].to_string(),
            })
            .collect()
    }
}
