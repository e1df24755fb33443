//! The parameters of a statement that runs within a function of the database: one array of texts, `$1`, of which each value is a
//! member. Its statements cast each to its type.

use crate::feed::filter::Filter;
use crate::feed::filter::sql::Param;

/// The parameters of a statement: one array of texts, `$1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<String>);

impl Params {
    /// Keeps a value; the SQL that stands for it.
    pub fn add(&mut self, text: impl Into<String>) -> String {
        self.0.push(text.into());
        format!("$1[{}]", self.0.len())
    }

    /// Keeps a list of texts; the SQL that stands for it, to be cast to an array.
    pub fn add_list(&mut self, texts: &[String]) -> String {
        self.add(text_array(texts))
    }

    /// The condition that a filter puts on `x`.
    pub fn filter(&mut self, filter: &Filter) -> String {
        filter.sql_with(&mut |param| match param {
            Param::Text(text) => self.add(text),
            Param::Texts(texts) => self.add_list(&texts),
        })
    }

    /// The values, in their order.
    pub fn texts(&self) -> &[String] {
        &self.0
    }

    /// The same.
    pub fn into_texts(self) -> Vec<String> {
        self.0
    }
}

/// A list as PostgreSQL reads an array of texts.
fn text_array(texts: &[String]) -> String {
    let mut out = String::from("{");
    for (i, text) in texts.iter().enumerate() {
        out.push_str(if i > 0 { ",\"" } else { "\"" });
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_members_and_a_list_is_one() {
        let mut params = Params::default();
        assert_eq!(params.add("a"), "$1[1]");
        let list = ["a", "b\"\\c", "{}", "x,y", "", "null"].map(str::to_owned);
        assert_eq!(params.add_list(&list), "$1[2]");
        assert_eq!(
            params.texts(),
            ["a", r#"{"a","b\"\\c","{}","x,y","","null"}"#]
        );
        assert_eq!(Params::default().add_list(&[]), "$1[1]");
    }
}
