//! How the log looks: as text for people, as logfmt or JSON for programs. A message is written as a phrase and then
//! `key=value ...`; here it is taken apart again, so that the code that writes one need not care.

use std::fmt::Write as _;
use std::io::{self, Write};

use env_logger::Builder;
use env_logger::fmt::Formatter;
use log::{LevelFilter, Record};

use crate::http::request_id;
use crate::text::{is_unseen, one_line};

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text.
    Text,
    /// `key=value` throughout.
    Logfmt,
    /// An object a line.
    Json,
}

impl LogFormat {
    /// By the name that `--log-format` takes.
    pub fn of(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "logfmt" => Self::Logfmt,
            _ => Self::Text,
        }
    }
}

/// Starts it: standard error has the log, standard output what a person or a script reads.
pub fn start(filter: &str, format: LogFormat) {
    let mut builder = Builder::new();
    // At debug the first two print every statement with its parameters, which are other people's data; the last one
    // tells at info what plank says itself.
    for module in ["tokio_postgres", "refinery_core", "actix_server"] {
        builder.filter_module(module, LevelFilter::Warn);
    }
    // It calls an error what is the client's: bytes that are no HTTP, and an answer that is broken off because nobody reads.
    builder.filter_module("actix_http::h1::dispatcher", LevelFilter::Off);
    // It says each attempt to reach a server that is away; plank says once that it is.
    builder.filter_module("async_nats", LevelFilter::Off);
    builder.parse_filters(filter);
    match format {
        LogFormat::Text => {
            // The journal has its own time.
            let has_time = std::env::var_os("JOURNAL_STREAM").is_none();
            builder.format(move |out, record| text(out, record, has_time))
        }
        LogFormat::Logfmt => builder.format(|out, record| {
            let line = logfmt(&out.timestamp_millis().to_string(), record);
            out.write_all(line.as_bytes())
        }),
        LogFormat::Json => builder.format(|out, record| {
            let line = json(&out.timestamp_millis().to_string(), record);
            out.write_all(line.as_bytes())
        }),
    };
    // A second logger in the same process is a test's, and stays.
    let _ = builder.try_init();
}

fn text(out: &mut Formatter, record: &Record<'_>, has_time: bool) -> io::Result<()> {
    let level = record.level();
    let style = out.default_level_style(level);
    let time = match has_time {
        true => format!("{} ", out.timestamp_millis()),
        false => String::new(),
    };
    let request = request_id().map_or(String::new(), |id| format!(" request={id}"));
    // Names and messages of others are in it: one that has a line break must not make a line of its own.
    let message = record.args().to_string();
    let message = one_line(&message);
    writeln!(out, "[{time}{style}{level:5}{style:#}] {message}{request}")
}

fn logfmt(time: &str, record: &Record<'_>) -> String {
    let level = record.level().as_str().to_ascii_lowercase();
    let message = record.args().to_string();
    let (phrase, fields) = split(&message);
    let mut line = format!("ts={time} level={level} msg={}", quoted(phrase));
    let request = request_id();
    let request = request.iter().map(|id| ("request", id.as_str()));
    for (key, value) in fields.into_iter().chain(request) {
        // Writing into a String can't fail.
        let _ = write!(line, " {key}={}", quoted(value));
    }
    line.push('\n');
    line
}

fn json(time: &str, record: &Record<'_>) -> String {
    let level = record.level().as_str().to_ascii_lowercase();
    let message = record.args().to_string();
    let (phrase, fields) = split(&message);
    let text = string;
    let mut line = format!(
        "{{\"ts\":\"{time}\",\"level\":\"{level}\",\"target\":{},\"msg\":{}",
        text(record.target()),
        text(phrase)
    );
    let request = request_id();
    let request = request.iter().map(|id| ("request", id.as_str()));
    let mut said = vec!["ts", "level", "target", "msg"];
    for (key, value) in fields.into_iter().chain(request) {
        // An object has a name once.
        if !said.contains(&key) {
            let _ = write!(line, ",{}:{}", text(key), text(value));
            said.push(key);
        }
    }
    line.push_str("}\n");
    line
}

/// As logfmt has it: a word as it is, anything else as a string with escapes.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !is_unseen(c) && !matches!(c, '"' | '=' | '\\');
    match !value.is_empty() && value.chars().all(is_plain) {
        true => value.to_owned(),
        false => string(value),
    }
}

/// A string of JSON in which everything can be seen: JSON itself only asks for it below U+0020.
fn string(value: &str) -> String {
    let plain = serde_json::Value::from(value).to_string();
    if !plain.contains(is_unseen) {
        return plain;
    }
    let mut seen = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match is_unseen(c) {
            // All of them are below U+10000. Writing into a String can't fail.
            true => drop(write!(seen, "\\u{:04x}", u32::from(c))),
            false => seen.push(c),
        }
    }
    seen
}

/// The phrase, and what follows it as `key=value`. A value in quotes ends at a quote behind which there is another key, or
/// nothing: texts of errors have quotes of their own.
fn split(message: &str) -> (&str, Vec<(&str, &str)>) {
    let Some(start) = key_at(message, 0) else {
        return (message, Vec::new());
    };
    let phrase = message[..start].trim_end().trim_end_matches(':');
    let (mut fields, mut rest) = (Vec::new(), &message[start..]);
    while let Some((key, value)) = rest.split_once('=') {
        let (value, end) = match value.strip_prefix('"') {
            Some(inner) => {
                let is_end = |i: &usize| {
                    let behind = &inner[i + 1..];
                    behind.is_empty() || behind.starts_with(' ') && key_at(behind, 0) == Some(1)
                };
                let end = inner.match_indices('"').map(|(i, _)| i).find(is_end);
                let end = end.unwrap_or(inner.len());
                (&inner[..end], end + 2)
            }
            None => {
                let end = key_at(value, 0).unwrap_or(value.len());
                (value[..end].trim_end(), end)
            }
        };
        fields.push((key, value));
        rest = rest
            .get(key.len() + 1 + end..)
            .unwrap_or_default()
            .trim_start();
    }
    (phrase, fields)
}

/// Where the first `key=` begins that stands at the beginning of a word.
fn key_at(text: &str, from: usize) -> Option<usize> {
    let is_key = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '-');
    let mut begins = from;
    for word in text[from..].split_inclusive(' ') {
        if let Some((key, _)) = word.split_once('=')
            && !key.is_empty()
            && key.chars().all(is_key)
        {
            return Some(begins);
        }
        begins += word.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    fn line(format: fn(&str, &Record<'_>) -> String, message: &str) -> String {
        let args = format_args!("{message}");
        format(
            "T",
            &Record::builder()
                .level(Level::Warn)
                .target("plank::x")
                .args(args)
                .build(),
        )
    }

    #[test]
    fn a_message_is_taken_apart() {
        for (message, phrase, fields) in [
            ("plank stops", "plank stops", vec![]),
            (
                "plank stops sessions=3",
                "plank stops",
                vec![("sessions", "3")],
            ),
            (
                "a b=1 c-d=\"x y\" e=2",
                "a",
                vec![("b", "1"), ("c-d", "x y"), ("e", "2")],
            ),
            (
                "lost reason=\"user \"u\" = nobody\" at=now",
                "lost",
                vec![("reason", "user \"u\" = nobody"), ("at", "now")],
            ),
            (
                "few for max=5: limit=2 is enough",
                "few for",
                vec![("max", "5:"), ("limit", "2 is enough")],
            ),
            ("cut reason=\"no end", "cut", vec![("reason", "no end")]),
            ("1 + 1 = 2", "1 + 1 = 2", vec![]),
            ("", "", vec![]),
            ("k=", "", vec![("k", "")]),
            ("ü é=1 ö k=\"ä\"", "ü é=1 ö", vec![("k", "ä")]),
        ] {
            assert_eq!(split(message), (phrase, fields), "{message}");
        }
    }

    #[test]
    fn a_line_is_for_programs() {
        let message = "database away reason=\"it said \"no\"\n\" attempt=2";
        assert_eq!(
            line(logfmt, message),
            "ts=T level=warn msg=\"database away\" reason=\"it said \\\"no\\\"\\n\" attempt=2\n"
        );
        let json: serde_json::Value = serde_json::from_str(&line(json, message)).unwrap();
        assert_eq!(json["msg"], "database away");
        assert_eq!(
            (&json["level"], &json["target"]),
            (&"warn".into(), &"plank::x".into())
        );
        assert_eq!(
            (&json["reason"], &json["attempt"]),
            (&"it said \"no\"\n".into(), &"2".into())
        );
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_one_line_of_json(message in "[a-z =\"ü\n\u{1b}\u{9b}\u{2028}\u{202e}]{0,40}") {
            let line = line(json, &message);
            proptest::prop_assert_eq!(line.matches('\n').count(), 1);
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
            proptest::prop_assert!(!line.trim_end_matches('\n').contains(is_unseen));
            let line = self::line(logfmt, &message);
            proptest::prop_assert!(!line.trim_end_matches('\n').contains(is_unseen));
            proptest::prop_assert_eq!(line.matches('\n').count(), 1);
        }
    }
}
