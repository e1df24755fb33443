//! `plank tail`: the changes of a table, as lines. A client of a running server, which comes back with its cursor.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use std::sync::atomic::Ordering;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::app::AppError;
use crate::limits::{TAIL_RETRY_FIRST, TAIL_RETRY_LONGEST, TAIL_SEND_MAX, TAIL_STEADY};
use crate::store::connect::chain;
use crate::wire::close::CloseCode;

mod address;
mod connect;
mod credential;
mod follow;
mod line;
mod message;
mod output;

// `plank doctor` goes the same way to a server.
pub(super) use address::{Address, Target};
pub(super) use connect::{Dialled, UNAUTHENTICATED, dial};
pub(super) use credential::Credential;

use connect::{ConnectError, Socket};
use follow::{End, Follow, Step};
use message::Request;
use output::{Format, Output, OutputError};

/// The settings of `plank tail`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each change is one JSON object on a line of its own, as the server sent it:\n  \
      {\"op\":\"update\",\"key\":{\"id\":1},\"row\":{...},\"seq\":3,\"xid\":\"733\",\"at\":\"2026-11-23T17:56:47.951812Z\"}\n\
    --snapshot puts lines of another form before them:\n  \
      {\"op\":\"row\",\"row\":{...}}              a row of the table\n  \
      {\"op\":\"reset\",\"reason\":\"expired\"}     forget all rows, they follow anew\n\
    --order and --limit follow the first rows in an order, a window: its rows, and how they change. \"index\" is the place of a row \
    in it, from 0 (#0 in text); a row that another one pushes out is a delete with \"cause\":\"window\".\n\
    What else there is to say goes to standard error. A lost connection is made again, and nothing is printed twice, but \
    for a batch above 64 MiB that is cut off in the middle.\n\n\
    Examples:\n  \
      plank tail items\n  \
      plank tail orders --snapshot --columns id,total > orders.jsonl\n  \
      plank tail orders --order placed_at.desc --limit 10\n  \
      plank tail order_board                    a live query, by its name\n  \
      plank tail 'sales.\"Order Lines\"' --url https://plank.example | jq .row"
)]
pub struct TailArgs {
    /// The table, as PostgreSQL reads a name: orders, sales.orders, 'sales."Order Lines"'; or a live query
    table: String,

    /// Only rows that match, as status=eq.open
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,

    /// Only these columns, as id,total; the key columns are always among them
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    columns: Option<Vec<String>>,

    /// Begin behind this cursor, with what has happened since [default: now]
    #[arg(long, value_name = "CURSOR")]
    since: Option<String>,

    /// The rows of the table first; with --since only if the cursor can't be served
    #[arg(long)]
    snapshot: bool,

    /// Only the first rows in this order, as placed_at.desc,id; with --limit
    #[arg(long, requires = "limit", value_name = "ORDER")]
    order: Option<String>,

    /// So many of them, up to 1000; with --order
    #[arg(long, requires = "order", value_name = "ROWS")]
    limit: Option<u32>,

    /// auto: text on a terminal, else json
    #[arg(long, default_value = "auto", value_parser = ["auto", "json", "text"], hide_possible_values = true, value_name = "auto|json|text")]
    format: String,

    /// The server: http://HOST:PORT, https://HOST, or unix:/PATH
    #[arg(
        long,
        env = "PLANK_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    url: String,

    /// A file with a token, where people have to log in; read again for each connection. The variable PLANK_TOKEN has the token itself
    #[arg(long, env = "PLANK_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// How one connection ended, or all of it.
enum Ended {
    /// The reader of standard output has gone.
    Closed,
    /// The user, or the machine, wants it so.
    Stopped,
    /// It can't go on.
    Failed(String),
    /// It goes on with another connection; perhaps the server said when.
    Lost(String, Option<Duration>),
}

impl From<OutputError> for Ended {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Closed => Self::Closed,
            OutputError::Failed(why) => {
                Self::Failed(format!("can't write to standard output: {why}"))
            }
        }
    }
}

/// Follows a table until it is stopped.
pub fn run(args: TailArgs) -> Result<(), AppError> {
    super::start_logger("error");
    let address = Address::parse(&args.url)?;
    let format = match args.format.as_str() {
        "json" => Some(Format::Json),
        "text" => Some(Format::Text),
        _ => None,
    };
    let request = Request {
        table: args.table,
        filter: args.filter,
        columns: args.columns.map(|names| {
            let names = names.iter().map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect()
        }),
        // A window is of no use without its rows.
        snapshot: args.snapshot || args.order.is_some(),
        window: args.order.zip(args.limit),
    };
    let mut tail = Tail {
        address,
        credential: Credential::new(args.token_file).map_err(AppError)?,
        follow: Follow::new(request, args.since),
        output: Output::new(format),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| AppError(format!("can't start: {e}")))?;
    let ended = runtime.block_on(tail.run());
    // Not waiting for a thread that writes to a reader that does not read.
    runtime.shutdown_background();
    ended
}

struct Tail {
    address: Address,
    credential: Credential,
    follow: Follow,
    output: Output,
}

impl Tail {
    async fn run(&mut self) -> Result<(), AppError> {
        let listen =
            |kind| signal(kind).map_err(|e| AppError(format!("can't listen for signals: {e}")));
        let mut term = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let hung_up = output::hung_up();
        let ended = tokio::select! {
            biased;
            _ = term.recv() => Ended::Stopped,
            _ = interrupt.recv() => Ended::Stopped,
            () = hung_up => Ended::Closed,
            ended = self.follow() => ended,
        };
        match ended {
            Ended::Failed(why) => Err(AppError(line::printable_text(&why))),
            Ended::Stopped => {
                if let Some(cursor) = self.follow.cursor() {
                    let said = format!("stopped; to go on from here: --since {cursor}");
                    let say = self.output.say(&said);
                    // A reader that does not read does not keep it from ending.
                    let _ = timeout(Duration::from_millis(100), say).await;
                }
                Ok(())
            }
            Ended::Closed | Ended::Lost(..) => Ok(()),
        }
    }

    /// One connection after the other.
    async fn follow(&mut self) -> Ended {
        let mut delay_max = TAIL_RETRY_FIRST;
        loop {
            let began = Instant::now();
            let (why, hint) = match self.connection().await {
                Ended::Lost(why, hint) => (why, hint),
                ended => return ended,
            };
            if began.elapsed() >= TAIL_STEADY {
                delay_max = TAIL_RETRY_FIRST;
            }
            let delay = match hint {
                // The server has spread its clients already.
                Some(hint) => hint.min(TAIL_RETRY_LONGEST),
                None => delay_max.mul_f64(fastrand::f64()),
            };
            delay_max = (delay_max * 2).min(TAIL_RETRY_LONGEST);
            if let Some(cut) = self.follow.lost() {
                self.output.say(&cut).await;
            }
            let (url, seconds) = (&self.address.shown, delay.as_secs_f64());
            let said = format!("{url}: {why}; trying again in {seconds:.1} s");
            self.output.say(&said).await;
            sleep(delay).await;
        }
    }

    /// From the dialling to the end of the socket.
    async fn connection(&mut self) -> Ended {
        let mut socket = match connect::connect(&self.address, &self.credential).await {
            Ok(socket) => socket,
            Err(ConnectError::Away(why)) => return Ended::Lost(why, None),
            Err(ConnectError::Fatal(why)) => {
                return Ended::Failed(format!("can't connect to {}: {why}", self.address.shown));
            }
        };
        loop {
            let message = match next(&mut socket, self.follow.silence_max()).await {
                Ok(message) => message,
                Err(ended) => return ended,
            };
            let step = match &message {
                Message::Text(text) => self.follow.take(text),
                Message::Close(frame) => {
                    return closed(frame.as_ref(), self.credential.may_change());
                }
                // A ping is answered by the reading itself.
                _ => continue,
            };
            drop(message);
            if let Err(ended) = self.step(&mut socket, step).await {
                return ended;
            }
        }
    }

    async fn step(&mut self, socket: &mut Socket, step: Step) -> Result<(), Ended> {
        if let Some(text) = &step.say {
            self.output.say(text).await;
        }
        self.output.print(step.lines).await?;
        self.follow.printed();
        if let Some(text) = step.send {
            match timeout(TAIL_SEND_MAX, socket.messages.send(Message::text(text))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(lost(&error)),
                Err(_) => return Err(Ended::Lost("it takes nothing".into(), None)),
            }
        }
        match step.end {
            Some(End::Failed(why)) => Err(Ended::Failed(why)),
            Some(End::Later(why)) => Err(Ended::Lost(why, None)),
            None => Ok(()),
        }
    }
}

/// The next message, for as long as bytes come.
async fn next(socket: &mut Socket, silence_max: Duration) -> Result<Message, Ended> {
    loop {
        let read = socket.read.load(Ordering::Relaxed);
        match timeout(silence_max, socket.messages.next()).await {
            Ok(Some(Ok(message))) => return Ok(message),
            Ok(Some(Err(error))) => return Err(lost(&error)),
            Ok(None) => return Err(Ended::Lost("the connection has ended".into(), None)),
            Err(_) if socket.read.load(Ordering::Relaxed) != read => {}
            Err(_) => {
                let seconds = silence_max.as_secs_f64();
                let why = format!("nothing came for {seconds} s, not even a heartbeat");
                return Err(Ended::Lost(why, None));
            }
        }
    }
}

fn lost(error: &Error) -> Ended {
    match error {
        // The same would come again.
        Error::Capacity(_) | Error::Utf8(_) => Ended::Failed(chain(error)),
        Error::ConnectionClosed | Error::AlreadyClosed => {
            Ended::Lost("the connection has ended".into(), None)
        }
        _ => Ended::Lost(chain(error), None),
    }
}

/// What a close frame says: come back, perhaps later, or not at all. `may_change`: by then there may be another token.
fn closed(frame: Option<&CloseFrame>, may_change: bool) -> Ended {
    let Some(frame) = frame else {
        return Ended::Lost("the server closed the connection".into(), None);
    };
    let code = u16::from(frame.code);
    let label = CloseCode::from_wire(code).map_or("other", CloseCode::label);
    let reason = frame.reason.as_str();
    let hint = serde_json::from_str::<serde_json::Value>(reason);
    let hint = hint.ok().and_then(|hint| hint.get("retry_ms")?.as_u64());
    let mut why = format!("the server closed the connection with {code} ({label})");
    if hint.is_none() && !reason.is_empty() {
        why.push_str(&format!(": {reason}"));
    }
    if code == CloseCode::UNAUTHENTICATED.get() {
        why = connect::UNAUTHENTICATED.into();
    }
    let code = CloseCode::from_wire(code);
    let is_over = may_change && code == Some(CloseCode::TOKEN_EXPIRED);
    match is_over || code.is_none_or(CloseCode::may_reconnect) {
        true => Ended::Lost(why, hint.map(Duration::from_millis)),
        false => Ended::Failed(why),
    }
}
