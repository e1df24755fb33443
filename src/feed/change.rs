//! What happened to one row: as the log has it ([`LogRow`]) and as clients get it ([`Change`]).

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::catalog::{Oid, Table};
use super::json;

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
    /// `R`: something happened that can't be told row by row.
    Reset,
}

impl LogOp {
    /// Of the letter in the log.
    pub fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'I' => Self::Insert,
            b'U' => Self::Update,
            b'D' => Self::Delete,
            b'T' => Self::Truncate,
            b'W' => Self::Watch,
            b'X' => Self::Unwatch,
            b'R' => Self::Reset,
            _ => return None,
        })
    }
}

/// A row of `plank.log`.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// The top-level transaction.
    pub xid: u64,
    /// The number of the command in the transaction: rows with the same `xid` and `command` are of one statement.
    pub command: u32,
    /// Unique in the log, and even one more is free: the second change of an update that changed the key takes it.
    pub seq: i64,
    /// The table or partition.
    pub rel: Oid,
    /// What happened.
    pub op: LogOp,
    /// The transaction's time, in microseconds of Unix time.
    pub at_us: i64,
    /// The row after the change, as JSON text.
    pub row: Option<Arc<str>>,
    /// The row before the change, as JSON text.
    pub old: Option<Arc<str>>,
}

impl LogRow {
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
}

impl Change {
    /// Appends the change as a member of `changes` (DESIGN, section 5). `projection` says which columns leave; none for
    /// the row as it is.
    ///
    /// # Errors
    /// If a row of the log is no JSON object.
    pub fn write_json(
        &self,
        out: &mut String,
        projection: Option<&[String]>,
    ) -> Result<(), serde_json::Error> {
        out.push_str("{\"op\":\"");
        out.push_str(self.op.as_str());
        out.push_str("\",\"key\":");
        out.push_str(self.key.as_deref().unwrap_or("null"));
        let old = self.old.as_deref().filter(|_| self.op == Op::Delete);
        for (name, row) in [("row", self.row.as_deref()), ("old", old)] {
            let Some(row) = row else { continue };
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            match projection {
                None => out.push_str(row),
                Some(columns) => out.push_str(&json::select(row, columns)?),
            }
        }
        // Writing into a String can't fail.
        let _ = write!(
            out,
            ",\"seq\":{},\"xid\":\"{}\",\"at\":\"",
            self.seq, self.xid
        );
        write_utc(out, self.at_us);
        out.push_str("\"}");
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

/// Turns log rows into changes.
///
/// A statement that changes keys (`update t set id = id + 1`) logs its rows in no useful order: the old key of one row
/// may be the new key of another. Its deletes therefore go out at once, and its inserts wait for its last row.
#[derive(Debug, Default)]
pub struct Expander {
    /// Per transaction, the inserts of the statement that is under way.
    held: HashMap<u64, Held>,
    /// Bytes of all held rows.
    held_bytes: usize,
}

#[derive(Debug)]
struct Held {
    rel: Oid,
    command: u32,
    inserts: Vec<(Arc<Table>, Change)>,
    /// The tables and keys of `inserts`.
    keys: HashSet<(Oid, Arc<str>)>,
}

impl Expander {
    /// Takes the next row, in the order of `seq`, of `table` (a partition's root), and appends what can go out.
    ///
    /// # Errors
    /// If a row of the log is no JSON object.
    pub fn push(
        &mut self,
        log: LogRow,
        table: &Arc<Table>,
        out: &mut Vec<(Arc<Table>, Change)>,
    ) -> Result<(), serde_json::Error> {
        let key_of = |row: &Option<Arc<str>>| match row {
            Some(row) if !table.key.is_empty() => {
                json::select_all(row, &table.key).map(|k| Some(Arc::from(k)))
            }
            _ => Ok(None),
        };
        let (new_key, old_key): (Option<Arc<str>>, Option<Arc<str>>) =
            (key_of(&log.row)?, key_of(&log.old)?);
        if !self.held.is_empty() {
            self.release_before(&log, table, [&new_key, &old_key], out);
        }

        let bytes = log.bytes();
        let LogRow {
            xid, seq, at_us, ..
        } = log;
        let change = |op, key, row, old, seq| Change {
            op,
            key,
            row,
            old,
            seq,
            xid,
            at_us,
        };
        match log.op {
            LogOp::Insert => out.push((
                table.clone(),
                change(Op::Insert, new_key, log.row, None, seq),
            )),
            LogOp::Delete => out.push((
                table.clone(),
                change(Op::Delete, old_key, None, log.old, seq),
            )),
            LogOp::Truncate => {
                out.push((table.clone(), change(Op::Truncate, None, None, None, seq)))
            }
            LogOp::Update if new_key.is_some() && old_key.is_some() && new_key != old_key => {
                out.push((
                    table.clone(),
                    change(Op::Delete, old_key, None, log.old, seq),
                ));
                let insert = change(Op::Insert, new_key, log.row, None, seq + 1);
                self.held_bytes += bytes;
                let (rel, command) = (log.rel, log.command);
                let new = || Held {
                    rel,
                    command,
                    inserts: Vec::new(),
                    keys: HashSet::new(),
                };
                let held = self.held.entry(xid).or_insert_with(new);
                held.keys
                    .extend(insert.key.clone().map(|key| (table.rel, key)));
                held.inserts.push((table.clone(), insert));
            }
            LogOp::Update => out.push((
                table.clone(),
                change(Op::Update, new_key, log.row, log.old, seq),
            )),
            LogOp::Watch | LogOp::Unwatch | LogOp::Reset => {}
        }
        Ok(())
    }

    /// A statement has ended when its transaction logs the next one, or when another transaction touches one of its
    /// keys: that one had to wait for the first to end.
    fn release_before(
        &mut self,
        log: &LogRow,
        table: &Arc<Table>,
        keys: [&Option<Arc<str>>; 2],
        out: &mut Vec<(Arc<Table>, Change)>,
    ) {
        let ended = |(xid, held): (&u64, &Held)| {
            let over = if *xid == log.xid {
                (held.rel, held.command) != (log.rel, log.command)
            } else {
                let touches = |key: &Arc<str>| held.keys.contains(&(table.rel, key.clone()));
                log.op == LogOp::Truncate || keys.iter().filter_map(|key| key.as_ref()).any(touches)
            };
            over.then_some(*xid)
        };
        let ended: Vec<u64> = self.held.iter().filter_map(ended).collect();
        for xid in ended {
            self.release(xid, out);
        }
    }

    fn release(&mut self, xid: u64, out: &mut Vec<(Arc<Table>, Change)>) {
        if let Some(held) = self.held.remove(&xid) {
            out.extend(held.inserts);
        }
        if self.held.is_empty() {
            self.held_bytes = 0;
        }
    }

    /// Appends all that was held: the batch has ended.
    pub fn finish(&mut self, out: &mut Vec<(Arc<Table>, Change)>) {
        let mut xids: Vec<u64> = self.held.keys().copied().collect();
        xids.sort_unstable();
        for xid in xids {
            self.release(xid, out);
        }
    }

    /// The tables that rows wait for.
    pub fn roots(&self) -> HashSet<Oid> {
        let inserts = self.held.values().flat_map(|held| &held.inserts);
        inserts.map(|(table, _)| table.rel).collect()
    }

    /// Bytes of the rows that wait.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Arc<Table> {
        Arc::new(Table {
            rel: 1,
            root: 1,
            schema: "public".into(),
            name: "t".into(),
            quoted: "public.t".into(),
            key: vec!["id".into()],
            old_rows: true,
            narrowed: false,
            columns: vec![],
        })
    }

    fn log(
        xid: u64,
        command: u32,
        seq: i64,
        op: LogOp,
        old: Option<i64>,
        new: Option<i64>,
    ) -> LogRow {
        let row = |id: Option<i64>| id.map(|id| Arc::from(format!("{{\"id\":{id},\"v\":1}}")));
        LogRow {
            xid,
            command,
            seq,
            rel: 1,
            op,
            at_us: 0,
            row: row(new),
            old: row(old),
        }
    }

    /// Applies the changes to a set of keys, as a client does.
    fn apply(rows: Vec<LogRow>, start: &[i64]) -> Vec<String> {
        let (mut expander, mut out) = (Expander::default(), Vec::new());
        for row in rows {
            expander.push(row, &table(), &mut out).unwrap();
        }
        expander.finish(&mut out);
        assert_eq!(expander.held_bytes(), 0);
        let mut keys: std::collections::BTreeSet<String> =
            start.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
        for (_, change) in out {
            let key = change.key.unwrap().to_string();
            match change.op {
                Op::Delete => assert!(keys.remove(&key), "delete of {key}, which is not there"),
                Op::Update => assert!(keys.contains(&key)),
                _ => assert!(keys.insert(key.clone()), "insert of {key}, which is there"),
            }
        }
        keys.into_iter().collect()
    }

    #[test]
    fn a_shift_of_all_keys_works_in_any_order() {
        use LogOp::Update;
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let rows = order
                .iter()
                .enumerate()
                .map(|(i, id)| log(9, 4, i as i64 * 2, Update, Some(*id), Some(id + 1)));
            assert_eq!(
                apply(rows.collect(), &[1, 2, 3]),
                ["{\"id\":2}", "{\"id\":3}", "{\"id\":4}"]
            );
        }
    }

    #[test]
    fn a_swap_keeps_both_keys() {
        let rows = vec![
            log(9, 4, 1, LogOp::Update, Some(1), Some(2)),
            log(9, 4, 3, LogOp::Update, Some(2), Some(1)),
        ];
        assert_eq!(apply(rows, &[1, 2]), ["{\"id\":1}", "{\"id\":2}"]);
    }

    #[test]
    fn two_statements_of_one_transaction_keep_their_order() {
        let rows = vec![
            log(9, 4, 1, LogOp::Update, Some(1), Some(2)),
            log(9, 5, 3, LogOp::Update, Some(2), Some(3)),
        ];
        assert_eq!(apply(rows, &[1]), ["{\"id\":3}"]);
    }

    #[test]
    fn another_transaction_on_the_new_key_comes_after_it() {
        let rows = vec![
            log(9, 4, 1, LogOp::Update, Some(1), Some(2)),
            log(10, 0, 3, LogOp::Delete, Some(2), None),
        ];
        assert_eq!(apply(rows, &[1]), Vec::<String>::new());
    }

    #[test]
    fn a_row_without_its_key_is_an_error() {
        let mut row = log(9, 4, 1, LogOp::Insert, None, None);
        row.row = Some("{\"renamed\":1}".into());
        assert!(
            Expander::default()
                .push(row, &table(), &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn a_key_change_is_two_changes_with_numbers_of_their_own() {
        let (mut expander, mut out) = (Expander::default(), Vec::new());
        expander
            .push(
                log(9, 4, 7, LogOp::Update, Some(1), Some(2)),
                &table(),
                &mut out,
            )
            .unwrap();
        expander.finish(&mut out);
        let seen: Vec<_> = out
            .iter()
            .map(|(_, c)| (c.op, c.seq, c.key.as_deref().unwrap()))
            .collect();
        assert_eq!(
            seen,
            [(Op::Delete, 7, "{\"id\":1}"), (Op::Insert, 8, "{\"id\":2}")]
        );
    }

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
        };
        let mut out = String::new();
        change.write_json(&mut out, None).unwrap();
        let tail = r#""seq":42,"xid":"731","at":"2026-11-23T08:00:00.000001Z"}"#;
        assert_eq!(
            out,
            format!(r#"{{"op":"update","key":{{"id":1}},"row":{{"id":1,"v":1.10}},{tail}"#)
        );
        out.clear();
        change.op = Op::Delete;
        change.row = None;
        change.write_json(&mut out, Some(&["id".into()])).unwrap();
        assert_eq!(
            out,
            format!(r#"{{"op":"delete","key":{{"id":1}},"old":{{"id":1}},{tail}"#)
        );
    }
}
