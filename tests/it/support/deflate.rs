//! A client that has negotiated permessage-deflate, and shows which messages came compressed.

use std::net::SocketAddr;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::Value;

use super::raw::{RawClient, frame, handshake};

/// As browsers offer it.
pub const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// What a compressor makes of a message, with a window of its own.
pub fn deflate(message: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(message.len() + 100);
    compress
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

/// The message behind a payload; nothing is known of those before.
fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut decompress = Decompress::new(false);
    let (input, mut out) = ([payload, &[0, 0, 0xff, 0xff]].concat(), Vec::new());
    while decompress.total_in() < input.len() as u64 {
        out.reserve(64 << 10);
        let rest = &input[decompress.total_in() as usize..];
        decompress
            .decompress_vec(rest, &mut out, FlushDecompress::Sync)
            .unwrap();
    }
    out
}

/// See the module's documentation.
pub struct DeflateClient {
    pub raw: RawClient,
    /// How many messages came compressed.
    pub compressed: usize,
}

impl DeflateClient {
    /// Connects, negotiates, and reads the `welcome`.
    pub async fn connect(address: SocketAddr, target: &str) -> Self {
        let mut raw = RawClient::connect(address).await;
        raw.send(handshake(target, OFFER).as_bytes()).await;
        let head = raw.head().await;
        let answer = "\r\nsec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
        assert!(head.contains(answer), "{head}");
        let mut client = Self { raw, compressed: 0 };
        client.expect("welcome").await;
        client
    }

    /// The same, subscribed through the address.
    pub async fn subscribed(address: SocketAddr, target: &str) -> Self {
        let mut client = Self::connect(address, target).await;
        client.expect("subscribed").await;
        client
    }

    /// Sends a message, compressed.
    pub async fn send(&mut self, message: Value) {
        let payload = deflate(message.to_string().as_bytes());
        self.raw.send(&frame(0xc1, &payload)).await;
    }

    /// The next message as text, or the code of a close frame.
    pub async fn text(&mut self) -> Result<String, u16> {
        loop {
            let (first, payload) = self.raw.frame().await;
            let text = match first {
                0x81 => payload,
                0xc1 => {
                    self.compressed += 1;
                    inflate(&payload)
                }
                0x89 => continue,
                0x88 => return Err(u16::from_be_bytes([payload[0], payload[1]])),
                _ => panic!("a frame that begins with {first:x}"),
            };
            return Ok(String::from_utf8(text).unwrap());
        }
    }

    /// The next message of this type. Heartbeats are skipped.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let text = self.text().await.unwrap();
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
            assert_eq!(
                message["type"], "heartbeat",
                "{kind} expected, got {message}"
            );
        }
    }

    /// Messages of this type until one has `key` as `value`: the items of their list `list`.
    async fn until(&mut self, kind: &str, list: &str, key: &str, value: bool) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            let message = self.expect(kind).await;
            items.extend(message[list].as_array().unwrap().iter().cloned());
            if message[key] == value {
                return items;
            }
        }
    }

    /// The changes of the next whole batch.
    pub async fn batch(&mut self) -> Vec<Value> {
        self.until("changes", "changes", "last", true).await
    }

    /// The rows of the next whole snapshot.
    pub async fn snapshot(&mut self) -> Vec<Value> {
        self.until("snapshot", "rows", "more", false).await
    }

    /// Changes until there are `count`.
    pub async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.extend(self.batch().await);
        }
        assert_eq!(changes.len(), count);
        changes
    }
}
