//! Stands between plank and PostgreSQL, and answers for it where it is told to: with an error of a test's choice, with the
//! end of the connection, or with nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_postgres::Config;

use super::proxy::socket_of;

/// What is answered instead of PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An error with this SQLSTATE.
    Error(&'static str),
    /// The connection ends, when PostgreSQL has done what it was asked for.
    EndAfter,
}

/// Where: at a statement with this text in it, or instead of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The start of a session whose application name begins with this.
    Login(&'static str),
    /// A statement, also each use of one that was prepared.
    Statement(&'static str),
}

#[derive(Default)]
struct Orders {
    refuse: Option<(Place, Answer)>,
    /// How often that was done.
    refused: usize,
    /// How many refusals are left, if they are counted.
    left: Option<usize>,
    /// All statements that came, in order.
    seen: Vec<String>,
}

impl Orders {
    fn take(&mut self, holds: impl Fn(Place) -> bool) -> Option<Answer> {
        let (place, answer) = self.refuse?;
        if !holds(place) || self.left == Some(0) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        self.refused += 1;
        Some(answer)
    }
}

/// See the module's documentation.
pub struct Refusing {
    address: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    cut: watch::Sender<()>,
}

impl Refusing {
    /// Stands before the server of `target`, which listens on a Unix socket.
    pub async fn start(target: &Config) -> Self {
        let path = socket_of(target);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let orders = Arc::<Mutex<Orders>>::default();
        let (cut, cuts) = watch::channel(());
        let for_links = orders.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let link = Link::new(client, path.clone(), for_links.clone());
                let mut cut = cuts.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = link.run() => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            orders,
            cut,
        }
    }

    /// How to connect through it.
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .user(user)
            .dbname(database);
        config
    }

    /// From now on this is refused.
    pub fn refuse(&self, place: Place, answer: Answer) {
        let mut orders = self.orders.lock().unwrap();
        (orders.refuse, orders.left) = (Some((place, answer)), None);
        orders.refused = 0;
    }

    /// The next `times` times this is refused.
    pub fn refuse_times(&self, place: Place, answer: Answer, times: usize) {
        self.refuse(place, answer);
        self.orders.lock().unwrap().left = Some(times);
    }

    /// Everything is passed on again.
    pub fn relent(&self) {
        self.orders.lock().unwrap().refuse = None;
    }

    /// How often something was refused since it was last asked for.
    pub fn refused(&self) -> usize {
        self.orders.lock().unwrap().refused
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.cut.send(()).unwrap();
    }

    /// All statements since the last call.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.orders.lock().unwrap().seen)
    }
}

/// One connection.
struct Link {
    client: TcpStream,
    path: PathBuf,
    orders: Arc<Mutex<Orders>>,
    /// The text of each prepared statement.
    prepared: HashMap<Vec<u8>, String>,
    /// Requests that PostgreSQL has not ended yet.
    pending: usize,
}

impl Link {
    fn new(client: TcpStream, path: PathBuf, orders: Arc<Mutex<Orders>>) -> Self {
        Self {
            client,
            path,
            orders,
            prepared: HashMap::new(),
            pending: 0,
        }
    }

    async fn run(mut self) -> std::io::Result<()> {
        let mut server = UnixStream::connect(&self.path).await?;
        // The first message has no type.
        let length = self.client.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        self.client.read_exact(&mut startup).await?;
        let parts: Vec<&[u8]> = startup[4..].split(|b| *b == 0).collect();
        let name = parts
            .iter()
            .position(|part| *part == b"application_name")
            .map(|at| String::from_utf8_lossy(parts[at + 1]).into_owned())
            .unwrap_or_default();
        let at_login = |place| matches!(place, Place::Login(prefix) if name.starts_with(prefix));
        let refusal = self.orders.lock().unwrap().take(at_login);
        match refusal {
            Some(Answer::Error(code)) => return self.client.write_all(&error(code)).await,
            Some(Answer::EndAfter) => return Ok(()),
            None => {}
        }
        server.write_u32(length).await?;
        server.write_all(&startup).await?;
        // The login ends with a ReadyForQuery, too.
        self.pending = 1;
        let mut buffer = vec![0; 16 * 1024];
        let mut answers = Vec::new();
        let mut first = [0];
        loop {
            tokio::select! {
                read = self.client.read(&mut first) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    let body = message(&mut self.client).await?;
                    self.ask(first[0], body, &mut server, &mut answers).await?;
                }
                read = server.read(&mut buffer) => {
                    let n = read?;
                    if n == 0 {
                        return Ok(());
                    }
                    self.client.write_all(&buffer[..n]).await?;
                    self.count(&buffer[..n], &mut answers);
                }
            }
        }
    }

    /// Counts the answers that have ended.
    fn count(&mut self, bytes: &[u8], answers: &mut Vec<u8>) {
        answers.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(head) = answers.get(at..at + 5) {
            let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
            if answers.len() < at + 1 + length {
                break;
            }
            if head[0] == b'Z' {
                self.pending -= 1;
            }
            at += 1 + length;
        }
        answers.drain(..at);
    }

    /// Everything that was asked before has been answered.
    async fn settle(
        &mut self,
        server: &mut UnixStream,
        answers: &mut Vec<u8>,
        pass: bool,
    ) -> std::io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        while self.pending > 0 {
            let n = server.read(&mut buffer).await?;
            if n == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if pass {
                self.client.write_all(&buffer[..n]).await?;
            }
            self.count(&buffer[..n], answers);
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        kind: u8,
        body: Vec<u8>,
        server: &mut UnixStream,
        answers: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let text = match kind {
            b'Q' => Some(String::from_utf8_lossy(&body).into_owned()),
            b'P' => {
                let mut parts = body.splitn(3, |b| *b == 0);
                let name = parts.next().unwrap_or_default().to_vec();
                let sql = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
                self.prepared.insert(name, sql.clone());
                Some(sql)
            }
            b'B' => {
                let name = body.split(|b| *b == 0).nth(1).unwrap_or_default();
                self.prepared.get(name).cloned()
            }
            _ => None,
        };
        let refusal = text.and_then(|text| {
            let mut orders = self.orders.lock().unwrap();
            orders.seen.push(text.clone());
            orders.take(|place| matches!(place, Place::Statement(part) if text.contains(part)))
        });
        match refusal {
            None => {
                self.pending += usize::from(matches!(kind, b'Q' | b'S'));
                pass(server, kind, &body).await
            }
            Some(Answer::Error(code)) => {
                self.settle(server, answers, true).await?;
                // Nothing of the request reaches PostgreSQL.
                let mut kind = kind;
                while !matches!(kind, b'Q' | b'S') {
                    kind = self.client.read_u8().await?;
                    message(&mut self.client).await?;
                }
                // A commit that fails has rolled back.
                if body.starts_with(b"COMMIT") {
                    pass(server, b'Q', b"ROLLBACK\0").await?;
                    self.pending += 1;
                    self.settle(server, answers, false).await?;
                }
                let mut answer = error(code);
                answer.extend_from_slice(b"Z\0\0\0\x05E");
                self.client.write_all(&answer).await
            }
            Some(Answer::EndAfter) => {
                self.settle(server, answers, true).await?;
                let (mut kind, mut body) = (kind, body);
                loop {
                    pass(server, kind, &body).await?;
                    if matches!(kind, b'Q' | b'S') {
                        break;
                    }
                    kind = self.client.read_u8().await?;
                    body = message(&mut self.client).await?;
                }
                self.pending += 1;
                self.settle(server, answers, false).await?;
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        }
    }
}

/// The rest of a message whose type has been read.
async fn message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn pass(to: &mut UnixStream, kind: u8, body: &[u8]) -> std::io::Result<()> {
    to.write_u8(kind).await?;
    to.write_u32(body.len() as u32 + 4).await?;
    to.write_all(body).await
}

fn error(code: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{code}\0Mrefused by the test\0\0");
    let mut message = vec![b'E'];
    message.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(fields.as_bytes());
    message
}
