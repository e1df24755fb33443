//! What is fed with whatever anybody may send. None may panic, and none may hold more than its bound; where there are two
//! ways to the same end, both have to come to it.
//!
//! Also a module of the integration tests, which feed them with mutations of the seeds.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use plank::feed::catalog::Table;
use plank::feed::filter::parse::parse;
use plank::feed::filter::row::Row;
use plank::feed::filter::{Expr, Filter};
use plank::feed::{Cursor, Snapshot};
use plank::wire::decode::Decoder;
use plank::wire::event::Event;
use plank::wire::list::List;
use plank::wire::message::ClientMessage;
use plank::wire::sse::Events;
use plank::wire::unframe::{Part, Unframer};
use plank::wire::violation::Violation;

/// What is fed.
pub type Target = fn(&[u8]);

/// By name. Their mutations begin at the files in `fuzz/seeds`.
pub const ALL: &[(&str, Target)] = &[
    ("frames", frames),
    ("message", message),
    ("cursor", cursor),
    ("filter", filter),
    ("events", events),
];

/// As many bytes as a message may have here: small, so that its bound is met often.
const MESSAGE_BYTES_MAX: usize = 512;

/// A client's frames, whole and cut anywhere.
fn frames(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else {
        return;
    };
    let decode = |cut: usize| -> (Vec<Event>, Option<Violation>) {
        let mut decoder = Decoder::new(MESSAGE_BYTES_MAX).with_deflate(how & 1 == 1);
        let mut events = Vec::new();
        for mut piece in bytes.chunks(cut) {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(violation) => return (events, Some(violation)),
                }
            }
            // A message, a control frame, and a fixed part.
            assert!(decoder.buffered_bytes() <= MESSAGE_BYTES_MAX + 125 + 256);
        }
        (events, None)
    };
    let whole = decode(usize::MAX);
    assert_eq!(decode(usize::from(how >> 1) % 17 + 1), whole);
}

/// What a client says.
fn message(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match ClientMessage::parse(text) {
        Ok(ClientMessage::Subscribe(wanted)) => {
            assert!(wanted.check().is_ok());
            if let Some(since) = &wanted.since {
                let again = Cursor::parse(&since.to_string());
                assert_eq!(again.as_ref(), Ok(since));
            }
        }
        Ok(ClientMessage::Unsubscribe(_) | ClientMessage::Auth(_) | ClientMessage::Ping(..)) => {}
        Err(refusal) => assert!(!refusal.message.is_empty()),
    }
}

/// A cursor, and the snapshot in it.
fn cursor(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(cursor) = Cursor::parse(text) {
        // Only one text stands for a cursor, or a cut-off one could stand for another.
        assert_eq!(cursor.to_string(), text);
        assert!(cursor.snapshot.covers(&cursor.snapshot));
    }
    if let Some(snapshot) = Snapshot::parse(text) {
        assert!(snapshot.covers(&snapshot));
        for xid in [snapshot.xmin(), snapshot.xmax(), u64::MAX] {
            assert!(!snapshot.sees(xid) || xid < snapshot.xmax());
        }
    }
}

/// A table with a column of each type, named as in the seeds.
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let column = |(name, base): &(&str, &str)| {
        format!(
            r#"{{"name":"{name}","type":"{base}","base":"{base}","collation":"bytes","letters":"ascii"}}"#
        )
    };
    let columns: Vec<String> = [
        ("id", "bigint"),
        ("n", "smallint"),
        ("name", "text"),
        ("code", "character"),
        ("price", "numeric"),
        ("x", "double precision"),
        ("y", "real"),
        ("done", "boolean"),
        ("u", "uuid"),
        ("b", "bytea"),
        ("day", "date"),
        ("t", "time without time zone"),
        ("ts", "timestamp without time zone"),
        ("at", "timestamp with time zone"),
        ("data", "jsonb"),
    ]
    .iter()
    .map(column)
    .collect();
    let description = format!(
        r#"{{"rel":1,"root":1,"schema":"public","name":"t","quoted":"public.t","since":1,"key":["id"],"old_rows":true,
        "narrowed":false,"columns":[{},{{"name":"status","type":"s","labels":["open","active","done"]}}]}}"#,
        columns.join(",")
    );
    serde_json::from_str(&description).expect("a description")
});

/// A filter and, behind a line break, a row.
fn filter(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (words, row) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(Some(expr)) = parse(words) else {
        return;
    };
    let Ok(bound) = Filter::bind(&Arc::new(expr.clone()), &TABLE) else {
        return;
    };
    let (sql, params) = bound.sql(1);
    for n in 1..=params.len() {
        assert!(sql.contains(&format!("${n}")), "{sql}: no parameter {n}");
    }
    let Ok(row) = Row::read(&TABLE, row) else {
        return;
    };
    let passes = bound.passes(&row);
    let same = |other: Expr| {
        let other = Filter::bind(&Arc::new(other), &TABLE);
        other.map(|other| other.passes(&row))
    };
    // What holds is not denied, and twice denied is as before.
    let denied = Expr::Not(Box::new(expr.clone()));
    let is_denied = matches!(same(denied.clone()), Ok(Ok(true)));
    assert!(!(matches!(passes, Ok(true)) && is_denied), "{words}");
    let twice = same(Expr::Not(Box::new(denied)));
    assert_eq!(twice.ok(), Some(passes), "{words}");
    // What it is written as is read as the same.
    let written: String = expr
        .to_string()
        .bytes()
        .map(|b| format!("%{b:02x}"))
        .collect();
    if let Ok(Some(again)) = parse(&format!("and=({written})")) {
        assert_eq!(same(again).ok(), Some(passes), "{expr}");
    }
}

/// What the server says, on the way to a stream and to a long poll. It comes from plank itself, but they have to bear
/// anything, and for a stream it makes no difference how it is cut.
fn events(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else {
        return;
    };
    let read = |cut: usize| {
        let (mut unframer, mut events) = (Unframer::default(), Events::default());
        let (mut list, mut stream, mut poll) = (List::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(cut) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(part) = unframer.next(&mut piece) {
                match &part {
                    Part::Begin(_) => list.begin(),
                    Part::Text(text) => list.push(text, &mut poll),
                    _ => {}
                }
                events.push(part, &mut stream);
            }
            assert!(piece.is_empty());
        }
        assert!(poll.len() <= 2 * bytes.len(), "each change has one comma");
        let stream = String::from_utf8_lossy(&stream).into_owned();
        // A moment of its own for each client.
        let lines = stream.lines().filter(|line| !line.starts_with("retry: "));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(read(usize::from(*cut) % 37 + 1), read(usize::MAX));
}
