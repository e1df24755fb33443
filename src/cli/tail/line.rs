//! A change as one line for people: the time, what happened, the key, the values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use unicode_width::UnicodeWidthChar;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";

/// How lines are to look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With escape sequences of a terminal.
    pub is_coloured: bool,
    /// Cut to as many columns; none: as long as it is.
    pub width: Option<usize>,
}

/// An object's members in their order, values as they were written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    at: Option<Cow<'a, str>>,
    /// The place in a window.
    index: Option<u64>,
    #[serde(borrow)]
    key: Option<Members<'a>>,
    #[serde(borrow)]
    row: Option<Members<'a>>,
    #[serde(borrow)]
    old: Option<Members<'a>>,
}

/// A name or a value.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// The line of a change, or of a row of a snapshot, without its end; none for what people are told in another way.
pub fn line(json: &str, style: Style) -> Option<String> {
    let mut line = Line {
        text: String::new(),
        left: style.width.unwrap_or(usize::MAX),
        is_coloured: style.is_coloured,
    };
    let Ok(change) = serde_json::from_str::<Change<'_>>(json) else {
        // Of a newer server: better as it is than not at all.
        line.push("", json);
        return Some(line.text);
    };
    let colour = match &*change.op {
        "reset" => return None,
        "insert" => "\x1b[32m",
        "update" => "\x1b[33m",
        "delete" => "\x1b[31m",
        "truncate" => "\x1b[35m",
        _ => "\x1b[36m",
    };
    // The time of day, with milliseconds.
    let at = change.at.as_deref().unwrap_or_default();
    line.push(DIM, at.get(11..23).unwrap_or(at));
    line.push("", if at.is_empty() { "" } else { " " });
    line.push(colour, &format!("{:8}", change.op));
    if let Some(index) = change.index {
        line.push(DIM, &format!(" #{index}"));
    }
    let key = change.key.map(|key| key.0).unwrap_or_default();
    line.members(BOLD, &key);
    let mut values = change
        .row
        .or(change.old)
        .map(|row| row.0)
        .unwrap_or_default();
    values.retain(|(name, _)| !key.iter().any(|(of_key, _)| of_key == name));
    line.members("", &values);
    Some(line.text)
}

/// A line that is being filled.
struct Line {
    text: String,
    /// Columns of the terminal that are free.
    left: usize,
    is_coloured: bool,
}

impl Line {
    fn members(&mut self, colour: &str, members: &[(Cow<'_, str>, &RawValue)]) {
        for (name, value) in members {
            if self.left == 0 {
                return;
            }
            self.push("", " ");
            self.push(DIM, name);
            self.push(DIM, "=");
            self.push(colour, value.get());
        }
    }

    /// Appends what fits; an ellipsis stands for the rest.
    fn push(&mut self, colour: &str, text: &str) {
        if self.left == 0 || text.is_empty() {
            return;
        }
        let is_coloured = self.is_coloured && !colour.is_empty();
        if is_coloured {
            self.text.push_str(colour);
        }
        let mut chars = text.chars().map(printable).peekable();
        while let Some(char) = chars.next() {
            let width = char.width().unwrap_or(0);
            // The last column is for the ellipsis, unless nothing follows. What comes after this text is not known yet.
            let is_full = width > self.left || (width == self.left && chars.peek().is_some());
            if is_full {
                self.text.push('…');
                self.left = 0;
                break;
            }
            self.text.push(char);
            self.left -= width;
        }
        if is_coloured {
            self.text.push_str(RESET);
        }
    }
}

/// What JSON lets through and a terminal would obey: DEL and the C1 controls, and marks that turn the direction of text.
fn printable(char: char) -> char {
    match char {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        char if char.is_control() => match char {
            '\t' | '\n' | '\r' => ' ',
            _ => '\u{fffd}',
        },
        char => char,
    }
}

/// A text of a server, fit for a terminal.
pub fn printable_text(text: &str) -> String {
    let keep = |char| if char == '\n' { char } else { printable(char) };
    text.chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: &str = r#"{"op":"update","key":{"id":1},"row":{"id":1,"name":"é","data":{"a": [1, 2]}},"seq":3,"xid":"7","at":"2026-11-23T17:56:47.951812Z"}"#;

    fn plain(json: &str, width: Option<usize>) -> String {
        let style = Style {
            is_coloured: false,
            width,
        };
        line(json, style).unwrap()
    }

    #[test]
    fn a_change_is_a_line() {
        assert_eq!(
            plain(UPDATE, None),
            r#"17:56:47.951 update   id=1 name="é" data={"a": [1, 2]}"#
        );
        let delete = r#"{"op":"delete","key":{"id":3},"old":{"id":3,"total":null},"seq":1,"xid":"7","at":"2026-11-23T17:56:47.951812Z"}"#;
        assert_eq!(plain(delete, None), "17:56:47.951 delete   id=3 total=null");
        let truncate =
            r#"{"op":"truncate","key":null,"seq":1,"xid":"7","at":"2026-11-23T17:56:47.951812Z"}"#;
        assert_eq!(plain(truncate, None), "17:56:47.951 truncate");
        assert_eq!(
            plain(r#"{"op":"row","row":{"b":1,"a":2}}"#, None),
            "row      b=1 a=2"
        );
        assert_eq!(
            plain(r#"{"op":"row","index":2,"row":{"b":1}}"#, None),
            "row      #2 b=1"
        );
        let moved =
            r#"{"op":"insert","cause":"window","key":{"id":3},"row":{"id":3,"n":1},"index":0}"#;
        assert_eq!(plain(moved, None), "insert   #0 id=3 n=1");
        assert_eq!(plain("nonsense", None), "nonsense");
        let style = Style {
            is_coloured: false,
            width: None,
        };
        assert!(line(r#"{"op":"reset","reason":"cut"}"#, style).is_none());
    }

    #[test]
    fn it_is_cut_to_the_width_in_columns_of_the_terminal() {
        let whole = plain(UPDATE, None);
        for width in 1..80 {
            let cut = plain(UPDATE, Some(width));
            let columns: usize = cut.chars().filter_map(UnicodeWidthChar::width).sum();
            assert!(columns <= width, "{width}: {cut}");
            assert_eq!(
                cut == whole,
                width >= whole.chars().count(),
                "{width}: {cut}"
            );
        }
        // Each of these takes two columns.
        let wide = r#"{"op":"row","row":{"n":"日本語日本語"}}"#;
        assert_eq!(plain(wide, Some(17)), "row      n=\"日本…");
    }

    #[test]
    fn colours_end_where_they_began() {
        let style = Style {
            is_coloured: true,
            width: Some(20),
        };
        let line = line(UPDATE, style).unwrap();
        assert!(line.contains("\x1b[33mupdate"), "{line:?}");
        assert!(line.ends_with(RESET) || !line.contains('\x1b'), "{line:?}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let json = "{\"op\":\"row\",\"row\":{\"a\u{9b}31m\":\"\u{7f}\u{202e}x\"}}";
        let line = plain(json, None);
        assert!(
            !line.chars().any(char::is_control) && !line.contains('\u{202e}'),
            "{line:?}"
        );
        assert_eq!(printable_text("a\u{1b}[2J\nb"), "a\u{fffd}[2J\nb");
    }
}
