//! From rows of the log to changes, each key's in the order in which they happened.
//!
//! - [`waiting`] makes the changes of a log row, which wait for the end of their statement.
//! - [`pending`] holds what waits of a table, and what was told of it, within bounds.
//! - [`sort`] puts the changes of each key into their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{Oid, Table};
use super::change::{Change, LogOp, LogRow, Op};

mod pending;
mod sort;
#[cfg(test)]
mod tests;
mod waiting;

use pending::Pending;
use waiting::{Waiting, change};

/// Why the changes of a table can't be told.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A row has not the columns of the key.
    #[error("a row of the log does not have the table's key: {0}")]
    Row(#[from] serde_json::Error),
    /// The changes of a key do not fit together, or there were too many to find their order.
    #[error("the order of what one statement did to a row can't be told")]
    Unclear,
}

/// A change, and the table that it is of.
pub type Built = (Arc<Table>, Change);

/// Turns log rows into changes.
///
/// The changes that one statement of a client makes to a table wait for its end, so that each key's can be put into their
/// order ([`super::key_order`]). A statement has ended when its transaction logs the next one, when another transaction touches one of
/// its keys (that one had to wait for it), or with the batch. Beyond [`crate::limits::STATEMENT_BYTES_MAX`] the oldest go out, and what was
/// told of their keys is remembered: a later change that does not continue it is [`BuildError::Unclear`].
///
/// What comes of a table, and in which order, depends on the rows of this table alone: a reader of one table gets the same
/// changes as the hub, which reads the whole log.
#[derive(Debug)]
pub struct ChangeBuilder {
    tables: BTreeMap<Oid, Pending>,
    keys_max: usize,
}

impl ChangeBuilder {
    /// One that remembers at most `keys_max` keys of each table.
    pub fn new(keys_max: usize) -> Self {
        Self {
            tables: BTreeMap::new(),
            keys_max,
        }
    }

    /// Takes the next row, in the order of `seq`, of `table`, and appends what can go out.
    ///
    /// # Errors
    /// See [`BuildError`]. Nothing more can be told of this table then, until it is forgotten ([`Self::forget`]).
    pub fn push(
        &mut self,
        log: LogRow,
        table: &Arc<Table>,
        out: &mut Vec<Built>,
    ) -> Result<(), BuildError> {
        let pending = self.tables.entry(table.rel).or_default();
        if log.op == LogOp::Truncate {
            append(std::mem::take(pending).finish()?, out);
            let change = change(&log, Op::Truncate, None, None, None, log.seq);
            out.push((table.clone(), change));
            return Ok(());
        }
        pending.push(log, table, self.keys_max, out)
    }

    /// Appends all that waits: the batch has ended.
    ///
    /// # Errors
    /// The tables whose changes are unclear; those of the others are appended.
    pub fn finish(&mut self, out: &mut Vec<Built>) -> Result<(), Vec<Oid>> {
        let (mut all, mut unclear) = (Vec::new(), Vec::new());
        for (rel, pending) in std::mem::take(&mut self.tables) {
            match pending.finish() {
                Ok(changes) => all.extend(changes),
                Err(_) => unclear.push(rel),
            }
        }
        append(all, out);
        match unclear.is_empty() {
            true => Ok(()),
            false => Err(unclear),
        }
    }

    /// Appends what waits of a table: it is described anew.
    ///
    /// # Errors
    /// See [`Self::push`].
    pub fn finish_of(&mut self, rel: Oid, out: &mut Vec<Built>) -> Result<(), BuildError> {
        match self.tables.remove(&rel) {
            Some(pending) => pending.finish().map(|changes| append(changes, out)),
            None => Ok(()),
        }
    }

    /// Throws away what waits of a table.
    pub fn forget(&mut self, rel: Oid) {
        self.tables.remove(&rel);
    }

    /// Bytes of the rows that wait.
    pub fn bytes(&self) -> usize {
        self.tables.values().map(|pending| pending.bytes()).sum()
    }
}

/// As a whole changes stay in the order of the log.
fn append(mut changes: Vec<(i64, Waiting)>, out: &mut Vec<Built>) {
    changes.sort_by_key(|(place, _)| *place);
    out.extend(changes.into_iter().map(|(_, w)| (w.table, w.change)));
}
