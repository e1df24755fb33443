//! What of a row leaves: which columns, and whether their numbers leave as strings.

use std::borrow::Cow;
use std::sync::Arc;

use super::json::{self, Wide};

/// The default is the row as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// The columns that leave, in their order; none for all, also those that are not known yet.
    columns: Option<Arc<[String]>>,
    /// The columns whose numbers a reader may round, and which leave as strings.
    wide: Arc<[(String, Wide)]>,
}

impl Projection {
    /// These columns, none for all, the numbers of `wide` as strings.
    pub fn new(columns: Option<Vec<String>>, wide: Vec<(String, Wide)>) -> Self {
        Self {
            columns: columns.map(Arc::from),
            wide: wide.into(),
        }
    }

    /// What leaves of a row, as JSON text. A column that is missing is left out.
    ///
    /// # Errors
    /// If `row` is no JSON object.
    pub fn apply<'a>(&self, row: &'a str) -> Result<Cow<'a, str>, serde_json::Error> {
        match &self.columns {
            Some(columns) => json::select(row, columns, &self.wide).map(Cow::Owned),
            None => self.whole(row),
        }
    }

    /// The same of a primary key, which always leaves whole.
    ///
    /// # Errors
    /// If `key` is no JSON object.
    pub fn whole<'a>(&self, key: &'a str) -> Result<Cow<'a, str>, serde_json::Error> {
        if self.wide.is_empty() {
            return Ok(Cow::Borrowed(key));
        }
        json::quote_numbers(key, &self.wide).map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_wide_columns_are_strings_and_nothing_else_is() {
        let of = |columns: Option<&[&str]>, wide: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
            let wide = wide.iter().map(|n| ((*n).to_owned(), Wide::All(true)));
            Projection::new(columns.map(own), wide.collect())
        };
        let row = r#"{"id":9007199254740993,"n":-1.10e+5,"small":7,"a":[[1,null],[-2.5,"NaN"]],"j":{"n": 1},"t":"1","z":null}"#;
        assert_eq!(of(None, &[]).apply(row).unwrap(), row);
        assert_eq!(
            of(None, &["id", "n", "a", "z"]).apply(row).unwrap(),
            r#"{"id":"9007199254740993","n":"-1.10e+5","small":7,"a":[["1",null],["-2.5","NaN"]],"j":{"n": 1},"t":"1","z":null}"#
        );
        let some = of(Some(&["n", "t"]), &["id", "n"]);
        assert_eq!(some.apply(row).unwrap(), r#"{"n":"-1.10e+5","t":"1"}"#);
        assert_eq!(some.whole(r#"{"id":1}"#).unwrap(), r#"{"id":"1"}"#);
        assert!(some.apply("1").is_err() && some.whole("1").is_err());
    }
}
