//! Filters as parameters: the names of columns, and what a condition looks like.

use serde_json::{Map, Value, json};

use crate::feed::filter::expr::{Op, ServerOp};

/// The conditions that `/rest` takes, for the value of a column's parameter.
fn condition() -> String {
    let words = |list: Vec<&str>| list.join("|");
    let compare: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
    let server: Vec<&str> = ServerOp::ALL.iter().map(|(word, _)| *word).collect();
    let is_of_list = |word: &&str| ServerOp::of_list(word).is_some();
    let mut each: Vec<&str> = compare.iter().chain(&server).copied().collect();
    each.retain(is_of_list);
    let is_search =
        |(word, op): &(&'static str, ServerOp)| matches!(op, ServerOp::Words(_)).then_some(*word);
    let search: Vec<&str> = ServerOp::ALL.iter().filter_map(is_search).collect();
    format!(
        r"^(not\.)?(({}|{})\.|({})\((any|all)\)\.|({})\([^)]*\)\.|in\.\(|is\.(null|true|false|not_null|unknown)$)",
        words(compare),
        words(server),
        words(each),
        words(search)
    )
}

/// The parameter for conditions on these columns.
pub fn filter<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let column = json!({"type": "string", "pattern": condition()});
    let mut properties: Map<String, Value> = names
        .map(|name| (name.to_owned(), column.clone()))
        .collect();
    let example: Map<String, Value> = properties
        .keys()
        .take(1)
        .map(|name| (name.clone(), json!("not.is.null")))
        .collect();
    for name in ["and", "or", "not.and", "not.or"] {
        let group = json!({"type": "string", "pattern": r"^\("});
        properties.insert(name.into(), group);
    }
    let what = "Conditions on columns, `COLUMN=OPERATOR.VALUE`, as docs/REST.md lists them; all have to hold, and a name may be there \
        more than once. `or=(COLUMN.OPERATOR.VALUE,...)` and `and=(...)` are groups; a column that is called like another parameter is \
        reached in one.";
    json!({
        "name": "filter", "in": "query", "required": false, "style": "form", "explode": true, "description": what,
        "schema": {"type": "object", "properties": properties, "additionalProperties": false}, "example": example,
    })
}

/// The condition of a PUT on a column of the key.
pub fn column_filter(name: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "query", "required": true, "description": "The row: the body has to have the same value.",
        "schema": {"type": "string", "pattern": r"^eq\."}, "example": example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_every_operator() {
        let pattern = condition();
        for word in [
            "eq|neq|gt",
            "match|imatch|isdistinct",
            "fts|plfts",
            "(any|all)",
        ] {
            assert!(pattern.contains(word), "{pattern} has no {word}");
        }
    }
}
