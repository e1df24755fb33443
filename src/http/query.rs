//! The query strings of everything that reads a table: words with a meaning of their own, and all others are the filter.

use std::collections::HashSet;
use std::sync::Arc;

use crate::feed::filter::parse::Builder;
use crate::wire::message::{BROKEN_CLAIM, Refusal, Subscribe};

use super::credentials;
use super::problem::Problem;

/// These words win over columns of the same name. A column is still reached in a group: `and=(limit.eq.5)`.
pub const RESERVED: [&str; 9] = [
    "table", "since", "snapshot", "limit", "after", "order", "wait", "columns", "ticket",
];

/// What a query string asks for.
#[derive(Debug, Default)]
pub struct Query {
    /// What a subscription would ask for.
    pub wanted: Subscribe,
    /// The other words, as `(word, value)`, each at most once.
    pub others: Vec<(&'static str, String)>,
}

impl Query {
    /// The value of a word.
    pub fn get(&self, word: &str) -> Option<&str> {
        let found = self.others.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a word that is a number.
    ///
    /// # Errors
    /// 400 if it is none, or not in the range.
    pub fn number(
        &self,
        word: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(value) = self.get(word) else {
            return Ok(None);
        };
        let number = value.parse().ok().filter(|n| range.contains(n));
        let detail = || {
            let (low, high) = (range.start(), range.end());
            format!("is {value:?}; it has to be a number from {low} to {high}")
        };
        number
            .map(Some)
            .ok_or_else(|| Problem::malformed(word, detail()))
    }
}

/// Reads a query string for the subscription `id`. `words` are the reserved ones that mean something here.
///
/// # Errors
/// Names what is wrong.
pub fn parse(id: &str, text: &str, words: &[&str]) -> Result<Query, Refusal> {
    let mut query = Query::default();
    let wanted = &mut query.wanted;
    wanted.id = id.to_owned();
    let (mut filter, mut seen) = (Builder::default(), HashSet::new());
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let Some(word) = RESERVED.into_iter().find(|word| *word == name) else {
            let pushed = filter.push(&name, &value);
            pushed.map_err(|mut error| {
                if !value.contains(['.', '(']) {
                    // Perhaps it was not meant as a column.
                    let words = words.join(", ");
                    error.message += &format!("; every name but {words}, and, or is a column");
                }
                Refusal::filter(id, error)
            })?;
            continue;
        };
        let bad =
            |message: String| Refusal::of(id, "bad_message", format!("{word}: {message}")).at(word);
        if !words.contains(&word) {
            let message = format!(
                "has no meaning here; the words are {}. A column of this name is reached with and=({word}.eq.VALUE)",
                words.join(", ")
            );
            return Err(bad(message));
        }
        if !seen.insert(word) {
            return Err(bad("is there twice".into()));
        }
        match word {
            "table" => wanted.table = value.into_owned(),
            "columns" => wanted.set_columns(&value),
            "since" => wanted.set_since(&value).map_err(|e| e.at(word))?,
            "snapshot" => match &*value {
                "1" | "true" => wanted.snapshot = true,
                "0" | "false" | "" => wanted.snapshot = false,
                _ => return Err(bad(format!("is {value:?}; it has to be 1 or 0"))),
            },
            _ => query.others.push((word, value.into_owned())),
        }
    }
    wanted.filter = filter.finish().map(Arc::new);
    if words.contains(&"table") && wanted.table.is_empty() {
        let missing = "table: is missing; GET /api/tables lists those there are";
        return Err(Refusal::of(id, "bad_message", missing).at("table"));
    }
    wanted.check()?;
    Ok(query)
}

/// Reads a query string that subscribes, whose `order` and `limit` are those of a window.
///
/// # Errors
/// Names what is wrong.
pub fn subscription(id: &str, text: &str, words: &[&str]) -> Result<Subscribe, Refusal> {
    let mut query = parse(id, text, words)?;
    let (order, limit) = (query.get("order"), query.get("limit"));
    let (order, limit) = (order.map(str::to_owned), limit.map(str::to_owned));
    query
        .wanted
        .set_window(order.as_deref(), limit.as_deref())?;
    Ok(query.wanted)
}

/// 404: the table is not watched, or plank may not read it.
pub fn unknown_table(message: &str) -> Problem {
    let detail = format!("{message}; GET /api/tables lists those there are");
    Problem::not_found(detail)
}

/// A refusal, as the answer to a request.
pub fn refused(refusal: Refusal) -> Problem {
    let Refusal {
        code,
        message,
        field,
        ..
    } = refusal;
    match code {
        "unknown_table" => return unknown_table(&message),
        "busy" => return Problem::unavailable(message),
        BROKEN_CLAIM => return credentials::forbidden(message),
        _ => {}
    }
    let message = match code {
        "unknown_column" => format!("{message}; GET /api/tables lists its columns"),
        _ => message,
    };
    let field = field.as_deref().unwrap_or("query");
    let prefix = format!("{field}: ");
    Problem::malformed(field, message.strip_prefix(&prefix).unwrap_or(&message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 3] = ["table", "columns", "limit"];

    #[test]
    fn what_is_no_word_is_the_filter() {
        let query = parse(
            "a",
            "table=t&limit=7&columns=id,%20a&status=eq.open&or=(a.is.null)",
            &WORDS,
        );
        let query = query.unwrap();
        assert_eq!(query.wanted.table, "t");
        assert_eq!(query.wanted.columns.as_ref().unwrap(), &["id", "a"]);
        assert_eq!(query.number("limit", 1..=7).unwrap(), Some(7));
        assert_eq!(query.number("limit", 1..=6).unwrap_err().status(), 400);
        assert_eq!(
            query.wanted.filter.unwrap().to_string(),
            r#"and("status".eq."open",or("a".is.null))"#
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, field, part) in [
            ("", "table", "is missing"),
            ("table=t&table=u", "table", "twice"),
            ("table=t&wait=3", "wait", "has no meaning here"),
            ("table=t&status=open", "status", "operator"),
            (
                "table=t&offset=3",
                "offset",
                "every name but table, columns, limit, and, or is a column",
            ),
        ] {
            let refusal = parse("a", text, &WORDS).unwrap_err();
            assert_eq!(refusal.field.as_deref(), Some(field), "{text}");
            let problem = refused(refusal);
            assert!(problem.to_string().contains(part), "{text}: {problem}");
        }
        let refusal = parse("a", "table=t&since=abc", &["table", "since"]).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.field.as_deref()),
            ("bad_cursor", Some("since"))
        );
    }
}
