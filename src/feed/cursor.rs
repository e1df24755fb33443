//! Where a reader stands in the log: the snapshot of the statement that read it. What that snapshot did not see is what
//! is still to be delivered, so no sequence number can commit late and be skipped, and nobody waits for the oldest
//! transaction. (PgQ reads its queues the same way.)

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::snapshot::Snapshot;

/// First byte of an encoded cursor.
const VERSION: u8 = 2;
/// The format before cursors were signed: such a cursor is read, and is of no log.
const UNSIGNED: u8 = 1;
/// Of the identity of a log, as cursors show it.
pub const EPOCH_BYTES: usize = 8;
/// Of the HMAC-SHA256. A forger has no way to try a signature but to ask plank.
const SIGNATURE_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;
/// Of a message of the backplane, in bytes: nobody can ask plank how much of one is right, but a forged one would reach every client.
pub const SEAL_BYTES: usize = 16;
/// Written before what is sealed: no cursor begins with it, so neither stands for the other.
const SEAL_PREFIX: &[u8] = b"plank backplane ";
/// Written before the identity of a log when the key of its cursors is made.
const KEY_PREFIX: &[u8] = b"plank cursor key ";
/// Running transactions that a cursor may list: above what a server with thousands of sessions has, and few enough that a
/// forged cursor costs little.
const RUNNING_MAX: u64 = 1 << 12;
/// Characters that can't be exceeded by a cursor of [`RUNNING_MAX`] entries; longer text is refused unread.
const TEXT_MAX: usize = 64 * 1024;

/// Which log, in which cluster, on which timeline: transaction ids mean nothing outside of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// What a cursor shows of it.
    id: [u8; EPOCH_BYTES],
    proof: Proof,
}

/// What shows that a cursor is one of plank's own. The epoch of a cursor that came from outside never equals that of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The key: plank makes and checks signatures with it.
    Key([u8; 32]),
    /// A signature that has not been checked.
    Claimed([u8; SIGNATURE_BYTES]),
    /// None: a cursor of the format before signatures, and its checksum.
    Missing([u8; CHECK_BYTES]),
}

impl Epoch {
    /// Of the text that `plank.identity()` gives, which is secret: the key is made of it.
    pub fn of(identity: &str) -> Self {
        let mut id = [0; EPOCH_BYTES];
        id.copy_from_slice(&Sha256::digest(identity.as_bytes())[..EPOCH_BYTES]);
        let key = Sha256::new_with_prefix(KEY_PREFIX).chain_update(identity);
        Self {
            id,
            proof: Proof::Key(key.finalize().into()),
        }
    }

    /// What names the log where anybody may see it.
    pub fn id(&self) -> [u8; EPOCH_BYTES] {
        self.id
    }

    /// What shows that `parts`, one behind the other, come from a plank that knows this log. None of an epoch that came from outside.
    pub fn seal(&self, parts: &[&[u8]]) -> Option<[u8; SEAL_BYTES]> {
        let full = self.sealing(parts)?.finalize().into_bytes();
        full.first_chunk().copied()
    }

    /// Whether `seal` is that of `parts`.
    pub fn is_sealed(&self, parts: &[&[u8]], seal: &[u8; SEAL_BYTES]) -> bool {
        let sealing = self.sealing(parts);
        sealing.is_some_and(|mac| mac.verify_truncated_left(seal).is_ok())
    }

    fn sealing(&self, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let Proof::Key(key) = &self.proof else {
            return None;
        };
        let mut mac = mac(key, SEAL_PREFIX);
        parts.iter().for_each(|part| mac.update(part));
        Some(mac)
    }
}

/// Without the key, which must not get into a log.
impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({:02x?})", self.id)
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
    #[error(
        "a cursor of format {0}, which this version of plank can't read; it reads format {VERSION}"
    )]
    Version(u8),
}

/// A cursor of this log that plank has not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that plank has made; pass one exactly as it was received, or leave it out")]
pub struct Forged;

impl Cursor {
    /// Reads what [`Display`](fmt::Display) wrote. Its signature is not checked: [`Self::admit`] does that.
    ///
    /// # Errors
    /// If it is cut off, or the format is unknown.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        let malformed = CursorError::Malformed;
        if text.len() > TEXT_MAX {
            return Err(malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?;
        let (body, proof) = match *bytes.first().ok_or(malformed)? {
            VERSION => {
                let (body, claimed) = bytes.split_last_chunk().ok_or(malformed)?;
                (body, Proof::Claimed(*claimed))
            }
            UNSIGNED => {
                let (body, check) = bytes.split_last_chunk().ok_or(malformed)?;
                if checksum(body) != *check {
                    return Err(malformed);
                }
                (body, Proof::Missing(*check))
            }
            // Beyond that it is rather some other text than a cursor.
            newer if (VERSION..16).contains(&newer) => return Err(CursorError::Version(newer)),
            _ => return Err(malformed),
        };
        let body = body.get(1..).ok_or(malformed)?;
        let (id, mut body) = body.split_first_chunk::<EPOCH_BYTES>().ok_or(malformed)?;
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
                epoch: Epoch { id: *id, proof },
                snapshot: Snapshot::new(xmax, running),
            })
            .ok_or(malformed)
    }

    /// Checks a cursor that came from outside against the log `own`, before anything is read by it. One of another log stays
    /// what it is: its epoch equals that of no log. One without a signature is taken as one of another log.
    ///
    /// # Errors
    /// If it names this log, and plank has not made it.
    pub fn admit(self, own: &Epoch) -> Result<Self, Forged> {
        let (Proof::Claimed(signature), Proof::Key(key)) = (self.epoch.proof, &own.proof) else {
            return Ok(self);
        };
        if self.epoch.id != own.id {
            return Ok(self);
        }
        // In a time that does not tell how much of it is right.
        let signed = mac(key, &self.body(VERSION)).verify_truncated_left(&signature);
        signed.map_err(|_| Forged)?;
        Ok(Self {
            epoch: *own,
            snapshot: self.snapshot,
        })
    }

    /// All but the proof.
    fn body(&self, version: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + self.snapshot.running().len());
        bytes.push(version);
        bytes.extend_from_slice(&self.epoch.id);
        put_varint(&mut bytes, self.snapshot.xmax());
        put_varint(&mut bytes, self.snapshot.running().len() as u64);
        let mut previous = self.snapshot.xmax();
        for xid in self.snapshot.running().iter().rev() {
            put_varint(&mut bytes, previous - xid);
            previous = *xid;
        }
        bytes
    }
}

/// The form that clients keep: URL-safe base64 of version, epoch, xmax, the number of running transactions, the steps
/// from each to the next lower one, and a signature. All numbers are LEB128, so that a thousand running transactions
/// take about a thousand bytes and not eight thousand.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match &self.epoch.proof {
            Proof::Key(key) => {
                let mut bytes = self.body(VERSION);
                let signature = mac(key, &bytes).finalize().into_bytes();
                bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
                bytes
            }
            Proof::Claimed(signature) => [&self.body(VERSION)[..], signature].concat(),
            Proof::Missing(check) => [&self.body(UNSIGNED)[..], check].concat(),
        };
        f.write_str(&URL_SAFE_NO_PAD.encode(&bytes))
    }
}

fn mac(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key will do");
    mac.chain_update(body)
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
            let epoch = Epoch::of(&identity);
            let cursor = Cursor { epoch, snapshot };
            let text = cursor.to_string();
            let read = Cursor::parse(&text).unwrap();
            prop_assert_eq!(read.to_string(), text);
            prop_assert_ne!(read.epoch, epoch, "not before it is checked");
            prop_assert_eq!(read.admit(&epoch), Ok(cursor));
        }

        #[test]
        fn a_cut_off_or_altered_cursor_is_not_admitted(snapshot in snapshot(), at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let epoch = Epoch::of("x");
            let text = Cursor { epoch, snapshot }.to_string();
            let at = at.index(text.len());
            let is_admitted = |text: &str| {
                Cursor::parse(text).is_ok_and(|cursor| cursor.admit(&epoch).is_ok_and(|cursor| cursor.epoch == epoch))
            };
            prop_assert!(is_admitted(&text));
            prop_assert!(!is_admitted(&text[..at]));
            let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert!(altered == text || !is_admitted(&altered));
        }

        #[test]
        fn a_cursor_that_plank_has_not_made_is_forged(snapshot in snapshot(), signature in any::<[u8; SIGNATURE_BYTES]>()) {
            let epoch = Epoch::of("x");
            let body = Cursor { epoch, snapshot }.body(VERSION);
            let forged = URL_SAFE_NO_PAD.encode([&body[..], &signature].concat());
            prop_assert_eq!(Cursor::parse(&forged).unwrap().admit(&epoch), Err(Forged));
        }

        #[test]
        fn a_cursor_without_a_signature_is_of_no_log(snapshot in snapshot()) {
            let epoch = Epoch::of("x");
            let body = Cursor { epoch, snapshot }.body(UNSIGNED);
            let old = URL_SAFE_NO_PAD.encode([&body[..], &checksum(&body)].concat());
            let read = Cursor::parse(&old).unwrap().admit(&epoch).unwrap();
            prop_assert_ne!(read.epoch, epoch);
            prop_assert_eq!(read.to_string(), old);
        }

        #[test]
        fn garbage_never_panics(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Cursor::parse(&text);
            let _ = Snapshot::parse(&text);
            for version in [UNSIGNED, VERSION] {
                let mut bytes = [&[version], &bytes[..]].concat();
                if version == UNSIGNED {
                    bytes.extend_from_slice(&checksum(&bytes));
                }
                if let Ok(cursor) = Cursor::parse(&URL_SAFE_NO_PAD.encode(bytes)) {
                    let _ = cursor.admit(&Epoch::of("x"));
                }
            }
        }
    }

    #[test]
    fn a_cursor_of_another_log_stays_one_of_another_log() {
        let cursor = Cursor {
            epoch: Epoch::of("x"),
            snapshot: Snapshot::new(7, vec![3]),
        };
        let read = Cursor::parse(&cursor.to_string()).unwrap();
        assert_eq!(read.clone().admit(&Epoch::of("y")), Ok(read));
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", Epoch::of("x"));
        assert!(shown.len() < 60, "{shown}");
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
        assert_eq!(
            Cursor::parse(&URL_SAFE_NO_PAD.encode([9, 0, 0])),
            Err(CursorError::Version(9))
        );
    }
}
