//! The members of an item's body, each checked.

use serde_json::{Map, Value};

use crate::feed::Table;

use super::super::problem::{FieldError, Problem};

/// The columns that a client writes.
const WRITTEN: [&str; 4] = ["name", "description", "status", "data"];

/// What a request wants to write. A member that is none stays as it is, or has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    /// 1 to 200 characters.
    pub name: Option<String>,
    /// Any text; the inner none is null.
    pub description: Option<Option<String>>,
    /// `open`, `active` or `done`.
    pub status: Option<String>,
    /// An object; of a PATCH a merge patch (RFC 7396).
    pub data: Option<Value>,
}

impl Fields {
    /// The members that were given.
    pub fn given(self) -> Map<String, Value> {
        let members = [
            ("name", self.name.map(Value::from)),
            ("description", self.description.map(Value::from)),
            ("status", self.status.map(Value::from)),
            ("data", self.data),
        ];
        let given = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }

    /// All members: those that were not given have their defaults.
    pub fn all(self) -> Map<String, Value> {
        let all = Self {
            name: self.name,
            description: Some(self.description.flatten()),
            status: self.status.or_else(|| Some(STATUSES[0].to_owned())),
            data: self.data.or_else(|| Some(Value::Object(Map::new()))),
        };
        all.given()
    }
}

/// Characters of `name`.
pub const NAME_CHARACTERS_MAX: usize = 200;
/// Digits of a number in `data`, written out: more than a double has (309), far less than a numeric (131,072).
pub const NUMBER_DIGITS_MAX: u64 = 1_000;
/// What `status` may be.
pub const STATUSES: [&str; 3] = ["open", "active", "done"];

/// Checks all members, so that a client hears of all mistakes at once.
///
/// # Errors
/// 422. Columns that are hidden are not there. `needs_name`: all of an item is written.
pub fn fields(
    members: Map<String, Value>,
    needs_name: bool,
    table: &Table,
) -> Result<Fields, Problem> {
    let (mut fields, mut errors) = (Fields::default(), Vec::new());
    let mut refuse = |field: &str, detail: String| {
        errors.push(FieldError {
            field: field.into(),
            detail,
        })
    };
    let name_is_missing = needs_name && table.has_column("name") && !members.contains_key("name");
    let known: Vec<&str> = WRITTEN
        .into_iter()
        .filter(|name| table.has_column(name))
        .collect();
    for (field, value) in members {
        if !table.has_column(&field) {
            let detail = format!("is unknown; the members are {}", known.join(", "));
            refuse(&field, detail);
            continue;
        }
        if has_huge_number(&value) {
            let detail = format!("has a number of more than {NUMBER_DIGITS_MAX} digits");
            refuse(&field, detail);
            continue;
        }
        if has_nul(&value) {
            refuse(&field, "can't hold the character U+0000".into());
            continue;
        }
        match (field.as_str(), value) {
            ("name", Value::String(name)) => match name.chars().count() {
                1..=NAME_CHARACTERS_MAX => fields.name = Some(name),
                n => refuse(
                    "name",
                    format!("has {n} characters; it has to have 1 to {NAME_CHARACTERS_MAX}"),
                ),
            },
            ("name", other) => refuse(
                "name",
                format!("is {}; it has to be a string", kind(&other)),
            ),
            ("description", Value::String(text)) => fields.description = Some(Some(text)),
            ("description", Value::Null) => fields.description = Some(None),
            ("description", other) => refuse(
                "description",
                format!("is {}; it has to be a string or null", kind(&other)),
            ),
            ("status", Value::String(status)) if STATUSES.contains(&status.as_str()) => {
                fields.status = Some(status)
            }
            ("status", other) => refuse(
                "status",
                format!("is {other}; it has to be one of {}", STATUSES.join(", ")),
            ),
            ("data", data @ Value::Object(_)) => fields.data = Some(data),
            ("data", other) => refuse(
                "data",
                format!("is {}; it has to be an object", kind(&other)),
            ),
            _ => refuse(&field, "is set by the database and can't be written".into()),
        }
    }
    if name_is_missing {
        refuse("name", "is missing".into());
    }
    if errors.is_empty() {
        Ok(fields)
    } else {
        Err(Problem::invalid(errors))
    }
}

/// jsonb writes `1e100000` out, all 100,001 digits of it, into every copy of the row.
fn has_huge_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
            let exponent = exponent.parse::<i64>().map_or(u64::MAX, i64::unsigned_abs);
            exponent.saturating_add(digits.len() as u64) > NUMBER_DIGITS_MAX
        }
        Value::Array(list) => list.iter().any(has_huge_number),
        Value::Object(members) => members.values().any(has_huge_number),
        _ => false,
    }
}

/// PostgreSQL's text can't hold it, nor can jsonb.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let column = |name: &str| json!({"name": name, "type": "text", "base": "text"});
        let columns = ["id", "version", "name", "description", "status", "data"];
        let table = json!({
            "rel": 0, "schema": "public", "name": "items", "quoted": "public.items", "since": 0, "key": ["id"],
            "old_rows": true, "narrowed": false, "columns": columns.map(column),
        });
        serde_json::from_value(table).unwrap()
    }

    fn check(value: Value, needs_name: bool) -> Result<Fields, Vec<String>> {
        let Value::Object(members) = value else {
            panic!("an object")
        };
        fields(members, needs_name, &table()).map_err(|problem| {
            let body: Value = serde_json::from_str(&problem.json()).unwrap();
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["field"].as_str().unwrap().to_owned())
                .collect()
        })
    }

    #[test]
    fn every_wrong_member_is_named() {
        let long = "ü".repeat(NAME_CHARACTERS_MAX);
        assert!(check(json!({"name": long}), true).is_ok());
        for (body, wrong) in [
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": format!("{long}x")}), "name"),
            (json!({"name": null}), "name"),
            (json!({"name": "a\u{0}"}), "name"),
            (json!({"name": "a", "status": "new"}), "status"),
            (json!({"name": "a", "status": null}), "status"),
            (json!({"name": "a", "data": []}), "data"),
            (json!({"name": "a", "data": {"x": ["\u{0}"]}}), "data"),
            (json!({"name": "a", "data": {"\u{0}": 1}}), "data"),
            (json!({"name": "a", "description": 1}), "description"),
            (json!({"name": "a", "nmae": 1}), "nmae"),
            (
                serde_json::from_str(r#"{"name":"a","data":{"n":[1e1001]}}"#).unwrap(),
                "data",
            ),
            (
                serde_json::from_str(r#"{"name":"a","data":{"n":[1e-99999999999999999999]}}"#)
                    .unwrap(),
                "data",
            ),
            (json!({"name": "a", "id": 1}), "id"),
        ] {
            assert_eq!(
                check(body.clone(), true),
                Err(vec![wrong.to_owned()]),
                "{body}"
            );
        }
        let both = check(json!({"status": "x", "zzz": 1}), true).unwrap_err();
        assert_eq!(both, ["status", "zzz", "name"]);
        assert!(check(json!({}), false).is_ok());
    }
}
