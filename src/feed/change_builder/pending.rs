//! What waits of one table, and what was told of its keys.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::limits::STATEMENT_BYTES_MAX;

use super::super::catalog::Table;
use super::super::change::{LogRow, Op};
use super::sort::{older, sort};
use super::waiting::{State, Waiting, change, halves, hash};
use super::{BuildError, Built};

/// What waits of one table.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// By transaction; of a table whose key is checked late all in one, for there a transaction does not wait for another.
    statements: HashMap<u64, Statement>,
    /// Transactions in the order of their statements. Those that have ended are passed by.
    oldest: VecDeque<u64>,
    /// The same for statements that have something that waits.
    waiting: VecDeque<u64>,
    /// The transaction that holds a change of a key.
    holders: HashMap<Arc<str>, u64>,
    /// Bytes of all rows that wait.
    bytes: usize,
    /// Keys that are remembered.
    keys: usize,
    /// The latest begin of a statement of which something was forgotten.
    forgotten: Option<i64>,
}

/// One statement of a client, and the changes of one table that it has made so far.
#[derive(Debug, Default)]
struct Statement {
    began: i64,
    /// It is a TRUNCATE within that statement.
    truncates: bool,
    waiting: Vec<Waiting>,
    /// What was told of keys already, by a hash of the key. `None`: it is not known.
    told: HashMap<u64, Option<Told>>,
    /// Some of that was forgotten.
    is_partial: bool,
}

/// The states before and after what was told of a key, and the number of the last log row.
type Told = (Option<State>, Option<State>, i64);

impl Pending {
    /// Bytes of all rows that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next row; see [`super::ChangeBuilder::push`].
    pub(super) fn push(
        &mut self,
        log: LogRow,
        table: &Arc<Table>,
        keys_max: usize,
        out: &mut Vec<Built>,
    ) -> Result<(), BuildError> {
        // Without a key nobody follows a row, so there is nothing to put into order.
        if table.key.is_empty() {
            let op = log.op.change().unwrap_or(Op::Truncate);
            let (row, old) = (log.row.clone(), log.old.clone());
            out.push((table.clone(), change(&log, op, None, row, old, log.seq)));
            return Ok(());
        }
        let halves = halves(&log, table)?;
        let (xid, began) = match table.late_key {
            true => (0, 0),
            false => (log.xid, log.statement),
        };
        let truncates = log.is_of_truncate();
        let is_over = |s: &Statement| s.began != began || s.truncates != truncates;
        if self.statements.get(&xid).is_some_and(is_over) {
            self.release(xid, out)?;
        }
        for half in &halves {
            let holder = half
                .change
                .key
                .as_ref()
                .and_then(|key| self.holders.get(key));
            if let Some(holder) = holder.copied().filter(|holder| *holder != xid) {
                self.release(holder, out)?;
            }
        }
        let statement = match self.statements.entry(xid) {
            Entry::Occupied(statement) => statement.into_mut(),
            Entry::Vacant(_) if self.forgotten.is_some_and(|forgotten| began <= forgotten) => {
                return Err(BuildError::Unclear);
            }
            Entry::Vacant(place) => {
                self.oldest.push_back(xid);
                place.insert(Statement {
                    began,
                    truncates,
                    ..Statement::default()
                })
            }
        };
        // One SQL statement touches no row twice, but it may hand keys on from row to row.
        if statement.is_partial && (!log.continues || halves.len() > 1) {
            return Err(BuildError::Unclear);
        }
        for half in halves {
            let Some(key) = half.change.key.clone() else {
                continue;
            };
            match statement.told.get_mut(&hash(&key)) {
                // It goes on from what was told, and leads to something new: there is one trail only.
                Some(Some(told)) if continues(told, &half) => {
                    (told.1, told.2) = (half.step.1, half.number());
                    out.push((half.table, half.change));
                }
                Some(_) => return Err(BuildError::Unclear),
                None => {
                    self.bytes += half.bytes;
                    self.holders.insert(key, xid);
                    if statement.waiting.is_empty() {
                        self.waiting.push_back(xid);
                    }
                    statement.waiting.push(half);
                }
            }
        }
        while self.bytes > STATEMENT_BYTES_MAX {
            self.make_room(xid, out)?;
        }
        while self.keys > keys_max {
            self.forget_keys(xid, out)?;
        }
        Ok(())
    }

    /// Lets the oldest statement go out that still waits, or the older half of `current`; what was told is remembered.
    fn make_room(&mut self, current: u64, out: &mut Vec<Built>) -> Result<(), BuildError> {
        let oldest = loop {
            let Some(xid) = self.waiting.pop_front() else {
                return Err(BuildError::Unclear);
            };
            if self
                .statements
                .get(&xid)
                .is_some_and(|s| !s.waiting.is_empty())
            {
                break xid;
            }
        };
        let Some(statement) = self.statements.get_mut(&oldest) else {
            return Err(BuildError::Unclear);
        };
        let waiting = std::mem::take(&mut statement.waiting);
        let count = match oldest == current {
            true => waiting.len().div_ceil(2),
            false => waiting.len(),
        };
        let (mut gone, mut kept) = older(waiting, count);
        if gone.is_empty() {
            // Each key of the older half has something behind it: all of it goes together.
            std::mem::swap(&mut gone, &mut kept);
        }
        statement.waiting = kept;
        if !statement.waiting.is_empty() {
            self.waiting.push_front(oldest);
        }
        for waiting in &gone {
            self.bytes -= waiting.bytes;
            if let Some(key) = &waiting.change.key {
                self.holders.remove(key);
                if !statement.is_partial && statement.told.insert(hash(key), None).is_none() {
                    self.keys += 1;
                }
            }
        }
        for (_, waiting) in sort(gone)? {
            let key = waiting.change.key.as_deref().map(hash);
            if let Some(told) = key.and_then(|key| statement.told.get_mut(&key)) {
                let first = told.map_or(waiting.step.0, |(first, ..)| first);
                *told = Some((first, waiting.step.1, waiting.number()));
            }
            out.push((waiting.table, waiting.change));
        }
        Ok(())
    }

    /// Forgets what was told of the oldest statement, or of `current` if there is no other.
    fn forget_keys(&mut self, current: u64, out: &mut Vec<Built>) -> Result<(), BuildError> {
        let is_other = |xid: &u64| *xid != current && self.statements.contains_key(xid);
        let other = std::iter::from_fn(|| self.oldest.pop_front()).find(is_other);
        if let Some(other) = other {
            let began = self.statements.get(&other).map(|s| s.began);
            self.forgotten = self.forgotten.max(began);
            self.oldest.push_back(current);
            return self.release(other, out);
        }
        if let Some(statement) = self.statements.get_mut(&current) {
            self.keys -= std::mem::take(&mut statement.told).len();
            statement.is_partial = true;
        }
        Ok(())
    }

    /// The statement of a transaction has ended.
    fn release(&mut self, xid: u64, out: &mut Vec<Built>) -> Result<(), BuildError> {
        let Some(statement) = self.statements.remove(&xid) else {
            return Ok(());
        };
        self.keys -= statement.told.len();
        for waiting in &statement.waiting {
            self.bytes -= waiting.bytes;
            if let Some(key) = &waiting.change.key {
                self.holders.remove(key);
            }
        }
        let sorted = sort(statement.waiting)?;
        out.extend(sorted.into_iter().map(|(_, w)| (w.table, w.change)));
        Ok(())
    }

    /// All of them have ended.
    pub(super) fn finish(self) -> Result<Vec<(i64, Waiting)>, BuildError> {
        let mut all = Vec::new();
        for statement in self.statements.into_values() {
            all.extend(sort(statement.waiting)?);
        }
        Ok(all)
    }
}

/// Whether a change goes on from what was told, and is not the end of a circle that may have begun elsewhere.
fn continues(told: &Told, next: &Waiting) -> bool {
    let (first, last, number) = told;
    let is_version = matches!(next.step.0, Some(State::Version(_)));
    let is_last = next.began.is_some_and(|began| *number <= began);
    *last == next.step.0 && (*first != next.step.1 || first.is_none() && is_version || is_last)
}
