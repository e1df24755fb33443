//! A client of HTTP/1.1 that keeps its connection, and costs hardly any time: the processors are for the server.

use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Outcome, SOON, within};

/// One connection.
#[derive(Debug)]
pub struct KeepAlive {
    stream: TcpStream,
    read: Vec<u8>,
}

impl KeepAlive {
    /// Connects.
    ///
    /// # Errors
    /// If that is refused.
    pub async fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = within(SOON, "a connection", TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Sends a request, and reads the answer to its end; its body.
    ///
    /// # Errors
    /// If it is no success, or has no length.
    pub async fn send(&mut self, request: &str) -> Outcome<&[u8]> {
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let head = loop {
            if let Some(at) = memmem::find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.read[..head]).to_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("an answer without a length")?.parse()?;
        while self.read.len() < head + length {
            self.more().await?;
        }
        match text.starts_with("http/1.1 2") {
            true => Ok(&self.read[head..]),
            false => Err(String::from_utf8_lossy(&self.read).into_owned().into()),
        }
    }

    async fn more(&mut self) -> Outcome<()> {
        match within(SOON, "an answer", self.stream.read_buf(&mut self.read)).await? {
            0 => Err("the connection ended before the answer did".into()),
            _ => Ok(()),
        }
    }
}

/// A request, with its body if there is one.
pub fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
