//! Where a list of changes may end before its batch does: between two transactions.

use std::collections::{HashMap, HashSet};

use super::change::LogRow;
use super::snapshot::{Snapshot, next_xid};

/// The first place at or behind `limit` rows at which no transaction is cut in two, and the cursor there. `rows` are all
/// that came between `from` and `end`, in the order of `seq`. With the whole of it the cursor is `end` itself.
///
/// The order per key holds at such a place: who comes second on a key writes into the log behind the first.
pub fn cut(rows: &[LogRow], from: &Snapshot, end: &Snapshot, limit: usize) -> (usize, Snapshot) {
    let last: HashMap<u64, usize> = (0..).zip(rows).map(|(i, row)| (row.xid, i)).collect();
    let mut open_until = 0;
    for (i, row) in rows.iter().enumerate() {
        open_until = open_until.max(last[&row.xid]);
        if i + 1 >= limit && open_until <= i && i + 1 < rows.len() {
            return (i + 1, between(rows, i + 1, from, end));
        }
    }
    (rows.len(), end.clone())
}

/// What `from` saw, and what is in the first `count` rows. A transaction that `end` saw and that has no row behind them
/// is seen as well: that way the list of those which are still to come stays short.
fn between(rows: &[LogRow], count: usize, from: &Snapshot, end: &Snapshot) -> Snapshot {
    let (given, ahead) = rows.split_at(count);
    let newest = given.iter().map(|row| row.xid).max().unwrap_or_default();
    let xmax = from.xmax().max(next_xid(newest));
    let mut ahead: Vec<u64> = ahead.iter().map(|row| row.xid).collect();
    ahead.sort_unstable();
    let given: HashSet<u64> = given.iter().map(|row| row.xid).collect();
    let unseen = |xid: &u64| {
        *xid < xmax
            && !from.sees(*xid)
            && (ahead.binary_search(xid).is_ok() || !end.sees(*xid))
            && !given.contains(xid)
    };
    let candidates = from.running().iter().chain(end.running()).chain(&ahead);
    let mut running: Vec<u64> = candidates.copied().filter(unseen).collect();
    running.sort_unstable();
    running.dedup();
    Snapshot::new(xmax, running)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::window::tests::{history, play};
    use super::*;

    proptest! {
        #[test]
        fn pages_are_whole_transactions_and_lose_nothing(
            events in history(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), limit in 1usize..6,
        ) {
            let (rows, moments) = play(&events);
            let (from, to) = (from.index(moments.len()), to.index(moments.len()));
            let (from, end) = (&moments[from.min(to)], &moments[from.max(to)]);
            let missed: Vec<LogRow> = rows.iter().filter(|r| !from.sees(r.xid) && end.sees(r.xid)).cloned().collect();
            let (mut at, mut got) = (from.clone(), Vec::new());
            loop {
                let left: Vec<LogRow> = missed.iter().filter(|r| !at.sees(r.xid)).cloned().collect();
                let (count, next) = cut(&left, &at, end, limit);
                prop_assert!(next.covers(&at));
                prop_assert!(end.covers(&next) || next == *end);
                let (page, rest) = left.split_at(count);
                prop_assert!(page.iter().all(|r| next.sees(r.xid)));
                prop_assert!(rest.iter().all(|r| !next.sees(r.xid)));
                // What had not ended yet is still to come.
                let later = rows.iter().filter(|r| !end.sees(r.xid) && !from.sees(r.xid));
                prop_assert!(later.clone().all(|r| !next.sees(r.xid)));
                got.extend(page.iter().map(|r| r.seq));
                at = next;
                if rest.is_empty() {
                    break;
                }
                prop_assert!(count >= limit);
            }
            prop_assert_eq!(got, missed.iter().map(|r| r.seq).collect::<Vec<_>>());
        }
    }
}
