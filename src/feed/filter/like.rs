//! `like`: patterns as PostgreSQL matches them, character by character, with `\` before what stands for itself.

use std::collections::HashMap;

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

/// A bit for each character of a part.
type Bits = [u64; FILTER_PATTERN_MAX.div_ceil(64)];

/// Places of a text at which a part is looked for one after the other.
const TRIES_MAX: usize = 64;

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

    /// Whether a text has this form, letter by letter.
    pub fn matches(&self, text: &str) -> bool {
        self.walk(text, |c| c, find_plain)
    }

    /// The same, by the letters that `letter` shows, and by a way to find a part.
    fn walk<L: Fn(char) -> char + Copy>(
        &self,
        text: &str,
        letter: L,
        find: impl for<'a> Fn(&Part, &'a str, L) -> Option<&'a str>,
    ) -> bool {
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
            let Some(after) = find(part, text, letter) else {
                return false;
            };
            text = after;
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

/// What is behind the first place in `text` at which `part` stands. A part without `_` is an ordinary text, and the library
/// finds one in a step or less for each byte, whatever it is.
fn find_plain<'a, L: Fn(char) -> char + Copy>(
    part: &Part,
    text: &'a str,
    letter: L,
) -> Option<&'a str> {
    let plain: Option<String> = part.iter().copied().collect();
    match plain {
        Some(plain) => text.find(&plain).map(|at| &text[at + plain.len()..]),
        None => find(part, text, letter),
    }
}

/// The same for any part.
fn find<'a>(part: &Part, text: &'a str, letter: impl Fn(char) -> char + Copy) -> Option<&'a str> {
    let mut rest = text;
    // Mostly the first letter decides, and this is the quickest way. What was made to be slow has no end of places that
    // are right up to the last letter.
    for _ in 0..TRIES_MAX {
        if let Some(after) = starts(part, rest, letter) {
            return Some(after);
        }
        let mut chars = rest.chars();
        chars.next()?;
        rest = chars.as_str();
    }
    find_linear(part, rest, letter)
}

/// The same, in a few steps for each character of the text whatever the pattern is: a bit for each character of the part
/// says whether the text that ends here is right up to it ("Shift-And").
fn find_linear<'a>(part: &Part, text: &'a str, letter: impl Fn(char) -> char) -> Option<&'a str> {
    let mut masks: HashMap<char, Bits> = HashMap::new();
    let mut any = Bits::default();
    for wanted in part.iter().flatten() {
        masks.entry(*wanted).or_default();
    }
    for (place, wanted) in part.iter().enumerate() {
        let (word, bit) = (place / 64, 1 << (place % 64));
        match wanted {
            Some(wanted) => masks.entry(*wanted).or_default()[word] |= bit,
            None => {
                any[word] |= bit;
                masks.values_mut().for_each(|mask| mask[word] |= bit);
            }
        }
    }
    let Some(last) = part.len().checked_sub(1) else {
        return Some(text);
    };
    let mut state = Bits::default();
    for (at, c) in text.char_indices() {
        let mask = masks.get(&letter(c)).unwrap_or(&any);
        let mut carry = 1;
        for (word, mask) in state.iter_mut().zip(mask) {
            let next = *word >> 63;
            *word = (*word << 1 | carry) & mask;
            carry = next;
        }
        if state[last / 64] >> (last % 64) & 1 == 1 {
            return Some(&text[at + c.len_utf8()..]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_to_find_a_part_find_the_same(
            part in prop::collection::vec(prop::option::of("[abü]"), 0..6),
            text in "[abü]{0,20}",
            long in 0usize..180,
        ) {
            let letters = |c: &Option<String>| c.as_ref().map(|c| c.chars().next().unwrap());
            let mut part: Part = part.iter().map(letters).collect();
            part.splice(0..0, vec![None; long]);
            let text = "a".repeat(long) + &text;
            let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            let naive = places.into_iter().find_map(|at| starts(&part, &text[at..], |c| c));
            prop_assert_eq!(find_linear(&part, &text, |c| c), naive);
            prop_assert_eq!(find(&part, &text, |c| c), naive);
            prop_assert_eq!(find_plain(&part, &text, |c| c), naive);
        }
    }

    #[test]
    fn a_pattern_that_is_made_to_be_slow_is_not() {
        let count = std::cell::Cell::new(0_usize);
        let letter = |c| {
            count.set(count.get() + 1);
            c
        };
        let text = "a".repeat(100_000);
        for start in ["a", "_"] {
            let pattern = format!("*{}b*", start.repeat(FILTER_PATTERN_MAX - 3));
            count.set(0);
            assert!(!Pattern::parse(&pattern).unwrap().walk(&text, letter, find));
            // Letters that were looked at. It was one for each of the text and each of the pattern.
            assert!(count.get() < 3 * text.len(), "{}", count.get());
        }
    }

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
            assert_eq!(parsed.matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern::parse("a\\").is_err());
        assert!(Pattern::parse(&"x".repeat(FILTER_PATTERN_MAX + 1)).is_err());
    }
}
