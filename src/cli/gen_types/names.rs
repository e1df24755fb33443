//! Names and texts of a database in the source of programs.

use std::collections::BTreeSet;

use crate::text::is_unseen;

/// A text in quotes, as JSON writes it: TypeScript and Python read it alike. What is not seen is written out.
pub(super) fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match is_unseen(c) {
            true => out.push_str(&format!("\\u{:04x}", c as u32)),
            false => out.push(c),
        }
    }
    out
}

/// The lines of a comment, without what is not seen.
pub(super) fn comment_lines(comment: Option<&str>) -> Vec<String> {
    let lines = comment.unwrap_or_default().lines();
    let lines = lines.map(|line| line.replace(is_unseen, " ").trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// The name of a table or type as a type: with its schema, unless that is `public`. See [`type_name`].
pub(super) fn name_in_schema(taken: &mut BTreeSet<String>, schema: &str, name: &str) -> String {
    match schema {
        "public" => type_name(taken, &[name]),
        _ => type_name(taken, &[schema, name]),
    }
}

/// `OrderLines` for `Order Lines` and `order_lines`; never empty, and never the same twice.
fn type_name(taken: &mut BTreeSet<String>, parts: &[&str]) -> String {
    let mut name = String::new();
    for word in parts
        .iter()
        .flat_map(|part| part.split(|c: char| !c.is_alphanumeric()))
    {
        let mut letters = word.chars();
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.push_str(letters.as_str());
    }
    if !name.starts_with(char::is_alphabetic) {
        name.insert(0, 'T');
    }
    unique(taken, name)
}

/// The name, or the name with a number behind it if that is taken.
pub(super) fn unique(taken: &mut BTreeSet<String>, name: String) -> String {
    let mut own = name.clone();
    let mut number = 2;
    while !taken.insert(own.clone()) {
        own = format!("{name}{number}");
        number += 1;
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_words_and_are_unique() {
        let mut taken = BTreeSet::new();
        for (parts, expected) in [
            (&["orders"][..], "Orders"),
            (&["Order Lines"], "OrderLines"),
            (&["order_lines"], "OrderLines2"),
            (&["sales", "orders"], "SalesOrders"),
            (&["2024"], "T2024"),
            (&["--"], "T"),
            (&["größe"], "Größe"),
        ] {
            assert_eq!(type_name(&mut taken, parts), expected);
        }
    }

    #[test]
    fn no_text_leaves_its_quotes() {
        assert_eq!(quoted("a\"b\\c\nd\u{2028}e"), r#""a\"b\\c\nd\u2028e""#);
    }
}
