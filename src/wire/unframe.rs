//! Takes the server's own frames apart again, for the transports that are no WebSocket. A message passes in parts as it
//! comes, so one of any size is never in memory. Bytes in, parts out; no I/O.
//!
//! It relies on what [`super::message`] writes: `type` is the first member, a cursor comes before any list, and what says
//! that a batch or a snapshot ends is the last member.

use bytes::{Buf, Bytes};

use super::close::{CloseCode, CloseReason};
use super::frame::{LEN_16, LEN_64, Opcode};

/// What begins a message.
const TYPE: &[u8] = br#"{"type":""#;
/// In front of a cursor. It is in no JSON string, for there each quotation mark has a backslash before it.
const CURSOR: &[u8] = br#""cursor":""#;
/// How the last message of a batch ends.
const LAST: &[u8] = br#""last":true}"#;
/// How the last message of a snapshot ends.
const WHOLE: &[u8] = br#""more":false}"#;
/// Bytes at the end of a message that may have to be looked at.
const TAIL_BYTES: usize = if LAST.len() > WHOLE.len() {
    LAST.len()
} else {
    WHOLE.len()
};
/// Bytes in which the cursor has to be found; above the longest one that plank reads.
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// What a message is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its `type`.
    pub kind: String,
    /// Its cursor, if it has one.
    pub cursor: Option<String>,
}

/// A part of what the server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A message begins. All of its text follows.
    Begin(Head),
    /// Some of it.
    Text(Bytes),
    /// It has ended. True: a client may come back with its cursor.
    End(bool),
    /// A ping.
    Ping,
    /// The end.
    Close(Option<CloseReason>),
}

/// What the bytes that come next are.
#[derive(Debug)]
enum State {
    /// A header, as far as it has come.
    Header(Vec<u8>),
    /// The beginning of a message, as far as it has come, and how many bytes are missing behind it.
    Head(Vec<u8>, u64),
    /// The beginning as text: it has been announced.
    Announced(Bytes, u64),
    /// The rest of a message.
    Text(u64),
    /// A control frame, as far as it has come.
    Control(Opcode, Vec<u8>, u64),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Unframer {
    state: State,
    kind: String,
    /// The last bytes of the message so far.
    tail: Vec<u8>,
}

impl Default for Unframer {
    fn default() -> Self {
        Self {
            state: State::Header(Vec::new()),
            kind: String::new(),
            tail: Vec::new(),
        }
    }
}

impl Unframer {
    /// Whether nothing of a frame has come that has not been given out whole.
    pub fn is_between(&self) -> bool {
        matches!(&self.state, State::Header(bytes) if bytes.is_empty())
    }

    /// The next part of what is there; the bytes that it took are gone from `bytes`. None: more has to come.
    pub fn next(&mut self, bytes: &mut Bytes) -> Option<Part> {
        loop {
            match &mut self.state {
                State::Header(header) => {
                    self.state = loop {
                        if let Some((opcode, len)) = parse(header) {
                            break match opcode {
                                Opcode::Text => State::Head(Vec::new(), len),
                                other => State::Control(other, Vec::new(), len),
                            };
                        }
                        if !bytes.has_remaining() {
                            return None;
                        }
                        header.push(bytes.get_u8());
                    };
                }
                State::Head(head, missing) => {
                    let n = take(bytes, missing);
                    head.extend_from_slice(&n);
                    let is_all = *missing == 0 || head.len() > HEAD_BYTES_MAX;
                    let found = read_head(head, is_all)?;
                    self.kind.clone_from(&found.kind);
                    self.tail.clear();
                    self.state = State::Announced(std::mem::take(head).into(), *missing);
                    return Some(Part::Begin(found));
                }
                State::Announced(text, missing) => {
                    let (text, missing) = (std::mem::take(text), *missing);
                    self.state = State::Text(missing);
                    self.remember(&text);
                    return Some(Part::Text(text));
                }
                State::Text(0) => {
                    self.state = State::Header(Vec::new());
                    return Some(Part::End(self.may_resume()));
                }
                State::Text(missing) => {
                    let text = take(bytes, missing);
                    if text.is_empty() {
                        return None;
                    }
                    self.remember(&text);
                    return Some(Part::Text(text));
                }
                State::Control(opcode, payload, missing) => {
                    payload.extend_from_slice(&take(bytes, missing));
                    if *missing > 0 {
                        return None;
                    }
                    let part = match opcode {
                        Opcode::Close => Part::Close(close_reason(payload)),
                        _ => Part::Ping,
                    };
                    self.state = State::Header(Vec::new());
                    return Some(part);
                }
            }
        }
    }

    fn remember(&mut self, text: &[u8]) {
        let new = &text[text.len().saturating_sub(TAIL_BYTES)..];
        self.tail.extend_from_slice(new);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    fn may_resume(&self) -> bool {
        match self.kind.as_str() {
            "changes" => self.tail.ends_with(LAST),
            "snapshot" => self.tail.ends_with(WHOLE),
            "subscribed" | "heartbeat" => true,
            _ => false,
        }
    }
}

/// As much of the `missing` bytes as there is.
fn take(bytes: &mut Bytes, missing: &mut u64) -> Bytes {
    let n = usize::try_from(*missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
    *missing -= n as u64;
    bytes.split_to(n)
}

/// Opcode and length of the frame whose header this is, if it is whole. The server fragments nothing and masks nothing.
fn parse(header: &[u8]) -> Option<(Opcode, u64)> {
    let [first, short, rest @ ..] = header else {
        return None;
    };
    let len = match *short {
        LEN_16 => u16::from_be_bytes(rest.try_into().ok()?).into(),
        LEN_64 => u64::from_be_bytes(rest.try_into().ok()?),
        short => short.into(),
    };
    Some((Opcode::from_first_byte(*first).unwrap_or(Opcode::Ping), len))
}

/// What the message is that begins like this; `is_all`: nothing more of it will be shown.
fn read_head(head: &[u8], is_all: bool) -> Option<Head> {
    let quoted = |from: usize| {
        let text = head.get(from..)?;
        let end = text.iter().position(|b| *b == b'"')?;
        String::from_utf8(text[..end].to_vec()).ok()
    };
    let kind = quoted(TYPE.len());
    let has_cursor = |kind: &String| {
        matches!(
            kind.as_str(),
            "changes" | "snapshot" | "subscribed" | "heartbeat"
        )
    };
    let cursor = match &kind {
        Some(kind) if has_cursor(kind) => {
            let at = head.windows(CURSOR.len()).position(|w| w == CURSOR);
            at.and_then(|at| quoted(at + CURSOR.len()))
        }
        _ => None,
    };
    let is_missing = kind.as_ref().is_none_or(has_cursor) && cursor.is_none();
    if is_missing && !is_all {
        return None;
    }
    let kind = kind.unwrap_or_default();
    Some(Head { kind, cursor })
}

fn close_reason(payload: &[u8]) -> Option<CloseReason> {
    let (code, reason) = payload.split_first_chunk()?;
    Some(CloseReason {
        code: CloseCode::from_wire(u16::from_be_bytes(*code))?,
        reason: String::from_utf8_lossy(reason).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::TopicId;
    use crate::wire::frame;
    use crate::wire::message::{self, Changes, Refusal, ResetReason, SnapshotRows};

    /// Each message as its type, cursor, text and whether one may resume; control frames by name.
    fn read(bytes: &[u8], step: usize) -> Vec<(String, Option<String>, String, bool)> {
        let (mut unframer, mut seen) = (Unframer::default(), Vec::new());
        let mut open: Option<(Head, Vec<u8>)> = None;
        for piece in bytes.chunks(step) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(part) = unframer.next(&mut piece) {
                match part {
                    Part::Begin(head) => open = Some((head, Vec::new())),
                    Part::Text(text) => open.as_mut().unwrap().1.extend_from_slice(&text),
                    Part::End(may_resume) => {
                        let (head, text) = open.take().unwrap();
                        let text = String::from_utf8(text).unwrap();
                        seen.push((head.kind, head.cursor, text, may_resume));
                    }
                    Part::Ping => seen.push(("(ping)".into(), None, String::new(), false)),
                    Part::Close(reason) => {
                        let reason = reason.map(|r| format!("{} {}", r.code, r.reason));
                        seen.push(("(close)".into(), reason, String::new(), false));
                    }
                }
            }
            assert!(piece.is_empty());
        }
        assert!(unframer.is_between());
        seen
    }

    fn changes(rows: usize, last: bool) -> Bytes {
        let mut changes = Changes::new(TopicId(7), "C1");
        for i in 0..rows {
            changes.push(&format!(
                r#"{{"op":"insert","row":{{"i":{i},"t":"\"cursor\":\"no\" ],\"last\":true}}"}}}}"#
            ));
        }
        changes.finish(last)
    }

    fn snapshot(more: bool) -> Bytes {
        let mut rows = SnapshotRows::new("\"cursor\":\"no\"", TopicId(7), "C2");
        rows.push("{}");
        rows.finish(more)
    }

    #[test]
    fn every_message_of_the_server_is_read_however_it_is_cut() {
        let frames = [
            message::welcome("s"),
            message::heartbeat(Some("C0")),
            changes(1, false),
            changes(2_000, true),
            changes(0, true),
            snapshot(true),
            snapshot(false),
            message::reset("a", ResetReason::Epoch),
            message::error(&Refusal::of("a", "busy", "\"cursor\":\"no\"")),
            message::unsubscribed("a"),
            message::heartbeat(None),
            frame::close(CloseCode::RESTART, "{}"),
        ];
        let all = frames.concat();
        let whole = read(&all, all.len());
        for step in [1, 2, 3, 7, 100, 16 * 1024] {
            assert_eq!(read(&all, step), whole, "{step}");
        }
        let brief: Vec<_> = whole
            .iter()
            .map(|(kind, cursor, _, may_resume)| (kind.as_str(), cursor.as_deref(), *may_resume))
            .collect();
        assert_eq!(
            brief,
            [
                ("welcome", None, false),
                ("heartbeat", Some("C0"), true),
                ("(ping)", None, false),
                ("changes", Some("C1"), false),
                ("changes", Some("C1"), true),
                ("changes", Some("C1"), true),
                ("snapshot", Some("C2"), false),
                ("snapshot", Some("C2"), true),
                ("reset", None, false),
                ("error", None, false),
                ("unsubscribed", None, false),
                ("(ping)", None, false),
                ("(close)", Some("1012 {}"), false),
            ]
        );
        for (kind, _, text, _) in whole.iter().filter(|(kind, ..)| !kind.starts_with('(')) {
            let message: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(message["type"], kind.as_str());
        }
    }

    #[test]
    fn a_message_passes_in_parts() {
        let bytes = changes(2_000, true);
        let mut unframer = Unframer::default();
        let mut first = bytes.slice(..1_000);
        assert!(matches!(unframer.next(&mut first), Some(Part::Begin(_))));
        let Some(Part::Text(text)) = unframer.next(&mut first) else {
            panic!("its text")
        };
        assert!(text.len() > 900 && unframer.next(&mut first).is_none());
        assert!(!unframer.is_between());
    }
}
