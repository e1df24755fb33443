//! The part of the document that depends on the tables: for each its path below `/rest`, with the columns that the caller may
//! see, and the schemas of its rows.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::feed::Table;
use crate::feed::catalog::Column;
use crate::limits::{ORDER_COLUMNS_MAX, REST_WRITES_MAX};

use super::super::rest::WORDS;
use super::columns::{Way, shape};
use super::filters::{column_filter, filter};
use super::members::Members;
use super::operations::Methods;

/// A table as one caller may see it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The table.
    pub table: std::sync::Arc<Table>,
    /// Whether the caller may insert some rows.
    pub insert: bool,
    /// Whether it may change some.
    pub update: bool,
    /// Whether it may delete some.
    pub delete: bool,
}

/// What the tables add to the document.
#[derive(Debug, Default)]
pub struct Parts {
    /// Their paths.
    pub paths: Members,
    /// The schemas of their rows.
    pub schemas: Members,
}

impl Parts {
    /// Of tables, sorted by name.
    pub fn of(all: &[Seen]) -> Self {
        let mut parts = Self::default();
        let mut taken = HashSet::new();
        for seen in all {
            let one = One::new(seen, &mut taken);
            parts
                .schemas
                .push(one.component("Row"), &one.schema(Way::Read));
            let insert = one.schema(Way::Write);
            parts.schemas.push(one.component("Insert"), &insert);
            parts.paths.push(path(&seen.table), &one.methods().item());
        }
        parts
    }
}

/// A table, and what it is called in the document.
pub struct One<'a> {
    /// The table.
    pub table: &'a Table,
    /// What may be done with it.
    pub seen: &'a Seen,
    /// A name of letters that OpenAPI takes for components.
    pub name: String,
}

impl<'a> One<'a> {
    fn new(seen: &'a Seen, taken: &mut HashSet<String>) -> Self {
        let table = &*seen.table;
        let mut name = plain(&table.name);
        if table.schema != "public" {
            name = format!("{}.{name}", plain(&table.schema));
        }
        // Two names may differ in other letters only.
        let first = name.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{first}-{number}");
        }
        Self { table, seen, name }
    }

    fn component(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// A reference to one of its schemas.
    pub fn schema_ref(&self, what: &str) -> Value {
        json!({"$ref": format!("#/components/schemas/{}", self.component(what))})
    }

    fn is_key(&self, column: &Column) -> bool {
        self.table.key.contains(&column.name)
    }

    fn shape(&self, column: &Column, way: Way) -> (Value, Value) {
        shape(column, self.is_key(column), self.table.stringifies, way)
    }

    fn columns(&self, way: Way) -> impl Iterator<Item = &'a Column> {
        let all = self.table.columns.iter();
        all.filter(move |c| way == Way::Read || c.fixed.is_none())
    }

    /// An object with its columns.
    fn schema(&self, way: Way) -> Members {
        let mut properties = Members::default();
        for column in self.columns(way) {
            properties.push(&column.name, &self.shape(column, way).0);
        }
        let quoted = &self.table.quoted;
        let mut schema = Members::default();
        schema.push("type", &"object");
        match way {
            Way::Read => {
                let what = format!(
                    "A row of `{quoted}`. `select` may leave columns out, and give them other names."
                );
                schema.push("description", &what);
            }
            Way::Write => {
                let what = format!(
                    "A row of `{quoted}` to insert, or its columns to change. Text is read as PostgreSQL reads it in the column's type."
                );
                schema.push("description", &what);
                // PostgreSQL may make all columns.
                if self.columns(way).next().is_some() {
                    schema.push("minProperties", &1);
                }
                schema.push("additionalProperties", &false);
            }
        }
        schema.push("properties", &properties);
        schema
    }

    /// A row that fits [`Self::schema`].
    pub fn row(&self) -> Members {
        let mut row = Members::default();
        for column in self.columns(Way::Read) {
            row.push(&column.name, &self.shape(column, Way::Read).1);
        }
        row
    }

    /// What a write may send: its key, or some columns that are not of it.
    pub fn values(&self, with_key: bool) -> Members {
        /// More would only be longer.
        const COUNT: usize = 3;
        let mut values = Members::default();
        let free = || self.columns(Way::Write);
        let mut count = 0;
        for column in free().filter(|c| with_key && self.is_key(c)) {
            values.push(&column.name, &self.shape(column, Way::Write).1);
            count += 1;
        }
        for column in free().filter(|c| !self.is_key(c)).take(COUNT) {
            values.push(&column.name, &self.shape(column, Way::Write).1);
            count += 1;
        }
        match free().next() {
            // There is nothing but the key.
            Some(_) if count == 0 && !with_key => self.values(true),
            _ => values,
        }
    }

    fn methods(&self) -> Methods<'_> {
        Methods(self)
    }

    /// `select` and the like: a list of columns.
    pub fn list(&self, name: &str, what: &str, is_needed: bool) -> Value {
        let names: Vec<String> = self.table.columns.iter().filter_map(written).collect();
        let example: Vec<&String> = names.iter().take(2).collect();
        let mut items = json!({"type": "string"});
        if !names.is_empty() {
            items["enum"] = json!(names);
        }
        let mut schema = json!({"type": "array", "items": items});
        if is_needed {
            schema["minItems"] = json!(1);
        }
        json!({
            "name": name, "in": "query", "required": false, "style": "form", "explode": false,
            "description": what, "schema": schema, "example": example,
        })
    }

    /// `order`
    pub fn order(&self) -> Value {
        // A name with such letters can't be told from what is not served.
        let names = self.table.columns.iter().filter_map(written);
        let names: Vec<String> = names
            .filter(|n| !n.contains('(') && !n.contains("->"))
            .collect();
        let patterns: Vec<String> = names.iter().map(|name| escaped(name)).collect();
        let pattern = format!(
            r"^({})(\.(asc|desc))?(\.(nullsfirst|nullslast))?$",
            patterns.join("|")
        );
        let schema = json!({
            "type": "array", "maxItems": ORDER_COLUMNS_MAX, "uniqueItems": true,
            "items": {"type": "string", "pattern": pattern},
        });
        let example: Vec<String> = names
            .first()
            .map(|n| format!("{n}.desc"))
            .into_iter()
            .collect();
        json!({
            "name": "order", "in": "query", "required": false, "style": "form", "explode": false,
            "description": "Columns, each with `.asc` or `.desc` and `.nullsfirst` or `.nullslast` behind it, or nothing.",
            "schema": schema, "example": example,
        })
    }

    /// The conditions on its rows.
    pub fn filter(&self) -> Value {
        let names = self.table.columns.iter().map(|c| c.name.as_str());
        filter(names.filter(|name| is_plain_word(name)))
    }

    /// The conditions of a PUT, which name its row.
    pub fn place(&self) -> Vec<Value> {
        let key = &self.table.key;
        if key.is_empty() || !key.iter().all(|name| is_plain_word(name)) {
            return vec![self.filter()];
        }
        let example = |name: &String| {
            let column = self.table.column(name);
            let value = column.map_or(Value::Null, |c| self.shape(c, Way::Read).1);
            match value {
                Value::String(text) => format!("eq.{text}"),
                other => format!("eq.{other}"),
            }
        };
        let one = |name: &String| column_filter(name, &example(name));
        key.iter().map(one).collect()
    }

    /// The schema of the body of an insert: rows.
    pub fn rows_to_insert(&self) -> Value {
        let row = self.schema_ref("Insert");
        json!({"oneOf": [row, {"type": "array", "items": row, "maxItems": REST_WRITES_MAX}]})
    }
}

/// Where a table is: the path as it stands in an address.
pub fn path(table: &Table) -> String {
    let quoted = &table.quoted;
    let short = quoted.strip_prefix("public.").unwrap_or(quoted);
    let mut path = String::from("/rest/");
    for byte in short.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(byte.into());
            }
            other => path += &format!("%{other:02X}"),
        }
    }
    path
}

/// A name without letters that OpenAPI does not take for components.
fn plain(name: &str) -> String {
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => c,
        _ => '_',
    };
    name.chars().map(plain).collect()
}

/// Whether a column can be named as a parameter.
fn is_plain_word(name: &str) -> bool {
    let words = ["and", "or", "not.and", "not.or"];
    !WORDS.contains(&name) && !words.contains(&name) && !name.contains('\0')
}

/// A column as it is named in a list; `None` for one that can't be.
fn written(column: &Column) -> Option<String> {
    let name = &column.name;
    if name.contains(['"', '\\', '\0']) {
        return None;
    }
    let is_bare = |c: char| c.is_alphanumeric() || c == '_';
    match name.chars().all(is_bare) {
        true => Some(name.clone()),
        false => Some(format!("\"{name}\"")),
    }
}

/// A text as a regular expression that is nothing but it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if r"\^$.|?*+()[]{}/".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_back_as_its_table() {
        for (quoted, expected) in [
            ("public.orders", "/rest/orders"),
            ("sales.orders", "/rest/sales.orders"),
            ("sales.\"Order Lines\"", "/rest/sales.%22Order%20Lines%22"),
            ("public.\"{a}/ü\"", "/rest/%22%7Ba%7D%2F%C3%BC%22"),
        ] {
            let mut table = Table::of_paper(1, "s", "t");
            table.quoted = quoted.into();
            assert_eq!(path(&table), expected);
        }
    }

    #[test]
    fn names_of_components_are_different() {
        let mut taken = HashSet::new();
        let names: Vec<String> = [("public", "a b"), ("public", "a-b"), ("sales", "a b")]
            .into_iter()
            .map(|(schema, name)| {
                let seen = Seen {
                    table: Table::of_paper(1, schema, name).into(),
                    insert: false,
                    update: false,
                    delete: false,
                };
                One::new(&seen, &mut taken).name.clone()
            })
            .collect();
        assert_eq!(names, ["a_b", "a_b-2", "sales.a_b"]);
    }
}
