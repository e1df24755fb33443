//! Scripts and style sheets without what only their readers need. A browser's tools show the sources all the same: a
//! source map has them.

use std::path::Path;

use oxc_allocator::Allocator;
use oxc_codegen::{Codegen, CodegenOptions};
use oxc_mangler::Mangler;
use oxc_parser::Parser;
use oxc_span::SourceType;

/// A script in short.
#[derive(Debug)]
pub struct Script {
    /// The same program: no comments, no white space, short names for what nobody else can see. It is not rearranged.
    pub code: String,
    /// Where each part of it stands in the source, and the source itself (ECMA-426).
    pub map: String,
}

/// Shortens a script. `None` if it can't be read: its author should see it as it is.
pub fn script(path: &str, source: &str) -> Option<Script> {
    let allocator = Allocator::default();
    // A classic script is read as a module as well: ours declare nothing outside of a block.
    let parsed = Parser::new(&allocator, source, SourceType::mjs()).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return None;
    }
    let names = Mangler::new().build(&parsed.program);
    let file = Path::new(path).file_name()?;
    let options = CodegenOptions {
        // Beside the script and not in its place: a browser's tools list both.
        source_map_path: Some(Path::new("source").join(file)),
        ..CodegenOptions::minify()
    };
    let short = Codegen::new()
        .with_options(options)
        .with_scoping(Some(names.scoping))
        .with_private_member_mappings(Some(names.class_private_mappings))
        .build(&parsed.program);
    let map = short.map?.to_json_string();
    Some(Script {
        code: short.code,
        map,
    })
}

/// Takes comments out of a style sheet, and the white space around `{`, `}`, `;` and `,` and behind `:`. Strings stay.
pub fn sheet(source: &str) -> String {
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
    fn a_script_is_short_and_leads_back_to_its_source() {
        let source = "/** Adds. */\nexport const add = (left, right) => left + right; // so\n";
        let Script { code, map } = script("views/add.js", source).unwrap();
        assert_eq!(code, "export const add=(e,t)=>e+t;");
        let map: serde_json::Value = serde_json::from_str(&map).unwrap();
        assert_eq!(map["sources"][0], "source/add.js");
        assert_eq!(map["sourcesContent"][0], source);
        assert!(script("x.js", "const = 1;").is_none());
    }

    #[test]
    fn what_others_see_keeps_its_name() {
        let source = "export class Client {\n  state = 1;\n  #secret = 2;\n  tell({ name }) {\n    return `${name} ${this.#secret}`;\n  }\n}\n";
        let code = script("x.js", source).unwrap().code;
        for kept in ["Client", "state", "tell", "name"] {
            assert!(code.contains(kept), "{kept}: {code}");
        }
        assert!(!code.contains("secret"), "{code}");
    }

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
            assert_eq!(sheet(source), short, "{source:?}");
        }
    }
}
