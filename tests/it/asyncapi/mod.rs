//! `/asyncapi.json`, docs/PROTOCOL.md and a real session say the same.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::auth::{Secure, viewer};
use crate::support::{TestApp, WsClient};

/// AsyncAPI's own schema; README.md says where it is from.
const ASYNCAPI: &str = include_str!("asyncapi-3.0.0.json");
const PROTOCOL: &str = include_str!("../../../docs/PROTOCOL.md");
/// A cursor of another log, well formed.
const FOREIGN_CURSOR: &str = "ARpj3AxtrmBJ2gUA9n-rvg";

/// The document, and the messages that have fitted it.
struct Document {
    value: Value,
    seen: BTreeSet<String>,
}

impl Document {
    async fn of(app: &TestApp) -> Self {
        let answer = app
            .http
            .get(app.url("/asyncapi.json"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        let value = answer.json().await.unwrap();
        let seen = BTreeSet::new();
        Self { value, seen }
    }

    fn schema(&self, name: &str) -> &Value {
        &self.value["components"]["schemas"][name]
    }

    fn validator(&self, name: &str) -> Validator {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [{"$ref": format!("#/components/schemas/{name}")}],
            "components": self.value["components"],
        });
        let options = jsonschema::options().should_validate_formats(true);
        options.build(&schema).unwrap()
    }

    /// The names of the messages that an operation of this action has.
    /// The messages of both sides.
    fn all_names(&self) -> BTreeSet<String> {
        &self.names("send") | &self.names("receive")
    }

    fn names(&self, action: &str) -> BTreeSet<String> {
        let operations = self.value["operations"].as_object().unwrap().values();
        let wanted = operations.filter(|operation| operation["action"] == action);
        let messages = wanted.flat_map(|operation| operation["messages"].as_array().unwrap());
        let name = |message: &Value| {
            let place = message["$ref"].as_str().unwrap();
            place.rsplit('/').next().unwrap().to_owned()
        };
        messages.map(name).collect()
    }

    /// A message fits the schema of its type, and has no member that is not in it.
    fn check(&mut self, message: &Value) {
        let name = message["type"].as_str().unwrap();
        let schema = self.schema(name);
        assert!(schema.is_object(), "{message} is not documented");
        let validator = self.validator(name);
        let errors: Vec<String> = validator
            .iter_errors(message)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {message}");
        known(schema, message);
        for change in message["changes"].as_array().into_iter().flatten() {
            known(self.schema("change"), change);
        }
        self.seen.insert(name.to_owned());
    }

    /// Sends a message, which has to fit as well.
    async fn send(&mut self, client: &mut WsClient, message: Value) {
        self.check(&message);
        client.send(message).await;
    }

    /// Reads up to a message of this type; all that come have to fit.
    async fn until(&mut self, client: &mut WsClient, name: &str) -> Value {
        loop {
            let message = client.next().await.unwrap();
            self.check(&message);
            if message["type"] == name {
                return message;
            }
        }
    }
}

fn known(schema: &Value, value: &Value) {
    for member in value.as_object().unwrap().keys() {
        let is_known = schema["properties"].get(member).is_some();
        assert!(is_known, "{member} is not documented: {value}");
    }
}

#[actix_web::test]
async fn the_document_is_valid_asyncapi() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await.value;
    let schema: Value = serde_json::from_str(ASYNCAPI).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    // And the check can fail.
    for (place, value) in [
        ("/asyncapi", json!("2.6.0")),
        ("/operations/push/action", json!("publish")),
        ("/channels/socket/messages", json!([])),
        ("/components/schemas/pong/type", json!("thing")),
        ("/components/messages/pong", json!({"nonsense": 1})),
    ] {
        let mut wrong = document.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        assert!(!validator.is_valid(&wrong), "{place}");
    }
    check_references(&document, &document);
}

/// Whatever is referred to is there.
fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(place) = members.get("$ref") {
                let place = place.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(document.pointer(place).is_some(), "nothing at {place}");
            }
            members.values().for_each(|v| check_references(document, v));
        }
        Value::Array(list) => list.iter().for_each(|v| check_references(document, v)),
        _ => {}
    }
}

#[actix_web::test]
async fn the_document_is_asked_for_again_cheaply() {
    let app = TestApp::start().await;
    let get = || app.http.get(app.url("/asyncapi.json"));
    let answer = get().send().await.unwrap();
    let tag = answer.headers()["etag"].clone();
    let again = get().header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
}

/// The messages that docs/PROTOCOL.md shows.
fn printed() -> Vec<Value> {
    let mut blocks = PROTOCOL.split("```json\n");
    blocks.next();
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let messages =
        blocks.flat_map(|block| serde_json::Deserializer::from_str(block).into_iter::<Value>());
    let messages = messages.map(Result::unwrap);
    messages.filter(|m| m.get("type").is_some()).collect()
}

#[actix_web::test]
async fn the_messages_are_those_of_the_protocols_page() {
    let app = TestApp::start().await;
    let mut document = Document::of(&app).await;
    let printed = printed();
    assert!(printed.len() >= 16, "{printed:?}");
    for message in &printed {
        document.check(message);
    }
    let all = document.all_names();
    assert_eq!(document.seen, all);
    let listed = document.value["components"]["messages"]
        .as_object()
        .unwrap();
    assert_eq!(listed.keys().cloned().collect::<BTreeSet<_>>(), all);
    for message in listed.values().cloned().collect::<Vec<_>>() {
        document.check(&message["examples"][0]["payload"]);
    }
    // Each member of each message is named on that page.
    for (name, schema) in document.value["components"]["schemas"].as_object().unwrap() {
        for member in schema["properties"].as_object().unwrap().keys() {
            let is_named = [format!("\"{member}\":"), format!("`{member}`")];
            assert!(
                is_named.iter().any(|text| PROTOCOL.contains(text)),
                "{name}: {member}"
            );
        }
    }
}

#[actix_web::test]
async fn a_real_session_is_as_documented() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let mut document = Document::of(&app).await;
    let mut client = app.anonymous("/ws").await;
    document
        .send(&mut client, json!({"type": "auth", "token": viewer("ann")}))
        .await;
    document.until(&mut client, "authenticated").await;
    let subscribe = |id: &str, more: Value| {
        let mut message = json!({"type": "subscribe", "id": id, "table": "notes"});
        message
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        message
    };
    document
        .send(&mut client, subscribe("a", json!({"snapshot": true})))
        .await;
    document.until(&mut client, "subscribed").await;
    app.execute("insert into notes values (4, 'ann', 1, 'd'); update notes set body = 'e' where id = 4; delete from notes where id = 1").await;
    document.until(&mut client, "changes").await;
    let all = json!({
        "filter": "tenant=eq.2", "columns": ["id", "body"], "since": FOREIGN_CURSOR, "snapshot": true, "conflate": true,
    });
    document.send(&mut client, subscribe("b", all)).await;
    document.until(&mut client, "reset").await;
    document.until(&mut client, "subscribed").await;
    let none =
        json!({"filter": null, "columns": null, "since": null, "snapshot": null, "conflate": null});
    document.send(&mut client, subscribe("c", none)).await;
    let cursor = document.until(&mut client, "subscribed").await["cursor"].clone();
    // Enters the filter by an update, which has a cause.
    app.execute("update notes set tenant = 2 where id = 2; truncate notes")
        .await;
    for ping in [
        json!({"type": "ping"}),
        json!({"type": "ping", "id": "b"}),
        json!({"type": "ping", "id": "c", "cursor": cursor}),
        json!({"type": "ping", "id": null, "cursor": null}),
    ] {
        document.send(&mut client, ping).await;
        document.until(&mut client, "pong").await;
    }
    document
        .send(&mut client, subscribe("d", json!({"table": "nothing"})))
        .await;
    assert_eq!(
        document.until(&mut client, "error").await["code"],
        "unknown_table"
    );
    client.send_raw(Message::text("{")).await;
    assert!(
        document
            .until(&mut client, "error")
            .await
            .get("id")
            .is_none()
    );
    document
        .send(&mut client, json!({"type": "unsubscribe", "id": "b"}))
        .await;
    document.until(&mut client, "unsubscribed").await;
    document.until(&mut client, "heartbeat").await;
    let all = document.all_names();
    assert_eq!(document.seen, all);
}

/// Values of all types.
fn values() -> [Value; 6] {
    [
        json!(null),
        json!(true),
        json!(7),
        json!("text"),
        json!(["text"]),
        json!({}),
    ]
}

#[actix_web::test]
async fn what_the_schemas_forbid_is_refused_and_nothing_else() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let mut counts = [0; 2];
    for name in document.names("receive") {
        let validator = document.validator(&name);
        let example = &document.value["components"]["messages"][&name]["examples"][0]["payload"];
        let members = document.schema(&name)["properties"]
            .as_object()
            .unwrap()
            .keys();
        for member in members.filter(|member| *member != "type") {
            let mut cases = vec![example.clone()];
            cases[0].as_object_mut().unwrap().remove(member);
            for value in values() {
                let mut case = example.clone();
                case[member] = value;
                cases.push(case);
            }
            for case in cases {
                client.send(case.clone()).await;
                // Those that can be read are about a subscription that is not there, or is.
                client
                    .send(json!({"type": "unsubscribe", "id": "the end"}))
                    .await;
                let mut is_refused = false;
                loop {
                    let message = client.next().await.unwrap();
                    let is_end = message["id"] == "the end";
                    is_refused |= message["code"] == "bad_message";
                    if is_end {
                        break;
                    }
                }
                assert_eq!(is_refused, !validator.is_valid(&case), "{case}");
                counts[usize::from(is_refused)] += 1;
            }
        }
    }
    assert!(counts[0] > 10 && counts[1] > 30, "{counts:?}");
}
