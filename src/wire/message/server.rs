//! What the server says, as whole frames.

use bytes::Bytes;

use crate::feed::{Table, TopicId, json};
use crate::limits::HEARTBEAT;

use super::super::frame;
use super::{Refusal, SUBPROTOCOL};

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

/// A subscription is live: every write after this message is seen. `key` names the columns that tell its rows apart.
pub fn subscribed(id: &str, topic: TopicId, table: &Table, key: &[String], cursor: &str) -> Bytes {
    let (id, name) = (quoted(id), quoted(&table.quoted));
    // A list of strings always serialises.
    let key = serde_json::to_string(key).unwrap_or_default();
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
    /// What has been missed is not in the log any more.
    Expired,
    /// The cursor is of another log, cluster or timeline.
    Epoch,
    /// The table has changed in a way that its rows can't be followed through.
    Schema,
    /// A window, or counts, are not in the log: they come anew.
    Window,
}

impl ResetReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Expired, Self::Epoch, Self::Schema, Self::Window];

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Epoch => "epoch",
            Self::Schema => "schema",
            Self::Window => "window",
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

/// The client is who it says it is, until `exp`, in seconds of Unix time; and for how many seconds by this clock, since that of the
/// client may be wrong.
pub fn authenticated(sub: &str, exp: u64, expires_in_s: u64) -> Bytes {
    let sub = quoted(sub);
    frame::text(
        format!(
            r#"{{"type":"authenticated","sub":{sub},"exp":{exp},"expires_in":{expires_in_s}}}"#
        )
        .as_bytes(),
    )
}

/// The answer to a `ping` message: at once, or, about a subscription, behind all that it has missed.
pub fn pong(id: Option<&str>) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!(r#","id":{}"#, quoted(id)));
    frame::text(format!(r#"{{"type":"pong"{id}}}"#).as_bytes())
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

/// A `snapshot` message that is being written. Whether there is more is known only at its end, so it stands there.
#[derive(Debug)]
pub struct SnapshotRows {
    text: String,
    count: usize,
}

impl SnapshotRows {
    /// Begins a message of the subscription `id`.
    pub fn new(id: &str, topic: TopicId, cursor: &str) -> Self {
        let id = quoted(id);
        Self {
            text: format!(
                r#"{{"type":"snapshot","id":{id},"topic":"{topic}","cursor":"{cursor}","rows":["#
            ),
            count: 0,
        }
    }

    /// Appends one row, as JSON text.
    pub fn push(&mut self, row: &str) {
        if self.count > 0 {
            self.text.push(',');
        }
        self.count += 1;
        self.text.push_str(row);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The frame. `more`: the snapshot goes on.
    pub fn finish(mut self, more: bool) -> Bytes {
        self.text.push_str(if more {
            r#"],"more":true}"#
        } else {
            r#"],"more":false}"#
        });
        frame::text(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn payload(frame: &Bytes) -> Value {
        let at = frame.iter().position(|b| *b == b'{').unwrap();
        serde_json::from_slice(&frame[at..]).unwrap()
    }

    #[test]
    fn what_clients_send_comes_back_quoted() {
        let id = "a\"\\\u{1}ü";
        for frame in [
            unsubscribed(id),
            pong(Some(id)),
            reset(id, ResetReason::Schema),
            error(&Refusal::of(id, "unknown_table", "there is no \"t\"")),
        ] {
            assert_eq!(payload(&frame)["id"], id);
        }
        assert_eq!(
            payload(&error(&Refusal {
                id: None,
                code: "x",
                message: "\u{7f}\n".into(),
                field: None,
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
