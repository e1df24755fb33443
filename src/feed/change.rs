//! What happened to one row: as the log has it ([`LogRow`]) and as clients get it ([`Change`]).

use std::fmt::Write as _;
use std::sync::Arc;

use super::catalog::Oid;
use super::filter::Shape;
use super::projection::Projection;
use crate::trace::TraceParent;

/// The `op` of a row of `plank.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOp {
    /// `I`
    Insert,
    /// `U`
    Update,
    /// `D`
    Delete,
    /// `T`
    Truncate,
    /// `W`: the table is watched from here on; `row` describes it.
    Watch,
    /// `X`: the table is not watched any more.
    Unwatch,
    /// `N`: the log was begun anew, under another identity.
    Renewed,
    /// `R`: something happened that can't be told row by row.
    Reset,
}

impl LogOp {
    /// Of the letter in the log. A small letter says the same of a list of rows.
    pub fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'I' | b'i' => Self::Insert,
            b'U' | b'u' => Self::Update,
            b'D' | b'd' => Self::Delete,
            b'T' => Self::Truncate,
            b'W' => Self::Watch,
            b'X' => Self::Unwatch,
            b'N' => Self::Renewed,
            b'R' => Self::Reset,
            _ => return None,
        })
    }
}

impl LogOp {
    /// What clients see of it, if it is a change.
    pub fn change(self) -> Option<Op> {
        Some(match self {
            Self::Insert => Op::Insert,
            Self::Update => Op::Update,
            Self::Delete => Op::Delete,
            Self::Truncate => Op::Truncate,
            Self::Watch | Self::Unwatch | Self::Renewed | Self::Reset => return None,
        })
    }
}

/// Numbers of changes that one row of `plank.log` has: twice as many as a packed one may have rows.
pub const NUMBERS_PER_LOG_ROW: i64 = 1024;

/// Where a version of a row is stored. No two versions that exist at one time have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowId {
    /// The table or partition that stores it.
    pub leaf: Oid,
    /// The page within that.
    pub page: u32,
    /// The line pointer within the page.
    pub line: u16,
}

/// One change as the log has it. A packed row of `plank.log` has several.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// The top-level transaction.
    pub xid: u64,
    /// When the client's statement began that made the change, in microseconds of Unix time: which one it is, within its
    /// transaction.
    pub statement: i64,
    /// Unique in the log. `seq + 1` is reserved for the insert half of an update that changes the key.
    pub seq: i64,
    /// Whether the SQL statement that captured it has captured others before it.
    pub continues: bool,
    /// Of an update or delete: the number that the log had reached when its statement began, where that is known.
    pub began: Option<i64>,
    /// The watched table; of a partition: its root.
    pub rel: Oid,
    /// What happened.
    pub op: LogOp,
    /// The transaction's time, in microseconds of Unix time.
    pub at_us: i64,
    /// The row after the change, as JSON text.
    pub row: Option<Arc<str>>,
    /// The row before the change, as JSON text.
    pub old: Option<Arc<str>>,
    /// Where `row` is stored, if it was captured at row level.
    pub row_id: Option<RowId>,
    /// Where `old` is stored, if it was captured at row level.
    pub old_id: Option<RowId>,
    /// The trace that its writer belongs to.
    pub trace: Option<TraceParent>,
}

impl LogRow {
    /// Whether it is one of the rows that TRUNCATE of a part of the table takes away. Nothing else happens to the table
    /// meanwhile.
    pub fn is_of_truncate(&self) -> bool {
        self.old_id.is_some() && self.began.is_some()
    }

    /// The number of its row in `plank.log`.
    pub fn number(&self) -> i64 {
        self.seq.div_euclid(NUMBERS_PER_LOG_ROW)
    }

    /// Bytes of its rows, for bounds.
    pub fn bytes(&self) -> usize {
        let of = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |t| t.len());
        of(&self.row) + of(&self.old)
    }
}

/// The `op` of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A row that was not there.
    Insert,
    /// A row that keeps its key.
    Update,
    /// A row that is gone.
    Delete,
    /// All rows are gone.
    Truncate,
}

impl Op {
    /// As on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }
}

/// What clients get. A log row is one change, or two when an update changed the key.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub op: Op,
    /// The primary key as a JSON object; none without one, and for truncate.
    pub key: Option<Arc<str>>,
    /// Insert, update: the new row.
    pub row: Option<Arc<str>>,
    /// Update, delete: the old row, where the log has it.
    pub old: Option<Arc<str>>,
    /// Names this change for ever.
    pub seq: i64,
    /// The transaction.
    pub xid: u64,
    /// The transaction's time, in microseconds of Unix time.
    pub at_us: i64,
    /// The trace that its writer belongs to.
    pub trace: Option<TraceParent>,
}

impl Change {
    /// Appends the change as a member of `changes` (DESIGN, section 5). `projection` says what leaves of its rows,
    /// `shape` how it shows through a filter.
    ///
    /// # Errors
    /// If a row of the log is no JSON object.
    pub fn write_json(
        &self,
        out: &mut String,
        projection: &Projection,
        shape: Shape,
    ) -> Result<(), serde_json::Error> {
        let (op, cause) = match shape {
            Shape::Plain => (self.op, ""),
            Shape::Enter => (Op::Insert, ",\"cause\":\"update\""),
            Shape::Leave | Shape::Gone => (Op::Delete, ",\"cause\":\"update\""),
        };
        out.push_str("{\"op\":\"");
        out.push_str(op.as_str());
        out.push('"');
        out.push_str(cause);
        out.push_str(",\"key\":");
        match self.key.as_deref() {
            Some(key) => out.push_str(&projection.whole(key)?),
            None => out.push_str("null"),
        }
        let (row, old) = match op {
            _ if shape == Shape::Gone => (None, None),
            Op::Delete => (None, self.old.as_deref()),
            _ => (self.row.as_deref(), None),
        };
        for (name, row) in [("row", row), ("old", old)] {
            let Some(row) = row else { continue };
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            out.push_str(&projection.apply(row)?);
        }
        // Writing into a String can't fail.
        let _ = write!(
            out,
            ",\"seq\":{},\"xid\":\"{}\",\"at\":\"",
            self.seq, self.xid
        );
        write_utc(out, self.at_us);
        out.push('"');
        if let Some(trace) = self.trace {
            let _ = write!(out, ",\"traceparent\":\"{trace}\"");
        }
        out.push('}');
        Ok(())
    }
}

/// Microseconds of Unix time as `2026-11-23T08:00:00.000001Z`.
fn write_utc(out: &mut String, at_us: i64) {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1_000);
    let t = time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.microsecond()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_written_as_the_contract_says() {
        let mut change = Change {
            op: Op::Update,
            key: Some("{\"id\":1}".into()),
            row: Some("{\"id\":1,\"v\":1.10}".into()),
            old: Some("{\"id\":1,\"v\":0}".into()),
            seq: 42,
            xid: 731,
            at_us: 1_795_420_800_000_001,
            trace: None,
        };
        let (mut out, all) = (String::new(), Projection::default());
        change.write_json(&mut out, &all, Shape::Plain).unwrap();
        let tail = r#""seq":42,"xid":"731","at":"2026-11-23T08:00:00.000001Z"}"#;
        assert_eq!(
            out,
            format!(r#"{{"op":"update","key":{{"id":1}},"row":{{"id":1,"v":1.10}},{tail}"#)
        );
        out.clear();
        change.write_json(&mut out, &all, Shape::Enter).unwrap();
        let enter = r#"{"op":"insert","cause":"update","key":{"id":1},"row":{"id":1,"v":1.10},"#;
        assert_eq!(out, format!("{enter}{tail}"));
        out.clear();
        change.write_json(&mut out, &all, Shape::Leave).unwrap();
        let leave = r#"{"op":"delete","cause":"update","key":{"id":1},"old":{"id":1,"v":0},"#;
        assert_eq!(out, format!("{leave}{tail}"));
        out.clear();
        change.write_json(&mut out, &all, Shape::Gone).unwrap();
        let gone = r#"{"op":"delete","cause":"update","key":{"id":1},"#;
        assert_eq!(out, format!("{gone}{tail}"));
        out.clear();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        change.trace = TraceParent::parse(trace);
        change.write_json(&mut out, &all, Shape::Gone).unwrap();
        let tail = tail.trim_end_matches('}');
        assert_eq!(out, format!("{gone}{tail},\"traceparent\":\"{trace}\"}}"));
        out.clear();
        let tail = format!("{tail}}}");
        change.trace = None;
        change.op = Op::Delete;
        change.row = None;
        change
            .write_json(
                &mut out,
                &Projection::new(Some(vec!["id".into()]), vec![]),
                Shape::Plain,
            )
            .unwrap();
        assert_eq!(
            out,
            format!(r#"{{"op":"delete","key":{{"id":1}},"old":{{"id":1}},{tail}"#)
        );
    }
}
