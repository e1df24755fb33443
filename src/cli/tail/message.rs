//! What is said to the server and by it, as far as `plank tail` needs it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// The id of the one subscription.
const ID: &str = "tail";

/// What to subscribe to.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// As the user wrote it.
    pub table: String,
    /// Passed through.
    pub filter: Option<String>,
    /// None for all.
    pub columns: Option<Vec<String>>,
    /// Whether the rows are wanted too.
    pub snapshot: bool,
    /// The order of a window, and how many rows it has.
    pub window: Option<(String, u32)>,
}

impl Request {
    /// The message that asks for it, behind a cursor.
    pub fn subscribe(&self, since: Option<&str>) -> String {
        let Request {
            table,
            filter,
            columns,
            snapshot,
            window,
        } = self;
        let (order, limit) = (window.as_ref()).map_or((None, None), |(o, l)| (Some(o), Some(l)));
        let mut message = json!({"type": "subscribe", "id": ID, "table": table});
        // Only what is asked for: an older server refuses a member that it does not serve.
        for (name, value) in [
            ("filter", filter.as_ref().map(|f| json!(f))),
            ("columns", columns.as_ref().map(|c| json!(c))),
            ("order", order.map(|o| json!(o))),
            ("limit", limit.map(|l| json!(l))),
            ("since", since.map(|c| json!(c))),
            ("snapshot", snapshot.then(|| json!(true))),
        ] {
            if let Some(value) = value {
                message[name] = value;
            }
        }
        message.to_string()
    }
}

/// The first look at a message: one of an unknown type may have any members.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
}

/// The members of all messages that matter here.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub protocol: Option<Cow<'a, str>>,
    pub heartbeat_s: Option<u64>,
    #[serde(borrow)]
    pub topic: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub table: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub cursor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
    #[serde(default)]
    pub last: bool,
    #[serde(default)]
    pub more: bool,
    #[serde(borrow, default)]
    pub changes: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    pub rows: Vec<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// Reads one; none of a type that a client may ignore.
    ///
    /// # Errors
    /// If it is no message of plank.v1. The text is for people.
    pub fn read(text: &'a str) -> Result<Option<(Cow<'a, str>, Self)>, String> {
        const KNOWN: &[&str] = &[
            "welcome",
            "subscribed",
            "snapshot",
            "changes",
            "heartbeat",
            "reset",
            "unsubscribed",
            "error",
        ];
        let Ok(Kind { kind }) = serde_json::from_str(text) else {
            return Err("the server sent what is no message of plank.v1".into());
        };
        if !KNOWN.contains(&&*kind) {
            return Ok(None);
        }
        match serde_json::from_str(text) {
            Ok(message) => Ok(Some((kind, message))),
            Err(error) => Err(format!(
                "the server sent a message {kind:?} that can't be read: {error}"
            )),
        }
    }
}
