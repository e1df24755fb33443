//! One value of a column: read from a filter, or from a row's JSON. Values of one column compare as PostgreSQL compares
//! them.

use std::borrow::Cow;

use uuid::Uuid;

use super::decimal::Decimal;
use super::kind::Kind;
use super::moment;

/// See the module's documentation. Only values of the same kind are ever compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Datum<'a> {
    /// False is less than true.
    Bool(bool),
    /// An integer, or a number that orders like the value it stands for.
    Int(i64),
    /// `numeric`
    Numeric(Decimal),
    /// Any text, byte by byte.
    Text(Cow<'a, str>),
    /// `bytea`
    Bytes(Box<[u8]>),
    /// `uuid`
    Uuid(Uuid),
}

/// A value of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal {
    /// The value.
    pub datum: Datum<'static>,
    /// As PostgreSQL reads it. Equal values have equal texts.
    pub text: String,
}

impl Literal {
    /// Reads the value of a filter for a column of this kind.
    ///
    /// # Errors
    /// What it should have been, for people.
    pub fn parse(kind: &Kind, text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{:?} is no value for it: {what}", shorten(text)));
        let (datum, text) = match kind {
            Kind::Bool => match text {
                "true" | "false" => (Datum::Bool(text == "true"), text.to_owned()),
                _ => return wrong("it has to be true or false"),
            },
            Kind::Int(bits) => {
                let max = i64::MAX >> (64 - bits);
                let number = text.parse().ok().filter(|n| (-max - 1..=max).contains(n));
                match number {
                    Some(n) => (Datum::Int(n), n.to_string()),
                    None => {
                        return wrong(&format!(
                            "it has to be a whole number from {} to {max}",
                            -max - 1
                        ));
                    }
                }
            }
            Kind::Float4 => match narrow(text) {
                Some(n) => (
                    Datum::Int(order(n.into())),
                    number_text(f64::from(n), format!("{n:e}")),
                ),
                None => return wrong("it has to be a number that fits into a real"),
            },
            Kind::Float8 => match float(text) {
                Some(n) => (Datum::Int(order(n)), number_text(n, format!("{n:e}"))),
                None => return wrong("it has to be a number that fits into a double precision"),
            },
            Kind::Numeric => match Decimal::parse(text).filter(Decimal::is_bearable) {
                Some(n) => {
                    let text = n.text();
                    (Datum::Numeric(n), text)
                }
                None => return wrong("it has to be a number of a bearable size"),
            },
            Kind::Text(..) => (Datum::Text(text.to_owned().into()), text.to_owned()),
            Kind::Bpchar(..) => {
                let text = text.trim_end_matches(' ').to_owned();
                (Datum::Text(text.clone().into()), text)
            }
            Kind::Enum(labels) => match labels.iter().find(|label| *label == text) {
                Some(label) => (Datum::Text(label.clone().into()), label.clone()),
                None => return wrong(&format!("it is one of {}", shorten(&labels.join(", ")))),
            },
            Kind::Uuid => match Uuid::try_parse(text) {
                Ok(uuid) if matches!(text.len(), 32 | 36) => {
                    (Datum::Uuid(uuid), uuid.hyphenated().to_string())
                }
                _ => return wrong("it has to be a UUID"),
            },
            Kind::Bytea => match bytes(text) {
                Some(bytes) => (Datum::Bytes(bytes), text.to_ascii_lowercase()),
                None => return wrong("it has to be \\x and hexadecimal digits, two for each byte"),
            },
            Kind::Moment(form) => match moment::parse(*form, text) {
                Ok(at) => (Datum::Int(at), moment::text(*form, at)),
                Err(what) => return wrong(what),
            },
            Kind::Json | Kind::Other => return wrong("values of its type can't be compared"),
        };
        Ok(Self { datum, text })
    }
}

/// A value can't be read as one of the column's type: the table has changed since the row was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value of the row does not have the type that its column has now")]
pub struct Unreadable;

impl<'a> Datum<'a> {
    /// Reads a value of a row's JSON; none for null.
    ///
    /// # Errors
    /// If it has another type.
    pub fn read(kind: &Kind, json: &'a str) -> Result<Option<Self>, Unreadable> {
        if json == "null" {
            return Ok(None);
        }
        let is_text = json.starts_with('"');
        let text = match is_text {
            true => string(json)?,
            false => Cow::Borrowed(json),
        };
        let datum = match kind {
            Kind::Bool => match json {
                "true" => Some(Self::Bool(true)),
                "false" => Some(Self::Bool(false)),
                _ => None,
            },
            Kind::Int(_) => json.parse().ok().map(Self::Int),
            Kind::Float4 => narrow(&text).map(|n| Self::Int(order(n.into()))),
            Kind::Float8 => float(&text).map(|n| Self::Int(order(n))),
            Kind::Numeric => Decimal::parse(&text).map(Self::Numeric),
            _ if !is_text => None,
            Kind::Text(..) | Kind::Enum(_) => Some(Self::Text(text)),
            Kind::Bpchar(..) => Some(Self::Text(text.trim_end_matches(' ').to_owned().into())),
            Kind::Uuid => Uuid::try_parse(&text).ok().map(Self::Uuid),
            Kind::Bytea => bytes(&text).map(Self::Bytes),
            Kind::Moment(form) => moment::read(*form, &text).map(Self::Int),
            Kind::Json | Kind::Other => None,
        };
        datum.map(Some).ok_or(Unreadable)
    }
}

impl Datum<'_> {
    /// The same, of nothing borrowed.
    pub fn to_static(&self) -> Datum<'static> {
        match self {
            Self::Bool(is_so) => Datum::Bool(*is_so),
            Self::Int(number) => Datum::Int(*number),
            Self::Numeric(number) => Datum::Numeric(number.clone()),
            Self::Text(text) => Datum::Text(Cow::Owned(text.clone().into_owned())),
            Self::Bytes(bytes) => Datum::Bytes(bytes.clone()),
            Self::Uuid(uuid) => Datum::Uuid(*uuid),
        }
    }
}

/// A JSON string, copied only if something in it is escaped.
pub fn string(json: &str) -> Result<Cow<'_, str>, Unreadable> {
    let inner = json
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .ok_or(Unreadable)?;
    match inner.contains('\\') {
        false => Ok(Cow::Borrowed(inner)),
        true => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|_| Unreadable),
    }
}

/// A double precision. What is too large or too small for one is none: PostgreSQL refuses it as well.
fn float(text: &str) -> Option<f64> {
    let number = text.parse().ok()?;
    is_kept(text, number)?.then_some(number)
}

/// The same for a real.
fn narrow(text: &str) -> Option<f32> {
    let number = text.parse().ok()?;
    is_kept(text, f64::from(number))?.then_some(number)
}

/// Whether a number has become infinite or zero only if its text is; none if the text is no number of PostgreSQL.
fn is_kept(text: &str, number: f64) -> Option<bool> {
    let exact = Decimal::parse(text)?;
    Some(exact.is_infinite() == number.is_infinite() && exact.is_zero() == (number == 0.0))
}

/// A number that orders as PostgreSQL orders floats: both zeros are one, NaN is one and above all.
fn order(number: f64) -> i64 {
    let number = match number {
        n if n.is_nan() => return i64::MAX,
        0.0 => 0.0,
        n => n,
    };
    let bits = number.to_bits() as i64;
    // The larger a negative float, the smaller its bits.
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

fn number_text(number: f64, finite: String) -> String {
    match number {
        n if n.is_nan() => "NaN".into(),
        n if n.is_infinite() => if n > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        0.0 => "0".into(),
        _ => finite,
    }
}

/// `\x` and two digits for each byte.
fn bytes(text: &str) -> Option<Box<[u8]>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |b: &u8| char::from(*b).to_digit(16).map(|d| d as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

fn shorten(text: &str) -> &str {
    text.char_indices()
        .nth(60)
        .map_or(text, |(i, _)| &text[..i])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::kind::{Collation, Letters};
    use super::*;

    #[test]
    fn floats_are_in_order() {
        let sorted = [
            "-Infinity",
            "-1e300",
            "-1.5",
            "-1e-300",
            "0",
            "1e-320",
            "1",
            "1e300",
            "Infinity",
            "NaN",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                let (x, y) = (order(float(a).unwrap()), order(float(b).unwrap()));
                assert_eq!(x.cmp(&y), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(order(-0.0), order(0.0));
        assert_eq!(float("1e400"), None);
        assert_eq!(float("1e-400"), None);
        assert_eq!(narrow("1e39"), None);
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let text = Kind::Text(Collation::Bytes, Letters::Ascii);
        for (kind, value) in [
            (Kind::Bool, "1"),
            (Kind::Int(16), "32768"),
            (Kind::Int(32), "-2147483649"),
            (Kind::Int(64), "9223372036854775808"),
            (Kind::Int(32), "1.0"),
            (Kind::Int(32), " 1"),
            (Kind::Float8, "1e309"),
            (Kind::Numeric, "ten"),
            (Kind::Uuid, "{00000000-0000-0000-0000-000000000000}"),
            (Kind::Bytea, "\\x0"),
            (Kind::Enum(Arc::from(["a".to_owned()])), "b"),
            (Kind::Other, "1"),
        ] {
            assert!(Literal::parse(&kind, value).is_err(), "{kind:?} {value}");
        }
        assert_eq!(Literal::parse(&Kind::Int(32), "+07").unwrap().text, "7");
        assert_eq!(Literal::parse(&Kind::Float8, "-0").unwrap().text, "0");
        assert_eq!(Literal::parse(&text, " x ").unwrap().text, " x ");
    }

    #[test]
    fn rows_are_read_by_type() {
        let text = Kind::Text(Collation::Bytes, Letters::Ascii);
        assert_eq!(
            Datum::read(&text, "\"a\\u00fc\\n\"").unwrap().unwrap(),
            Datum::Text("a\u{fc}\n".into())
        );
        assert_eq!(Datum::read(&text, "null").unwrap(), None);
        assert_eq!(Datum::read(&text, "7"), Err(Unreadable));
        assert_eq!(Datum::read(&Kind::Int(32), "\"7\""), Err(Unreadable));
        assert_eq!(
            Datum::read(&Kind::Float8, "\"NaN\"").unwrap(),
            Some(Datum::Int(i64::MAX))
        );
    }
}
