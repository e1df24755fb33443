//! The query string of `/rest`: PostgREST's words, and all others are the filter.

use crate::feed::Table;
use crate::feed::filter::Expr;
use crate::feed::filter::parse::{Builder, Dialect};
use crate::feed::order::Sort;
use crate::limits::{REST_ROWS_MAX, SUBSCRIPTION_COLUMNS_MAX};
use crate::store::rest::Selected;
use crate::wire::message::Refusal;

use super::super::problem::Problem;
use super::super::query::refused;
use super::super::rows::order;

/// The words that mean something here; a column of such a name is reached with `and=(limit.eq.5)`.
pub const WORDS: [&str; 6] = [
    "select",
    "order",
    "limit",
    "offset",
    "columns",
    "on_conflict",
];

/// What a query string says.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Which rows; none for all.
    pub filter: Option<Expr>,
    values: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads it.
    ///
    /// # Errors
    /// 400 names the parameter.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        let mut filter = Builder::of(Dialect::Request);
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(word) = WORDS.into_iter().find(|word| *word == name) else {
                let pushed = filter.push(&name, &value);
                pushed.map_err(|mut error| {
                    if !value.contains(['.', '(']) {
                        let words = WORDS.join(", ");
                        error.message += &format!("; every name but {words}, and, or is a column");
                    }
                    refused(Refusal::filter("", error))
                })?;
                continue;
            };
            if query.get(word).is_some() {
                return Err(Problem::malformed(word, "is there twice"));
            }
            query.values.push((word, value.into_owned()));
        }
        query.filter = filter.finish();
        Ok(query)
    }

    /// The value of a word.
    pub fn get(&self, word: &str) -> Option<&str> {
        let found = self.values.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| value.as_str())
    }

    /// Refuses words that mean nothing for a method.
    ///
    /// # Errors
    /// 400 names the parameter.
    pub fn refuse(&self, words: &[&str], method: &str) -> Result<(), Problem> {
        match words.iter().find(|word| self.get(word).is_some()) {
            Some(word) => Err(Problem::malformed(
                word,
                format!("has no meaning for {method}"),
            )),
            None => Ok(()),
        }
    }

    /// The columns of the answer.
    ///
    /// # Errors
    /// 400 names what is not served, or not there.
    pub fn selected(&self, table: &Table, all: Vec<Selected>) -> Result<Vec<Selected>, Problem> {
        let Some(text) = self.get("select").filter(|text| !text.trim().is_empty()) else {
            return Ok(all);
        };
        let mut selected = Vec::new();
        for item in split(text) {
            if item.trim() == "*" {
                selected.extend(all.iter().cloned());
                continue;
            }
            let one = select(item.trim()).map_err(|detail| Problem::malformed("select", detail))?;
            known("select", &one.column, table)?;
            selected.push(one);
        }
        if selected.len() > SUBSCRIPTION_COLUMNS_MAX {
            let detail = format!("names more than {SUBSCRIPTION_COLUMNS_MAX} columns");
            return Err(Problem::malformed("select", detail));
        }
        Ok(selected)
    }

    /// The order of the rows; none for any.
    ///
    /// # Errors
    /// 400 names what is wrong.
    pub fn order(&self, table: &Table) -> Result<Vec<Sort>, Problem> {
        let Some(text) = self.get("order").filter(|text| !text.trim().is_empty()) else {
            return Ok(Vec::new());
        };
        if text.contains('(') || text.contains("->") {
            let detail = "names another table or a path into JSON; only columns of the table itself are served";
            return Err(Problem::malformed("order", detail));
        }
        let order = order::parse(text)?;
        for sort in &order {
            known("order", &sort.column, table)?;
        }
        Ok(order)
    }

    /// How many rows behind how many, with the header `Range` of `range`.
    ///
    /// # Errors
    /// 400 names the parameter, 416 for a range that begins behind its end.
    pub fn page(&self, range: Option<(u64, Option<u64>)>) -> Result<(usize, u64), Problem> {
        let number = |word: &'static str| {
            let parse = |text: &str| {
                text.trim()
                    .parse::<u64>()
                    .ok()
                    .filter(|n| i64::try_from(*n).is_ok())
                    .ok_or_else(|| {
                        Problem::malformed(
                            word,
                            format!("is {text:?}; it has to be a whole number from 0 on"),
                        )
                    })
            };
            self.get(word).map(parse).transpose()
        };
        let (mut limit, mut offset) = (number("limit")?, number("offset")?.unwrap_or(0));
        if let Some((first, last)) = range {
            offset = offset.max(first);
            if let Some(last) = last {
                let most = (last + 1).saturating_sub(offset);
                limit = Some(limit.map_or(most, |limit| limit.min(most)));
            }
        }
        let limit = limit.map_or(REST_ROWS_MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok((limit.min(REST_ROWS_MAX), offset))
    }

    /// A list of columns of the table.
    ///
    /// # Errors
    /// 400 names the parameter and the column.
    pub fn columns(
        &self,
        word: &'static str,
        table: &Table,
    ) -> Result<Option<Vec<String>>, Problem> {
        let Some(text) = self.get(word) else {
            return Ok(None);
        };
        let mut columns: Vec<String> = Vec::new();
        for item in split(text) {
            let name = name(item.trim()).map_err(|detail| Problem::malformed(word, detail))?;
            known(word, &name, table)?;
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        Ok(Some(columns))
    }
}

/// 400: the table has no such column, or hides it.
fn known(field: &str, name: &str, table: &Table) -> Result<(), Problem> {
    match table.has_column(name) {
        true => Ok(()),
        false => Err(no_column(field, name, table)),
    }
}

/// 400.
pub fn no_column(field: &str, name: &str, table: &Table) -> Problem {
    let detail = format!(
        "the table {} has no column {name:?}; GET /api/tables lists its columns",
        table.quoted
    );
    let code = if field == "body" || field == "columns" {
        "PGRST204"
    } else {
        "42703"
    };
    Problem::malformed(field, detail).with_code(code)
}

/// Splits at commas that are neither in quotes nor in brackets.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut depth) = (false, 0_usize);
    text.split(move |c| {
        match c {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            ',' => return !is_quoted && depth == 0,
            _ => {}
        }
        false
    })
}

/// `column`, `alias:column`, each with quotes where it has other characters.
fn select(item: &str) -> Result<Selected, String> {
    let mut bare = String::new();
    let mut is_quoted = false;
    for c in item.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            c if !is_quoted => bare.push(c),
            _ => {}
        }
    }
    if bare.contains("...") || bare.contains('(') {
        let inner = bare.split_once('(').map_or("", |(_, inner)| inner);
        let word = bare.split('(').next().unwrap_or_default();
        let last = word.rsplit(['.', ':']).next().unwrap_or_default();
        let is_aggregate =
            inner.starts_with(')') && matches!(last, "count" | "sum" | "avg" | "min" | "max");
        return Err(match is_aggregate {
            true => {
                format!("has {item:?}: aggregates are not served; Prefer: count=exact counts rows")
            }
            false => format!(
                "has {item:?}: embedding other tables is not served; ask for each table by itself"
            ),
        });
    }
    if bare.contains("::") {
        return Err(format!(
            "has {item:?}: casts are not served; values come as row_to_json writes them"
        ));
    }
    if bare.contains("->") {
        return Err(format!(
            "has {item:?}: paths into JSON are not served; select the whole column"
        ));
    }
    let at = colon(item);
    let (label, column) = match at {
        Some(at) => (Some(name(&item[..at])?), name(&item[at + 1..])?),
        None => (None, name(item)?),
    };
    Ok(Selected {
        label: label.unwrap_or_else(|| column.clone()),
        column,
    })
}

/// The first colon that is not in quotes.
fn colon(item: &str) -> Option<usize> {
    let mut is_quoted = false;
    item.char_indices().find_map(|(i, c)| {
        is_quoted ^= c == '"';
        (c == ':' && !is_quoted).then_some(i)
    })
}

/// A name, in quotes or not.
fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let inner = match text.strip_prefix('"') {
        Some(rest) => rest
            .strip_suffix('"')
            .map(|inner| inner.replace("\\\"", "\"")),
        None => Some(text.to_owned()),
    };
    inner
        .filter(|name| !name.is_empty() && !name.contains('\0'))
        .ok_or_else(|| format!("has {text:?}, which is no name of a column"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_selected_is_read() {
        for (item, expected) in [
            ("a", Ok(("a", "a"))),
            ("b:a", Ok(("a", "b"))),
            ("\"a,b\"", Ok(("a,b", "a,b"))),
            ("\"x:y\":\"a::b\"", Ok(("a::b", "x:y"))),
            ("a::text", Err("casts are not served")),
            ("customers(*)", Err("embedding")),
            ("...customers(name)", Err("embedding")),
            ("c:customers!inner(name)", Err("embedding")),
            ("count()", Err("aggregates are not served")),
            ("total:price.sum()", Err("aggregates are not served")),
            ("data->>a", Err("paths into JSON")),
            ("", Err("no name of a column")),
        ] {
            let found = select(item);
            match expected {
                Ok((column, label)) => {
                    let found = found.unwrap();
                    assert_eq!(
                        (found.column.as_str(), found.label.as_str()),
                        (column, label),
                        "{item}"
                    );
                }
                Err(part) => assert!(
                    found.clone().unwrap_err().contains(part),
                    "{item}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn a_page_is_what_query_and_range_agree_on() {
        for (text, range, expected) in [
            ("", None, (REST_ROWS_MAX, 0)),
            ("limit=5&offset=10", None, (5, 10)),
            ("limit=99999999", None, (REST_ROWS_MAX, 0)),
            ("", Some((5, Some(9))), (5, 5)),
            ("limit=3", Some((5, Some(9))), (3, 5)),
            ("", Some((5, None)), (REST_ROWS_MAX, 5)),
            ("limit=0", None, (0, 0)),
        ] {
            assert_eq!(
                Query::parse(text).unwrap().page(range).unwrap(),
                expected,
                "{text} {range:?}"
            );
        }
        for text in [
            "limit=-1",
            "limit=x",
            "offset=1.5",
            "offset=99999999999999999999",
        ] {
            assert_eq!(
                Query::parse(text).unwrap().page(None).unwrap_err().status(),
                400,
                "{text}"
            );
        }
        assert!(Query::parse("limit=1&limit=2").is_err());
    }
}
