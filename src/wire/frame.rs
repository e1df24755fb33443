//! Frames as bytes (RFC 6455, section 5): headers, masking and whole server frames. It never
//! fragments and never masks what it sends; [`crate::wire::decode`] reads what clients send.

use crate::wire::close::{CloseCode, CloseReason};
use bytes::{BufMut, Bytes, BytesMut};

/// Longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Longest reason of a Close frame, in bytes: a control payload without the two of the code.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Longest header, in bytes: flags and opcode, length, eight more of length, masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// The last frame of a message.
pub(crate) const FIN: u8 = 0x80;
/// The message is compressed, under permessage-deflate (RFC 7692, section 6).
pub(crate) const RSV1: u8 = 0x40;
/// The bits that no extension known here gives a meaning.
pub(crate) const RSV2_RSV3: u8 = 0x30;
/// In the second byte: a masking key follows the length.
pub(crate) const MASKED: u8 = 0x80;
/// In the second byte: the length is in the next two bytes.
pub(crate) const LEN_16: u8 = 126;
/// In the second byte: the length is in the next eight bytes.
pub(crate) const LEN_64: u8 = 127;

/// What a frame is (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of the open message.
    Continuation = 0x0,
    /// A text message or its first fragment.
    Text = 0x1,
    /// A binary message or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A question that a Pong with the same payload answers.
    Ping = 0x9,
    /// The answer to a Ping, or a heartbeat nobody asked for.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode in the low four bits of `first`, the first byte of a frame; `None` for the
    /// reserved ones.
    #[must_use]
    pub const fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first & 0x0f {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }
}

/// Size in bytes, 2 to 10, of the header that [`put_header`] writes for a payload of `len` bytes.
#[must_use]
pub const fn header_len(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Appends the header of an unmasked, unfragmented frame with a payload of `len` bytes; the
/// payload goes right after it (RFC 6455, section 5.2). `rsv1` marks a compressed message.
///
/// # Panics
/// If `out` has no room for [`header_len`] bytes and can't grow.
pub fn put_header(out: &mut impl BufMut, opcode: Opcode, rsv1: bool, len: usize) {
    out.put_u8(FIN | if rsv1 { RSV1 } else { 0 } | opcode as u8);
    put_len(out, 0, len);
}

/// Appends the second byte and the extended length, in the shortest form.
fn put_len(out: &mut impl BufMut, masked: u8, len: usize) {
    match len {
        0..=125 => out.put_u8(masked | len as u8),
        126..=0xffff => {
            out.put_u8(masked | LEN_16);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(masked | LEN_64);
            out.put_u64(len as u64);
        }
    }
}

/// A text message in one frame. The caller vouches that `payload` is UTF-8: it is bytes because
/// the encoder of messages writes bytes.
#[must_use]
pub fn text(payload: &[u8]) -> Bytes {
    debug_assert!(str::from_utf8(payload).is_ok());
    frame(Opcode::Text, &[payload])
}

/// A binary message in one frame.
#[must_use]
pub fn binary(payload: &[u8]) -> Bytes {
    frame(Opcode::Binary, &[payload])
}

/// A Ping frame (RFC 6455, section 5.5.2). The payload is cut to [`CONTROL_BYTES_MAX`].
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, &[cut(payload)])
}

/// A Pong frame (RFC 6455, section 5.5.3): the answer to a Ping, with that Ping's payload. It is
/// cut to [`CONTROL_BYTES_MAX`], which no decoded Ping exceeds.
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, &[cut(payload)])
}

/// A Close frame (RFC 6455, section 5.5.1). The reason is cut to [`REASON_BYTES_MAX`] at a
/// character boundary.
#[must_use]
pub fn close(code: CloseCode, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    frame(
        Opcode::Close,
        &[&code.get().to_be_bytes(), reason.as_bytes()],
    )
}

/// The answer to a peer's Close: its code, or none if it gave none (RFC 6455, section 5.5.1).
#[must_use]
pub fn close_reply(received: Option<&CloseReason>) -> Bytes {
    match received {
        Some(received) => close(received.code, ""),
        None => frame(Opcode::Close, &[]),
    }
}

/// The payload of `frame` and what it is, if that is one whole data frame as the server writes them, uncompressed.
pub(crate) fn sole_message(frame: &[u8]) -> Option<(Opcode, &[u8])> {
    let (first, rest) = frame.split_first()?;
    let opcode = match *first ^ FIN {
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        _ => return None,
    };
    let (len, payload) = match rest.split_first()? {
        (&LEN_16, rest) => {
            let (len, payload) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*len)), payload)
        }
        (&LEN_64, rest) => {
            let (len, payload) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*len), payload)
        }
        (len, payload) => (u64::from(*len), payload),
    };
    (len == payload.len() as u64).then_some((opcode, payload))
}

/// The part of `payload` that fits a control frame.
fn cut(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}

/// One frame of exactly the size it needs.
fn frame(opcode: Opcode, parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut out = BytesMut::with_capacity(header_len(len) + len);
    put_header(&mut out, opcode, false, len);
    for part in parts {
        out.put_slice(part);
    }
    out.freeze()
}

/// Masks or unmasks `payload` in place (RFC 6455, section 5.3). `key` is turned so that its
/// first byte belongs to the first of `payload`.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    // Eight bytes at a time, which the compiler widens further to vectors.
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// The client's side, for tests only: plank never sends a masked frame.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A masked frame whose first byte is `first`, whether or not that makes sense.
    pub(crate) fn masked(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        let mut out = vec![first];
        put_len(&mut out, MASKED, payload.len());
        out.extend(key);
        let start = out.len();
        out.extend(payload);
        mask(&mut out[start..], key);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_5_7_unmasked_vectors() {
        assert_eq!(text(b"Hello")[..], *b"\x81\x05Hello");
        assert_eq!(ping(b"Hello")[..], *b"\x89\x05Hello");
        assert_eq!(binary(&[7; 256])[..4], [0x82, 0x7e, 0x01, 0x00]);
        let long = binary(&[7; 65_536]);
        assert_eq!(long[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(long.len(), 10 + 65_536);
    }

    #[test]
    fn rfc_5_7_masked_pong() {
        let pong = testing::masked(0x8a, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(pong, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    #[test]
    fn the_length_takes_its_shortest_form() {
        for (len, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            put_header(&mut out, Opcode::Text, true, len);
            assert_eq!(
                (out[0], out.len(), header_len(len)),
                (0xc1, size, size),
                "{len}"
            );
        }
    }

    #[test]
    fn control_payloads_are_cut() {
        assert_eq!(ping(&[1; 200])[..2], [0x89, 125]);
        assert_eq!(pong(&[1; 200]).len(), 2 + CONTROL_BYTES_MAX);
    }

    #[test]
    fn a_close_carries_code_and_reason() {
        assert_eq!(close(CloseCode::SLOW, "slow")[..], *b"\x88\x06\x0f\xa0slow");
        assert_eq!(close(CloseCode::NORMAL, "")[..], *b"\x88\x02\x03\xe8");
        assert_eq!(close_reply(None)[..], *b"\x88\x00");
        let received = CloseReason {
            code: CloseCode::NORMAL,
            reason: "bye".into(),
        };
        assert_eq!(close_reply(Some(&received))[..], *b"\x88\x02\x03\xe8");
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let frame = close(CloseCode::POLICY, &"é".repeat(100));
        assert_eq!(frame[1], 2 + 122);
        assert_eq!(str::from_utf8(&frame[4..]), Ok("é".repeat(61).as_str()));
        assert_eq!(
            close(CloseCode::POLICY, &"e".repeat(124)).len(),
            2 + CONTROL_BYTES_MAX
        );
    }

    proptest! {
        #[test]
        fn masking_is_what_section_5_3_says(payload: Vec<u8>, key: [u8; 4]) {
            let expected: Vec<u8> =
                payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut masked = payload;
            mask(&mut masked, key);
            prop_assert_eq!(masked, expected);
        }
    }
}
