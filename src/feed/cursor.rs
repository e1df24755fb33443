//! Where a reader stands in the log: the snapshot of the statement that read it. What that snapshot did not see is what
//! is still to be delivered, so no sequence number can commit late and be skipped, and nobody waits for the oldest
//! transaction. (PgQ reads its queues the same way.)

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// First byte of an encoded cursor.
const VERSION: u8 = 1;
const EPOCH_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;
/// Running transactions that a cursor may list. PostgreSQL's own limit is the number of backends, below 2^18.
const RUNNING_MAX: u64 = 1 << 18;
/// Characters that can't be exceeded by a cursor of [`RUNNING_MAX`] entries; longer text is refused unread.
const TEXT_MAX: usize = 4 * 1024 * 1024;

/// A `pg_snapshot`: which transactions a statement could see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The first transaction id that was not yet completed; nothing from it on was visible.
    xmax: u64,
    /// Transactions below `xmax` that were running, in ascending order.
    running: Vec<u64>,
}

impl Snapshot {
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

    /// The same place in the log, said with the newest transaction that has a row in it: nothing above `newest` is in
    /// the log, so leaving it out changes nothing that was or will be read.
    ///
    /// Two gains. The cursor of a quiet log stays the same whatever else the database does. And it never names a
    /// transaction id that is not on disk: after a crash PostgreSQL hands out again the ids of transactions that had
    /// aborted, or not yet committed, and a cursor that had taken them for seen would skip their new owners.
    pub fn up_to(mut self, newest: u64) -> Self {
        let xmax = self.xmax.min(newest + 1);
        self.running.retain(|x| *x < xmax);
        Self {
            xmax,
            running: self.running,
        }
    }
}

/// PostgreSQL's text form.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:",
            self.running.first().unwrap_or(&self.xmax),
            self.xmax
        )?;
        for (i, xid) in self.running.iter().enumerate() {
            write!(f, "{}{xid}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// Which log, in which cluster, on which timeline: transaction ids mean nothing outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch([u8; EPOCH_BYTES]);

impl Epoch {
    /// Of the text that `plank.identity()` gives.
    pub fn of(identity: &str) -> Self {
        let mut epoch = [0; EPOCH_BYTES];
        epoch.copy_from_slice(&Sha256::digest(identity.as_bytes())[..EPOCH_BYTES]);
        Self(epoch)
    }
}

/// A snapshot and the epoch that it belongs to: what a client keeps, as opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose transaction ids these are.
    pub epoch: Epoch,
    /// What has been delivered.
    pub snapshot: Snapshot,
}

/// Why a text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Cut off, altered, or never a cursor.
    #[error("not a cursor; pass one exactly as it was received, or leave it out")]
    Malformed,
    /// Of a newer plank.
    #[error("a cursor of format {0}, which this version of plank can't read; it reads format 1")]
    Version(u8),
}

impl Cursor {
    /// Reads what [`Display`](fmt::Display) wrote.
    ///
    /// # Errors
    /// If a single character is missing or changed (it carries a checksum), or the format is unknown.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        let malformed = CursorError::Malformed;
        if text.len() > TEXT_MAX {
            return Err(malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?;
        let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(malformed)?;
        if checksum(body) != *check {
            return Err(malformed);
        }
        let (version, body) = body.split_first().ok_or(malformed)?;
        if *version != VERSION {
            return Err(CursorError::Version(*version));
        }
        let (epoch, mut body) = body.split_first_chunk::<EPOCH_BYTES>().ok_or(malformed)?;
        let xmax = take_varint(&mut body).ok_or(malformed)?;
        let count = take_varint(&mut body)
            .filter(|n| *n <= RUNNING_MAX)
            .ok_or(malformed)?;
        let mut running = Vec::new();
        let mut next = xmax;
        for _ in 0..count {
            let step = take_varint(&mut body).filter(|d| *d > 0).ok_or(malformed)?;
            next = next.checked_sub(step).ok_or(malformed)?;
            running.push(next);
        }
        running.reverse();
        body.is_empty()
            .then_some(Self {
                epoch: Epoch(*epoch),
                snapshot: Snapshot { xmax, running },
            })
            .ok_or(malformed)
    }
}

/// The form that clients keep: URL-safe base64 of version, epoch, xmax, the number of running transactions, the steps
/// from each to the next lower one, and a checksum. All numbers are LEB128, so that a thousand running transactions
/// take about a thousand bytes and not eight thousand.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(32 + self.snapshot.running.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.epoch.0);
        put_varint(&mut bytes, self.snapshot.xmax);
        put_varint(&mut bytes, self.snapshot.running.len() as u64);
        let mut previous = self.snapshot.xmax;
        for xid in self.snapshot.running.iter().rev() {
            put_varint(&mut bytes, previous - xid);
            previous = *xid;
        }
        let check = checksum(&bytes);
        bytes.extend_from_slice(&check);
        f.write_str(&URL_SAFE_NO_PAD.encode(&bytes))
    }
}

fn checksum(body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&Sha256::digest(body)[..CHECK_BYTES]);
    check
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        n |= part << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot() -> impl Strategy<Value = Snapshot> {
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
        fn a_cursor_reads_back(snapshot in snapshot(), identity in ".*") {
            let cursor = Cursor { epoch: Epoch::of(&identity), snapshot };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor.clone()));
            prop_assert_eq!(Snapshot::parse(&cursor.snapshot.to_string()), Some(cursor.snapshot));
        }

        #[test]
        fn a_cut_off_or_altered_cursor_is_an_error(snapshot in snapshot(), at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let text = Cursor { epoch: Epoch::of("x"), snapshot }.to_string();
            let at = at.index(text.len());
            prop_assert!(Cursor::parse(&text[..at]).is_err());
            let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert!(altered == text || Cursor::parse(&altered).is_err());
        }

        #[test]
        fn garbage_never_panics(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Cursor::parse(&text);
            let _ = Snapshot::parse(&text);
            let mut signed = bytes.clone();
            signed.extend_from_slice(&checksum(&bytes));
            let _ = Cursor::parse(&URL_SAFE_NO_PAD.encode(signed));
        }

        #[test]
        fn leaving_out_what_is_not_in_the_log_changes_nothing_in_it(snapshot in snapshot(), newest in any::<u64>(), xid in any::<u64>()) {
            prop_assume!(newest < u64::MAX && xid <= newest);
            prop_assert_eq!(snapshot.clone().up_to(newest).sees(xid), snapshot.sees(xid));
        }
    }

    proptest! {
        #[test]
        fn to_cover_is_to_see_all_that_the_other_sees(a in small(), b in small()) {
            let expected = (1..40).all(|xid| !b.sees(xid) || a.sees(xid));
            prop_assert_eq!(a.covers(&b), expected);
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
    fn visibility_is_that_of_postgresql() {
        let s = Snapshot::parse("10:20:10,14").unwrap();
        assert_eq!(
            [9, 10, 11, 14, 19, 20, 21].map(|x| s.sees(x)),
            [true, false, true, false, true, false, false]
        );
    }

    #[test]
    fn a_thousand_running_transactions_fit_in_two_kilobytes() {
        let running = (0..1000).map(|i| 5_000_000_000 + i * 7).collect();
        let cursor = Cursor {
            epoch: Epoch::of("x"),
            snapshot: Snapshot {
                xmax: 5_000_010_000,
                running,
            },
        };
        assert!(
            cursor.to_string().len() < 2048,
            "{}",
            cursor.to_string().len()
        );
    }

    #[test]
    fn an_unknown_version_says_so() {
        let mut bytes = vec![9, 0, 0];
        let check = checksum(&bytes);
        bytes.extend_from_slice(&check);
        assert_eq!(
            Cursor::parse(&URL_SAFE_NO_PAD.encode(bytes)),
            Err(CursorError::Version(9))
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
