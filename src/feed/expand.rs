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
///
/// What comes of a table, and in which order, depends on the rows of this table alone: whoever reads only them gets the
/// same changes as whoever reads the whole log.
#[derive(Debug, Default)]
pub struct Expander {
    /// Per table (a partition's root) and transaction, the inserts of the statement that is under way.
    held: HashMap<(Oid, u64), Held>,
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
                let held = self.held.entry((table.rel, xid)).or_insert_with(new);
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

    /// A statement has ended when its transaction logs the next one of the table, or when another transaction touches one
    /// of its keys: that one had to wait for the first to end.
    fn release_before(
        &mut self,
        log: &LogRow,
        table: &Arc<Table>,
        keys: [&Option<Arc<str>>; 2],
        out: &mut Vec<(Arc<Table>, Change)>,
    ) {
        if log.op == LogOp::Truncate {
            return self.finish_of(table.rel, out);
        }
        let is_over = |held: &Held| {
            log.statement.is_none() || (held.rel, held.statement) != (log.rel, log.statement)
        };
        if self.held.get(&(table.rel, log.xid)).is_some_and(is_over) {
            self.release((table.rel, log.xid), out);
        }
        for key in keys.into_iter().flatten() {
            let holder = self.holders.get(&(table.rel, key.clone())).copied();
            if let Some(xid) = holder.filter(|xid| *xid != log.xid) {
                self.release((table.rel, xid), out);
            }
        }
    }

    fn release(&mut self, place: (Oid, u64), out: &mut Vec<(Arc<Table>, Change)>) {
        let Some(held) = self.held.remove(&place) else {
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
        self.finish_where(|_| true, out);
    }

    /// Appends what was held of a table (a partition's root): it is described anew, or truncated.
    pub fn finish_of(&mut self, root: Oid, out: &mut Vec<(Arc<Table>, Change)>) {
        self.finish_where(|rel| rel == root, out);
    }

    fn finish_where(&mut self, is_over: impl Fn(Oid) -> bool, out: &mut Vec<(Arc<Table>, Change)>) {
        let held = self.held.keys().filter(|(root, _)| is_over(*root));
        let mut places: Vec<_> = held.copied().collect();
        places.sort_unstable();
        for place in places {
            self.release(place, out);
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
mod tests;
