//! The bytes of the dashboard's files as they leave: without the comments that nobody reads over a wire, and compressed
//! once.
//!
//! There is no build step, so the sources are what is served. A line that is nothing but comment is served empty: the
//! numbers of the lines in a browser's tools stay those of the sources.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use brotli::enc::backward_references::BrotliEncoderMode;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Other people's files are served as they are: their sums are published.
const VENDOR: &str = "vendor/";

/// A file in its two forms.
#[derive(Debug)]
pub struct Packed {
    /// Of the file that it was made from: a debug build reads it from the disk each time.
    source: [u8; 32],
    /// As it is without a content coding.
    pub plain: Bytes,
    /// With `br` and with `gzip`, best first, where that is smaller.
    pub coded: Vec<(&'static str, Bytes)>,
    /// Of `plain`, for an entity tag.
    pub tag: String,
}

/// All files that were asked for; there are no more than the binary has.
static ALL: LazyLock<RwLock<HashMap<String, Arc<Packed>>>> = LazyLock::new(RwLock::default);

/// The file at this path, made ready the first time.
pub fn packed(path: &str, source: [u8; 32], data: Cow<'static, [u8]>) -> Arc<Packed> {
    let known = ALL.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(packed) = known.get(path).filter(|packed| packed.source == source) {
        return packed.clone();
    }
    drop(known);
    let packed = Arc::new(pack(path, source, data));
    let mut all = ALL.write().unwrap_or_else(PoisonError::into_inner);
    all.insert(path.to_owned(), packed.clone());
    packed
}

fn pack(path: &str, source: [u8; 32], data: Cow<'static, [u8]>) -> Packed {
    let is_ours = !path.starts_with(VENDOR) && (path.ends_with(".js") || path.ends_with(".css"));
    let plain = match std::str::from_utf8(&data) {
        Ok(text) if is_ours => Bytes::from(without_comments(text)),
        // What is in the binary is not copied.
        _ => match data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        },
    };
    let tag = Sha256::digest(&plain)[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let coded = [("br", brotli(&plain)), ("gzip", gzip(&plain))]
        .into_iter()
        .filter_map(|(coding, body)| Some((coding, body?)))
        .filter(|(_, body)| body.len() < plain.len())
        .collect();
    Packed {
        source,
        plain,
        coded,
        tag,
    }
}

/// With all the effort there is: it is done once.
fn brotli(plain: &[u8]) -> Option<Bytes> {
    let mut coded = Vec::new();
    let params = BrotliEncoderParams {
        mode: BrotliEncoderMode::BROTLI_MODE_TEXT,
        size_hint: plain.len(),
        ..BrotliEncoderParams::default()
    };
    let mut encoder = CompressorWriter::with_params(&mut coded, 4096, &params);
    encoder.write_all(plain).ok()?;
    drop(encoder);
    Some(Bytes::from(coded))
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Empties each line that is nothing but comment, and takes the indentation away. What stands behind code, or in a
/// string, is left alone: that takes a parser. No line of ours begins with `//` or `/*`, or with a blank that means
/// something, inside of a string.
fn without_comments(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut is_inside = false;
    for line in text.split_inclusive('\n') {
        let line = line.trim_start_matches([' ', '\t']);
        let content = line.trim();
        let begins = !is_inside && content.starts_with("/*");
        let is_comment = is_inside || begins || content.starts_with("//");
        if is_inside || begins {
            let from = if begins { 2 } else { 0 };
            match content[from..].find("*/") {
                None => is_inside = true,
                // Code behind the end of a comment: the whole line stays, with the comment's last part if it began there.
                Some(at) if from + at + 2 < content.len() => {
                    is_inside = false;
                    if begins {
                        bare.push_str(line);
                        continue;
                    }
                    bare.push_str(&content[at + 2..]);
                }
                Some(_) => is_inside = false,
            }
        }
        match (is_comment, line.ends_with('\n')) {
            (true, true) => bare.push('\n'),
            (true, false) => {}
            (false, _) => bare.push_str(line),
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_are_comments_are_emptied() {
        for (source, bare) in [
            ("a;\n// b\nc;\n", "a;\n\nc;\n"),
            ("/** a */\nb;", "\nb;"),
            ("/*\n * a\n */\nb;\n", "\n\n\nb;\n"),
            ("a; // b\n", "a; // b\n"),
            ("  /* a */ b;\n", "/* a */ b;\n"),
            ("a {\n  b;\n\n}\n", "a {\nb;\n\n}\n"),
            ("/* a\n b */ c;\nd", "\n c;\nd"),
            ("* { a: b }\n", "* { a: b }\n"),
            ("x = \"// no\";\n", "x = \"// no\";\n"),
            ("/*/ a */\nb", "\nb"),
            ("// a", ""),
        ] {
            assert_eq!(without_comments(source), bare, "{source:?}");
        }
    }

    #[test]
    fn a_file_is_made_ready_once_and_again_when_it_is_another_one() {
        let text = "a;\n".repeat(100);
        let of = |source: u8, text: &str| {
            let data = Cow::Owned(text.as_bytes().to_vec());
            packed("packed-test.js", [source; 32], data)
        };
        let first = of(1, &text);
        assert!(Arc::ptr_eq(&first, &of(1, &text)));
        let codings: Vec<_> = first.coded.iter().map(|(coding, _)| *coding).collect();
        assert_eq!(codings, ["br", "gzip"]);
        let other = of(2, "b");
        assert_eq!((&other.plain[..], other.coded.len()), (&b"b"[..], 0));
        assert_ne!(first.tag, other.tag);
    }
}
