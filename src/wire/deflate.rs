//! The payloads of permessage-deflate (RFC 7692, section 7.2), without context takeover on either side: each message
//! stands for itself, so a compressed one can be shared, and no socket has a compressor or a window of its own.

use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::limits::DEFLATE_SCRATCH_BYTES_MAX;
use crate::wire::frame;
use crate::wire::violation::Violation;

/// What a flush of DEFLATE ends with. It is cut off when sending, and put back when receiving (sections 7.2.1, 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Bytes that are inflated at a time.
const STEP_BYTES: usize = 16 * 1024;

/// How hard the compressor looks. With changes, 6 makes messages smaller by a tenth, and takes four times as long.
const LEVEL: u32 = 2;

/// What all messages of a thread are compressed and inflated with. A compressor has some 260 KiB, and takes longer to
/// make than a small message does to compress.
struct Engine {
    compress: Compress,
    decompress: Decompress,
    scratch: Vec<u8>,
}

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine {
        compress: Compress::new(Compression::new(LEVEL), false),
        decompress: Decompress::new(false),
        scratch: Vec::new(),
    });
}

/// The same message compressed: `frame` is a whole frame of the server, text or binary. None for anything else, for
/// several frames, and for one that would not become smaller; all of those may be sent as they are (section 6).
#[must_use]
pub fn frame(frame: &[u8]) -> Option<Bytes> {
    let (opcode, payload) = frame::sole_message(frame)?;
    ENGINE.with_borrow_mut(|engine| {
        let len = engine.deflate(payload)?;
        let mut out = BytesMut::with_capacity(frame::header_len(len) + len);
        frame::put_header(&mut out, opcode, true, len);
        out.put_slice(&engine.scratch[..len]);
        engine.forget();
        Some(out.freeze())
    })
}

/// The message that was sent as `payload`.
///
/// # Errors
/// [`Violation::InflatesTooBig`] as soon as it would have more than `bytes_max` bytes, [`Violation::NotDeflate`] where it
/// is not what a compressor makes.
pub fn inflate(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
    ENGINE.with_borrow_mut(|engine| {
        let inflated = engine.inflate(payload, bytes_max);
        engine.forget();
        inflated
    })
}

impl Engine {
    /// Compresses into the scratch; the bytes of it, unless they are not fewer than those of `payload`.
    fn deflate(&mut self, payload: &[u8]) -> Option<usize> {
        self.compress.reset();
        // What does not fit is not worth it; the tail is cut off.
        let room = self.scratch(payload.len() + TAIL.len());
        let out = &mut self.scratch[..room];
        let done = self.compress.compress(payload, out, FlushCompress::Sync);
        // Lossless: at most what was given.
        let read = self.compress.total_in() as usize;
        let len = self.compress.total_out() as usize;
        // A flush is over when there is room left behind it (zlib's manual, `deflate`).
        let is_whole = done.is_ok() && read == payload.len() && len < room;
        let len = len.checked_sub(TAIL.len()).filter(|_| is_whole)?;
        debug_assert_eq!(self.scratch[len..len + TAIL.len()], TAIL);
        (len < payload.len()).then_some(len)
    }

    /// See [`inflate`].
    fn inflate(&mut self, payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
        self.decompress.reset(false);
        let mut message = Vec::new();
        for mut input in [payload, &TAIL] {
            loop {
                // One byte more than is allowed shows that there is one.
                let room = STEP_BYTES.min((bytes_max - message.len()).saturating_add(1));
                let room = self.scratch(room).min(room);
                let out = &mut self.scratch[..room];
                let before = (self.decompress.total_in(), self.decompress.total_out());
                let step = (self.decompress).decompress(input, out, FlushDecompress::Sync);
                let status = step.map_err(|_| Violation::NotDeflate)?;
                let read = (self.decompress.total_in() - before.0) as usize;
                let written = (self.decompress.total_out() - before.1) as usize;
                message.extend_from_slice(&out[..written]);
                input = &input[read..];
                if message.len() > bytes_max {
                    return Err(Violation::InflatesTooBig { bytes_max });
                }
                // A block may say that it is the last one; the message goes on behind it (section 7.2.3.4).
                if status == Status::StreamEnd {
                    self.decompress.reset(false);
                }
                if input.is_empty() && written < room {
                    break;
                }
                if read + written == 0 {
                    return Err(Violation::NotDeflate);
                }
            }
        }
        Ok(message)
    }

    /// Makes sure that the scratch has this many bytes; gives their number.
    fn scratch(&mut self, bytes: usize) -> usize {
        if self.scratch.len() < bytes {
            self.scratch.resize(bytes, 0);
        }
        bytes
    }

    /// Gives back the memory that a large message took.
    fn forget(&mut self) {
        if self.scratch.capacity() > DEFLATE_SCRATCH_BYTES_MAX {
            self.scratch = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of a compressed frame.
    fn payload(frame: &[u8]) -> &[u8] {
        assert_eq!(frame[0] & 0xc0, 0xc0, "whole, and marked");
        match frame[1] {
            126 => &frame[4..],
            127 => &frame[10..],
            _ => &frame[2..],
        }
    }

    fn text(len: usize) -> String {
        (0..len / 8).map(|n| format!("{{\"id\":{n}}},")).collect()
    }

    #[test]
    fn rfc_7692_7_2_3_vectors() {
        for (name, sent, message) in [
            (
                "7.2.3.1: one block",
                &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
                "Hello",
            ),
            (
                "7.2.3.3: no compression",
                b"\x00\x05\x00\xfa\xffHello\x00",
                "Hello",
            ),
            (
                "7.2.3.4: a last block",
                b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
                "Hello",
            ),
            (
                "7.2.3.5: two blocks",
                b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
                "Hello",
            ),
            ("7.2.3.6: nothing", b"\x00", ""),
            ("nothing at all", b"", ""),
            (
                "two streams",
                b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
                "HelloHello",
            ),
        ] {
            let inflated = inflate(sent, 100).map(|m| String::from_utf8(m).unwrap());
            assert_eq!(inflated, Ok(message.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_is_compressed_is_inflated_again_and_each_message_stands_for_itself() {
        for len in [100, 200, 5_000, 70_000, 3_000_000] {
            let message = text(len);
            let (whole, again) = (
                frame::text(message.as_bytes()),
                frame::text(message.as_bytes()),
            );
            let deflated = frame(&whole).unwrap();
            assert!(deflated.len() < whole.len());
            assert_eq!(deflated[0], 0xc1, "a whole text message, compressed");
            assert_eq!(frame(&again).unwrap(), deflated, "no window is kept");
            let inflated = inflate(payload(&deflated), message.len()).unwrap();
            assert_eq!(inflated, message.as_bytes());
        }
        assert_eq!(frame(&frame::binary(&[7; 1000])).unwrap()[0], 0xc2);
    }

    #[test]
    fn what_does_not_get_smaller_or_is_no_sole_message_is_left_alone() {
        let noise: Vec<u8> = (0..10_000).map(|_| fastrand::u8(..)).collect();
        assert_eq!(frame(&frame::binary(&noise)), None);
        assert_eq!(frame(&frame::text(b"short")), None);
        assert_eq!(frame(&frame::text(b"")), None);
        let long = frame::text(text(1000).as_bytes());
        let deflated = frame(&long).unwrap();
        assert_eq!(frame(&deflated), None, "compressed already");
        assert_eq!(frame(&frame::ping(&[7; 100])), None, "a control frame");
        assert_eq!(
            frame(&[&long[..], &frame::ping(b"")].concat()),
            None,
            "two frames"
        );
        assert_eq!(frame(&long[..long.len() - 1]), None, "a part of one");
        assert_eq!(frame(b""), None);
    }

    #[test]
    fn a_bomb_is_refused_at_the_bound() {
        let bomb = frame(&frame::binary(&vec![0; 64 << 20])).unwrap();
        let bomb = payload(&bomb);
        assert!(bomb.len() < 70_000);
        let bytes_max = 65_536;
        assert_eq!(
            inflate(bomb, bytes_max),
            Err(Violation::InflatesTooBig { bytes_max })
        );
        assert_eq!(
            inflate(bomb, 64 << 20).map(|m| m.len()),
            Ok(64 << 20),
            "at the bound"
        );
        let bytes_max = (64 << 20) - 1;
        assert_eq!(
            inflate(bomb, bytes_max),
            Err(Violation::InflatesTooBig { bytes_max })
        );
        // What was refused leaves nothing behind.
        assert_eq!(
            inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", 5),
            Ok(b"Hello".to_vec())
        );
        assert_eq!(inflate(b"", 0), Ok(vec![]));
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        assert_eq!(
            inflate(b"\xff\xff\xff\xff", 100),
            Err(Violation::NotDeflate)
        );
        assert_eq!(
            inflate(b"\x00\x05\x00\xfa\xfeHello\x00", 100),
            Err(Violation::NotDeflate)
        );
        for _ in 0..2_000 {
            let noise: Vec<u8> = (0..fastrand::usize(..200))
                .map(|_| fastrand::u8(..))
                .collect();
            let inflated = inflate(&noise, 1_000);
            assert!(inflated.map_or(0, |m| m.len()) <= 1_000);
        }
    }
}
