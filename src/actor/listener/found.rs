//! What one read of the log has found.

use std::collections::HashMap;
use std::collections::hash_map::Values;

use crate::limits::BELL_TRANSACTIONS_MAX;

/// See the module's documentation. Its size is bounded, whatever was read: the first read after an outage may bring millions of
/// transactions.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: usize,
    /// With the time of each, in microseconds of Unix time; so many of them as tell how busy the writers are.
    transactions: HashMap<u64, i64>,
}

impl Found {
    /// Counts a row of a transaction.
    pub(super) fn take(&mut self, xid: u64, at_us: i64) {
        self.rows += 1;
        if self.transactions.len() < BELL_TRANSACTIONS_MAX {
            self.transactions.entry(xid).or_insert(at_us);
        }
    }

    /// The times of the transactions, at most [`BELL_TRANSACTIONS_MAX`].
    pub(super) fn times(&self) -> Values<'_, u64, i64> {
        self.transactions.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_read_after_an_outage_keeps_few_of_its_transactions() {
        let mut found = Found::default();
        for xid in 0..1_000_000 {
            found.take(xid, 1);
            found.take(xid, 2);
        }
        assert_eq!(found.rows, 2_000_000);
        assert_eq!(found.times().count(), BELL_TRANSACTIONS_MAX);
        assert!(found.times().all(|at_us| *at_us == 1));
        assert!(found.transactions.capacity() < 4 * BELL_TRANSACTIONS_MAX);
    }
}
