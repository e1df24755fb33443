//! Picks members out of a row's JSON text without building a tree: the text of a value leaves as it came from PostgreSQL.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of `row` for which `wanted` gives a place, as `(place, text of the value)`, in the order of the row.
///
/// # Errors
/// If `row` is no JSON object. PostgreSQL's `row_to_json` writes nothing else.
fn pick(
    row: &str,
    wanted: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<(usize, &str)>, serde_json::Error> {
    struct Pick<F>(F);

    impl<'de, F: Fn(&str) -> Option<usize>> Visitor<'de> for Pick<F> {
        type Value = Vec<(usize, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a row as a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                match (self.0)(&name) {
                    Some(place) => found.push((place, map.next_value::<&'de RawValue>()?.get())),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(row);
    let found = reader.deserialize_map(Pick(wanted))?;
    reader.end()?;
    Ok(found)
}

/// An object of the members `names` of `row`, in the order of `names`; a missing one is left out. Numbers of the members
/// `wide` become strings.
///
/// # Errors
/// If `row` is no JSON object.
pub fn select(
    row: &str,
    names: &[String],
    wide: &[(String, Wide)],
) -> Result<String, serde_json::Error> {
    let found = pick(row, |name| names.iter().position(|n| n == name))?;
    Ok(object(found, names, wide))
}

/// All members of `row`, the numbers of the members `wide` as strings.
///
/// # Errors
/// If `row` is no JSON object.
pub fn quote_numbers(row: &str, wide: &[(String, Wide)]) -> Result<String, serde_json::Error> {
    let names = RefCell::new(Vec::new());
    let found = pick(row, |name| {
        let mut names = names.borrow_mut();
        names.push(name.to_owned());
        Some(names.len() - 1)
    })?;
    Ok(object(found, &names.into_inner(), wide))
}

fn object(mut found: Vec<(usize, &str)>, names: &[String], wide: &[(String, Wide)]) -> String {
    found.sort_by_key(|(place, _)| *place);
    let mut object = String::with_capacity(32 * found.len());
    object.push('{');
    for (i, (place, value)) in found.iter().enumerate() {
        if i > 0 {
            object.push(',');
        }
        push_string(&mut object, &names[*place]);
        object.push(':');
        match wide.iter().find(|(name, _)| *name == names[*place]) {
            Some((_, wide)) => wide.push(&mut object, value),
            None => object.push_str(value),
        }
    }
    object.push('}');
    object
}

/// Which numbers of a value leave as strings.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Wide {
    /// All that are in it.
    All(bool),
    /// Of a composite value, or a list of them, those of these members.
    Members(BTreeMap<String, Wide>),
}

impl Wide {
    /// Appends a value. One that is not of this form is appended as it is.
    fn push(&self, out: &mut String, value: &str) {
        let members = match self {
            Self::All(true) => return push_quoted(out, value),
            Self::All(false) => return out.push_str(value),
            Self::Members(members) => members,
        };
        if let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value) {
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                self.push(out, element.get());
            }
            return out.push(']');
        }
        let wide: Vec<(String, Self)> = members.clone().into_iter().collect();
        match quote_numbers(value, &wide) {
            Ok(object) => out.push_str(&object),
            Err(_) => out.push_str(value),
        }
    }
}

/// Appends a value, each number in it as a string. Arrays have numbers, nulls, and `"NaN"`.
fn push_quoted(out: &mut String, mut value: &str) {
    while let Some(first) = value.chars().next() {
        let length = match first {
            '"' => value[1..].find('"').map_or(value.len(), |end| end + 2),
            '-' | '0'..='9' => value
                .find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
                .unwrap_or(value.len()),
            _ => first.len_utf8(),
        };
        let (token, rest) = value.split_at(length);
        if matches!(first, '-' | '0'..='9') {
            push_string(out, token);
        } else {
            out.push_str(token);
        }
        value = rest;
    }
}

/// As [`select`], but every member has to be there.
///
/// # Errors
/// If one is missing, or `row` is no JSON object.
pub fn select_all(row: &str, names: &[String]) -> Result<String, serde_json::Error> {
    let found = pick(row, |name| names.iter().position(|n| n == name))?;
    match names
        .iter()
        .enumerate()
        .find(|(i, _)| !found.iter().any(|(place, _)| place == i))
    {
        Some((_, name)) => Err(serde_json::Error::custom(format!(
            "the row has no column {name:?}"
        ))),
        None => Ok(object(found, names, &[])),
    }
}

/// The elements of a list, each as its text.
///
/// # Errors
/// If `list` is no JSON array.
pub fn elements(list: &str) -> Result<Vec<Arc<str>>, serde_json::Error> {
    let elements: Vec<&RawValue> = serde_json::from_str(list)?;
    Ok(elements.iter().map(|e| Arc::from(e.get())).collect())
}

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    // Writing a str into a String can't fail; the empty string is what a reader would least misread.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| String::from("\"\"")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn values_keep_their_text() {
        let row =
            r#"{"id":9007199254740993,"n":1.10,"t":"a\u0000 \"q\"","j":{ "x" : [1, 2]},"z":null}"#;
        assert_eq!(
            select(row, &names(&["n", "id"]), &[]).unwrap(),
            r#"{"n":1.10,"id":9007199254740993}"#
        );
        assert_eq!(
            select(row, &names(&["j", "z", "t"]), &[]).unwrap(),
            r#"{"j":{ "x" : [1, 2]},"z":null,"t":"a\u0000 \"q\""}"#
        );
    }

    #[test]
    fn wide_members_of_composite_values_are_strings() {
        let wide = |text: &str| vec![("c".to_owned(), serde_json::from_str::<Wide>(text).unwrap())];
        let of = |row: &str, text: &str| quote_numbers(row, &wide(text)).unwrap();
        let row = r#"{"c":{"n":1,"m":2,"d":{"x":[3]}}}"#;
        assert_eq!(
            of(row, r#"{"n":true}"#),
            r#"{"c":{"n":"1","m":2,"d":{"x":[3]}}}"#
        );
        assert_eq!(
            of(row, r#"{"d":{"x":true}}"#),
            r#"{"c":{"n":1,"m":2,"d":{"x":["3"]}}}"#
        );
        assert_eq!(
            of(r#"{"c":[{"n":1},null]}"#, r#"{"n":true}"#),
            r#"{"c":[{"n":"1"},null]}"#
        );
    }

    #[test]
    fn escaped_names_are_compared_unescaped() {
        assert_eq!(
            select(r#"{"a\"b":1,"ü":2}"#, &names(&["a\"b", "ü"]), &[]).unwrap(),
            r#"{"a\"b":1,"ü":2}"#
        );
    }

    #[test]
    fn what_is_missing_is_left_out_and_garbage_is_an_error() {
        assert_eq!(select(r#"{"a":1}"#, &names(&["b"]), &[]).unwrap(), "{}");
        assert!(select("[1]", &names(&["b"]), &[]).is_err());
        assert!(select(r#"{"a":1} x"#, &names(&["a"]), &[]).is_err());
    }
}
