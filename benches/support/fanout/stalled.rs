//! A client of plank that stops reading, and later wants all that it has missed.

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::super::{Outcome, SOON, within};
use super::TABLE;
use super::member::{DIGITS, MARKER, number};

/// Bytes that its kernel takes for it: as few as it can be told, so that plank is what has to keep the rest.
const BUFFER: u32 = 4 * 1024;

/// See the module's documentation.
#[derive(Debug)]
pub struct Stalled {
    address: SocketAddr,
    socket: WebSocketStream<TcpStream>,
    /// Of the last whole batch.
    cursor: String,
    /// The number of the next row; none before the first one.
    next: Option<u32>,
    /// How often it had to come back.
    pub resumes: usize,
}

impl Stalled {
    /// Subscribes. From then on it does not read.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn connect(address: SocketAddr) -> Outcome<Self> {
        let (socket, cursor) = subscribe(address, None).await?;
        Ok(Self {
            address,
            socket,
            cursor,
            next: None,
            resumes: 0,
        })
    }

    /// Reads on, and comes back with its cursor if it is closed, until it has `rows`. Each has to come once and in order.
    ///
    /// # Errors
    /// If it is not so.
    pub async fn resume(&mut self, rows: u32) -> Outcome<()> {
        let (mut applied, mut unfinished) = (0, Vec::new());
        while applied < rows {
            let message = tokio::time::timeout(SOON, self.socket.next()).await?;
            let Some(Ok(Message::Text(text))) = message else {
                if matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_)))) {
                    continue;
                }
                self.resumes += 1;
                unfinished.clear();
                (self.socket, self.cursor) = subscribe(self.address, Some(&self.cursor)).await?;
                continue;
            };
            if text.starts_with(r#"{"type":"reset""#) || text.starts_with(r#"{"type":"error""#) {
                return Err(text.as_str().into());
            }
            let marked = text.split(MARKER).skip(1);
            unfinished.extend(marked.filter_map(|rest| number(rest.as_bytes().get(..DIGITS)?)));
            if !text.contains(r#""last":true"#) {
                continue;
            }
            for number in unfinished.drain(..) {
                let next = self.next.unwrap_or(number);
                if number != next {
                    return Err(format!("row {number} came in place of row {next}").into());
                }
                (self.next, applied) = (Some(next + 1), applied + 1);
            }
            self.cursor = cursor_in(&text)?;
        }
        Ok(())
    }
}

async fn subscribe(
    address: SocketAddr,
    since: Option<&str>,
) -> Outcome<(WebSocketStream<TcpStream>, String)> {
    within(SOON, "a subscription", async {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(BUFFER)?;
        let stream = socket.connect(address).await?;
        let since = since.map_or_else(String::new, |cursor| {
            let escaped: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
            format!("&since={escaped}")
        });
        let url = format!("ws://{address}/ws?table={TABLE}{since}");
        let (mut socket, _) = client_async(url, stream).await?;
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message?
                && text.contains(r#""type":"subscribed""#)
            {
                let cursor = cursor_in(&text)?;
                return Ok((socket, cursor));
            }
        }
        Err::<_, super::super::Failure>("closed".into())
    })
    .await
}

fn cursor_in(text: &str) -> Outcome<String> {
    let (_, rest) = text.split_once(r#""cursor":""#).ok_or("no cursor")?;
    let (cursor, _) = rest.split_once('"').ok_or("no cursor")?;
    Ok(cursor.into())
}
