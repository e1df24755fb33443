//! The plainest loop that does what plank does for a crowd: a row trigger puts each row into a NOTIFY, and one thread
//! that listens writes it to every socket. The upgrade is made by hand, and nothing of a frame is made more than once.
//!
//! It has no cursor, no subscriptions and no bound: it is what the machine can do, not what one would want to have.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tungstenite::handshake::derive_accept_key;

use super::super::floor::Listener;
use super::super::{Outcome, SOON, within};

/// Bytes that leave in one write when what is pending is joined.
const JOINED_MAX: usize = 256 * 1024;

/// What a client waits for.
const SUBSCRIBED: &str = r#"{"type":"subscribed"}"#;

/// How it works.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Where it listens.
    pub database: String,
    /// Whether what is pending leaves in one write; else each frame does.
    pub joins: bool,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    /// What the socket had no room for.
    rest: RefCell<VecDeque<Bytes>>,
    /// There is some.
    is_full: Notify,
}

type Clients = Rc<RefCell<Slab<Rc<Client>>>>;

/// Serves, and says where, until standard input ends.
///
/// # Errors
/// If the database goes away.
pub async fn serve(settings: Settings) -> Outcome<()> {
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut postgres = Listener::on(&settings.database.parse()?).await?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("{}", listener.local_addr()?);
            let clients = Clients::default();
            spawn_local(accept(listener, clients.clone()));
            let mut stdin = tokio::io::stdin();
            tokio::select! {
                ended = broadcast(&mut postgres, &clients, settings.joins) => ended,
                _ = stdin.read_u8() => Ok(()),
            }
        })
        .await
}

async fn broadcast(postgres: &mut Listener, clients: &Clients, joins: bool) -> Outcome<()> {
    let mut buffer = BytesMut::new();
    loop {
        put_frame(&mut buffer, postgres.payload().await?.as_bytes());
        while joins
            && buffer.len() < JOINED_MAX
            && let Some(payload) = postgres.payload().now_or_never()
        {
            put_frame(&mut buffer, payload?.as_bytes());
        }
        let bytes = buffer.split().freeze();
        for (_, client) in clients.borrow().iter() {
            client.send(&bytes);
        }
        // Those who are full, or come, get their turn.
        yield_now().await;
    }
}

/// A text frame, RFC 6455, section 5.2.
fn put_frame(buffer: &mut BytesMut, payload: &[u8]) {
    buffer.extend_from_slice(&[0x81]);
    match payload.len() {
        len @ 0..126 => buffer.extend_from_slice(&[len as u8]),
        len @ 126..65_536 => {
            buffer.extend_from_slice(&[126]);
            buffer.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            buffer.extend_from_slice(&[127]);
            buffer.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    buffer.extend_from_slice(payload);
}

impl Client {
    fn send(&self, bytes: &Bytes) {
        let mut rest = self.rest.borrow_mut();
        let written = match rest.is_empty() {
            true => self.stream.try_write(bytes).unwrap_or(0),
            false => 0,
        };
        if written < bytes.len() {
            rest.push_back(bytes.slice(written..));
            self.is_full.notify_one();
        }
    }

    fn drain(&self) -> io::Result<()> {
        let mut rest = self.rest.borrow_mut();
        while let Some(bytes) = rest.front_mut() {
            let written = self.stream.try_write(bytes)?;
            if written < bytes.len() {
                *bytes = bytes.slice(written..);
            } else {
                rest.pop_front();
            }
        }
        Ok(())
    }

    /// Until it goes. What it says is thrown away.
    async fn attend(&self) -> io::Result<()> {
        let mut scratch = [0; 1024];
        loop {
            let is_full = !self.rest.borrow().is_empty();
            let done = tokio::select! {
                ready = self.stream.readable() => {
                    ready?;
                    match self.stream.try_read(&mut scratch) {
                        Ok(0) => return Ok(()),
                        read => read.map(drop),
                    }
                }
                ready = self.stream.writable(), if is_full => {
                    ready?;
                    self.drain()
                }
                () = self.is_full.notified() => Ok(()),
            };
            match done {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }
}

async fn accept(listener: TcpListener, clients: Clients) {
    while let Ok((stream, _)) = listener.accept().await {
        let clients = clients.clone();
        spawn_local(async move {
            let Ok(stream) = within(SOON, "an upgrade", upgrade(stream)).await else {
                return;
            };
            let client = Rc::new(Client {
                stream,
                rest: RefCell::default(),
                is_full: Notify::new(),
            });
            let place = clients.borrow_mut().insert(client.clone());
            // However it ends, it is gone.
            let _ = client.attend().await;
            clients.borrow_mut().remove(place);
        });
    }
}

async fn upgrade(mut stream: TcpStream) -> Outcome<TcpStream> {
    stream.set_nodelay(true)?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err("gone".into());
        }
        head.extend_from_slice(&buffer[..read]);
    }
    let head = String::from_utf8_lossy(&head);
    let header = |line: &'_ str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then(|| value.trim().to_owned())
    };
    let key = head.lines().find_map(header).ok_or("no key")?;
    let mut answer = BytesMut::from(
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        )
        .as_bytes(),
    );
    put_frame(&mut answer, SUBSCRIBED.as_bytes());
    stream.write_all(&answer).await?;
    Ok(stream)
}
