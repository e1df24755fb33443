//! Texts of others in what people read: names of tables and columns, messages of the database. They may have line breaks,
//! escape sequences of a terminal and characters that turn the direction of writing.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something instead of being seen: controls (C0, C1, DEL), line and paragraph separators, and
/// the marks that change the direction of the text around them.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in one line, with what is not seen written out as Rust writes it: `\n`, `\u{1b}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unseen(c) {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line.into()
}

/// A name as it has to be written in SQL that a person pastes. Always quoted: no list of reserved words is needed.
pub fn sql_name(name: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    if !name.contains(is_unseen) {
        return quoted(name);
    }
    // `U&"a\000Ab"`, so that what is shown is what it means.
    let mut escaped = String::new();
    for c in name.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            c if is_unseen(c) => {
                // Writing into a String can't fail.
                let _ = write!(escaped, "\\+{:06X}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    format!("U&{}", quoted(&escaped))
}

/// A text as it has to be written in SQL that a person pastes, whatever `standard_conforming_strings` is.
pub fn sql_text(text: &str) -> String {
    let quotes = text.replace('\'', "''");
    if !text.contains(|c| c == '\\' || is_unseen(c)) {
        return format!("'{quotes}'");
    }
    let mut escaped = String::new();
    for c in quotes.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            c if is_unseen(c) => {
                // Writing into a String can't fail.
                let _ = write!(escaped, "\\U{:08x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    format!("E'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        for (text, expected) in [
            ("orders", "orders"),
            ("Bestellungen für Zoë", "Bestellungen für Zoë"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
        ] {
            assert_eq!(one_line(text), expected);
        }
    }

    #[test]
    fn a_name_and_a_text_are_quoted_for_sql() {
        for (text, name, literal) in [
            ("orders", "\"orders\"", "'orders'"),
            ("user", "\"user\"", "'user'"),
            ("a\"b'c", "\"a\"\"b'c\"", "'a\"b''c'"),
            ("a\\b", "\"a\\b\"", "E'a\\\\b'"),
            (
                "a\n\\'\"",
                "U&\"a\\+00000A\\\\'\"\"\"",
                "E'a\\U0000000a\\\\''\"'",
            ),
        ] {
            assert_eq!(
                (sql_name(text).as_str(), sql_text(text).as_str()),
                (name, literal)
            );
        }
    }
}
