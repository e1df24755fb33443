//! A client that says whatever a test wants, byte by byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// The handshake that RFC 6455 shows, for `target`.
pub fn handshake(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// A masked frame; the key is zero, so the payload stays readable.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        n @ 0..=125 => frame.push(0x80 | n as u8),
        n @ 126..=0xffff => frame.extend([&[0xfe][..], &(n as u16).to_be_bytes()].concat()),
        n => frame.extend([&[0xff][..], &(n as u64).to_be_bytes()].concat()),
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// See the module's documentation.
pub struct RawClient {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl RawClient {
    /// Connects and says nothing yet.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await;
        Self::of(stream.unwrap())
    }

    /// On a connection that is there.
    pub fn of(stream: TcpStream) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Connects to `/ws` and reads the `welcome`.
    pub async fn upgraded(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        client.send(handshake("/ws", "").as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert_eq!(client.frame().await.0, 0x81);
        client
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        within("a send", self.stream.write_all(bytes))
            .await
            .unwrap();
    }

    async fn fill(&mut self) -> bool {
        let mut part = [0; 4096];
        let n = within("bytes", self.stream.read(&mut part))
            .await
            .unwrap_or(0);
        self.read.extend(&part[..n]);
        n > 0
    }

    async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.read.len() < n {
            assert!(self.fill().await, "the end after {} bytes", self.read.len());
        }
        self.read.drain(..n).collect()
    }

    /// The head of a response.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                return String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
            }
            assert!(
                self.fill().await,
                "the end before the head: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    /// Everything up to the first `end`, and what has come with it.
    pub async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        while !self.read.windows(end.len()).any(|w| w == end) {
            assert!(
                self.fill().await,
                "the end before {:?}",
                String::from_utf8_lossy(end)
            );
        }
        std::mem::take(&mut self.read)
    }

    /// Everything until the server closes its side.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    /// The next frame: its first byte and the payload.
    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2).await;
        let len = match head[1] {
            126 => u16::from_be_bytes(self.take(2).await.try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.take(8).await.try_into().unwrap()) as usize,
            n => usize::from(n),
        };
        (head[0], self.take(len).await)
    }

    /// The code of the close frame, which has to be the next one, with an orderly end behind it.
    pub async fn close_code(&mut self) -> u16 {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x88, "{:?}", String::from_utf8_lossy(&payload));
        assert_eq!(self.rest().await, b"", "nothing comes after a close frame");
        u16::from_be_bytes([payload[0], payload[1]])
    }
}
