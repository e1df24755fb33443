//! The grammar of filters, PostgREST's words: `status=eq.open&or=(a.gt.1,b.is.null)`. The members of a query string are
//! one filter: all of them have to hold.

use crate::limits::{FILTER_BYTES_MAX, FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, FILTER_VALUES_MAX};

use super::expr::{Expr, Is, Op};

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct FilterError {
    /// The member of the query string, which mostly is a column.
    pub place: String,
    /// For people.
    pub message: String,
}

impl FilterError {
    /// An error at a place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

/// Gathers the members of a query string.
#[derive(Debug, Default)]
pub struct Builder {
    members: Vec<Expr>,
    bytes: usize,
    conditions: usize,
}

impl Builder {
    /// Takes a member, both sides percent-decoded.
    ///
    /// # Errors
    /// Names the member, and what is wrong in it.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), FilterError> {
        self.bytes += name.len() + value.len();
        if self.bytes > FILTER_BYTES_MAX {
            let message = format!("the filter has more than {FILTER_BYTES_MAX} bytes");
            return Err(FilterError::new("filter", message));
        }
        if name.contains('\0') || value.contains('\0') {
            return Err(FilterError::new(
                name.replace('\0', "\u{fffd}"),
                "can't hold the character U+0000",
            ));
        }
        let mut parser = Parser {
            text: value,
            at: 0,
            conditions: &mut self.conditions,
        };
        let member = match name {
            "and" => parser.tree(1).map(Expr::All),
            "or" => parser.tree(1).map(Expr::Any),
            "not.and" => parser.tree(1).map(|m| Expr::Not(Expr::All(m).into())),
            "not.or" => parser.tree(1).map(|m| Expr::Not(Expr::Any(m).into())),
            column => parser.operation(column, false),
        };
        let member = member.and_then(|member| match parser.rest() {
            "" => Ok(member),
            _ => Err(parser.wrong("there is more behind the end")),
        });
        self.members
            .push(member.map_err(|message| FilterError::new(name, message))?);
        Ok(())
    }

    /// The whole filter; none without a member.
    pub fn finish(mut self) -> Option<Expr> {
        match self.members.len() {
            0 => None,
            1 => self.members.pop(),
            _ => Some(Expr::All(self.members)),
        }
    }
}

/// Reads a filter that stands for itself, as in a subscription: percent-decoded like a query string.
///
/// # Errors
/// Names the member, and what is wrong in it.
pub fn parse(text: &str) -> Result<Option<Expr>, FilterError> {
    if text.len() > 3 * FILTER_BYTES_MAX {
        let message = format!("has {} bytes; that is too long", text.len());
        return Err(FilterError::new("filter", message));
    }
    let mut builder = Builder::default();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        builder.push(&name, &value)?;
    }
    Ok(builder.finish())
}

/// The operators, for an error.
fn words() -> String {
    let words: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
    format!("{}, in, is", words.join(", "))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    conditions: &'a mut usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, word: &str) -> bool {
        let is_there = self.rest().starts_with(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    /// An error here; members that are a value only are short enough to need no place.
    fn wrong(&self, what: impl AsRef<str>) -> String {
        let characters = self.text[..self.at].chars().count();
        format!("at character {}: {}", characters + 1, what.as_ref())
    }

    /// `(member,member)`
    fn tree(&mut self, depth: usize) -> Result<Vec<Expr>, String> {
        if depth > FILTER_DEPTH_MAX {
            let what = format!("nested more than {FILTER_DEPTH_MAX} deep");
            return Err(self.wrong(what));
        }
        if !self.take("(") {
            return Err(self.wrong("( is missing; write (column.operator.value,...)"));
        }
        let mut members = Vec::new();
        loop {
            members.push(self.member(depth)?);
            if self.take(")") {
                return Ok(members);
            }
            if !self.take(",") {
                return Err(self.wrong(", or ) is missing"));
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Expr, String> {
        for (word, is_denied, is_any) in [
            ("and(", false, false),
            ("or(", false, true),
            ("not.and(", true, false),
            ("not.or(", true, true),
        ] {
            if self.take(word) {
                self.at -= 1;
                let members = self.tree(depth + 1)?;
                let tree = if is_any {
                    Expr::Any(members)
                } else {
                    Expr::All(members)
                };
                return Ok(match is_denied {
                    true => Expr::Not(tree.into()),
                    false => tree,
                });
            }
        }
        let column = if self.rest().starts_with('"') {
            self.quoted()?
        } else {
            let rest = self.rest();
            let end = rest.find(['.', ',', '(', ')']).unwrap_or(rest.len());
            self.at += end;
            rest[..end].to_owned()
        };
        if column.is_empty() || !self.take(".") {
            return Err(self.wrong(
                "a condition is missing; write column.operator.value, with and(...) and or(...) around several",
            ));
        }
        self.operation(&column, true)
    }

    /// `[not.]operator.value` for a column.
    fn operation(&mut self, column: &str, is_nested: bool) -> Result<Expr, String> {
        *self.conditions += 1;
        if *self.conditions > FILTER_CONDITIONS_MAX {
            let what = format!("the filter has more than {FILTER_CONDITIONS_MAX} conditions");
            return Err(what);
        }
        let is_denied = self.take("not.");
        let word = self.rest().split(['.', ',', ')', '(']).next().unwrap_or("");
        let op = Op::ALL.into_iter().find(|op| op.as_str() == word);
        if op.is_none() && !matches!(word, "in" | "is") {
            let what = format!(
                "there is no operator {:?}; write operator.value with one of {}",
                short(word),
                words()
            );
            return Err(self.wrong(what));
        }
        self.at += word.len();
        if !self.take(".") {
            let what = format!("a dot and a value are missing behind {word}");
            return Err(self.wrong(what));
        }
        let column = column.to_owned();
        let condition = match (op, word) {
            (Some(op), _) => Expr::Compare {
                column,
                op,
                value: self.value(is_nested)?,
            },
            (None, "in") => Expr::In {
                column,
                values: self.list()?,
            },
            (None, _) => {
                let start = self.at;
                let word = self.value(is_nested)?;
                let what = Is::ALL.into_iter().find(|is| is.as_str() == word);
                let what = what.ok_or_else(|| {
                    self.at = start;
                    self.wrong(format!(
                        "is takes null, true or false, and not {:?}",
                        short(&word)
                    ))
                })?;
                Expr::Is { column, what }
            }
        };
        Ok(match is_denied {
            true => Expr::Not(condition.into()),
            false => condition,
        })
    }

    /// In a group a value ends at a comma or a bracket, unless it is quoted. On its own it is all there is.
    fn value(&mut self, is_nested: bool) -> Result<String, String> {
        if !is_nested {
            let rest = self.rest();
            self.at = self.text.len();
            return Ok(rest.to_owned());
        }
        self.element()
    }

    fn element(&mut self) -> Result<String, String> {
        let rest = self.rest();
        if rest.starts_with('"') {
            return self.quoted();
        }
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    /// `(value,"value")`
    fn list(&mut self) -> Result<Vec<String>, String> {
        if !self.take("(") {
            return Err(self.wrong("( is missing; write in.(a,b)"));
        }
        let mut values = Vec::new();
        if self.take(")") {
            return Ok(values);
        }
        loop {
            if values.len() == FILTER_VALUES_MAX {
                let what = format!("in has more than {FILTER_VALUES_MAX} values");
                return Err(self.wrong(what));
            }
            values.push(self.element()?);
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.wrong(", or ) is missing"));
            }
        }
    }

    /// `"text"`, with `\"` and `\\`.
    fn quoted(&mut self) -> Result<String, String> {
        let (mut text, mut is_escaped) = (String::new(), false);
        let start = self.at;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if is_escaped => {
                    text.push(c);
                    is_escaped = false;
                }
                '\\' => is_escaped = true,
                '"' => {
                    self.at += i + 1;
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        self.at = start;
        Err(self.wrong("the quote is never closed"))
    }
}

/// What an error repeats of what was sent.
fn short(text: &str) -> &str {
    text.char_indices()
        .nth(40)
        .map_or(text, |(i, _)| &text[..i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse(text) {
            Ok(expr) => expr.map_or_else(String::new, |e| e.to_string()),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn a_filter_is_read() {
        for (text, expected) in [
            ("", ""),
            ("status=eq.open", r#""status".eq."open""#),
            ("a=eq.", r#""a".eq."""#),
            ("a=not.eq.1.5", r#"not.and("a".eq."1.5")"#),
            ("a=eq.x+y%26z", r#""a".eq."x y&z""#),
            ("a=eq.\"q\"", r#""a".eq."\"q\"""#),
            (
                "a=in.(1,\"b,c\",\"d\\\"e\")",
                r#""a".in.("1","b,c","d\"e")"#,
            ),
            ("a=in.()", r#""a".in.()"#),
            (
                "a=is.null&b=not.is.true",
                r#"and("a".is.null,not.and("b".is.true))"#,
            ),
            (
                "or=(a.eq.1,and(b.lt.2,c.not.in.(x,y)),not.or(d.is.false))",
                r#"or("a".eq."1",and("b".lt."2",not.and("c".in.("x","y"))),not.or("d".is.false))"#,
            ),
            ("not.or=(a.eq.1)", r#"not.or("a".eq."1")"#),
            ("and=(limit.eq.5)", r#"and("limit".eq."5")"#),
            ("or=(\"a.b\".eq.1)", r#"or("a.b".eq."1")"#),
            ("or=(and.eq.1)", r#"or("and".eq."1")"#),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let expr =
            parse("or=(a.eq.\"x,\\\\\\\"y)\",not.and(b.in.(1,2),c.not.like.*z*))&d=neq.%C3%BC")
                .unwrap()
                .unwrap();
        let again: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("and", &format!("({expr})"))
            .finish();
        let Some(Expr::All(members)) = parse(&again).unwrap() else {
            panic!("{again}")
        };
        assert_eq!(members[0].to_string(), expr.to_string());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            (
                "a=open",
                "! a: at character 1: there is no operator \"open\"",
            ),
            ("a=eq", "! a: at character 3: a dot and a value"),
            (
                "a=is.maybe",
                "! a: at character 4: is takes null, true or false",
            ),
            ("a=in.1", "! a: at character 4: ( is missing"),
            ("a=in.(1", "! a: at character 6: , or ) is missing"),
            (
                "a=in.(\"1)",
                "! a: at character 5: the quote is never closed",
            ),
            ("a=in.(1)x", "! a: at character 7: there is more"),
            ("or=a.eq.1", "! or: at character 1: ( is missing"),
            ("or=()", "! or: at character 2: a condition is missing"),
            ("or=(a)", "! or: at character 3: a condition is missing"),
            ("or=(a.eq.1,)", "! or: at character 9: a condition"),
            ("or=(a.eq.1))", "! or: at character 9: there is more"),
            (
                "or=(a.nope.1)",
                "! or: at character 4: there is no operator \"nope\"",
            ),
            ("a=eq.%00", "! a: can't hold the character U+0000"),
        ] {
            assert!(read(text).starts_with(expected), "{text}: {}", read(text));
        }
    }

    #[test]
    fn everything_is_bounded() {
        let deep = format!("or=({}a.eq.1{})", "and(".repeat(1_000), ")".repeat(1_000));
        assert!(read(&deep).contains("nested more than"));
        let values = vec!["1"; 100_000].join(",");
        assert!(parse(&format!("a=in.({values})")).is_err());
        let values = vec!["1"; FILTER_VALUES_MAX + 1].join(",");
        assert!(read(&format!("a=in.({values})")).contains("values"));
        let many = vec!["a=eq.1"; FILTER_CONDITIONS_MAX + 1].join("&");
        assert!(read(&many).contains("conditions"));
        assert!(read(&format!("a=eq.{}", "x".repeat(100_000))).contains("bytes"));
    }
}
