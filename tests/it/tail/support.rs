//! A `plank tail` that runs, and a server that says what a test wants.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::support::program::command;
use crate::support::within;

/// See the module's documentation. Killed with this value.
pub struct Tail {
    child: Child,
    out: Option<Lines<BufReader<ChildStdout>>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    /// Starts one.
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(command(&[&["tail"], args].concat()))
    }

    /// The same on a terminal, whose other end the test has.
    pub fn on_terminal(mut command: Command, terminal: OwnedFd) -> Self {
        command.stdout(Stdio::from(terminal));
        Self::spawn(command)
    }

    /// Starts a prepared one.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            out: child.stdout.take().map(|out| BufReader::new(out).lines()),
            err: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
        }
    }

    /// The next line.
    pub async fn line(&mut self) -> String {
        let line = self.out.as_mut().unwrap().next_line();
        within("a line", line)
            .await
            .unwrap()
            .expect("a line, not the end")
    }

    /// The next line as JSON.
    pub async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// Reads what it says until a line has `part`; that line.
    pub async fn says(&mut self, part: &str) -> String {
        let mut said = String::new();
        while let Some(line) = within(part, self.err.next_line()).await.unwrap() {
            if line.contains(part) {
                return line;
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("{part:?} was not said, but:\n{said}")
    }

    /// Nobody reads its lines any more.
    pub fn close(&mut self) {
        self.out = None;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap() as i32), signal).unwrap();
    }

    /// Its exit status; nobody reads what it prints meanwhile.
    pub async fn end_unread(mut self) -> Option<i32> {
        let ended = within("the end of plank tail", self.child.wait()).await;
        ended.unwrap().code()
    }

    /// Its exit status, the lines that were left, and what was left of what it said.
    pub async fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        let work = async {
            let (mut lines, mut said) = (Vec::new(), String::new());
            // Both at once: a full pipe would keep it from ending.
            let out = async {
                while let Some(out) = &mut self.out
                    && let Ok(Some(line)) = out.next_line().await
                {
                    lines.push(line);
                }
            };
            let err = async {
                while let Ok(Some(line)) = self.err.next_line().await {
                    said.push_str(&line);
                    said.push('\n');
                }
            };
            tokio::join!(out, err);
            (self.child.wait().await.unwrap().code(), lines, said)
        };
        within("the end of plank tail", work).await
    }
}

/// A server of one table that says what a test wants, on one connection after the other.
pub struct Scripted {
    listener: TcpListener,
    /// For `--url`.
    pub url: String,
}

/// One of its connections.
pub struct Said<S> {
    socket: WebSocketStream<S>,
    /// What the client has asked for.
    pub subscribe: Value,
}

impl Scripted {
    /// On a port that the system chose.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next connection, before anything is said.
    pub async fn accept(&self) -> TcpStream {
        within("a connection", self.listener.accept())
            .await
            .unwrap()
            .0
    }

    /// The next client, which has subscribed.
    pub async fn subscriber(&self) -> Said<TcpStream> {
        Said::open(self.accept().await).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Said<S> {
    /// Shakes hands, says welcome and reads the subscription.
    pub async fn open(stream: S) -> Self {
        let accept = tokio_tungstenite::accept_async(stream);
        let mut this = Self {
            socket: within("a handshake", accept).await.unwrap(),
            subscribe: Value::Null,
        };
        this.say(json!({"type": "welcome", "protocol": "plank.v1", "session": "s", "server": "t", "heartbeat_s": 1}))
            .await;
        let Some(Ok(Message::Text(text))) = within("subscribe", this.socket.next()).await else {
            panic!("no subscription")
        };
        this.subscribe = serde_json::from_str(&text).unwrap();
        this
    }

    /// Says something.
    pub async fn say(&mut self, message: Value) {
        let text = Message::text(message.to_string());
        within("a send", self.socket.send(text)).await.unwrap();
    }

    /// That the subscription is live.
    pub async fn subscribed(&mut self, cursor: &str) {
        self.say(json!({"type": "subscribed", "id": "tail", "topic": "t1", "table": "public.t", "key": ["id"], "cursor": cursor}))
            .await;
    }

    /// Inserts with these ids.
    pub async fn changes(&mut self, cursor: &str, ids: &[u32], last: bool) {
        let change = |id| json!({"op": "insert", "key": {"id": id}, "row": {"id": id}, "seq": id, "xid": "1", "at": "2026-11-23T17:56:47Z"});
        let changes: Vec<Value> = ids.iter().map(change).collect();
        self.say(json!({"type": "changes", "topic": "t1", "cursor": cursor, "changes": changes, "last": last}))
            .await;
    }

    /// Closes with a code, and waits for the answer.
    pub async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        within("a close", self.socket.close(Some(frame)))
            .await
            .unwrap();
        while let Some(Ok(_)) = within("the end", self.socket.next()).await {}
    }
}
