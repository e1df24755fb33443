//! What clients may say.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::feed::filter::parse::parse as parse_filter;
use crate::feed::{Cursor, Expr, FilterError, WindowSpec};
use crate::limits::{
    SUBSCRIPTION_COLUMNS_BYTES_MAX, SUBSCRIPTION_COLUMNS_MAX, SUBSCRIPTION_ID_BYTES_MAX,
    TABLE_NAME_BYTES_MAX,
};

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Start a subscription.
    Subscribe(Subscribe),
    /// End the subscription of this id.
    Unsubscribe(String),
    /// Says who the client is.
    Auth(Token),
    /// Asks for a `pong`: at once, or when the subscription of this id is live, or when it has passed a cursor.
    Ping(Option<String>, Option<Cursor>),
}

/// A token, which is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

/// The code of a refusal that ends the session: its token will not do.
pub const BROKEN_CLAIM: &str = "broken_claim";

/// A subscription as a client asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe {
    /// The client's own name for it.
    pub id: String,
    /// The table, as a `regclass`.
    pub table: String,
    /// The columns; none for all.
    pub columns: Option<Vec<String>>,
    /// Which rows; none for all.
    pub filter: Option<Arc<Expr>>,
    /// Where the client was.
    pub since: Option<Cursor>,
    /// Or how far back from now it begins.
    pub back: Option<Duration>,
    /// Whether it wants the rows as well, at the beginning and after each `reset`.
    pub snapshot: bool,
    /// Whether the newest change of each key is enough when the client reads slowly.
    pub conflate: bool,
    /// Only the first rows in an order; none for all rows.
    pub window: Option<WindowSpec>,
}

/// Digits of a span: far longer than a log is kept.
const SPAN_DIGITS_MAX: usize = 6;

impl Subscribe {
    /// Where it begins: a cursor, or a minus and a span back from now.
    ///
    /// # Errors
    /// If it is neither. Whether plank has made a cursor is seen later, where it is known which log this is.
    pub fn set_since(&mut self, text: &str) -> Result<(), Refusal> {
        match text.strip_prefix('-') {
            Some(back) => {
                let why = format!(
                    "{text:?} is no span; it is a minus, up to {SPAN_DIGITS_MAX} digits, and s, m, h or d, as -90s or -1h"
                );
                self.back = Some(span(back).ok_or_else(|| Refusal::cursor(&self.id, why))?);
            }
            None => {
                let since = Cursor::parse(text).map_err(|e| Refusal::cursor(&self.id, e))?;
                self.since = Some(since);
            }
        }
        Ok(())
    }

    /// The columns as a query string lists them, with commas. A name with a comma, a quote or outer blanks is written in double
    /// quotes, with `""` for a quote.
    pub fn set_columns(&mut self, list: &str) {
        let (mut names, mut name, mut is_quoted) = (Vec::new(), String::new(), false);
        let mut was_quoted = false;
        let mut letters = list.chars().peekable();
        let end = |name: &mut String, was_quoted: &mut bool| {
            let name = std::mem::take(name);
            match std::mem::take(was_quoted) {
                true => name,
                false => name.trim().to_owned(),
            }
        };
        while let Some(letter) = letters.next() {
            match letter {
                '"' if is_quoted && letters.next_if_eq(&'"').is_some() => name.push('"'),
                '"' if is_quoted => is_quoted = false,
                '"' if name.trim().is_empty() && !was_quoted => {
                    name.clear();
                    (is_quoted, was_quoted) = (true, true);
                }
                ',' if !is_quoted => names.push(end(&mut name, &mut was_quoted)),
                // Blanks between a quoted name and the comma.
                ' ' if was_quoted && !is_quoted => {}
                letter => name.push(letter),
            }
        }
        names.push(end(&mut name, &mut was_quoted));
        self.columns = Some(names);
    }

    /// Reads a message `subscribe` outside of a WebSocket, where its `type` may be missing.
    ///
    /// # Errors
    /// See [`ClientMessage::parse`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match ClientMessage::parse_as(text, Some("subscribe"))? {
            ClientMessage::Subscribe(wanted) => Ok(wanted),
            _ => Err(Refusal {
                id: None,
                code: "bad_message",
                message: "type: only subscribe has a meaning here".into(),
                field: None,
            }),
        }
    }

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
    /// The member of the request that is wrong, where it is one.
    pub field: Option<String>,
}

impl Refusal {
    /// A refusal about the subscription `id`.
    pub fn of(id: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            id: Some(id.to_owned()),
            code,
            message: message.into(),
            field: None,
        }
    }

    /// It is about this member of the request.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The cursor of the subscription `id` is none, or not one of plank's own.
    pub fn cursor(id: &str, error: impl std::fmt::Display) -> Self {
        Self::of(id, "bad_cursor", format!("since: {error}"))
    }

    /// The filter of the subscription `id` can't be served.
    pub fn filter(id: &str, error: FilterError) -> Self {
        let FilterError { place, message } = error;
        Self::of(id, "bad_filter", format!("{place}: {message}")).at(place)
    }
}

impl ClientMessage {
    /// Reads a text message. Unknown members are ignored.
    ///
    /// # Errors
    /// The refusal names the member that is missing or wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse_as(text, None)
    }

    /// The same, where a message without a `type` is of the type `default`.
    fn parse_as(text: &str, default: Option<&str>) -> Result<Self, Refusal> {
        let refuse = |id: Option<String>, code, message: String| Refusal {
            id,
            code,
            message,
            field: None,
        };
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
            .or_else(|| default.map(str::to_owned))
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
            "ping" => {
                let text = string("cursor", fields.cursor).map_err(bad)?;
                let Some(text) = text else {
                    return match id {
                        None => Ok(Self::Ping(None, None)),
                        Some(_) => Ok(Self::Ping(Some(id_of(&id)?), None)),
                    };
                };
                let id = id_of(&id)?;
                let cursor = Cursor::parse(&text);
                let cursor = cursor.map_err(|e| Refusal::cursor(&id, e).at("cursor"))?;
                Ok(Self::Ping(Some(id), Some(cursor)))
            }
            "auth" => {
                let token = string("token", fields.token).map_err(bad)?;
                let token = token.ok_or_else(|| bad("token is missing".into()))?;
                Ok(Self::Auth(Token(token)))
            }
            "unsubscribe" => Ok(Self::Unsubscribe(id_of(&id)?)),
            "subscribe" => {
                let table = string("table", fields.table).map_err(bad)?;
                let filter = string("filter", fields.filter).map_err(bad)?;
                let id = id_of(&id)?;
                let filter = parse_filter(filter.as_deref().unwrap_or_default())
                    .map_err(|e| Refusal::filter(&id, e))?;
                let since = string("since", fields.since).map_err(bad)?;
                let order = string("order", fields.order).map_err(bad)?;
                let limit = fields
                    .limit
                    .map(RawValue::get)
                    .filter(|text| *text != "null");
                let mut wanted = Subscribe {
                    table: table.ok_or_else(|| bad("table is missing".into()))?,
                    columns: columns(fields.columns).map_err(bad)?,
                    filter: filter.map(Arc::new),
                    since: None,
                    back: None,
                    snapshot: flag("snapshot", fields.snapshot).map_err(bad)?,
                    conflate: flag("conflate", fields.conflate).map_err(bad)?,
                    window: None,
                    id,
                };
                if let Some(since) = since {
                    wanted.set_since(&since)?;
                }
                wanted.set_window(order.as_deref(), limit)?;
                wanted.check()?;
                Ok(Self::Subscribe(wanted))
            }
            other => {
                let message = format!(
                    "there is no message type {other:?}; the types are subscribe, unsubscribe, auth and ping"
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
    cursor: Option<&'a RawValue>,
    #[serde(borrow)]
    snapshot: Option<&'a RawValue>,
    #[serde(borrow)]
    conflate: Option<&'a RawValue>,
    #[serde(borrow)]
    filter: Option<&'a RawValue>,
    #[serde(borrow)]
    order: Option<&'a RawValue>,
    #[serde(borrow)]
    limit: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
}

fn string(name: &str, value: Option<&RawValue>) -> Result<Option<String>, String> {
    let Some(value) = value else { return Ok(None) };
    serde_json::from_str(value.get()).map_err(|_| format!("{name} has to be a string"))
}

/// `90s`, `15m`, `1h`, `7d`.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let is_number =
        (1..=SPAN_DIGITS_MAX).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    Some(Duration::from_secs(number * seconds))
}

fn flag(name: &str, value: Option<&RawValue>) -> Result<bool, String> {
    match value.map_or("null", RawValue::get) {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err(format!("{name} has to be true or false")),
    }
}

fn columns(value: Option<&RawValue>) -> Result<Option<Vec<String>>, String> {
    let Some(value) = value else { return Ok(None) };
    serde_json::from_str(value.get())
        .map_err(|_| String::from("columns has to be a list of strings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Option<String>, &'static str, String) {
        let refusal = ClientMessage::parse(text).unwrap_err();
        (refusal.id, refusal.code, refusal.message)
    }

    #[test]
    fn columns_of_an_address_may_be_quoted() {
        for (list, names) in [
            ("id, name ,v", vec!["id", "name", "v"]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            (" \" outer \" ,x", vec![" outer ", "x"]),
            ("\"say \"\"hi\"\"\"", vec!["say \"hi\""]),
            ("say \"hi\"", vec!["say \"hi\""]),
            ("", vec![""]),
        ] {
            let mut wanted = Subscribe::default();
            wanted.set_columns(list);
            assert_eq!(wanted.columns.unwrap(), names, "{list}");
        }
    }

    #[test]
    fn messages_are_read_and_unknown_members_ignored() {
        let parse = |text| ClientMessage::parse(text).unwrap();
        assert_eq!(
            parse(r#"{"type":"ping","x":1}"#),
            ClientMessage::Ping(None, None)
        );
        let ping = parse(r#"{"type":"ping","id":"a"}"#);
        assert_eq!(ping, ClientMessage::Ping(Some("a".into()), None));
        let auth = parse(r#"{"type":"auth","token":"a.b.c"}"#);
        assert_eq!(auth, ClientMessage::Auth(Token("a.b.c".into())));
        assert!(!format!("{auth:?}").contains("a.b.c"));
        assert_eq!(
            parse(r#"{"type":"unsubscribe","id":"a"}"#),
            ClientMessage::Unsubscribe("a".into())
        );
        let expected = Subscribe {
            id: "a".into(),
            table: "t".into(),
            columns: Some(vec!["id".into()]),
            filter: None,
            since: None,
            back: None,
            snapshot: false,
            conflate: true,
            window: None,
        };
        let text = r#"{"type":"subscribe","id":"a","table":"t","columns":["id"],"snapshot":false,"since":null,"conflate":true}"#;
        assert_eq!(parse(text), ClientMessage::Subscribe(expected));
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let cases = [
            ("", "bad_message", "no JSON object"),
            ("[]", "bad_message", "no JSON object"),
            ("{}", "bad_message", "type is missing"),
            (r#"{"type":1}"#, "bad_message", "type has to be a string"),
            (r#"{"type":"auth"}"#, "bad_message", "token is missing"),
            (
                r#"{"type":"auth","token":7}"#,
                "bad_message",
                "token has to be a string",
            ),
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
                r#"{"type":"subscribe","id":"a","table":"t","filter":"a=open"}"#,
                "bad_filter",
                "a: at character 1: there is no operator",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":"t","since":"AAAA"}"#,
                "bad_cursor",
                "since: not a cursor",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":"t","since":1}"#,
                "bad_message",
                "since has to be",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":"t","snapshot":"yes"}"#,
                "bad_message",
                "snapshot has to be true or false",
            ),
            (
                r#"{"type":"subscribe","id":"a","table":"t","conflate":1}"#,
                "bad_message",
                "conflate has to be true or false",
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
        let long = long.replace("unsubscribe", "ping");
        assert!(refused(&long).2.contains("65 bytes"));
    }
}
