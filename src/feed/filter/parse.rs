//! The grammar of filters, PostgREST's words: `status=eq.open&or=(a.gt.1,b.is.null)`. The members of a query string are
//! one filter: all of them have to hold.

use crate::limits::FILTER_BYTES_MAX;

use super::expr::Expr;
use super::grammar::Parser;

pub use super::grammar::Dialect;

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
    dialect: Dialect,
}

impl Builder {
    /// One with these operators.
    pub fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            ..Self::default()
        }
    }

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
        let mut parser = Parser::new(value, &mut self.conditions, self.dialect);
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

#[cfg(test)]
mod tests {
    use crate::limits::{FILTER_CONDITIONS_MAX, FILTER_VALUES_MAX};

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
