//! A row of the log, opened for filters: each value is read at most once, however many filters look at it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::catalog::Table;
use super::datum::{Datum, Unreadable, string};
use super::kind::Letters;

/// See the module's documentation.
#[derive(Debug)]
pub struct Row<'a> {
    table: &'a Table,
    /// The text of each column's value; none if the row does not have the column.
    texts: Vec<Option<&'a str>>,
    data: Vec<OnceCell<Result<Option<Datum<'a>>, Unreadable>>>,
    /// For patterns: each value as a text, and the same in lower case. However many patterns there are, it is read once.
    strings: Vec<OnceCell<Result<Cow<'a, str>, Unreadable>>>,
    lowered: Vec<OnceCell<Result<String, Unreadable>>>,
}

impl<'a> Row<'a> {
    /// Opens a row of a table.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn read(table: &'a Table, json: &'a str) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let texts = reader.deserialize_map(Members(table))?;
        reader.end()?;
        let data = texts.iter().map(|_| OnceCell::new()).collect();
        let strings = texts.iter().map(|_| OnceCell::new()).collect();
        let lowered = texts.iter().map(|_| OnceCell::new()).collect();
        Ok(Self {
            table,
            texts,
            data,
            strings,
            lowered,
        })
    }

    /// The text of a value.
    ///
    /// # Errors
    /// If the row does not have the column.
    pub fn text(&self, column: usize) -> Result<&'a str, Unreadable> {
        self.texts.get(column).copied().flatten().ok_or(Unreadable)
    }

    /// A value as a text, without its quotes and escapes.
    ///
    /// # Errors
    /// If the row does not have the column, or no text in it.
    pub(super) fn string(&self, column: usize) -> Result<&str, Unreadable> {
        let cell = self.strings.get(column).ok_or(Unreadable)?;
        let read = cell.get_or_init(|| string(self.text(column)?));
        read.as_deref().map_err(|unreadable| *unreadable)
    }

    /// The same in lower case, by the letters of its column.
    ///
    /// # Errors
    /// See [`Self::string`].
    pub(super) fn lowered(&self, column: usize, letters: &Letters) -> Result<&str, Unreadable> {
        let cell = self.lowered.get(column).ok_or(Unreadable)?;
        let lower = || {
            let text = self.string(column)?;
            Ok(text.chars().map(|c| letters.lower(c)).collect())
        };
        let read = cell.get_or_init(lower);
        read.as_deref().map_err(|unreadable| *unreadable)
    }

    /// A value; none for null.
    ///
    /// # Errors
    /// If the row does not have the column, or a value of another type in it.
    pub fn datum(&self, column: usize) -> Result<Option<&Datum<'a>>, Unreadable> {
        let cell = self.data.get(column).ok_or(Unreadable)?;
        let read = || Datum::read(&self.table.columns[column].kind, self.text(column)?);
        match cell.get_or_init(read) {
            Ok(datum) => Ok(datum.as_ref()),
            Err(unreadable) => Err(*unreadable),
        }
    }
}

struct Members<'a>(&'a Table);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let columns = &self.0.columns;
        let mut texts = vec![None; columns.len()];
        let mut next = 0;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            // The members come in the order of the columns, unless some are secret.
            let place = match columns.get(next) {
                Some(column) if column.name == name => Some(next),
                _ => columns.iter().position(|column| column.name == name),
            };
            match place {
                Some(place) => {
                    texts[place] = Some(map.next_value::<&'de RawValue>()?.get());
                    next = place + 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(texts)
    }
}
