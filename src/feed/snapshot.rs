//! A `pg_snapshot`: which transactions a statement of PostgreSQL could see. Each reader of the log stands at one.

use std::fmt;

/// A `pg_snapshot`: which transactions a statement could see. The default one saw nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The first transaction id that was not yet completed; nothing from it on was visible.
    xmax: u64,
    /// Transactions below `xmax` that were running, in ascending order.
    running: Vec<u64>,
}

impl Snapshot {
    /// Of its parts: `running` in ascending order, all below `xmax`.
    pub(super) fn new(xmax: u64, running: Vec<u64>) -> Self {
        debug_assert!(running.is_sorted_by(|a, b| a < b) && running.iter().all(|x| *x < xmax));
        Self { xmax, running }
    }

    /// Reads PostgreSQL's text form, `xmin:xmax:xip,xip,...`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (
            parts.next()?.parse::<u64>().ok()?,
            parts.next()?.parse().ok()?,
        );
        let list = parts.next().filter(|_| parts.next().is_none())?;
        let running = list
            .split(',')
            .filter(|x| !x.is_empty())
            .map(|x| x.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        let ascending = running.windows(2).all(|w| w[0] < w[1]);
        (xmin <= xmax && ascending && running.iter().all(|x| (xmin..xmax).contains(x)))
            .then_some(Self { xmax, running })
    }

    /// Everything below it had ended.
    pub fn xmin(&self) -> u64 {
        self.running.first().copied().unwrap_or(self.xmax)
    }

    /// Nothing from it on was visible.
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// What had not ended below [`Self::xmax`], in ascending order.
    pub fn running(&self) -> &[u64] {
        &self.running
    }

    /// Whether a transaction that has committed by now was visible in this snapshot.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && self.running.binary_search(&xid).is_err()
    }

    /// Whether everything that was visible in `other` was visible in this one.
    pub fn covers(&self, other: &Self) -> bool {
        let above = other.running.iter().filter(|x| **x >= self.xmax).count() as u64;
        other.xmax.saturating_sub(self.xmax) == above
            && self
                .running
                .iter()
                .all(|x| *x >= other.xmax || other.running.binary_search(x).is_ok())
    }

    /// What at least one of the two sees.
    pub fn union(&self, other: &Self) -> Self {
        let (low, high) = match self.xmax <= other.xmax {
            true => (self, other),
            false => (other, self),
        };
        let running = high.running.iter().copied();
        Self {
            xmax: high.xmax,
            running: running.filter(|xid| !low.sees(*xid)).collect(),
        }
    }

    /// The same, and besides it the transaction `own`, which it did not see. None if more than `between_max` others may have
    /// begun since.
    pub fn and_own(mut self, own: u64, between_max: u64) -> Option<Self> {
        if own < self.xmax {
            self.running.retain(|x| *x != own);
            return Some(self);
        }
        if own - self.xmax > between_max {
            return None;
        }
        // PostgreSQL never gives out a number whose low 32 bits are below 3.
        let others = (self.xmax..own).filter(|x| x & 0xFFFF_FFFF > 2);
        self.running.extend(others);
        self.xmax = next_xid(own);
        Some(self)
    }

    /// The same, and besides it the transactions `seen`, in ascending order. None if more than `between_max` ids may have been given
    /// out since.
    pub fn and_seen(mut self, seen: &[u64], between_max: u64) -> Option<Self> {
        debug_assert!(seen.is_sorted());
        let first = self.xmax;
        for xid in seen {
            let left = between_max.checked_sub(self.xmax - first)?;
            self = self.and_own(*xid, left)?;
        }
        Some(self)
    }

    /// The same place in the log, said with the newest transaction that has a row in it: nothing above `newest` is in
    /// the log, so leaving it out changes nothing that was or will be read.
    ///
    /// Two gains. The cursor of a quiet log stays the same whatever else the database does. And it never names a
    /// transaction id that is not on disk: after a crash PostgreSQL hands out again the ids of transactions that had
    /// aborted, or not yet committed, and a cursor that had taken them for seen would skip their new owners.
    pub fn up_to(mut self, newest: u64) -> Self {
        let xmax = self.xmax.min(next_xid(newest));
        self.running.retain(|x| *x < xmax);
        Self {
            xmax,
            running: self.running,
        }
    }
}

/// The transaction id after `xid`. PostgreSQL never gives out one whose low 32 bits are 0, 1 or 2, and refuses a snapshot that
/// has one.
pub(super) fn next_xid(xid: u64) -> u64 {
    let next = xid.saturating_add(1);
    next.saturating_add(3u64.saturating_sub(next & 0xFFFF_FFFF))
}

/// PostgreSQL's text form.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin(), self.xmax)?;
        for (i, xid) in self.running.iter().enumerate() {
            write!(f, "{}{xid}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any snapshot, for the tests of what holds one.
    pub(in super::super) fn snapshot() -> impl Strategy<Value = Snapshot> {
        (
            any::<u64>(),
            prop::collection::btree_set(1u64..100_000, 0..40),
        )
            .prop_map(|(xmax, back)| {
                let running = back
                    .into_iter()
                    .rev()
                    .filter_map(|b| xmax.checked_sub(b))
                    .collect();
                Snapshot { xmax, running }
            })
    }

    proptest! {
        #[test]
        fn a_snapshot_reads_back(snapshot in snapshot()) {
            prop_assert_eq!(Snapshot::parse(&snapshot.to_string()), Some(snapshot));
        }

        #[test]
        fn leaving_out_what_is_not_in_the_log_changes_nothing_in_it(snapshot in snapshot(), newest in any::<u64>(), xid in any::<u64>()) {
            prop_assume!(newest < u64::MAX - 3 && xid <= newest);
            prop_assert_eq!(snapshot.clone().up_to(newest).sees(xid), snapshot.sees(xid));
        }
    }

    proptest! {
        #[test]
        fn to_cover_is_to_see_all_that_the_other_sees(a in small(), b in small()) {
            let expected = (1..40).all(|xid| !b.sees(xid) || a.sees(xid));
            prop_assert_eq!(a.covers(&b), expected);
        }

        #[test]
        fn a_union_sees_what_one_of_the_two_sees(a in small(), b in small()) {
            let union = a.union(&b);
            for xid in 1..40 {
                prop_assert_eq!(union.sees(xid), a.sees(xid) || b.sees(xid));
            }
            prop_assert_eq!(Snapshot::parse(&union.to_string()), Some(union));
        }
    }

    proptest! {
        #[test]
        fn to_add_what_was_seen_adds_that_and_nothing_else(a in small(), seen in prop::collection::btree_set(3u64..40, 0..10)) {
            let seen: Vec<u64> = seen.into_iter().collect();
            let both = a.clone().and_seen(&seen, 100).unwrap();
            for xid in 3..50 {
                prop_assert_eq!(both.sees(xid), a.sees(xid) || seen.contains(&xid), "{}", xid);
            }
            let last = seen.last().copied().unwrap_or(0);
            prop_assert_eq!(a.clone().and_seen(&seen, 5).is_none(), last > a.xmax() + 5);
        }
    }

    fn small() -> impl Strategy<Value = Snapshot> {
        (1u64..30, prop::collection::btree_set(1u64..30, 0..10)).prop_map(|(xmax, running)| {
            Snapshot {
                xmax,
                running: running.into_iter().filter(|x| *x < xmax).collect(),
            }
        })
    }

    #[test]
    fn no_id_has_an_epoch_boundary_in_its_low_bits() {
        let cases = [
            (0, 3),
            (2, 3),
            (3, 4),
            (0xFFFF_FFFE, 0xFFFF_FFFF),
            (0xFFFF_FFFF, 0x1_0000_0003),
            (0x1_0000_0003, 0x1_0000_0004),
        ];
        for (xid, next) in cases {
            assert_eq!(next_xid(xid), next, "{xid:x}");
        }
    }

    #[test]
    fn visibility_is_that_of_postgresql() {
        let s = Snapshot::parse("10:20:10,14").unwrap();
        assert_eq!(
            [9, 10, 11, 14, 19, 20, 21].map(|x| s.sees(x)),
            [true, false, true, false, true, false, false]
        );
    }

    #[test]
    fn a_snapshot_that_postgresql_would_not_write_is_refused() {
        for text in [
            "",
            "1:2",
            "1:2:3:4",
            "2:1:",
            "10:20:9",
            "10:20:20",
            "10:20:14,12",
            "10:20:x",
            "a:b:",
        ] {
            assert_eq!(Snapshot::parse(text), None, "{text}");
        }
    }
}
