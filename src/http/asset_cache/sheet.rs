//! Style sheets without what only their readers need. Scripts leave as they are written.

/// Takes comments out of a style sheet, and the white space around `{`, `}`, `;` and `,` and behind `:`. Strings stay.
pub fn shortened(source: &str) -> String {
    let mut short = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, behind)| behind);
            // Between two words it keeps them apart.
            let is_between = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '%');
            if short.ends_with(is_between) && rest.starts_with(is_between) {
                short.push_str("/**/");
            }
        } else if first.is_ascii_whitespace() {
            rest = rest.trim_ascii_start();
            let joins = short.ends_with(['{', '}', ';', ',', ':', ' ']) || short.is_empty();
            if !joins && !rest.starts_with(['{', '}', ';', ',']) {
                short.push(' ');
            }
        } else {
            let length = match first {
                '"' | '\'' => string_length(rest, first),
                _ => first.len_utf8(),
            };
            if first == '}' && short.ends_with(';') {
                short.pop();
            }
            let (token, behind) = rest.split_at(length);
            short.push_str(token);
            rest = behind;
        }
    }
    short
}

/// Of the string that `text` begins with, with its quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, letter)| {
        let is_end = *letter == quote && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, quote)| at + quote.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_short() {
        for (source, short) in [
            ("/* a */\na { b: c; }\n", "a{b:c}"),
            (
                "a, b > c :hover {\n  d: 1px 2px;\n\n  e: f;\n}\n",
                "a,b > c :hover{d:1px 2px;e:f}",
            ),
            (
                "@media (max-width: 9px) { a { b: calc(1px + 2px) } }",
                "@media (max-width:9px){a{b:calc(1px + 2px)}}",
            ),
            (
                "a { b: \"; /* no */ { \\\" \" }",
                "a{b:\"; /* no */ { \\\" \"}",
            ),
            ("a/* b */c { d: e", "a/**/c{d:e"),
            ("a/* b */:c { d: e }", "a:c{d:e}"),
            ("/* open", ""),
            ("a { b: 'ö", "a{b:'ö"),
        ] {
            assert_eq!(shortened(source), short, "{source:?}");
        }
    }
}
