//! What the WebSocket says, for programs: `GET /asyncapi.json`, AsyncAPI 3.0. Its messages are those of docs/PROTOCOL.md, with
//! which tests compare it: see [`messages`].

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::assets;
use super::openapi as doc;

mod messages;

use messages::{Message, Side};

/// The document: text, and its entity tag.
static DOCUMENT: LazyLock<(String, String)> = LazyLock::new(|| {
    let text = document().to_string();
    let tag = Sha256::digest(text.as_bytes())[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (text, tag)
});

/// `GET /asyncapi.json`
#[utoipa::path(
    get, path = "/asyncapi.json", tag = "pages", operation_id = "asyncapi",
    summary = "The messages of the WebSocket", description = "AsyncAPI 3.0: docs/PROTOCOL.md for programs.",
    params(doc::IfNoneMatch),
    responses(
        (
            status = 200, description = "The document.", body = inline(doc::Messages), content_type = "application/json",
            headers(("ETag" = String, description = "Of this version.")), example = json!(doc::Messages::example()),
        ),
        (status = 304, description = "It is still that of `If-None-Match`."),
    ),
)]
pub async fn json(request: HttpRequest) -> HttpResponse {
    let (text, tag) = &*DOCUMENT;
    let body = text.as_bytes().into();
    assets::cached(&request, tag.clone(), "application/json", body)
}

fn document() -> Value {
    let all = messages::all();
    let of = |side| all.iter().filter(move |m| m.side == side);
    let here = |name: &str| json!({"$ref": format!("#/channels/socket/messages/{name}")});
    let channel = json!({"$ref": "#/channels/socket"});
    let mut operations = Map::new();
    for message in of(Side::Client) {
        let answers: Vec<Value> = message.answers.iter().map(|name| here(name)).collect();
        let operation = json!({
            "action": "receive", "channel": channel, "title": message.name, "summary": message.summary,
            "messages": [here(message.name)], "reply": {"channel": channel, "messages": answers},
        });
        operations.insert(message.name.into(), operation);
    }
    let pushed: Vec<Value> = of(Side::Server).map(|m| here(m.name)).collect();
    let push = json!({
        "action": "send", "channel": channel, "title": "push", "summary": "What plank sends, by itself or as an answer.",
        "messages": pushed,
    });
    operations.insert("push".into(), push);
    let each = |what: fn(&Message) -> Value| -> Map<String, Value> {
        all.iter().map(|m| (m.name.to_owned(), what(m))).collect()
    };
    let mut schemas = each(Message::schema);
    schemas.insert("change".into(), messages::change());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "plank",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Live PostgreSQL tables over a WebSocket, in the subprotocol `plank.v1`. docs/PROTOCOL.md has the order of \
                messages, cursors and close codes; `/openapi.json` has what is served over HTTP.",
        },
        "defaultContentType": "application/json",
        "servers": {"plank": {
            "host": "{host}", "protocol": "ws", "description": "wss behind a proxy that ends TLS.",
            "variables": {"host": {"default": "127.0.0.1:8080", "description": "Where plank is."}},
        }},
        "channels": {"socket": {
            "address": "/ws",
            "title": "The WebSocket",
            "description": "Each message is one text frame with a JSON object. With `--auth on` a client without a credential in the \
                handshake says `auth` first.",
            "messages": each(|m| json!({"$ref": format!("#/components/messages/{}", m.name)})),
            "bindings": {"ws": {"method": "GET", "query": query(), "bindingVersion": "0.1.0"}},
        }},
        "operations": operations,
        "components": {
            "messages": each(|m| json!({
                "name": m.name, "title": m.name, "summary": m.summary, "examples": [{"payload": m.example}],
                "payload": {"$ref": format!("#/components/schemas/{}", m.name)},
            })),
            "schemas": schemas,
        },
    })
}

/// What the address may say.
fn query() -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    json!({"type": "object", "properties": {
        "table": text("Subscribes to this table at once, under the id `url`. Every other name is a column of its filter."),
        "columns": text("The columns to see, with commas."),
        "since": text("The last cursor that the client has."),
        "snapshot": {"enum": ["1", "true", "0", "false"], "description": "Whether the rows come first."},
        "ticket": text("Of `POST /api/ticket`; works once."),
    }})
}
