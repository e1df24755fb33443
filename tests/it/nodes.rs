//! What becomes of a crowd when its node is restarted, or when it has to go to another one.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::cluster::connect;
use crate::support::program::Program;
use crate::support::raw::{RawClient, handshake};
use crate::support::{Cluster, within};

const CLIENTS: usize = 5_000;

/// By when all of them have to be back, with all that they missed.
const BACK_MAX: Duration = Duration::from_secs(30);

/// A client that knows where it is: small, so that thousands of them fit.
struct Client {
    raw: RawClient,
    cursor: String,
    /// Items that it has seen.
    seen: Vec<i64>,
}

impl Client {
    /// Connects, as often as it takes, and goes on from `cursor`.
    async fn join(address: &str, cursor: &str, seen: Vec<i64>) -> Self {
        let mut more = String::new();
        if !cursor.is_empty() {
            more = format!("&since={cursor}");
        }
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        };
        let mut raw = RawClient::of(stream);
        let target = format!("/ws?table=items{more}");
        raw.send(handshake(&target, "").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut client = Self {
            raw,
            cursor: cursor.to_owned(),
            seen,
        };
        assert_eq!(client.message().await["type"], "welcome");
        let subscribed = client.message().await;
        assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
        client.cursor = subscribed["cursor"].as_str().unwrap().to_owned();
        client
    }

    async fn message(&mut self) -> Value {
        loop {
            let (first, payload) = self.raw.frame().await;
            match first {
                0x81 => return serde_json::from_slice(&payload).unwrap(),
                0x89 => {}
                _ => panic!("{first:x} {}", String::from_utf8_lossy(&payload)),
            }
        }
    }

    /// Applies whole batches until it has seen this many items.
    async fn until_seen(&mut self, count: usize) {
        while self.seen.len() < count {
            let message = self.message().await;
            if message["type"] == "changes" {
                let changes = message["changes"].as_array().unwrap();
                self.seen
                    .extend(changes.iter().map(|c| c["key"]["id"].as_i64().unwrap()));
                self.cursor = message["cursor"].as_str().unwrap().to_owned();
            }
        }
        assert_eq!(self.seen.len(), count, "nothing comes twice");
        assert!(self.seen.is_sorted_by(|a, b| a < b), "{:?}", self.seen);
    }

    /// Reads the close frame: what to wait for, as it asks. Heartbeats may come before.
    async fn told_to_go(&mut self) -> Duration {
        loop {
            let (first, payload) = self.raw.frame().await;
            if first == 0x88 {
                assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), 1012);
                let hint: Value = serde_json::from_slice(&payload[2..]).unwrap();
                return Duration::from_millis(hint["retry_ms"].as_u64().unwrap());
            }
        }
    }
}

async fn in_groups<F: Future>(count: usize, start: impl Fn(usize) -> F) -> Vec<F::Output> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let group = all.len()..(all.len() + 250).min(count);
        all.extend(join_all(group.map(&start)).await);
    }
    all
}

async fn metric(address: &str, line: &str) -> f64 {
    let text = reqwest::get(format!("http://{address}/metrics"))
        .await
        .unwrap();
    let text = text.text().await.unwrap();
    let value = text
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    value.unwrap_or(0.0)
}

#[actix_web::test]
async fn five_thousand_clients_are_back_within_thirty_seconds_of_a_restart_and_have_lost_nothing() {
    plank::descriptors::raise();
    let room = plank::descriptors::limit();
    assert!(
        room > CLIENTS + 1_000,
        "{room} descriptors are too few for this test"
    );
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    let write = async |count: usize| {
        for _ in 0..count {
            let insert = sql.batch_execute("insert into items (name) values ('n')");
            within("a write", insert).await.unwrap();
        }
    };
    let url = Cluster::shared().url(&database);
    let node = Program::serve(&["--database-url", &url]).await;
    let address = node.address.clone();
    let mut clients = in_groups(CLIENTS, |_| Client::join(&address, "", vec![])).await;
    write(3).await;
    join_all(clients.iter_mut().map(|client| client.until_seen(3))).await;

    // Everybody is told when to come back, and comes back then.
    let (status, waits) = tokio::join!(
        node.end(Signal::SIGTERM),
        join_all(clients.iter_mut().map(Client::told_to_go))
    );
    assert_eq!(status, Some(0), "a drain ends in order");
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(5)));
    // While nobody is there.
    write(10).await;
    let stopped = Instant::now();
    let node = Program::serve(&["--database-url", &url]).await;
    let address = node.address.clone();
    let back = clients.into_iter().zip(waits).map(async |(client, wait)| {
        sleep(wait).await;
        let Client { raw, cursor, seen } = client;
        drop(raw);
        let mut client = Client::join(&address, &cursor, seen).await;
        client.until_seen(13).await;
        client
    });
    let mut clients = timeout(BACK_MAX, join_all(back))
        .await
        .expect("within 30 s");
    let took = stopped.elapsed();
    write(1).await;
    join_all(clients.iter_mut().map(|client| client.until_seen(14))).await;

    let resumed = async |how: &str| {
        metric(
            &address,
            &format!("plank_resumes_total{{result=\"{how}\"}} "),
        )
        .await
    };
    let (window, log, reset) = (
        resumed("window").await,
        resumed("log").await,
        resumed("reset").await,
    );
    println!("{CLIENTS} clients back after {took:.1?}: window {window}, log {log}, reset {reset}");
    assert_eq!(window + log, CLIENTS as f64, "each of them came back once");
    assert_eq!(reset, 0.0);

    // With the window still reaching back to where they are, another cut costs no query at all.
    let joined = in_groups(500, |i| {
        let client = &clients[i];
        Client::join(&address, &client.cursor, client.seen.clone())
    });
    let again = joined.await.len() as f64;
    assert_eq!(resumed("window").await, window + again);
    assert_eq!(resumed("log").await, log);
    drop(clients);
    assert_eq!(node.end(Signal::SIGTERM).await, Some(0));
}
