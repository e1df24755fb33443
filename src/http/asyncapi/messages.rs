//! The messages of `plank.v1`, as docs/PROTOCOL.md describes them: for each its side, its members and an example. Tests hold
//! them against the examples of that page, and against what a real session sends and takes.
//!
//! Both sides ignore members that they do not know, so no schema forbids others.

use serde_json::{Value, json};

use crate::limits::{
    LIVE_WINDOW_ROWS_MAX, SUBSCRIPTION_COLUMNS_MAX, SUBSCRIPTION_ID_BYTES_MAX,
    TABLE_NAME_BYTES_MAX, TOKEN_BYTES_MAX,
};
use crate::wire::message::{ResetReason, SUBPROTOCOL};

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A client.
    Client,
    /// plank.
    Server,
}

/// A kind of message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its `type`.
    pub name: &'static str,
    /// Who sends it.
    pub side: Side,
    /// What it is for.
    pub summary: &'static str,
    /// What plank answers to it, by their names.
    pub answers: &'static [&'static str],
    /// Members besides `type`, each with its schema.
    members: Value,
    /// Those that are always there.
    required: &'static [&'static str],
    /// One that fits.
    pub example: Value,
}

impl Message {
    /// The schema of the whole message, of JSON Schema draft 7, as AsyncAPI takes it.
    pub fn schema(&self) -> Value {
        let mut properties = self.members.clone();
        properties["type"] = json!({"const": self.name});
        let required: Vec<&str> = ["type"]
            .into_iter()
            .chain(self.required.iter().copied())
            .collect();
        let mut schema = json!({"type": "object", "required": required, "properties": properties});
        if self.name == "ping" {
            let is_none = json!({"properties": {"cursor": {"type": "null"}}});
            let is_about_one =
                json!({"required": ["id"], "properties": {"id": {"type": "string"}}});
            schema["dependencies"] = json!({"cursor": {"anyOf": [is_none, is_about_one]}});
        }
        if self.name == "subscribe" {
            // A null is as if it were not there.
            let with = |own: &str, other: &str, kind: &str| {
                let is_none = json!({"properties": {own: {"type": "null"}}});
                let is_both = json!({"required": [other], "properties": {other: {"type": kind}}});
                json!({"anyOf": [is_none, is_both]})
            };
            schema["dependencies"] = json!({
                "order": with("order", "limit", "integer"), "limit": with("limit", "order", "string"),
            });
        }
        schema
    }
}

const CURSOR: &str = "ARpj3AxtrmBJ3gUACvo4NQ";

fn cursor(what: &str) -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": what})
}

/// The same where it may be null, as if it were not there.
fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn id() -> Value {
    let what = "The client's own name for the subscription, unique on this socket.";
    json!({"type": "string", "maxLength": SUBSCRIPTION_ID_BYTES_MAX, "description": what})
}

fn text(what: &str) -> Value {
    json!({"type": "string", "description": what})
}

fn flag(what: &str) -> Value {
    json!({"type": ["boolean", "null"], "description": what})
}

/// All of them: those of the client, then those of the server.
pub fn all() -> Vec<Message> {
    let mut all = of_client();
    all.extend(of_server());
    all
}

fn of_client() -> Vec<Message> {
    let side = Side::Client;
    let table = json!({
        "type": "string", "maxLength": TABLE_NAME_BYTES_MAX,
        "description": "Read as PostgreSQL reads a name; without a schema it is `public`.",
    });
    let columns = json!({
        "type": ["array", "null"], "maxItems": SUBSCRIPTION_COLUMNS_MAX, "items": {"type": "string"},
        "description": "The columns to see; the key is always among them. Without it all that may be seen. With `count` the rows are counted by the others.",
    });
    vec![
        Message {
            name: "subscribe",
            side,
            summary: "Starts a subscription to a table.",
            answers: &[
                "subscribed",
                "snapshot",
                "changes",
                "reset",
                "unsubscribed",
                "error",
            ],
            members: json!({
                "id": id(), "table": table, "columns": columns,
                "filter": or_null(text("The rows to see, in PostgREST's words: `status=eq.open`.")),
                "since": or_null(cursor("The last cursor that the client has: what it has missed comes.")),
                "snapshot": flag("Whether the rows come as well, at the beginning without `since`, and after each `reset`."),
                "conflate": flag("Whether of each key the newest change is enough."),
                "order": or_null(text("With `limit`: only the first rows in this order, `placed_at.desc,id`.")),
                "limit": {
                    "type": ["integer", "null"], "minimum": 1, "maximum": LIVE_WINDOW_ROWS_MAX,
                    "description": "How many rows. Only with `order`.",
                },
            }),
            required: &["id", "table"],
            example: json!({
                "type": "subscribe", "id": "a", "table": "items", "filter": "status=eq.open", "columns": ["id", "name"],
                "since": CURSOR, "snapshot": true,
            }),
        },
        Message {
            name: "unsubscribe",
            side,
            summary: "Ends a subscription.",
            answers: &["unsubscribed", "error"],
            members: json!({"id": id()}),
            required: &["id"],
            example: json!({"type": "unsubscribe", "id": "a"}),
        },
        Message {
            name: "auth",
            side,
            summary: "Says who the client is, where people have to log in; later with a fresh token of the same.",
            answers: &["welcome", "authenticated", "error"],
            members: json!({
                "token": {"type": "string", "maxLength": TOKEN_BYTES_MAX, "description": "A JSON Web Token."},
            }),
            required: &["token"],
            example: json!({"type": "auth", "token": "eyJ..."}),
        },
        Message {
            name: "ping",
            side,
            summary: "Asks for a `pong`: at once, or when a subscription has caught up, or when it has passed a cursor.",
            answers: &["pong", "error", "unsubscribed"],
            members: json!({
                "id": or_null(id()),
                "cursor": or_null(cursor("Such as the `Plank-Cursor` of a write; only with `id`.")),
            }),
            required: &[],
            example: json!({"type": "ping", "id": "a", "cursor": CURSOR}),
        },
    ]
}

fn of_server() -> Vec<Message> {
    let mut all = of_session();
    all.extend(of_subscription());
    all
}

/// A message of the server.
fn said(
    name: &'static str,
    summary: &'static str,
    members: Value,
    required: &'static [&'static str],
    example: Value,
) -> Message {
    Message {
        name,
        side: Side::Server,
        summary,
        answers: &[],
        members,
        required,
        example,
    }
}

/// What is about the whole socket.
fn of_session() -> Vec<Message> {
    vec![
        said(
            "welcome",
            "The first message.",
            json!({
                "protocol": {"const": SUBPROTOCOL},
                "session": text("For log files."),
                "server": text("The name and the version of the server."),
                "heartbeat_s": {"type": "integer", "minimum": 1, "description": "Seconds between two heartbeats."},
            }),
            &["protocol", "session", "server", "heartbeat_s"],
            json!({
                "type": "welcome", "protocol": SUBPROTOCOL, "session": "c211bc15-9201-408e-9237-15ff039de2ba",
                "server": concat!("plank/", env!("CARGO_PKG_VERSION")), "heartbeat_s": 25,
            }),
        ),
        said(
            "authenticated",
            "The answer to `auth`.",
            json!({
                "sub": text("The claim `sub`."),
                "exp": {"type": "integer", "description": "When the session ends, in seconds of Unix time."},
                "expires_in": {"type": "integer", "minimum": 0, "description": "Seconds until then, by the server's clock."},
            }),
            &["sub", "exp", "expires_in"],
            json!({"type": "authenticated", "sub": "ann", "exp": 1_795_420_800, "expires_in": 3600}),
        ),
        said(
            "heartbeat",
            "Everything up to its cursor has been sent, for all subscriptions.",
            json!({"cursor": cursor("That place.")}),
            &["cursor"],
            json!({"type": "heartbeat", "cursor": CURSOR}),
        ),
        said(
            "error",
            "A message was refused; the socket stays open.",
            json!({
                "id": id(),
                "code": {
                    "type": "string", "pattern": "^[a-z_]+$",
                    "description": "For programs; docs/PROTOCOL.md lists them, and new ones may come.",
                },
                "message": text("For people; it may change."),
            }),
            &["code", "message"],
            json!({
                "type": "error", "id": "a", "code": "unknown_table",
                "message": "there is no watched table \"nope\" that you may read",
            }),
        ),
        said(
            "pong",
            "The answer to `ping`.",
            json!({"id": id()}),
            &[],
            json!({"type": "pong", "id": "a"}),
        ),
    ]
}

/// What is about one subscription, or one topic.
fn of_subscription() -> Vec<Message> {
    let topic = text("What several subscriptions to the same share; a name for this process only.");
    let reasons = ResetReason::ALL;
    let row = json!({"type": "object"});
    vec![
        said(
            "subscribed",
            "The subscription is live: whatever commits from now on is seen.",
            json!({
                "id": id(), "topic": topic, "table": text("As PostgreSQL quotes it."),
                "key": {"type": "array", "items": {"type": "string"}, "description": "The columns of the primary key, of counts those that rows are counted by; empty without one."},
                "cursor": cursor("Where the subscription goes on."),
            }),
            &["id", "topic", "table", "key", "cursor"],
            json!({"type": "subscribed", "id": "a", "topic": "t7", "table": "public.items", "key": ["id"], "cursor": CURSOR}),
        ),
        said(
            "snapshot",
            "Rows of the table, all as of one moment.",
            json!({
                "id": id(), "topic": topic, "cursor": cursor("That moment."),
                "rows": {"type": "array", "items": row},
                "more": {"type": "boolean", "description": "Whether the snapshot goes on."},
            }),
            &["id", "topic", "cursor", "rows", "more"],
            json!({
                "type": "snapshot", "id": "a", "topic": "t7", "cursor": CURSOR, "rows": [{"id": 1, "name": "first light"}], "more": false,
            }),
        ),
        said(
            "changes",
            "A batch of changes, or a part of one.",
            json!({
                "topic": topic, "cursor": cursor("The place behind the whole batch."),
                "changes": {"type": "array", "items": {"$ref": "#/components/schemas/change"}, "description": "In their order."},
                "last": {"type": "boolean", "description": "Whether the batch ends with this message."},
            }),
            &["topic", "cursor", "changes", "last"],
            json!({
                "type": "changes", "topic": "t7", "cursor": CURSOR, "last": true, "changes": [{
                    "op": "insert", "key": {"id": 1}, "row": {"id": 1, "name": "first light"}, "seq": 3, "xid": "733",
                    "at": "2026-11-23T17:56:47.951812Z",
                }],
            }),
        ),
        said(
            "reset",
            "What the client has of this subscription is void; the subscription lives on.",
            json!({"id": id(), "reason": {"enum": reasons.map(ResetReason::as_str)}}),
            &["id", "reason"],
            json!({"type": "reset", "id": "a", "reason": "schema"}),
        ),
        said(
            "unsubscribed",
            "The subscription is over: the client asked for it, or the table is not watched any more.",
            json!({"id": id()}),
            &["id"],
            json!({"type": "unsubscribed", "id": "a"}),
        ),
    ]
}

/// The schema of one change.
pub fn change() -> Value {
    let row = |what: &str| json!({"type": "object", "description": what});
    json!({
        "type": "object",
        "required": ["op", "key"],
        "properties": {
            "op": {"enum": ["insert", "update", "delete", "truncate"]},
            "cause": {
                "enum": ["update", "window"],
                "description": "`update`: the row has entered or left the filter by an update. `window`: it has moved into the window or out of it.",
            },
            "key": {"type": ["object", "null"], "description": "The primary key; null without one, and for `truncate`."},
            "row": row("`insert`, `update`: the row as it is now."),
            "old": row("`delete`: the row as it was, where the log has it."),
            "index": {"type": "integer", "minimum": 0, "description": "Of a window: the row's place after this change."},
            "seq": {"type": "integer", "description": "Names this change for ever, on every node. Windows and counts have neither this nor the next two."},
            "xid": {"type": "string", "pattern": "^[0-9]+$", "description": "The transaction."},
            "at": {"type": "string", "format": "date-time", "description": "When the transaction began."},
            "traceparent": {
                "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "The trace that the writer belongs to (W3C Trace Context), where it named one.",
            },
        },
    })
}
