//! `/openapi.json` as a test reads it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{TestApp, until};

/// `/openapi.json`, and what has been seen of it.
pub struct Document {
    pub value: Value,
    /// Path, method, status.
    pub seen: BTreeSet<(String, String, String)>,
}

impl Document {
    pub async fn of(app: &TestApp) -> Self {
        let response = app.http.get(app.url("/openapi.json")).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        let value = response.json().await.unwrap();
        let seen = BTreeSet::new();
        Self { value, seen }
    }

    /// The same of a plank that knows of a table at this path, which takes a moment.
    pub async fn with(app: &TestApp, path: &str) -> Self {
        until("the table is in the document", async || {
            Self::of(app).await.value["paths"].get(path).is_some()
        })
        .await;
        Self::of(app).await
    }

    /// What it says, or what it refers to.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(place) => self
                .value
                .pointer(place.strip_prefix('#').unwrap())
                .unwrap_or_else(|| panic!("nothing at {place}")),
            None => value,
        }
    }

    /// The path that a target is of.
    pub fn path_of(&self, target: &str) -> String {
        let parts = |path: &str| -> Vec<String> { path.split('/').map(String::from).collect() };
        let wanted = parts(target.split('?').next().unwrap());
        let is_it = |path: &&String| {
            let names = parts(path);
            let mut pairs = names.iter().zip(&wanted);
            // The path of a file has more parts than its name in the document.
            (names.len() == wanted.len() || path.ends_with("{path}") && wanted.len() > names.len())
                && pairs.all(|(name, part)| name.starts_with('{') || name == part)
        };
        let paths = self.value["paths"].as_object().unwrap();
        let found = paths.keys().find(is_it);
        found
            .unwrap_or_else(|| panic!("{target} is not documented"))
            .clone()
    }

    pub fn validator(&self, schema: &Value) -> Validator {
        let schema = json!({"allOf": [schema], "components": self.value["components"]});
        jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap()
    }

    pub fn check(&self, what: &str, schema: &Value, value: &Value) {
        let validator = self.validator(schema);
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{what}: {errors:?} in {value}");
    }

    /// All operations.
    pub fn operations(&self) -> Vec<(String, String, &Value)> {
        let mut list = Vec::new();
        for (path, item) in self.value["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                list.push((path.clone(), method.to_uppercase(), operation));
            }
        }
        list
    }

    /// Everything of a `content` has to fit its schema; how many examples there were.
    pub fn check_examples(&self, what: &str, content: &Value) -> usize {
        let mut count = 0;
        for (media_type, content) in content.as_object().into_iter().flatten() {
            if let Some(example) = content.get("example") {
                self.check(&format!("{what} {media_type}"), &content["schema"], example);
                count += 1;
            }
            let is_json = is_json(media_type);
            let is_document = content["schema"]["properties"].get("openapi").is_some();
            assert!(
                !is_json || is_document || content.get("example").is_some(),
                "{what} {media_type} has no example"
            );
        }
        count
    }

    /// An answer that does not end: its head, and what comes first, has to be as documented.
    pub async fn check_beginning(&mut self, path: &str, mut response: Response) {
        let status = response.status().as_u16().to_string();
        let answer = &self.value["paths"][path]["get"]["responses"][&status];
        let media_type = response.headers()["content-type"].to_str().unwrap();
        let example = answer["content"][media_type]["example"].as_str();
        let word = example.unwrap().split(':').next().unwrap().as_bytes();
        let first = response.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(word), "{path}: {first:?}");
        self.seen.insert((path.into(), "GET".into(), status));
    }

    /// A real answer has to be as documented.
    pub async fn check_answer(&mut self, path: &str, method: &str, response: Response) -> Value {
        let status = response.status().as_u16();
        let what = format!("{method} {path}: {status}");
        let operation = &self.value["paths"][path][method.to_lowercase()];
        let answer = &operation["responses"][status.to_string()];
        assert!(answer.is_object(), "{what} is not documented");
        let answer = self.resolve(answer).clone();
        self.seen
            .insert((path.into(), method.into(), status.to_string()));
        let headers = response.headers().clone();
        for (name, header) in answer["headers"].as_object().into_iter().flatten() {
            let header = self.resolve(header);
            let value = headers.get(name.to_lowercase());
            // The subprotocol and the extension are only there if they were asked for.
            let is_optional = name.starts_with("Sec-WebSocket-") || header["required"] == false;
            if is_optional && value.is_none() {
                continue;
            }
            let value = value.unwrap_or_else(|| panic!("{what} has no {name}"));
            let value = json!(value.to_str().unwrap());
            self.check(&format!("{what} {name}"), &header["schema"], &value);
        }
        if status == 101 {
            return Value::Null;
        }
        let body = response.text().await.unwrap();
        let Some(content) = answer.get("content") else {
            assert_eq!(body, "", "{what} has a body");
            return Value::Null;
        };
        // The rows of a write come back if they were asked for.
        if path.starts_with("/rest/") && status == 201 && body.is_empty() {
            assert!(!headers.contains_key("content-type"), "{what}");
            return Value::Null;
        }
        let media_type = headers["content-type"].to_str().unwrap();
        let essence = media_type.split(';').next().unwrap();
        let content = &content[essence];
        assert!(
            content.is_object(),
            "{what}: {media_type} is not documented"
        );
        let body = if is_json(essence) {
            serde_json::from_str(&body).unwrap()
        } else {
            Value::String(body)
        };
        self.check(&what, &content["schema"], &body);
        body
    }
}

/// One JSON value, and not one a line.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}
