//! The methods of a table's path: what each takes and answers.

use serde_json::{Map, Value, json};

use super::super::observe;
use super::members::Members;
use super::tables::One;

/// The operations of a table.
pub struct Methods<'a>(pub &'a One<'a>);

/// What a method begins with that the caller may not use.
const FORBIDDEN: &str = "The caller of this document may not: it is a 403.";

/// Every answer with a problem that a read may have, with its status.
const READ: &[(&str, &str)] = &[
    ("400", "RestMalformed"),
    ("401", "RestUnauthenticated"),
    ("403", "RestForbidden"),
    ("404", "RestNoTable"),
    ("406", "RestNotAcceptable"),
    ("409", "RestConflict"),
    ("416", "RestRange"),
    ("503", "RestAway"),
];
/// The same for a write.
const WRITE: &[(&str, &str)] = &[
    ("400", "RestMalformed"),
    ("401", "RestUnauthenticated"),
    ("403", "RestForbidden"),
    ("404", "RestNoTable"),
    ("406", "RestNotAcceptable"),
    ("409", "RestConflict"),
    ("422", "RestKeyReused"),
    ("503", "RestAway"),
    ("504", "RestOutcomeUnknown"),
];
/// Of a write with a body, besides.
const BODY: &[(&str, &str)] = &[
    ("408", "RestBodyLate"),
    ("413", "RestBodyTooLarge"),
    ("415", "RestNotJson"),
];
/// Of a write that may depend on a version, besides.
const VERSION: &[(&str, &str)] = &[("412", "RestChanged")];

impl Methods<'_> {
    /// The path item. The address takes all methods, no matter who asks.
    pub fn item(&self) -> Members {
        let mut item = Members::default();
        item.push("get", &self.select());
        item.push("post", &self.insert());
        item.push("patch", &self.update());
        item.push("put", &self.replace());
        item.push("delete", &self.delete());
        item
    }

    fn select(&self) -> Operation {
        let mut answers = Answers::default();
        answers.add("200", "The rows.", &["Read"], Some(self.rows()));
        answers.add(
            "206",
            "Some of the rows: there are more.",
            &["Read"],
            Some(self.rows()),
        );
        answers.add(
            "304",
            "The row is still that of `If-None-Match`.",
            &["Unchanged"],
            None,
        );
        answers.problems(READ);
        let select = self.0.list(
            "select",
            "The columns of the answer; all without it.",
            false,
        );
        self.operation("select", "Read rows of", answers)
            .takes(vec![select, self.0.order(), self.0.filter()])
            .shares(&[
                "Limit",
                "Offset",
                "Range",
                "PreferRead",
                "AcceptProfile",
                "IfNoneMatch",
            ])
    }

    fn insert(&self) -> Operation {
        let mut answers = Answers::default();
        let what = "Inserted; the rows come back with `Prefer: return=representation`.";
        answers.add("201", what, &["Write", "Place"], Some(self.rows()));
        answers.problems(WRITE);
        answers.problems(BODY);
        let conflict =
            "The columns of a unique constraint, for `Prefer: resolution=...`; the key without it.";
        let columns = "The columns to take from the body; without it those of the first row, which all have to have.";
        self.operation("insert", "Insert rows into", answers)
            .takes(vec![
                self.select_back(),
                self.0.order(),
                self.0.list("columns", columns, true),
                self.0.list("on_conflict", conflict, true),
            ])
            .shares(&["PreferInsert", "ContentProfile", "IdempotencyKey"])
            .body(self.0.rows_to_insert(), &self.0.values(false))
    }

    fn update(&self) -> Operation {
        let columns = "The columns to take from the body; all of them without it.";
        self.operation("update", "Change rows of", self.changed())
            .takes(vec![
                self.0.filter(),
                self.select_back(),
                self.0.order(),
                self.0.list("columns", columns, true),
            ])
            .shares(&["PreferWrite", "ContentProfile", "IfMatch", "IdempotencyKey"])
            .body(self.0.schema_ref("Insert"), &self.0.values(false))
    }

    fn replace(&self) -> Operation {
        let mut answers = self.changed();
        answers.add(
            "201",
            "Inserted: it was not there.",
            &["Write", "Place"],
            Some(self.rows()),
        );
        let mut parameters = self.0.place();
        parameters.extend([self.select_back(), self.0.order()]);
        self.operation("replace", "Insert or replace a row of", answers)
            .takes(parameters)
            .shares(&["PreferWrite", "ContentProfile", "IfMatch", "IdempotencyKey"])
            .body(self.0.schema_ref("Insert"), &self.0.values(true))
    }

    fn delete(&self) -> Operation {
        let mut answers = Answers::default();
        self.done(&mut answers);
        answers.problems(WRITE);
        answers.problems(VERSION);
        self.operation("delete", "Delete rows of", answers)
            .takes(vec![self.0.filter(), self.select_back(), self.0.order()])
            .shares(&["PreferWrite", "ContentProfile", "IfMatch", "IdempotencyKey"])
    }

    /// The answers of a write to rows that are there.
    fn changed(&self) -> Answers {
        let mut answers = Answers::default();
        self.done(&mut answers);
        answers.problems(WRITE);
        answers.problems(BODY);
        answers.problems(VERSION);
        answers
    }

    fn done(&self, answers: &mut Answers) {
        let what = "Done; these are the rows, as `Prefer: return=representation` asks.";
        answers.add("200", what, &["Write"], Some(self.rows()));
        answers.add("204", "Done.", &["Write"], None);
    }

    fn select_back(&self) -> Value {
        let what = "The columns of the rows that come back.";
        self.0.list("select", what, false)
    }

    /// The forms that rows have.
    fn rows(&self) -> Members {
        let row = self.0.schema_ref("Row");
        let example = self.0.row();
        let mut forms = Members::default();
        let mut json = Members::default();
        json.push("schema", &json!({"type": "array", "items": row}));
        json.push("example", &[&example]);
        forms.push("application/json", &json);
        let mut single = Members::default();
        single.push("schema", &row);
        single.push("example", &example);
        forms.push("application/vnd.pgrst.object+json", &single);
        forms.push("text/csv", &json!({"schema": {"type": "string"}}));
        forms
    }

    fn operation(&self, verb: &str, what: &str, answers: Answers) -> Operation {
        let quoted = &self.0.table.quoted;
        let mut members = Members::default();
        members.push("tags", &["rest"]);
        members.push("operationId", &format!("{verb}_{}", self.0.name));
        members.push("summary", &format!("{what} `{quoted}`"));
        let description = match verb {
            "select" => "docs/REST.md has all of it.",
            "replace" => {
                "The filter and the body have to have the same key. Columns that the body does not have go back to their defaults."
            }
            "insert" => "One row or a list, in one statement.",
            _ => {
                "Those that the filter names; without one it is a 400, unless `Prefer: plank-all-rows` says that all are meant."
            }
        };
        let seen = self.0.seen;
        let may = match verb {
            "insert" => seen.insert,
            "update" => seen.update,
            "replace" => seen.insert && seen.update,
            "delete" => seen.delete,
            _ => true,
        };
        let description = match may {
            true => description.to_owned(),
            false => format!("{FORBIDDEN} {description}"),
        };
        members.push("description", &description);
        Operation {
            members,
            parameters: Vec::new(),
            body: None,
            answers,
        }
    }
}

/// One method.
struct Operation {
    members: Members,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Answers,
}

impl Operation {
    fn takes(mut self, parameters: Vec<Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Parameters that all tables share.
    fn shares(mut self, names: &[&str]) -> Self {
        let of = |name: &&str| json!({"$ref": format!("#/components/parameters/Rest{name}")});
        self.parameters.extend(names.iter().map(of));
        self
    }

    fn body(mut self, schema: Value, example: &Members) -> Self {
        let content = json!({"application/json": {"schema": schema, "example": example}});
        self.body = Some(json!({"required": true, "content": content}));
        self
    }
}

impl serde::Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = self.members.clone();
        members.push("parameters", &self.parameters);
        if let Some(body) = &self.body {
            members.push("requestBody", body);
        }
        members.push("responses", &self.answers.0);
        members.serialize(serializer)
    }
}

/// The answers of a method, by their status.
struct Answers(Map<String, Value>);

impl Default for Answers {
    fn default() -> Self {
        let mut answers = Self(Map::new());
        answers.problems(&[("421", "ForeignHost")]);
        if !observe::UNCOUNTED.contains(&"/rest/{table}") {
            answers.problems(&[("429", "TooOften")]);
        }
        answers
    }
}

impl Answers {
    fn problems(&mut self, list: &[(&str, &str)]) {
        for (status, name) in list {
            let place = format!("#/components/responses/{name}");
            self.0.insert((*status).into(), json!({"$ref": place}));
        }
    }

    /// One without a problem, with groups of headers.
    fn add(&mut self, status: &str, what: &str, groups: &[&str], content: Option<Members>) {
        let mut headers = Map::new();
        for group in groups {
            let list: &[(&str, &str)] = match *group {
                "Read" => &[
                    ("Content-Range", "ContentRange"),
                    ("Plank-Cursor", "Cursor"),
                    ("ETag", "ETag"),
                    ("Preference-Applied", "Applied"),
                ],
                "Unchanged" => &[("ETag", "ETag"), ("Plank-Cursor", "Cursor")],
                "Write" => &[
                    ("Content-Range", "ContentRange"),
                    ("Plank-Cursor", "CursorOfWrite"),
                    ("Plank-Xid", "Xid"),
                    ("ETag", "ETag"),
                    ("Preference-Applied", "Applied"),
                ],
                _ => &[("Location", "Location")],
            };
            for (name, component) in list {
                let place = format!("#/components/headers/Rest{component}");
                headers.insert((*name).into(), json!({"$ref": place}));
            }
        }
        let mut answer = json!({"description": what, "headers": headers});
        if let Some(content) = content {
            answer["content"] = json!(content);
        }
        self.0.insert(status.into(), answer);
    }
}
