//! The messages of `plank.v1` (docs/PROTOCOL.md): what clients may say, and the text of what the server says.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::feed::{Table, TopicId, json};
use crate::limits::{
    HEARTBEAT, SUBSCRIPTION_COLUMNS_BYTES_MAX, SUBSCRIPTION_COLUMNS_MAX, SUBSCRIPTION_ID_BYTES_MAX,
    TABLE_NAME_BYTES_MAX,
};

use super::frame;

/// The subprotocol that a client may offer.
pub const SUBPROTOCOL: &str = "plank.v1";

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Start a subscription.
    Subscribe(Subscribe),
    /// End the subscription of this id.
    Unsubscribe(String),
    /// Asks for a `pong`.
    Ping,
}

/// A subscription as a client asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe {
    /// The client's own name for it.
    pub id: String,
    /// The table, as a `regclass`.
    pub table: String,
    /// The columns; none for all.
    pub columns: Option<Vec<String>>,
}

impl Subscribe {
    /// Bounds what waits for the hub.
    ///
    /// # Errors
    /// The refusal names the member that is too long.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |message: String| Err(Refusal::of(&self.id, "bad_message", message));
        let columns = self.columns.as_deref().unwrap_or_default();
        let bytes: usize = columns.iter().map(String::len).sum();
        match () {
            () if self.table.len() > TABLE_NAME_BYTES_MAX => refuse(format!(
                "table has {} bytes; at most {TABLE_NAME_BYTES_MAX} are allowed",
                self.table.len()
            )),
            () if columns.len() > SUBSCRIPTION_COLUMNS_MAX
                || bytes > SUBSCRIPTION_COLUMNS_BYTES_MAX =>
            {
                refuse(format!(
                    "columns names {} columns in {bytes} bytes; at most {SUBSCRIPTION_COLUMNS_MAX} in \
                 {SUBSCRIPTION_COLUMNS_BYTES_MAX} are allowed",
                    columns.len()
                ))
            }
            () => Ok(()),
        }
    }
}

/// Why a message can't be served: the `error` that goes back. The socket stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The subscription that the message was about, where it named one.
    pub id: Option<String>,
    /// For programs; the list is in docs/PROTOCOL.md.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal about the subscription `id`.
    pub fn of(id: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            id: Some(id.to_owned()),
            code,
            message: message.into(),
        }
    }
}

impl ClientMessage {
    /// Reads a text message. Unknown members are ignored.
    ///
    /// # Errors
    /// The refusal names the member that is missing or wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = |id: Option<String>, code, message: String| Refusal { id, code, message };
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|e| {
            refuse(
                None,
                "bad_message",
                format!("the message is no JSON object: {e}"),
            )
        })?;
        let id = string("id", fields.id).map_err(|m| refuse(None, "bad_message", m))?;
        let bad = |message: String| refuse(id.clone(), "bad_message", message);
        let kind = string("type", fields.kind)
            .map_err(bad)?
            .ok_or_else(|| bad("type is missing".into()))?;
        let id_of = |id: &Option<String>| match id {
            None => Err(bad("id is missing".into())),
            Some(id) if id.len() > SUBSCRIPTION_ID_BYTES_MAX => Err(bad(format!(
                "id has {} bytes; at most {SUBSCRIPTION_ID_BYTES_MAX} are allowed",
                id.len()
            ))),
            Some(id) => Ok(id.clone()),
        };
        match kind.as_str() {
            "ping" => Ok(Self::Ping),
            "unsubscribe" => Ok(Self::Unsubscribe(id_of(&id)?)),
            "subscribe" => {
                for (name, value) in [
                    ("since", fields.since),
                    ("snapshot", fields.snapshot),
                    ("filter", fields.filter),
                ] {
                    if value.is_some_and(|v| !matches!(v.get(), "null" | "false" | "\"\"")) {
                        let message = format!("{name} is not served by this version of plank");
                        return Err(refuse(id.clone(), "unsupported", message));
                    }
                }
                let table = string("table", fields.table).map_err(bad)?;
                let wanted = Subscribe {
                    id: id_of(&id)?,
                    table: table.ok_or_else(|| bad("table is missing".into()))?,
                    columns: columns(fields.columns).map_err(bad)?,
                };
                wanted.check()?;
                Ok(Self::Subscribe(wanted))
            }
            other => {
                let message = format!(
                    "there is no message type {other:?}; the types are subscribe, unsubscribe and ping"
                );
                Err(refuse(id.clone(), "unknown_type", message))
            }
        }
    }
}

/// Members are taken as raw text first, so that an error can name the one that is wrong.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    table: Option<&'a RawValue>,
    #[serde(borrow)]
    columns: Option<&'a RawValue>,
    #[serde(borrow)]
    since: Option<&'a RawValue>,
    #[serde(borrow)]
    snapshot: Option<&'a RawValue>,
    #[serde(borrow)]
    filter: Option<&'a RawValue>,
}

fn string(name: &str, value: Option<&RawValue>) -> Result<Option<String>, String> {
    let Some(value) = value else { return Ok(None) };
    serde_json::from_str(value.get()).map_err(|_| format!("{name} has to be a string"))
}

fn columns(value: Option<&RawValue>) -> Result<Option<Vec<String>>, String> {
    let Some(value) = value else { return Ok(None) };
    serde_json::from_str(value.get())
        .map_err(|_| String::from("columns has to be a list of strings"))
}

/// A JSON string of `text`.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    json::push_string(&mut out, text);
    out
}

/// The first message of a session.
pub fn welcome(session: &str) -> Bytes {
    let (version, heartbeat_s) = (env!("CARGO_PKG_VERSION"), HEARTBEAT.as_secs());
    frame::text(
        format!(
            r#"{{"type":"welcome","protocol":"{SUBPROTOCOL}","session":"{session}","server":"plank/{version}","heartbeat_s":{heartbeat_s}}}"#
        )
        .as_bytes(),
    )
}

/// A subscription is live: every write after this message is seen.
pub fn subscribed(id: &str, topic: TopicId, table: &Table, cursor: &str) -> Bytes {
    let (id, name) = (quoted(id), quoted(&table.quoted));
    // A list of strings always serialises.
    let key = serde_json::to_string(&table.key).unwrap_or_default();
    frame::text(
        format!(r#"{{"type":"subscribed","id":{id},"topic":"{topic}","table":{name},"key":{key},"cursor":"{cursor}"}}"#)
            .as_bytes(),
    )
}

/// A subscription has ended: the client asked for it, or the table is not watched any more.
pub fn unsubscribed(id: &str) -> Bytes {
    frame::text(format!(r#"{{"type":"unsubscribed","id":{}}}"#, quoted(id)).as_bytes())
}

/// Why the stream of a subscription can't go on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The cursor is of another log, cluster or timeline.
    Epoch,
    /// The table has changed in a way that its rows can't be followed through.
    Schema,
}

impl ResetReason {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Schema => "schema",
        }
    }
}

/// What the client has of this subscription is void.
pub fn reset(id: &str, reason: ResetReason) -> Bytes {
    frame::text(
        format!(
            r#"{{"type":"reset","id":{},"reason":"{}"}}"#,
            quoted(id),
            reason.as_str()
        )
        .as_bytes(),
    )
}

/// A message was refused; the socket stays open.
pub fn error(refusal: &Refusal) -> Bytes {
    let id = refusal
        .id
        .as_ref()
        .map(|id| format!("\"id\":{},", quoted(id)))
        .unwrap_or_default();
    let message = quoted(&refusal.message);
    frame::text(
        format!(
            r#"{{"type":"error",{id}"code":"{}","message":{message}}}"#,
            refusal.code
        )
        .as_bytes(),
    )
}

/// The answer to a `ping` message.
pub fn pong() -> Bytes {
    frame::text(br#"{"type":"pong"}"#)
}

/// Holds for all subscriptions of a socket: everything up to `cursor` has been sent. A ping frame goes with it, whose
/// answer shows that the client lives.
pub fn heartbeat(cursor: Option<&str>) -> Bytes {
    let mut frames = cursor.map_or_else(Vec::new, |cursor| {
        frame::text(format!(r#"{{"type":"heartbeat","cursor":"{cursor}"}}"#).as_bytes()).to_vec()
    });
    frames.extend_from_slice(&frame::ping(b""));
    frames.into()
}

/// A `changes` message that is being written. `last` is known only at its end, so it stands there.
#[derive(Debug)]
pub struct Changes {
    text: String,
    count: usize,
}

impl Changes {
    /// Begins a message.
    pub fn new(topic: TopicId, cursor: &str) -> Self {
        Self {
            text: format!(
                r#"{{"type":"changes","topic":"{topic}","cursor":"{cursor}","changes":["#
            ),
            count: 0,
        }
    }

    /// Appends one change, as JSON text.
    pub fn push(&mut self, change: &str) {
        if self.count > 0 {
            self.text.push(',');
        }
        self.count += 1;
        self.text.push_str(change);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Changes so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there is no change in it yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The frame. `last`: the batch ends with it.
    pub fn finish(mut self, last: bool) -> Bytes {
        self.text.push_str(if last {
            r#"],"last":true}"#
        } else {
            r#"],"last":false}"#
        });
        frame::text(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn refused(text: &str) -> (Option<String>, &'static str, String) {
        let refusal = ClientMessage::parse(text).unwrap_err();
        (refusal.id, refusal.code, refusal.message)
    }

    #[test]
    fn messages_are_read_and_unknown_members_ignored() {
        let parse = |text| ClientMessage::parse(text).unwrap();
        assert_eq!(parse(r#"{"type":"ping","x":1}"#), ClientMessage::Ping);
        assert_eq!(
            parse(r#"{"type":"unsubscribe","id":"a"}"#),
            ClientMessage::Unsubscribe("a".into())
        );
        let expected = Subscribe {
            id: "a".into(),
            table: "t".into(),
            columns: Some(vec!["id".into()]),
        };
        let text = r#"{"type":"subscribe","id":"a","table":"t","columns":["id"],"snapshot":false,"since":null}"#;
        assert_eq!(parse(text), ClientMessage::Subscribe(expected));
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let cases = [
            ("", "bad_message", "no JSON object"),
            ("[]", "bad_message", "no JSON object"),
            ("{}", "bad_message", "type is missing"),
            (r#"{"type":1}"#, "bad_message", "type has to be a string"),
            (r#"{"type":"nope"}"#, "unknown_type", "\"nope\""),
            (
                r#"{"type":"subscribe","table":"t"}"#,
                "bad_message",
                "id is missing",
            ),
            (
                r#"{"type":"subscribe","id":"a"}"#,
                "bad_message",
                "table is missing",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":7}"#,
                "bad_message",
                "table has to be",
            ),
            (
                r#"{"type":"subscribe","id":7,"table":"t"}"#,
                "bad_message",
                "id has to be",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":"t","columns":"id"}"#,
                "bad_message",
                "columns has to be",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":"t","filter":"a=eq.1"}"#,
                "unsupported",
                "filter",
            ),
        ];
        for (text, code, part) in cases {
            let (_, got, message) = refused(text);
            assert!(
                got == code && message.contains(part),
                "{text}: {got} {message}"
            );
        }
        assert_eq!(
            refused(r#"{"type":"subscribe","id":"a"}"#).0.as_deref(),
            Some("a")
        );
        let long = format!(
            r#"{{"type":"unsubscribe","id":"{}"}}"#,
            "x".repeat(SUBSCRIPTION_ID_BYTES_MAX + 1)
        );
        assert!(refused(&long).2.contains("65 bytes"));
    }

    fn payload(frame: &Bytes) -> Value {
        let at = frame.iter().position(|b| *b == b'{').unwrap();
        serde_json::from_slice(&frame[at..]).unwrap()
    }

    #[test]
    fn what_clients_send_comes_back_quoted() {
        let id = "a\"\\\u{1}ü";
        for frame in [
            unsubscribed(id),
            reset(id, ResetReason::Schema),
            error(&Refusal::of(id, "unknown_table", "there is no \"t\"")),
        ] {
            assert_eq!(payload(&frame)["id"], id);
        }
        assert_eq!(
            payload(&error(&Refusal {
                id: None,
                code: "x",
                message: "\u{7f}\n".into()
            }))
            .get("id"),
            None
        );
    }

    #[test]
    fn a_batch_says_where_it_ends() {
        let mut changes = Changes::new(TopicId(7), "C");
        changes.push("{}");
        changes.push("{}");
        assert_eq!((changes.count(), changes.is_empty()), (2, false));
        assert_eq!(payload(&changes.finish(false))["last"], false);
        let empty = payload(&Changes::new(TopicId(7), "C").finish(true));
        assert_eq!(
            (&empty["last"], &empty["changes"]),
            (&Value::Bool(true), &Value::Array(vec![]))
        );
    }

    #[test]
    fn a_heartbeat_brings_a_ping() {
        assert_eq!(&heartbeat(None)[..], [0x89, 0]);
        assert!(heartbeat(Some("C")).ends_with(&[0x89, 0]));
    }
}
