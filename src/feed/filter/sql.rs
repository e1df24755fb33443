//! A filter as a condition in SQL: its values are parameters, its names are quoted, its types are our own words.

use std::fmt::Write as _;

use super::bind::{Compare, Filter, Leaf, Node, Test};
use super::expr::Is;
use super::kind::Kind;

/// A parameter of the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// `$n::text`
    Text(String),
    /// `$n::text[]`
    Texts(Vec<String>),
}

/// Whether a value of the type `json` or `jsonb` is JSON's null; `json` keeps the blanks around it.
const JSON_NULL: &str =
    "pg_catalog.btrim(COLUMN::pg_catalog.text, E' \\t\\n\\r') operator(pg_catalog.=) 'null'";

impl Filter {
    /// The condition for the columns of `x`, with parameters from `$first` on.
    pub fn sql(&self, first: usize) -> (String, Vec<Param>) {
        let mut params = Vec::new();
        let text = self.sql_with(&mut |param| {
            params.push(param);
            format!("${}", first + params.len() - 1)
        });
        (text, params)
    }

    /// The same; `place` keeps a parameter and gives the SQL that stands for it, of the type that it is cast to next.
    pub fn sql_with(&self, place: &mut dyn FnMut(Param) -> String) -> String {
        let text = String::new();
        let mut sql = Sql { text, place };
        sql.node(self.root());
        sql.text
    }
}

/// A name as PostgreSQL reads it back.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Sql<'a> {
    text: String,
    place: &'a mut dyn FnMut(Param) -> String,
}

impl Sql<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::All(members) if members.is_empty() => self.text.push_str("true"),
            Node::Any(members) if members.is_empty() => self.text.push_str("false"),
            Node::All(members) => self.group(members, " and "),
            Node::Any(members) => self.group(members, " or "),
            Node::Not(inner) => {
                self.text.push_str("not ");
                self.group(std::slice::from_ref(inner), "");
            }
            Node::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn group(&mut self, members: &[Node], word: &str) {
        self.text.push('(');
        for (i, member) in members.iter().enumerate() {
            if i > 0 {
                self.text.push_str(word);
            }
            self.node(member);
        }
        self.text.push(')');
    }

    fn param(&mut self, param: Param) -> String {
        (self.place)(param)
    }

    fn leaf(&mut self, leaf: &Leaf) {
        let column = format!("x.{}", quote(&leaf.name));
        let (cast, kind) = (leaf.kind.sql(), &leaf.kind);
        // A domain and an enumeration are compared as what is below them.
        let column = match kind {
            Kind::Enum(_) => format!("{column}::pg_catalog.text"),
            _ => column,
        };
        let text = |value: &str| Param::Text(value.to_owned());
        let condition = match &leaf.test {
            Test::Is(Is::Null) => {
                // `is null` would also be true for a row type's value of which all parts are null.
                let is_null = format!("{column} is not distinct from null");
                match kind {
                    Kind::Json => {
                        let is_json_null = JSON_NULL.replace("COLUMN", &column);
                        format!("({is_null} or {is_json_null})")
                    }
                    _ => is_null,
                }
            }
            Test::Is(what) => format!("{column} is {}", what.as_str()),
            Test::Compare(compare, value) => {
                let op = match compare {
                    Compare::Eq => "=",
                    Compare::Gt => ">",
                    Compare::Lt => "<",
                };
                let n = self.param(text(&value.text));
                format!("{column} operator(pg_catalog.{op}) {n}::pg_catalog.text::{cast}")
            }
            Test::In(values) => {
                let texts = values.iter().map(|v| v.text.clone()).collect();
                let n = self.param(Param::Texts(texts));
                format!("{column} operator(pg_catalog.=) any ({n}::pg_catalog.text[]::{cast}[])")
            }
            Test::Like(pattern) => {
                let n = self.param(text(pattern.text()));
                format!("{column} operator(pg_catalog.~~) {n}::pg_catalog.text")
            }
            Test::Ilike(pattern, _) => {
                let n = self.param(text(pattern.text()));
                format!("{column} operator(pg_catalog.~~*) {n}::pg_catalog.text")
            }
        };
        // Writing into a String can't fail.
        let _ = write!(self.text, "{condition}");
    }
}
