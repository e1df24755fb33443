//! Where a reader stands in the log: the snapshot of the statement that read it. What that snapshot did not see is what
//! is still to be delivered, so no sequence number can commit late and be skipped, and nobody waits for the oldest
//! transaction. (PgQ reads its queues the same way.)

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::snapshot::Snapshot;

/// First byte of an encoded cursor.
const VERSION: u8 = 1;
const EPOCH_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;
/// Running transactions that a cursor may list: above what a server with thousands of sessions has, and few enough that a
/// cursor which somebody made up costs little.
const RUNNING_MAX: u64 = 1 << 12;
/// Characters that can't be exceeded by a cursor of [`RUNNING_MAX`] entries; longer text is refused unread.
const TEXT_MAX: usize = 64 * 1024;

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
                snapshot: Snapshot::new(xmax, running),
            })
            .ok_or(malformed)
    }
}

/// The form that clients keep: URL-safe base64 of version, epoch, xmax, the number of running transactions, the steps
/// from each to the next lower one, and a checksum. All numbers are LEB128, so that a thousand running transactions
/// take about a thousand bytes and not eight thousand.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(32 + self.snapshot.running().len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.epoch.0);
        put_varint(&mut bytes, self.snapshot.xmax());
        put_varint(&mut bytes, self.snapshot.running().len() as u64);
        let mut previous = self.snapshot.xmax();
        for xid in self.snapshot.running().iter().rev() {
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

    use super::super::snapshot::tests::snapshot;
    use super::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back(snapshot in snapshot(), identity in ".*") {
            let cursor = Cursor { epoch: Epoch::of(&identity), snapshot };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor.clone()));
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
    }

    #[test]
    fn a_thousand_running_transactions_fit_in_two_kilobytes() {
        let running = (0..1000).map(|i| 5_000_000_000 + i * 7).collect();
        let cursor = Cursor {
            epoch: Epoch::of("x"),
            snapshot: Snapshot::new(5_000_010_000, running),
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
}
