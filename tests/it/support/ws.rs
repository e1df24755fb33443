//! A WebSocket client that reads messages as JSON and applies batches as PROTOCOL.md says.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::within;

/// See the module's documentation.
pub struct WsClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

impl WsClient {
    /// Connects; has to work.
    pub async fn connect(address: SocketAddr, target: &str) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let connect =
            connect_async_with_config(format!("ws://{address}{target}"), Some(config), true);
        Self {
            socket: within("a WebSocket", connect).await.unwrap().0,
        }
    }

    /// Connects with headers of one's own; else the status, and the body of the answer.
    pub async fn with_headers(
        address: SocketAddr,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{address}{target}")
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match within("an answer", tokio_tungstenite::connect_async(request)).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(tungstenite::Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                let body = String::from_utf8_lossy(&body).into_owned();
                Err((answer.status().as_u16(), body))
            }
            Err(error) => panic!("{target}: {error}"),
        }
    }

    /// Connects if a server listens.
    pub async fn try_connect(address: &str, target: &str) -> Option<Self> {
        let connect = tokio_tungstenite::connect_async(format!("ws://{address}{target}"));
        let (socket, _) = connect.await.ok()?;
        Some(Self { socket })
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    /// Sends anything.
    pub async fn send_raw(&mut self, message: Message) {
        within("a send", self.socket.send(message)).await.unwrap();
    }

    /// The next message, or how the socket ended.
    pub async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            match within("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |f| {
                        (f.code.into(), f.reason.to_string())
                    });
                    return Err(Closed { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(Closed {
                        code: 1006,
                        reason: error.to_string(),
                    });
                }
                None => {
                    return Err(Closed {
                        code: 1006,
                        reason: String::new(),
                    });
                }
            }
        }
    }

    /// The next message, which has to be of this type. Heartbeats are skipped unless asked for.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let message = self
                .next()
                .await
                .unwrap_or_else(|closed| panic!("{kind}: {closed:?}"));
            if message["type"] == kind {
                return message;
            }
            assert_eq!(
                message["type"], "heartbeat",
                "{kind} expected, got {message}"
            );
        }
    }

    /// Subscribes and waits until it is live.
    pub async fn subscribe(&mut self, id: &str, table: &str) -> Value {
        self.send(json!({"type": "subscribe", "id": id, "table": table}))
            .await;
        let subscribed = self.expect("subscribed").await;
        assert_eq!(subscribed["id"], id);
        subscribed
    }

    /// The rows of the next whole snapshot, and its cursor.
    pub async fn snapshot(&mut self) -> (Vec<Value>, String) {
        let mut rows = Vec::new();
        loop {
            let message = self.expect("snapshot").await;
            rows.extend(message["rows"].as_array().unwrap().iter().cloned());
            if !message["more"].as_bool().unwrap() {
                return (rows, message["cursor"].as_str().unwrap().to_owned());
            }
        }
    }

    /// The changes of the next whole batch.
    pub async fn batch(&mut self) -> Vec<Value> {
        self.batch_and_cursor().await.0
    }

    /// The same, and the cursor behind it.
    pub async fn batch_and_cursor(&mut self) -> (Vec<Value>, String) {
        let (mut changes, mut cursor) = (Vec::new(), None);
        loop {
            let message = self.expect("changes").await;
            assert_eq!(
                *cursor.get_or_insert(message["cursor"].clone()),
                message["cursor"],
                "one batch, one cursor"
            );
            changes.extend(message["changes"].as_array().unwrap().iter().cloned());
            if message["last"].as_bool().unwrap() {
                return (changes, message["cursor"].as_str().unwrap().to_owned());
            }
        }
    }

    /// Changes until there are `count`, batch by batch.
    pub async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.extend(self.batch().await);
        }
        assert_eq!(changes.len(), count, "{changes:?}");
        changes
    }

    /// One change.
    pub async fn change(&mut self) -> Value {
        self.changes(1).await.remove(0)
    }

    /// Nothing but heartbeats has come before the answer to a ping.
    pub async fn nothing(&mut self) {
        self.send(json!({"type": "ping"})).await;
        self.expect("pong").await;
    }

    /// Reads on until the socket ends.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }
}
