//! From rows of the log to changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::catalog::{Oid, Table};
use super::change::{Change, LogOp, LogRow, Op};
use super::json;

/// Turns log rows into changes.
///
/// A statement that changes keys (`update t set id = id + 1`) logs its rows in no useful order: the old key of one row
/// may be the new key of another. Its deletes therefore go out at once, and its inserts wait for its last row.
#[derive(Debug, Default)]
pub struct Expander {
    /// Per transaction, the inserts of the statement that is under way.
    held: HashMap<u64, Held>,
    /// Which transaction holds the insert of a key.
    holders: HashMap<(Oid, Arc<str>), u64>,
    /// Bytes of all held rows.
    held_bytes: usize,
}

#[derive(Debug)]
struct Held {
    rel: Oid,
    statement: Option<i64>,
    /// Of its rows.
    bytes: usize,
    inserts: Vec<(Arc<Table>, Change)>,
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
                let (rel, statement) = (log.rel, log.statement);
                let new = || Held {
                    rel,
                    statement,
                    bytes: 0,
                    inserts: Vec::new(),
                };
                let held = self.held.entry(xid).or_insert_with(new);
                held.bytes += bytes;
                if let Some(key) = &insert.key {
                    self.holders.insert((table.rel, key.clone()), xid);
                }
                held.inserts.push((table.clone(), insert));
            }
            LogOp::Update => out.push((
                table.clone(),
                change(Op::Update, new_key, log.row, log.old, seq),
            )),
            LogOp::Watch | LogOp::Unwatch | LogOp::Renewed | LogOp::Reset => {}
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
        if log.op == LogOp::Truncate {
            return self.finish(out);
        }
        let is_over = |held: &Held| {
            log.statement.is_none() || (held.rel, held.statement) != (log.rel, log.statement)
        };
        if self.held.get(&log.xid).is_some_and(is_over) {
            self.release(log.xid, out);
        }
        for key in keys.into_iter().flatten() {
            let holder = self.holders.get(&(table.rel, key.clone())).copied();
            if let Some(xid) = holder.filter(|xid| *xid != log.xid) {
                self.release(xid, out);
            }
        }
    }

    fn release(&mut self, xid: u64, out: &mut Vec<(Arc<Table>, Change)>) {
        let Some(held) = self.held.remove(&xid) else {
            return;
        };
        self.held_bytes -= held.bytes;
        for (table, insert) in &held.inserts {
            if let Some(key) = &insert.key {
                self.holders.remove(&(table.rel, key.clone()));
            }
        }
        out.extend(held.inserts);
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
            since: 0,
            key: vec!["id".into()],
            old_rows: true,
            narrowed: false,
            columns: vec![],
        })
    }

    fn log(
        xid: u64,
        statement: i64,
        seq: i64,
        op: LogOp,
        old: Option<i64>,
        new: Option<i64>,
    ) -> LogRow {
        let row = |id: Option<i64>| id.map(|id| Arc::from(format!("{{\"id\":{id},\"v\":1}}")));
        LogRow {
            xid,
            statement: Some(statement),
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
    fn rows_without_a_statement_are_one_each() {
        let mut rows = vec![
            log(9, 0, 1, LogOp::Update, Some(1), Some(2)),
            log(9, 0, 3, LogOp::Update, Some(2), Some(3)),
        ];
        rows.iter_mut().for_each(|row| row.statement = None);
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
    fn key_changes_of_many_transactions_in_one_batch() {
        let shift = |i| {
            log(
                i,
                0,
                i as i64 * 2,
                LogOp::Update,
                Some(i as i64),
                Some(-(i as i64) - 1),
            )
        };
        let keys: Vec<i64> = (0..20_000).collect();
        assert_eq!(apply((0..20_000).map(shift).collect(), &keys).len(), 20_000);
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
}
