//! Which tables are watched, and what clients may know of them. Kept up to date by the log itself: `plank.watch` writes
//! a description of the table into it, at the place from which on its changes are captured.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filter::kind::{Kind, Letters};
use super::json::Wide;
use super::policy::Policy;
use super::projection::Projection;

/// A PostgreSQL object identifier.
pub type Oid = u32;

/// The schema of the results of live queries.
pub const QUERY_SCHEMA: &str = "plank_query";

/// A column that clients may see.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Column {
    /// As in `pg_attribute`, without quotes.
    pub name: String,
    /// As `format_type` writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Why clients can't write it: `generated` or `identity`; none where they can.
    #[serde(default, skip_serializing)]
    pub fixed: Option<String>,
    /// Which of its numbers a reader may round that takes all numbers for floating-point ones.
    #[serde(default, skip_serializing)]
    pub wide: Option<Wide>,
    /// What filters make of it.
    #[serde(flatten, skip_serializing)]
    pub kind: Kind,
}

/// A foreign key, as `plank.references_of` writes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Reference {
    /// The table that it names, watched or not.
    pub rel: Oid,
    /// Its columns, without quotes.
    pub columns: Vec<String>,
    /// The columns that they name, in the same order.
    pub to: Vec<String>,
}

impl Reference {
    /// The table that it names, where all that it says may be seen: that one is among `seen`, and clients may name the columns of
    /// both.
    pub fn leads<'a>(&self, from: &Table, seen: &'a [Arc<Table>]) -> Option<&'a Table> {
        let to = seen.iter().find(|table| table.rel == self.rel)?;
        let is_seen = |table: &Table, names: &[String]| names.iter().all(|n| table.has_column(n));
        (is_seen(from, &self.columns) && is_seen(to, &self.to)).then_some(&**to)
    }
}

/// A watched table, as `plank.describe` writes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Table {
    /// Its own identifier, which the log names.
    pub rel: Oid,
    /// Schema, without quotes.
    pub schema: String,
    /// Name, without quotes.
    pub name: String,
    /// Schema and name as PostgreSQL would quote them: what clients are shown, and may send back.
    pub quoted: String,
    /// The transaction in which capture began: a cursor that did not see it can't be served.
    pub since: u64,
    /// The columns of the primary key in its order; empty without one.
    pub key: Vec<String>,
    /// Whether the key is checked at the end of a transaction, so that two transactions may hold it at once.
    #[serde(default)]
    pub late_key: bool,
    /// Whether clients may have the row before a change.
    pub old_rows: bool,
    /// Whether everybody may write it where nobody has to log in.
    #[serde(default)]
    pub writable: bool,
    /// Whether PostgreSQL alone writes its values: no type is a user's own.
    #[serde(default)]
    pub plain: bool,
    /// Whether `columns` is a part of the table's columns only.
    pub narrowed: bool,
    /// What clients may see.
    pub columns: Vec<Column>,
    /// Its foreign keys.
    #[serde(default)]
    pub references: Vec<Reference>,
    /// Who may do what, where a token is required.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// See [`Catalog::stringifying`].
    #[serde(skip)]
    pub stringifies: bool,
}

impl Table {
    /// What leaves of a row: the columns in the order of the key and then of the table, or the row as it is.
    pub fn projection(&self, wanted: Option<&[String]>) -> Projection {
        let wide = self.columns.iter().filter(|_| self.stringifies);
        let wide = wide.filter_map(|c| Some((c.name.clone(), c.wide.clone()?)));
        Projection::new(self.leaving(wanted), wide.collect())
    }

    fn leaving(&self, wanted: Option<&[String]>) -> Option<Vec<String>> {
        if wanted.is_none() && !self.narrowed {
            return None;
        }
        let visible = self.columns.iter().map(|c| &c.name);
        let rest = visible
            .filter(|name| !self.key.contains(name) && wanted.is_none_or(|w| w.contains(name)));
        Some(self.key.iter().chain(rest).cloned().collect())
    }

    /// A column that clients may name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Whether clients may name this column.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|c| c.name == name)
    }
}

/// All watched tables, by identifier.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    tables: HashMap<Oid, Arc<Table>>,
    /// Of the database's own collation.
    letters: Letters,
    /// Whether numbers that a reader may round leave as strings: `bigint`, `numeric`, and arrays of them.
    stringifies: bool,
    /// See [`Self::version`].
    version: u64,
}

impl Catalog {
    /// Without tables yet; whether `bigint`, `numeric` and arrays of them leave as strings.
    pub fn stringifying(stringifies: bool) -> Self {
        Self {
            stringifies,
            ..Self::default()
        }
    }

    /// Without tables yet.
    pub fn new(letters: Letters) -> Self {
        Self {
            letters,
            ..Self::default()
        }
    }

    /// Forgets all tables.
    pub fn clear(&mut self) {
        self.tables.clear();
        self.version += 1;
    }

    /// Rises whenever a table comes, goes, or is described in another way.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The letters of `other`, for all tables that are added from now on.
    pub fn take_letters(&mut self, other: &Self) {
        self.letters = other.letters.clone();
    }

    /// Adds a table, or replaces what was known of it. Gives the tables that had its name until now: they have been
    /// dropped, or renamed.
    pub fn insert(&mut self, mut table: Table) -> Vec<Oid> {
        for column in &mut table.columns {
            column.kind.resolve(&self.letters);
        }
        table.stringifies = self.stringifies;
        let had_its_name = |t: &&Arc<Table>| {
            t.rel != table.rel && (&t.schema, &t.name) == (&table.schema, &table.name)
        };
        let stale: Vec<Oid> = self
            .tables
            .values()
            .filter(had_its_name)
            .map(|t| t.rel)
            .collect();
        for rel in &stale {
            self.remove(*rel);
        }
        if self.get(table.rel).is_none_or(|known| **known != table) {
            self.version += 1;
            self.tables.insert(table.rel, Arc::new(table));
        }
        stale
    }

    /// All tables.
    pub fn into_tables(self) -> impl Iterator<Item = Arc<Table>> {
        self.tables.into_values()
    }

    /// Forgets a table.
    pub fn remove(&mut self, rel: Oid) {
        if self.tables.remove(&rel).is_some() {
            self.version += 1;
        }
    }

    /// The table that the log calls `rel`.
    pub fn get(&self, rel: Oid) -> Option<&Arc<Table>> {
        self.tables.get(&rel)
    }

    /// All tables that clients may name, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// Finds a table by the name that a client wrote, read as PostgreSQL reads a `regclass` with search path `public, plank_query`:
    /// a live query may be named without its schema.
    pub fn resolve(&self, name: &str) -> Option<&Arc<Table>> {
        let (schema, name) = parse_name(name)?;
        let of = |schema: &str| self.iter().find(|t| t.schema == schema && t.name == name);
        match schema {
            Some(schema) => of(&schema),
            None => of("public").or_else(|| of(QUERY_SCHEMA)),
        }
    }
}

/// The live query that a client may mean by this name of a table.
pub fn query_name(table: &str) -> Option<Box<str>> {
    let (schema, name) = parse_name(table)?;
    let is_query = schema.is_none_or(|schema| schema == QUERY_SCHEMA);
    is_query.then(|| name.into())
}

/// Splits `schema.name` or `name`: unquoted parts are folded to lower case, quoted ones are taken as they are with `""`
/// for a quote (PostgreSQL, "Identifiers and Key Words"). None when it is no such name.
pub fn parse_name(text: &str) -> Option<(Option<String>, String)> {
    let (first, rest) = parse_part(text.trim())?;
    let Some(rest) = rest.trim_start().strip_prefix('.') else {
        return rest.trim().is_empty().then_some((None, first));
    };
    let (second, rest) = parse_part(rest.trim_start())?;
    rest.trim().is_empty().then_some((Some(first), second))
}

fn parse_part(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c == '.' || c == '"' || c.is_whitespace())
            .unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_ascii_lowercase(), &text[end..]));
    };
    let mut part = String::new();
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return (!part.is_empty()).then_some((part, rest)),
        }
    }
}

#[cfg(test)]
impl Table {
    /// One that no database has, with the key `id`.
    pub(crate) fn of_paper(rel: Oid, schema: &str, name: &str) -> Self {
        Self {
            rel,
            late_key: false,
            schema: schema.into(),
            name: name.into(),
            quoted: format!("{schema}.{name}"),
            since: 0,
            key: vec!["id".into()],
            old_rows: true,
            writable: false,
            plain: true,
            narrowed: false,
            columns: vec![],
            references: vec![],
            policies: vec![],
            stringifies: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rel: Oid, schema: &str, name: &str) -> Table {
        Table {
            columns: ["a", "id", "secret"]
                .map(|n| Column {
                    name: n.into(),
                    type_name: "text".into(),
                    fixed: None,
                    wide: None,
                    kind: Kind::Other,
                })
                .into(),
            ..Table::of_paper(rel, schema, name)
        }
    }

    #[test]
    fn names_are_read_as_a_regclass() {
        let cases = [
            ("items", Some((None, "items"))),
            ("Items", Some((None, "items"))),
            ("\"Items\"", Some((None, "Items"))),
            (
                "sales.\"Order \"\"Lines\"\"\"",
                Some((Some("sales"), "Order \"Lines\"")),
            ),
            (" public . items ", Some((Some("public"), "items"))),
            ("", None),
            ("\"\"", None),
            ("\"open", None),
            ("a.b.c", None),
            ("a b", None),
            (".a", None),
            ("a.", None),
        ];
        for (text, expected) in cases {
            let expected =
                expected.map(|(s, n): (Option<&str>, &str)| (s.map(String::from), n.to_owned()));
            assert_eq!(parse_name(text), expected, "{text}");
        }
    }

    #[test]
    fn a_table_that_takes_the_name_of_another_replaces_it() {
        let mut catalog = Catalog::default();
        catalog.insert(table(1, "public", "p"));
        assert_eq!(catalog.resolve("P").unwrap().rel, 1);
        assert_eq!(catalog.insert(table(7, "public", "p")), [1]);
        assert_eq!(
            catalog.resolve("p").unwrap().rel,
            7,
            "the one that was made later"
        );
    }

    #[test]
    fn the_version_rises_with_each_change_and_only_then() {
        let mut catalog = Catalog::default();
        catalog.insert(table(1, "public", "p"));
        let first = catalog.version();
        catalog.insert(table(1, "public", "p"));
        catalog.remove(9);
        assert_eq!(catalog.version(), first);
        let mut changes = vec![first];
        catalog.insert(Table {
            writable: true,
            ..table(1, "public", "p")
        });
        changes.push(catalog.version());
        catalog.insert(table(2, "public", "q"));
        changes.push(catalog.version());
        catalog.remove(2);
        changes.push(catalog.version());
        catalog.clear();
        changes.push(catalog.version());
        assert!(changes.is_sorted_by(|a, b| a < b), "{changes:?}");
    }

    #[test]
    fn a_projection_always_has_the_key() {
        let mut t = table(1, "public", "t");
        assert_eq!(t.leaving(None), None);
        assert_eq!(t.leaving(Some(&["a".into()])).unwrap(), ["id", "a"]);
        t.narrowed = true;
        t.columns.pop();
        assert_eq!(t.leaving(None).unwrap(), ["id", "a"]);
        assert!(!t.has_column("secret"));
    }
}
