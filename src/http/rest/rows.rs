//! The rows in a body: objects, kept as the client wrote them, so that every digit reaches PostgreSQL.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::feed::Table;

use super::super::problem::Problem;
use super::query::no_column;

/// An object as it was written, and the names of its members in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its text.
    pub text: String,
    /// Its members.
    pub names: Vec<String>,
}

impl Object {
    /// Reads one.
    ///
    /// # Errors
    /// 400 says what it is instead, or which member is there twice.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Err(malformed(format!(
                "has to be a JSON object, and not {}",
                kind(text)
            )));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let names = reader.deserialize_map(Names);
        let names = names.and_then(|names| reader.end().map(|()| names));
        let names = names.map_err(|error| malformed(format!("is no JSON: {error}")))?;
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(malformed(format!("has the member {twice:?} twice")));
        }
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }

    /// Whether its members are columns that clients may see.
    ///
    /// # Errors
    /// 400 names the first that is none.
    pub fn check(&self, table: &Table) -> Result<(), Problem> {
        match self.names.iter().find(|name| !table.has_column(name)) {
            Some(name) => Err(no_column("body", name, table)),
            None => Ok(()),
        }
    }

    /// The text of a member.
    pub fn member(&self, name: &str) -> Option<String> {
        let members: std::collections::HashMap<String, &RawValue> =
            serde_json::from_str(&self.text).ok()?;
        members.get(name).map(|value| value.get().to_owned())
    }
}

/// The objects of a body, and whether it is a list.
///
/// # Errors
/// 400 says what is wrong.
pub fn read(body: &[u8]) -> Result<(Vec<Object>, bool), Problem> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("is not UTF-8".into()))?;
    if !text.trim_start().starts_with('[') {
        return Ok((vec![Object::parse(text)?], false));
    }
    let list: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| malformed(format!("is no JSON: {error}")))?;
    let objects = list.iter().map(|value| Object::parse(value.get()));
    Ok((objects.collect::<Result<_, _>>()?, true))
}

/// The columns of rows without `columns`: those of the first, which all others have to have as well.
///
/// # Errors
/// 400 says which row differs.
pub fn shape(objects: &[Object]) -> Result<Vec<String>, Problem> {
    let Some(first) = objects.first() else {
        return Ok(Vec::new());
    };
    let set: HashSet<&String> = first.names.iter().collect();
    for (i, object) in objects.iter().enumerate() {
        let other: HashSet<&String> = object.names.iter().collect();
        if let Some(name) = set.symmetric_difference(&other).next() {
            let detail = format!(
                "all objects have to have the same members, and {name:?} is not in all: see object {i}; name the columns with \
                 the parameter columns, and say Prefer: missing=default for defaults instead of null"
            );
            return Err(malformed(detail));
        }
    }
    Ok(first.names.clone())
}

pub(super) fn malformed(detail: String) -> Problem {
    Problem::malformed("body", detail).with_code("PGRST102")
}

fn kind(text: &str) -> &'static str {
    match text.chars().next() {
        Some('[') => "a list",
        Some('"') => "a string",
        Some('t' | 'f') => "a boolean",
        Some('n') => "null",
        Some('-' | '0'..='9') => "a number",
        Some(_) => "something else",
        None => "nothing",
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.contains('\0') {
                return Err(A::Error::custom(
                    "the name of a member can't hold the character U+0000",
                ));
            }
            map.next_value::<IgnoredAny>()?;
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_are_written() {
        let (objects, is_list) =
            read(br#" [{"a":1.10000000000000000000000000001,"b":[1, 2]},{"b":null,"a":2}] "#)
                .unwrap();
        assert!(is_list);
        assert_eq!(
            objects[0].text,
            r#"{"a":1.10000000000000000000000000001,"b":[1, 2]}"#
        );
        assert_eq!(shape(&objects).unwrap(), ["a", "b"]);
        assert_eq!(objects[0].member("b").unwrap(), "[1, 2]");
        assert!(!read(b"{}").unwrap().1);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, part) in [
            ("", "and not nothing"),
            ("1", "and not a number"),
            ("null", "and not null"),
            ("[1]", "and not a number"),
            ("[[]]", "and not a list"),
            (r#"{"a":1"#, "is no JSON"),
            (r#"{"a":1,"a":2}"#, "has the member \"a\" twice"),
            (r#"{"a":1} x"#, "is no JSON"),
            (r#"{"\u0000":1}"#, "U+0000"),
        ] {
            let problem = read(body.as_bytes()).unwrap_err();
            assert!(problem.to_string().contains(part), "{body}: {problem}");
            assert!(problem.json().contains("PGRST102"));
        }
        assert!(read(b"\"\xff\"").is_err());
        let (objects, _) = read(br#"[{"a":1},{"b":1}]"#).unwrap();
        assert!(
            shape(&objects)
                .unwrap_err()
                .to_string()
                .contains("see object 1")
        );
    }
}
