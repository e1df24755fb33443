//! WebSocket clients: one that reads messages, and one that only holds a connection, of which there may be many.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Failure, Outcome, SOON, within};

const SUBSCRIBED: &str = r#""type":"subscribed""#;
const WELCOME: &str = r#""type":"welcome""#;

/// A client that is subscribed to a table.
#[derive(Debug)]
pub struct Subscriber {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Subscriber {
    /// Connects, and waits until the subscription is live.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn connect(address: SocketAddr, table: &str) -> Outcome<Self> {
        let mut this = Self::open(&format!("ws://{address}/ws?table={table}")).await?;
        within(SOON, "a subscription", this.find(SUBSCRIBED)).await?;
        Ok(this)
    }

    /// Connects, and subscribes to nothing yet.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn greeted(address: SocketAddr) -> Outcome<Self> {
        let mut this = Self::open(&format!("ws://{address}/ws")).await?;
        within(SOON, "a welcome", this.find(WELCOME)).await?;
        Ok(this)
    }

    /// Connects where people have to log in, and waits until a subscription of a table is live.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn logged_in(address: SocketAddr, table: &str, token: &str) -> Outcome<Self> {
        let mut this = Self::open(&format!("ws://{address}/ws?table={table}")).await?;
        this.send(&format!(r#"{{"type":"auth","token":"{token}"}}"#))
            .await?;
        within(SOON, "a subscription", this.find(SUBSCRIBED)).await?;
        Ok(this)
    }

    /// Connects where people have to log in, says who it is, and subscribes to nothing yet.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn authenticated(address: SocketAddr, token: &str) -> Outcome<Self> {
        let mut this = Self::open(&format!("ws://{address}/ws")).await?;
        this.send(&format!(r#"{{"type":"auth","token":"{token}"}}"#))
            .await?;
        within(SOON, "a welcome", this.find(WELCOME)).await?;
        Ok(this)
    }

    async fn open(url: &str) -> Outcome<Self> {
        let (socket, _) = within(SOON, "a WebSocket", connect_async(url)).await?;
        Ok(Self { socket })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the socket does not take it.
    pub async fn send(&mut self, text: &str) -> Outcome<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// Reads until a message has `part` in it. What came before it is dropped.
    ///
    /// # Errors
    /// If the socket ends, or plank sends an error.
    pub async fn find(&mut self, part: &str) -> Outcome<Utf8Bytes> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text.contains(part) => return Ok(text),
                Some(Ok(Message::Text(text))) if text.starts_with(r#"{"type":"error""#) => {
                    return Err(text.as_str().into());
                }
                Some(Ok(Message::Text(text))) if text.starts_with(r#"{"type":"reset""#) => {
                    return Err(text.as_str().into());
                }
                Some(Ok(Message::Close(frame))) => return Err(format!("closed: {frame:?}").into()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err("the socket has ended".into()),
            }
        }
    }
}

/// The header with which browsers offer permessage-deflate.
pub const DEFLATE: &str =
    "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";

/// The upgrade by hand, with `headers` besides those that it needs: a connection that only stays open costs this process no more than its socket. It answers no
/// ping, so plank closes it after a minute.
///
/// The source address is one of many, since one address has fewer ports than plank takes connections.
///
/// # Errors
/// If it is not subscribed in time.
pub async fn hold(
    address: SocketAddr,
    number: usize,
    table: &str,
    headers: &str,
) -> Outcome<TcpStream> {
    let request = format!(
        "GET /ws?table={table} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    subscribed(address, number, &request).await
}

/// The same over Server-Sent Events.
///
/// # Errors
/// If it is not subscribed in time.
pub async fn hold_stream(address: SocketAddr, number: usize, table: &str) -> Outcome<TcpStream> {
    let request = format!("GET /api/stream?table={table} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    subscribed(address, number, &request).await
}

async fn subscribed(address: SocketAddr, number: usize, request: &str) -> Outcome<TcpStream> {
    within(SOON, "a subscribed connection", async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source(number), 0))?;
        let mut stream = socket.connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let (mut answer, mut buffer) = (String::new(), [0; 2048]);
        // The frames are text, apart from two or four bytes at the head of each.
        while !answer.contains(SUBSCRIBED) {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Err(format!("closed after: {answer}").into());
            }
            answer += &String::from_utf8_lossy(&buffer[..read]);
        }
        Ok::<_, Failure>(stream)
    })
    .await
}

/// 127.0.0.2 and so on; all of 127/8 is this machine.
fn source(number: usize) -> IpAddr {
    /// Connections of one source address.
    const EACH: usize = 1_000;
    let host = 2 + (number / EACH) % 250;
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, host as u8))
}
