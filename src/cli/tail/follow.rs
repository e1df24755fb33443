//! What the server's messages mean: which batch is whole and may be printed, and with which cursor to come back. Knows no
//! socket and no terminal.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::json;

use crate::feed::catalog::QUERY_SCHEMA;
use crate::limits::{HEARTBEAT, TAIL_BATCH_BYTES_MAX, TAIL_HEARTBEAT_MAX};

use super::message::{Message, Request};

const PROTOCOL: &str = "plank.v1";
const FROM_NOW: &str = "from now on";

/// What a message asks for, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// For people.
    pub say: Option<String>,
    /// To print: each line ends with a newline. [`Follow::printed`] has to be told.
    pub lines: String,
    /// To send.
    pub send: Option<String>,
    /// The socket is of no more use.
    pub end: Option<End>,
}

/// How it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It would end in the same way again.
    Failed(String),
    /// Come back later.
    Later(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// For `subscribed`, or for rows.
    Waiting,
    /// Rows have come, more will.
    Rows,
    Live,
}

/// One subscription, over all its connections.
pub struct Follow {
    request: Request,
    /// With which to come back; none before there was any.
    cursor: Option<String>,
    /// The cursor behind the lines that are being printed.
    next: Option<String>,
    state: State,
    /// The name of the table, once it is known.
    name: Option<String>,
    topic: String,
    /// From where on it is followed, for people.
    from: &'static str,
    /// The lines of the batch that is not whole yet.
    held: String,
    /// How many bytes of it may be held.
    held_max: usize,
    /// Lines of it that have been printed, since it is too large.
    spilled: usize,
    /// Rows of a snapshot have been printed that was cut off.
    has_void_rows: bool,
    /// Rows of the snapshot that is being printed.
    rows: usize,
    heartbeat: Duration,
}

impl Follow {
    /// Begins at a cursor, or now.
    pub fn new(request: Request, since: Option<String>) -> Self {
        Self {
            request,
            cursor: since,
            next: None,
            state: State::Waiting,
            name: None,
            topic: String::new(),
            from: FROM_NOW,
            held: String::new(),
            held_max: TAIL_BATCH_BYTES_MAX,
            spilled: 0,
            has_void_rows: false,
            rows: 0,
            heartbeat: HEARTBEAT,
        }
    }

    /// With which cursor to come back.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Without a byte for this long the connection is dead.
    pub fn silence_max(&self) -> Duration {
        self.heartbeat * 5 / 2
    }

    /// The lines of the last step have been printed.
    pub fn printed(&mut self) {
        if let Some(next) = self.next.take() {
            self.cursor = Some(next);
        }
    }

    /// The connection has ended: what is not whole is thrown away, and comes again.
    pub fn lost(&mut self) -> Option<String> {
        self.has_void_rows |= self.state == State::Rows;
        self.state = State::Waiting;
        self.next = None;
        self.throw_away()
    }

    fn throw_away(&mut self) -> Option<String> {
        self.held = String::new();
        let spilled = std::mem::take(&mut self.spilled);
        (spilled > 0).then(|| {
            format!(
                "a batch above {} MiB was cut off: its first {spilled} changes may come again",
                self.held_max >> 20
            )
        })
    }

    /// Of a live query without its schema.
    fn name(&self) -> &str {
        let name = self.name.as_deref().unwrap_or(&self.request.table);
        let of_query = name.strip_prefix(QUERY_SCHEMA);
        of_query
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(name)
    }

    /// What a message asks for.
    pub fn take(&mut self, text: &str) -> Step {
        match Message::read(text) {
            Ok(Some((kind, message))) => self.take_known(&kind, message),
            Ok(None) => Step::default(),
            Err(why) => failed(&why),
        }
    }

    fn take_known(&mut self, kind: &str, message: Message<'_>) -> Step {
        match kind {
            "welcome" => self.welcome(&message),
            "subscribed" => self.subscribed(message),
            "snapshot" => self.snapshot(message),
            "changes" => self.changes(message),
            "heartbeat" => {
                // It holds between two batches, for a subscription that is live.
                if self.state == State::Live && self.held.is_empty() && self.spilled == 0 {
                    self.cursor = message.cursor.map(Cow::into_owned).or(self.cursor.take());
                }
                Step::default()
            }
            "reset" => self.reset(message.reason.as_deref().unwrap_or("unknown")),
            "unsubscribed" => failed(&format!("{} is not watched any more", self.name())),
            _ => self.error(&message),
        }
    }

    fn welcome(&mut self, message: &Message<'_>) -> Step {
        if message.protocol.as_deref() != Some(PROTOCOL) {
            return failed("the server does not speak plank.v1; use the plank tail of its version");
        }
        self.from = match self.cursor {
            Some(_) => "from the cursor",
            None => FROM_NOW,
        };
        let heartbeat = message.heartbeat_s.map(Duration::from_secs);
        self.heartbeat = heartbeat
            .unwrap_or(HEARTBEAT)
            .clamp(Duration::from_secs(1), TAIL_HEARTBEAT_MAX);
        Step {
            send: Some(self.request.subscribe(self.cursor())),
            ..Step::default()
        }
    }

    fn subscribed(&mut self, message: Message<'_>) -> Step {
        let is_first = self.name.is_none();
        let from = self.from;
        if let Some(table) = message.table {
            self.name = Some(table.into_owned());
        }
        self.topic = message.topic.map(Cow::into_owned).unwrap_or_default();
        self.cursor = message.cursor.map(Cow::into_owned).or(self.cursor.take());
        self.state = State::Live;
        let say = match is_first {
            true => format!("following {} {from}", self.name()),
            false => format!("following {} again, {from}", self.name()),
        };
        Step {
            say: Some(say),
            ..Step::default()
        }
    }

    /// Rows are printed as they come: a table may be of any size. Those of a snapshot that was cut off are taken back.
    fn snapshot(&mut self, message: Message<'_>) -> Step {
        let mut lines = String::new();
        if std::mem::take(&mut self.has_void_rows) {
            lines.push_str("{\"op\":\"reset\",\"reason\":\"cut\"}\n");
        }
        if self.state != State::Rows {
            self.rows = 0;
        }
        for row in message.rows {
            lines.push_str("{\"op\":\"row\",");
            if self.request.window.is_some() {
                lines.push_str(&format!("\"index\":{},", self.rows));
            }
            self.rows += 1;
            lines.push_str("\"row\":");
            push_on_one_line(&mut lines, row.get());
            lines.push_str("}\n");
        }
        self.state = State::Rows;
        if !message.more {
            self.state = State::Waiting;
            self.from = "behind its rows";
            self.next = message.cursor.map(Cow::into_owned);
        }
        Step {
            lines,
            ..Step::default()
        }
    }

    fn changes(&mut self, message: Message<'_>) -> Step {
        if message.topic.as_deref() != Some(&self.topic) || self.state != State::Live {
            return Step::default();
        }
        for change in &message.changes {
            push_on_one_line(&mut self.held, change.get());
            self.held.push('\n');
        }
        let mut step = Step::default();
        if message.last {
            self.spilled = 0;
            self.next = message.cursor.map(Cow::into_owned);
            step.lines = std::mem::take(&mut self.held);
        } else if self.spilled > 0 || self.held.len() > self.held_max {
            self.spilled += self.held.lines().count();
            step.lines = std::mem::take(&mut self.held);
        }
        step
    }

    fn reset(&mut self, reason: &str) -> Step {
        let cut = self.throw_away();
        self.state = State::Waiting;
        self.from = FROM_NOW;
        self.has_void_rows = false;
        let why = match reason {
            "expired" => "what was missed is not in the log any more",
            "epoch" => "the cursor is of another log, or what it stood for is gone",
            "schema" => "the table has changed in a way that can't be followed",
            "window" => "a window, and counts, begin anew with each connection",
            _ => "the stream is broken",
        };
        // Of a window, and of counts, the rows come whether or not they were asked for.
        let (then, lines) = match self.request.snapshot || reason == "window" {
            true => (
                "its rows follow",
                format!("{}\n", json!({"op": "reset", "reason": reason})),
            ),
            false => (
                "changes in between are lost, load the table again",
                String::new(),
            ),
        };
        let cut = cut.map(|cut| format!("{cut}\n")).unwrap_or_default();
        Step {
            say: Some(format!("{cut}reset ({reason}): {why}; {then}")),
            lines,
            ..Step::default()
        }
    }

    fn error(&self, message: &Message<'_>) -> Step {
        let code = message.code.as_deref().unwrap_or("error");
        let said = message.message.as_deref().unwrap_or(code);
        let end = match code {
            "busy" => End::Later(said.to_owned()),
            "unknown_table" => End::Failed(format!(
                "{said}; plank watch {} makes it live",
                self.request.table
            )),
            _ => End::Failed(format!("{said} ({code})")),
        };
        Step {
            end: Some(end),
            ..Step::default()
        }
    }
}

fn failed(why: &str) -> Step {
    Step {
        end: Some(End::Failed(why.to_owned())),
        ..Step::default()
    }
}

/// PostgreSQL passes a `json` value on as it was written, with its line breaks. Inside of a JSON string there are none,
/// so a blank means the same.
fn push_on_one_line(out: &mut String, json: &str) {
    match json.contains(['\n', '\r']) {
        true => out.push_str(&json.replace(['\n', '\r'], " ")),
        false => out.push_str(json),
    }
}

#[cfg(test)]
mod tests;
