//! A process that may not have as many descriptors as it would like: the real program, for the limit is the process's.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::from;
use crate::support::cluster::connect;
use crate::support::raw::{RawClient, handshake};
use crate::support::{Cluster, until, within};

/// A plank under limits, and what it logs.
struct Limited {
    _child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

async fn start(database: &str, soft: usize, hard: usize, more: &[&str]) -> Limited {
    let limit = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    let url = Cluster::shared().url(database);
    let mut child = Command::new("sh")
        .args(["-c", &limit, env!("CARGO_BIN_EXE_plank"), "serve"])
        .args([
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--database-url",
            &url,
        ])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = Arc::<Mutex<String>>::default();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let into = log.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = into.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within("that it is live", out.next_line()).await.unwrap();
    let address = line
        .as_deref()
        .and_then(|l| l.strip_prefix("plank is live at http://"));
    let address = address.unwrap_or_else(|| panic!("{}", log.lock().unwrap()));
    Limited {
        address: address.parse().unwrap(),
        _child: child,
        log,
    }
}

impl Limited {
    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

#[actix_web::test]
async fn the_limit_is_raised_as_far_as_it_goes_and_what_does_not_fit_is_said() {
    let database = Cluster::shared().database().await;
    let plank = start(&database, 256, 1_000, &[]).await;
    let log = plank.log();
    assert!(
        log.contains("file descriptors limit=1000 clients=800"),
        "{log}"
    );
    let warning = log.lines().find(|l| l.contains("WARN")).expect(&log);
    for part in [
        "max-connections=19000",
        "LimitNOFILE=",
        "19200",
        "800 clients",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    // More than it began with.
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(RawClient::upgraded(plank.address).await);
    }
    let plank = start(&database, 256, 1_000, &["--max-connections", "800"]).await;
    assert!(!plank.log().contains("WARN"), "{}", plank.log());
}

#[actix_web::test]
async fn without_descriptors_clients_are_refused_and_those_that_are_there_are_served() {
    let database = Cluster::shared().database().await;
    let plank = start(&database, 300, 300, &[]).await;
    let mut clients = Vec::new();
    for n in 0..100 {
        let mut client = from("127.0.0.7", plank.address).await;
        client
            .send(handshake("/ws?table=items", "").as_bytes())
            .await;
        let mut head = [0; 12];
        if client.stream.read_exact(&mut head).await.is_err() || !head.ends_with(b"101") {
            assert!(n >= 90, "only {n} were let in");
            continue;
        }
        client.until(b"\"subscribed\"").await;
        clients.push(client);
    }
    // A flood of connections that say nothing. None may stay; some are told why before they are closed.
    let mut refused = 0;
    for _ in 0..400 {
        let mut flood = from("127.0.0.8", plank.address).await;
        let answer = String::from_utf8(flood.rest().await).unwrap();
        refused += usize::from(answer.starts_with("HTTP/1.1 503 "));
    }
    assert!(refused > 300, "{refused}");
    let sql = connect(&Cluster::shared().config(&database)).await;
    sql.batch_execute("insert into items (name) values ('heard')")
        .await
        .unwrap();
    for client in &mut clients {
        client.until(b"heard").await;
    }
    let log = plank.log();
    let lines = log.lines().filter(|line| line.contains("client refused"));
    assert_eq!(
        lines.count(),
        1,
        "a flood of clients is none of the log: {log}"
    );
    assert!(log.contains("limit=descriptors max=100"), "{log}");
    assert!(!log.contains("Too many open files"), "{log}");
    // And when there is room again, one is let in.
    drop(clients);
    until("there is room", async || {
        let mut client = from("127.0.0.7", plank.address).await;
        client.send(handshake("/ws", "").as_bytes()).await;
        let mut head = [0; 12];
        client.stream.read_exact(&mut head).await.is_ok() && head.ends_with(b"101")
    })
    .await;
}
