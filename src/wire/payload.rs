//! The payload of an unfinished frame or message: unmasked, bounded and checked as it comes.

use crate::wire::frame::mask;
use crate::wire::violation::Violation;
use std::mem;

/// What has arrived of a payload.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    /// The bytes, unmasked.
    bytes: Vec<u8>,
    /// How many of them are known to be UTF-8, if that was asked for: none is checked twice.
    valid: usize,
}

impl Payload {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes the bytes and leaves nothing behind.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(self).bytes
    }

    /// Appends `chunk`, unmasked by `key`. Grows with what arrives, by doubling, and never beyond
    /// `bytes_max`, which the payload must fit.
    pub(crate) fn push(&mut self, chunk: &[u8], key: [u8; 4], bytes_max: usize) {
        let start = self.bytes.len();
        let needed = start + chunk.len();
        debug_assert!(
            needed <= bytes_max,
            "the header was judged by the same limit"
        );
        if needed > self.bytes.capacity() {
            let capacity = (2 * self.bytes.capacity()).min(bytes_max).max(needed);
            self.bytes.reserve_exact(capacity - start);
        }
        self.bytes.extend_from_slice(chunk);
        mask(&mut self.bytes[start..], key);
    }

    /// Checks what was added to a text. A character cut off at the end may still become whole,
    /// unless its first bytes rule that out.
    ///
    /// # Errors
    /// The text can't become UTF-8 any more (section 8.1).
    pub(crate) fn check_utf8(&mut self) -> Result<(), Violation> {
        match str::from_utf8(&self.bytes[self.valid..]) {
            Ok(text) => self.valid += text.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Violation::InvalidUtf8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_KEY: [u8; 4] = [0; 4];

    /// Adds a text byte by byte, and tells how many went well.
    fn accepted(text: &[u8]) -> usize {
        let mut payload = Payload::default();
        let accept = |byte: &u8| {
            payload.push(&[*byte], NO_KEY, text.len());
            payload.check_utf8().is_ok()
        };
        text.iter().map(accept).take_while(|ok| *ok).count()
    }

    #[test]
    fn growth_is_by_doubling_up_to_the_bound() {
        let mut payload = Payload::default();
        let mut capacities: Vec<usize> = (0..100)
            .map(|_| {
                payload.push(b"x", NO_KEY, 100);
                payload.capacity()
            })
            .collect();
        capacities.dedup();
        assert_eq!(capacities, [1, 2, 4, 8, 16, 32, 64, 100]);
        assert_eq!(payload.take(), [b'x'; 100]);
        assert_eq!(payload.capacity(), 0);
    }

    #[test]
    fn text_fails_at_the_first_byte_that_rules_it_out() {
        assert_eq!(accepted("aé€\u{10ffff}".as_bytes()), 10);
        assert_eq!(accepted(b"a\x80"), 1, "a stray continuation");
        assert_eq!(
            accepted(b"\xc0\x80"),
            0,
            "an overlong form by its first byte"
        );
        assert_eq!(
            accepted(b"\xe0\x80\x80"),
            1,
            "an overlong form by its second byte"
        );
        assert_eq!(accepted(b"\xed\xa0\x80"), 1, "a surrogate");
        assert_eq!(accepted(b"\xf4\x90\x80\x80"), 1, "beyond U+10FFFF");
        assert_eq!(accepted(b"\xf5"), 0, "a byte of no character");
        assert_eq!(accepted(b"\xe2\x82a"), 2, "a character cut off");
    }

    #[test]
    fn no_byte_of_text_is_checked_twice() {
        let mut payload = Payload::default();
        for (chunk, valid) in [(&b"abc"[..], 3), (b"d\xe2", 4), (b"\x82", 4), (b"\xac", 7)] {
            payload.push(chunk, NO_KEY, 7);
            assert_eq!((payload.check_utf8(), payload.valid), (Ok(()), valid));
        }
    }
}
