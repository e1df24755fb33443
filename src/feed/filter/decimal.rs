//! Numbers of any size, compared exactly: `numeric`.

use std::cmp::Ordering;

/// Digits of a value in a filter, and how far the point may be away from them.
const DIGITS_MAX: usize = 1_000;

/// A number as `numeric` orders it: NaN is equal to itself and above all others, the infinities are where they should be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    class: Class,
    /// The value is `0.digits` times ten to this; 0 for zero.
    exponent: i64,
    /// Without zeros at either end, so equal numbers are equal here.
    digits: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Class {
    MinusInfinity,
    Negative,
    Zero,
    Positive,
    Infinity,
    NaN,
}

impl Decimal {
    /// Reads what PostgreSQL writes, and what it reads apart from blanks, underscores and other bases.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let special = |class| {
            Some(Self {
                class,
                exponent: 0,
                digits: "".into(),
            })
        };
        let is_infinite = ["infinity", "inf"]
            .iter()
            .any(|word| unsigned.eq_ignore_ascii_case(word));
        if is_infinite {
            return special(match is_negative {
                true => Class::MinusInfinity,
                false => Class::Infinity,
            });
        }
        if text.eq_ignore_ascii_case("nan") {
            return special(Class::NaN);
        }
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let all = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        let leading = all.len() - significant.len();
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return special(Class::Zero);
        }
        Some(Self {
            class: match is_negative {
                true => Class::Negative,
                false => Class::Positive,
            },
            exponent: whole.len() as i64 - leading as i64 + exponent,
            digits: digits.into(),
        })
    }

    /// Whether it is one of the infinities.
    pub fn is_infinite(&self) -> bool {
        matches!(self.class, Class::MinusInfinity | Class::Infinity)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.class == Class::Zero
    }

    /// Whether it is of a size that a filter may have: far within what `numeric` can hold.
    pub fn is_bearable(&self) -> bool {
        self.digits.len() <= DIGITS_MAX && self.exponent.unsigned_abs() <= DIGITS_MAX as u64
    }

    /// Orders numbers of one sign.
    fn size(&self) -> (i64, &str) {
        (self.exponent, &self.digits)
    }

    /// As PostgreSQL reads it. Equal numbers have equal texts.
    pub fn text(&self) -> String {
        let Self {
            digits, exponent, ..
        } = self;
        match self.class {
            Class::MinusInfinity => "-Infinity".into(),
            Class::Negative => format!("-0.{digits}e{exponent}"),
            Class::Zero => "0".into(),
            Class::Positive => format!("0.{digits}e{exponent}"),
            Class::Infinity => "Infinity".into(),
            Class::NaN => "NaN".into(),
        }
    }
}

/// Of a number in scientific notation. Nobody needs one of more than nine digits.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.class.cmp(&other.class).then_with(|| match self.class {
            Class::Positive => self.size().cmp(&other.size()),
            Class::Negative => other.size().cmp(&self.size()),
            _ => Ordering::Equal,
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order() {
        let sorted = [
            "-Infinity",
            "-1e20",
            "-123.46",
            "-123.45",
            "-0.1",
            "0",
            "1e-9",
            "0.1",
            "0.11",
            "1",
            "9.99",
            "10",
            "123456789012345678901234567890",
            "1e40",
            "inf",
            "NaN",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                let (x, y) = (Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap());
                assert_eq!(x.cmp(&y), i.cmp(&j), "{a} {b}");
                assert_eq!(Decimal::parse(&x.text()), Some(x));
            }
        }
    }

    #[test]
    fn one_number_has_one_form() {
        let one = Decimal::parse("1").unwrap();
        for text in ["1.0", "+1", "01", "1e0", "10e-1", "0.1e1", "1.", "001.000"] {
            assert_eq!(Decimal::parse(text).as_ref(), Some(&one), "{text}");
        }
        for text in ["0", "-0", "0.00", "0e5", ".0"] {
            assert_eq!(Decimal::parse(text).unwrap().text(), "0", "{text}");
        }
    }

    #[test]
    fn other_text_is_no_number() {
        for text in [
            "",
            "-",
            ".",
            "e1",
            "1e",
            "1e1234567890",
            "0x10",
            "1_000",
            " 1",
            "1 ",
            "1.2.3",
            "--1",
            "-nan",
            "ten",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert!(!Decimal::parse("1e1001").unwrap().is_bearable());
    }
}
