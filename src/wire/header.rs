//! The header of a client's frame: parsed from what is there of it, and judged against the
//! message it comes amid. It knows nothing of payloads.

use crate::limits::{FRAGMENT_BYTES_MIN, FRAGMENTS_MAX};
use crate::wire::frame::{CONTROL_BYTES_MAX, FIN, LEN_16, LEN_64, MASKED, Opcode, RSV1, RSV2_RSV3};
use crate::wire::violation::Violation;

/// What a frame's payload is, with continuations resolved to the message they continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
    Compressed { text: bool },
    Ping,
    Pong,
    Close,
}

impl Kind {
    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Ping | Self::Pong | Self::Close)
    }
}

/// A frame whose payload is arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the payload is.
    pub(crate) kind: Kind,
    /// Whether the frame is the last of its message; always so for control frames.
    pub(crate) fin: bool,
    /// Payload bytes still to come.
    pub(crate) missing: usize,
    /// The masking key, turned to the next byte of payload.
    pub(crate) key: [u8; 4],
}

/// What the next header is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// Whether RSV1 may begin a message.
    pub(crate) deflate: bool,
    /// Bound of one message in bytes, over all its fragments.
    pub(crate) message_bytes_max: usize,
    /// The fragmented message that a data frame must continue.
    pub(crate) open: Option<Kind>,
    /// Bytes of that message so far.
    pub(crate) received: usize,
    /// How many frames of it there were.
    pub(crate) fragments: usize,
}

impl Expected {
    /// The header at the front of `bytes` and its size in bytes; `None` if it is not all there.
    ///
    /// # Errors
    /// Each byte is judged as soon as it is there, in order: how a header is cut into reads
    /// doesn't change the verdict.
    pub(crate) fn header(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let [first, rest @ ..] = bytes else {
            return Ok(None);
        };
        let kind = self.kind(*first)?;
        let fin = first & FIN != 0;
        if kind.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        let [second, rest @ ..] = rest else {
            return Ok(None);
        };
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        let short_len = second & !MASKED;
        if kind.is_control() && usize::from(short_len) > CONTROL_BYTES_MAX {
            return Err(Violation::LongControl);
        }
        let Some((len, rest)) = payload_len(short_len, rest)? else {
            return Ok(None);
        };
        if !kind.is_control() {
            self.check_size(len)?;
        }
        let Some((&key, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        // Lossless: the length is within 125 or within the limit, which is a usize.
        let header = Header {
            kind,
            fin,
            missing: len as usize,
            key,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Judges the first byte (sections 5.2 and 5.4).
    fn kind(&self, first: u8) -> Result<Kind, Violation> {
        let opcode =
            Opcode::from_first_byte(first).ok_or(Violation::UnknownOpcode(first & 0x0f))?;
        let begins = matches!(opcode, Opcode::Text | Opcode::Binary);
        let compressed = first & RSV1 != 0;
        if first & RSV2_RSV3 != 0 || (compressed && !(self.deflate && begins)) {
            return Err(Violation::ReservedBits);
        }
        if begins && self.open.is_some() {
            return Err(Violation::InterleavedMessage);
        }
        Ok(match opcode {
            Opcode::Continuation => self.open.ok_or(Violation::StrayContinuation)?,
            Opcode::Text if !compressed => Kind::Text,
            Opcode::Binary if !compressed => Kind::Binary,
            Opcode::Text => Kind::Compressed { text: true },
            Opcode::Binary => Kind::Compressed { text: false },
            Opcode::Ping => Kind::Ping,
            Opcode::Pong => Kind::Pong,
            Opcode::Close => Kind::Close,
        })
    }

    /// Refuses a frame of `len` bytes that would take its message above a limit.
    fn check_size(&self, len: u64) -> Result<(), Violation> {
        let fragments_max = FRAGMENTS_MAX + self.message_bytes_max / FRAGMENT_BYTES_MIN;
        if self.fragments >= fragments_max {
            return Err(Violation::TooManyFragments(fragments_max));
        }
        let bytes = self.received as u64 + len;
        if bytes > self.message_bytes_max as u64 {
            return Err(Violation::TooBig {
                bytes,
                bytes_max: self.message_bytes_max,
            });
        }
        Ok(())
    }
}

/// The payload length that `short`, seven bits, stands for, and what follows it in `rest`;
/// `None` if it is not all there. Longer forms than needed are refused (section 5.2).
fn payload_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (len, rest, shortest) = match short {
        LEN_16 => match rest.split_first_chunk() {
            Some((&len, rest)) => (u64::from(u16::from_be_bytes(len)), rest, 126),
            None => return Ok(None),
        },
        LEN_64 => match rest.split_first_chunk() {
            Some((&len, rest)) => (u64::from_be_bytes(len), rest, 0x1_0000),
            None => return Ok(None),
        },
        len => (u64::from(len), rest, 0),
    };
    if len < shortest || len > i64::MAX as u64 {
        return Err(Violation::MalformedLength);
    }
    Ok(Some((len, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Expected = Expected {
        deflate: false,
        message_bytes_max: 1 << 20,
        open: None,
        received: 0,
        fragments: 0,
    };
    const AMID_TEXT: Expected = Expected {
        open: Some(Kind::Text),
        received: 10,
        ..FRESH
    };
    const DEFLATE: Expected = Expected {
        deflate: true,
        ..FRESH
    };

    /// The kind of a frame without payload, by its first byte.
    fn kind(expected: Expected, first: u8) -> Result<Kind, Violation> {
        let header = expected.header(&[first, 0x80, 1, 2, 3, 4])?;
        let (header, len) = header.expect("six bytes are a whole header");
        assert_eq!((header.missing, header.key, len), (0, [1, 2, 3, 4], 6));
        Ok(header.kind)
    }

    #[test]
    fn opcodes() {
        assert_eq!(kind(FRESH, 0x81), Ok(Kind::Text));
        assert_eq!(kind(FRESH, 0x02), Ok(Kind::Binary));
        assert_eq!(kind(FRESH, 0x88), Ok(Kind::Close));
        assert_eq!(kind(FRESH, 0x89), Ok(Kind::Ping));
        assert_eq!(kind(FRESH, 0x8a), Ok(Kind::Pong));
        for opcode in (0x3..=0x7).chain(0xb..=0xf) {
            assert_eq!(
                kind(FRESH, 0x80 | opcode),
                Err(Violation::UnknownOpcode(opcode))
            );
        }
    }

    #[test]
    fn fragments_belong_to_an_open_message() {
        assert_eq!(kind(FRESH, 0x80), Err(Violation::StrayContinuation));
        assert_eq!(kind(AMID_TEXT, 0x80), Ok(Kind::Text));
        assert_eq!(kind(AMID_TEXT, 0x00), Ok(Kind::Text));
        assert_eq!(kind(AMID_TEXT, 0x82), Err(Violation::InterleavedMessage));
        assert_eq!(kind(AMID_TEXT, 0x89), Ok(Kind::Ping));
    }

    #[test]
    fn reserved_bits() {
        for bits in (0x10..=0x70).step_by(0x10) {
            assert_eq!(kind(FRESH, 0x81 | bits), Err(Violation::ReservedBits));
        }
        assert_eq!(kind(DEFLATE, 0xc1), Ok(Kind::Compressed { text: true }));
        assert_eq!(kind(DEFLATE, 0x42), Ok(Kind::Compressed { text: false }));
        assert_eq!(kind(DEFLATE, 0xa1), Err(Violation::ReservedBits));
        assert_eq!(kind(DEFLATE, 0xc9), Err(Violation::ReservedBits));
        let amid = Expected {
            deflate: true,
            ..AMID_TEXT
        };
        assert_eq!(kind(amid, 0xc0), Err(Violation::ReservedBits));
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        assert_eq!(kind(FRESH, 0x09), Err(Violation::FragmentedControl));
        assert_eq!(FRESH.header(&[0x89, 0xfd]), Ok(None));
        assert_eq!(FRESH.header(&[0x89, 0xfe]), Err(Violation::LongControl));
        let small = Expected {
            message_bytes_max: 0,
            ..FRESH
        };
        assert_eq!(
            small.header(&[0x89, 0xfd]),
            Ok(None),
            "the limit is on messages"
        );
    }

    #[test]
    fn every_frame_is_masked() {
        assert_eq!(FRESH.header(&[0x81, 0x05]), Err(Violation::Unmasked));
    }

    #[test]
    fn a_length_takes_its_shortest_form() {
        let len16 = |len: u16| [&[0x82, 0xfe][..], &len.to_be_bytes()].concat();
        let len64 = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes()].concat();
        assert_eq!(FRESH.header(&len16(125)), Err(Violation::MalformedLength));
        assert_eq!(FRESH.header(&len16(126)), Ok(None));
        assert_eq!(
            FRESH.header(&len64(65_535)),
            Err(Violation::MalformedLength)
        );
        assert_eq!(FRESH.header(&len64(65_536)), Ok(None));
        assert_eq!(
            FRESH.header(&len64(1 << 63)),
            Err(Violation::MalformedLength)
        );
    }

    #[test]
    fn a_message_is_refused_by_its_declared_length() {
        let expected = Expected {
            message_bytes_max: 20,
            ..FRESH
        };
        let too_big = |bytes| {
            Err(Violation::TooBig {
                bytes,
                bytes_max: 20,
            })
        };
        assert_eq!(expected.header(&[0x82, 0x94]), Ok(None));
        assert_eq!(expected.header(&[0x82, 0x95]), too_big(21));
        let amid = Expected {
            message_bytes_max: 20,
            ..AMID_TEXT
        };
        assert_eq!(amid.header(&[0x00, 0x8a]), Ok(None));
        assert_eq!(amid.header(&[0x80, 0x8b]), too_big(21));
        let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(expected.header(&huge), too_big(i64::MAX as u64));
    }
}
