//! The clients of the rough weather that are tasks: by WebSocket, event stream and long poll.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::copy::Shared;

/// Comes back for ever, as a client of plank does.
pub async fn follow(port: u16, kind: usize, copy: Shared) {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(120))
        .build()
        .unwrap();
    loop {
        match kind % 3 {
            0 => by_socket(port, &copy).await,
            1 => by_stream(port, &http, &copy).await,
            _ => by_poll(port, &http, &copy).await,
        }
        copy.lock().unwrap().cut();
        sleep(Duration::from_millis(200 + fastrand::u64(..600))).await;
    }
}

async fn by_socket(port: u16, copy: &Shared) {
    let since = copy.lock().unwrap().since();
    let url = format!("ws://127.0.0.1:{port}/ws?table=items&snapshot=1{since}");
    let opened = timeout(
        Duration::from_secs(10),
        tokio_tungstenite::connect_async(url),
    )
    .await;
    let Ok(Ok((mut socket, _))) = opened else {
        return;
    };
    // Two heartbeats that do not come are a dead link.
    while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(60), socket.next()).await {
        if let tungstenite::Message::Text(text) = message {
            copy.lock()
                .unwrap()
                .take(&serde_json::from_str(&text).unwrap());
        }
    }
}

async fn by_stream(port: u16, http: &reqwest::Client, copy: &Shared) {
    let since = copy.lock().unwrap().since();
    let url = format!("http://127.0.0.1:{port}/api/stream?table=items&snapshot=1{since}");
    let opened = timeout(Duration::from_secs(10), http.get(url).send()).await;
    let Ok(Ok(mut answer)) = opened else { return };
    if answer.status() != 200 {
        return;
    }
    let mut text = Vec::new();
    while let Ok(Ok(Some(bytes))) = timeout(Duration::from_secs(60), answer.chunk()).await {
        text.extend_from_slice(&bytes);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let event = String::from_utf8(event).unwrap();
            let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
            for data in data {
                copy.lock()
                    .unwrap()
                    .take(&serde_json::from_str(data).unwrap());
            }
        }
    }
}

async fn by_poll(port: u16, http: &reqwest::Client, copy: &Shared) {
    let get = async |path: String| {
        let answer = http
            .get(format!("http://127.0.0.1:{port}{path}"))
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.ok()?;
        Some((status, body))
    };
    if copy.lock().unwrap().cursor.is_none() {
        // All in one page, and so of one moment.
        let path = "/api/tables/items/rows?limit=10000".to_owned();
        let Some((200, page)) = get(path).await else {
            return;
        };
        let rows = page["rows"].as_array().unwrap();
        assert!(page["next"].is_null(), "more rows than were meant");
        let mut copy = copy.lock().unwrap();
        copy.rows = rows
            .iter()
            .map(|row| {
                (
                    row["id"].as_i64().unwrap(),
                    row["version"].as_i64().unwrap(),
                )
            })
            .collect();
        copy.cursor = page["cursor"].as_str().map(str::to_owned);
        return;
    }
    loop {
        let since = copy.lock().unwrap().since();
        match get(format!("/api/changes?table=items&wait=20{since}")).await {
            Some((200, answer)) => {
                let mut copy = copy.lock().unwrap();
                for change in answer["changes"].as_array().unwrap() {
                    copy.apply(change);
                }
                copy.cursor = answer["cursor"].as_str().map(str::to_owned);
            }
            Some((410, _)) => {
                let mut copy = copy.lock().unwrap();
                copy.resets += 1;
                copy.cursor = None;
                return;
            }
            _ => return,
        }
    }
}
