//! `like`: patterns as PostgreSQL matches them, character by character, with `\` before what stands for itself.

use crate::limits::FILTER_PATTERN_MAX;

/// A pattern, cut at its wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// What stands between the `%`, in this order. The first is at the beginning of the text, the last at its end.
    parts: Vec<Part>,
    /// As SQL has it.
    text: String,
}

/// Characters; none for any one of them.
type Part = Vec<Option<char>>;

impl Pattern {
    /// Reads a pattern, in which `*` is another way to write `%`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().nth(FILTER_PATTERN_MAX).is_some() {
            return Err(format!(
                "the pattern has more than {FILTER_PATTERN_MAX} characters"
            ));
        }
        let text = text.replace('*', "%");
        let mut parts = vec![Part::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '%' => {
                    parts.push(Part::new());
                    continue;
                }
                '_' => None,
                '\\' => match chars.next() {
                    Some(escaped) => Some(escaped),
                    None => return Err("the pattern must not end with \\".into()),
                },
                c => Some(c),
            };
            if let Some(part) = parts.last_mut() {
                part.push(literal);
            }
        }
        Ok(Self { parts, text })
    }

    /// As SQL has it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same pattern with other letters.
    pub fn map(&self, letter: impl Fn(char) -> char) -> Self {
        let part = |part: &Part| part.iter().map(|c| c.map(&letter)).collect();
        Self {
            parts: self.parts.iter().map(part).collect(),
            text: self.text.clone(),
        }
    }

    /// Whether a text has this form, letter by letter as `letter` shows them.
    pub fn matches(&self, text: &str, letter: impl Fn(char) -> char + Copy) -> bool {
        let (first, rest) = match &*self.parts {
            [] => return false,
            [only] => return starts(only, text, letter).is_some_and(str::is_empty),
            [first, rest @ ..] => (first, rest),
        };
        let Some(mut text) = starts(first, text, letter) else {
            return false;
        };
        let (last, middle) = rest.split_last().unwrap_or((first, &[]));
        // Each as far to the left as it goes: that leaves the most for those behind it.
        for part in middle {
            loop {
                if let Some(after) = starts(part, text, letter) {
                    text = after;
                    break;
                }
                let mut chars = text.chars();
                if chars.next().is_none() {
                    return false;
                }
                text = chars.as_str();
            }
        }
        let end = text.char_indices().rev().nth(last.len().wrapping_sub(1));
        match (last.len(), end) {
            (0, _) => true,
            (_, Some((at, _))) => starts(last, &text[at..], letter).is_some(),
            (_, None) => false,
        }
    }
}

/// What is behind `part`, if `text` begins with it.
fn starts<'a>(part: &Part, text: &'a str, letter: impl Fn(char) -> char) -> Option<&'a str> {
    let mut chars = text.chars();
    for wanted in part {
        let c = chars.next()?;
        if wanted.is_some_and(|w| w != letter(c)) {
            return None;
        }
    }
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_they_should() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b*", "abc", true),
            ("a%c", "ac", true),
            ("a_c", "aüc", true),
            ("a_c", "ac", false),
            ("%", "", true),
            ("_", "", false),
            ("", "", true),
            ("", "a", false),
            ("a%a", "a", false),
            ("*ab*ab*", "xabyab", true),
            ("*ab*ab", "xaby", false),
            ("\\%", "%", true),
            ("\\%", "x", false),
            ("\\*", "%", true),
            ("a\\_", "a_", true),
            ("%_b", "aab", true),
            ("%\u{10ffff}_", "\u{10ffff}x", true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(text, |c| c), expected, "{pattern} {text}");
        }
        assert!(Pattern::parse("a\\").is_err());
        assert!(Pattern::parse(&"x".repeat(FILTER_PATTERN_MAX + 1)).is_err());
    }
}
