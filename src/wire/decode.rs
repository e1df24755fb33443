//! The server's reading side of RFC 6455: bytes in, messages and control frames out. It does no
//! I/O, never answers, and holds nothing but what an unfinished frame or message needs.

use crate::wire::event::Event;
use crate::wire::frame::HEADER_BYTES_MAX;
use crate::wire::header::{Expected, Header, Kind};
use crate::wire::payload::Payload;
use crate::wire::violation::Violation;

/// Reads the frames of one client. Small while idle, because tens of thousands are.
///
/// ```
/// # use plank::wire::{decode::Decoder, event::Event, violation::Violation};
/// let mut decoder = Decoder::new(1 << 16);
/// let mut input = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..];
/// while let Some(event) = decoder.next(&mut input)? {
///     assert_eq!(event, Event::Text("Hello".into()));
/// }
/// # Ok::<(), Violation>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// Bound of one message in bytes, as sent, over all its fragments.
    message_bytes_max: usize,
    /// Whether permessage-deflate was negotiated, which makes RSV1 legal.
    deflate: bool,
    /// Set by a Close or a violation: whatever follows is dropped (sections 1.4 and 7.1.7).
    done: bool,
    /// What has arrived of an unfinished frame or message; `None` while idle.
    partial: Option<Box<Partial>>,
}

/// The unfinished frame and the unfinished message of a [`Decoder`].
#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a header that is not complete yet, the first `head_len` bytes of it.
    head: [u8; HEADER_BYTES_MAX],
    /// See `head`.
    head_len: usize,
    /// The frame whose payload is arriving.
    frame: Option<Header>,
    /// The fragmented message that the next data frame must continue.
    open: Option<Kind>,
    /// How many frames of it have begun.
    fragments: usize,
    /// The payload of the message so far.
    message: Payload,
    /// The payload of the control frame so far: apart, as it may come amid a message.
    control: Payload,
}

impl Decoder {
    /// A decoder that refuses messages above `message_bytes_max` bytes of payload, all fragments
    /// together and before inflation. Control frames don't count.
    #[must_use]
    pub const fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            deflate: false,
            done: false,
            partial: None,
        }
    }

    /// Says whether permessage-deflate was negotiated: if so, RSV1 is legal on the first frame of
    /// a message and makes it an [`Event::Compressed`] (RFC 7692, section 6).
    #[must_use]
    pub const fn with_deflate(mut self, deflate: bool) -> Self {
        self.deflate = deflate;
        self
    }

    /// The next event, taken from the front of `input`; `None` once all of it is used up.
    ///
    /// Call it until it returns `None`, then again when more has arrived. After a Close or a
    /// violation it drops all input and returns `None`.
    ///
    /// # Errors
    /// The first breach of RFC 6455 or of the limit, as soon as the bytes that prove it are
    /// there: a frame is refused by its declared length, text at its first wrong byte.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        if self.done {
            *input = &[];
        }
        if input.is_empty() {
            return Ok(None);
        }
        let mut partial = self.partial.take().unwrap_or_default();
        let result = self.read(&mut partial, input);
        self.done = matches!(result, Err(_) | Ok(Some(Event::Close(_))));
        if !self.done && !partial.is_idle() {
            self.partial = Some(partial);
        }
        result
    }

    /// Memory held for unfinished input, in bytes; 0 while idle.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            size_of::<Partial>() + partial.message.capacity() + partial.control.capacity()
        })
    }

    fn read(&self, partial: &mut Partial, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            let mut frame = match partial.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(partial, input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            self.read_payload(partial, &mut frame, input)?;
            if frame.missing > 0 {
                partial.frame = Some(frame);
                return Ok(None);
            }
            if frame.fin {
                let payload = partial.payload(frame.kind).take();
                return Event::new(frame.kind, payload).map(Some);
            }
        }
    }

    /// Collects a header across calls; takes from `input` what belongs to it and no more.
    fn read_header(
        &self,
        partial: &mut Partial,
        input: &mut &[u8],
    ) -> Result<Option<Header>, Violation> {
        let held = partial.head_len;
        let len = HEADER_BYTES_MAX.min(held + input.len());
        partial.head[held..len].copy_from_slice(&input[..len - held]);
        let expected = Expected {
            deflate: self.deflate,
            message_bytes_max: self.message_bytes_max,
            open: partial.open,
            received: partial.message.len(),
            fragments: partial.fragments,
        };
        let Some((frame, header_len)) = expected.header(&partial.head[..len])? else {
            debug_assert_eq!(len - held, input.len(), "the longest header is complete");
            partial.head_len = len;
            *input = &[];
            return Ok(None);
        };
        partial.head_len = 0;
        *input = &input[header_len - held..];
        if !frame.kind.is_control() {
            // The last one begins anew.
            partial.fragments = if frame.fin { 0 } else { partial.fragments + 1 };
            partial.open = (!frame.fin).then_some(frame.kind);
        }
        Ok(Some(frame))
    }

    /// Takes what is there of a frame's payload, and checks text as it comes.
    fn read_payload(
        &self,
        partial: &mut Partial,
        frame: &mut Header,
        input: &mut &[u8],
    ) -> Result<(), Violation> {
        let (chunk, rest) = input.split_at(frame.missing.min(input.len()));
        *input = rest;
        let payload = partial.payload(frame.kind);
        // A final frame says how long the message gets; before it, only the limit does.
        let bytes_max = if frame.fin {
            payload.len() + frame.missing
        } else {
            self.message_bytes_max
        };
        payload.push(chunk, frame.key, bytes_max);
        frame.missing -= chunk.len();
        frame.key.rotate_left(chunk.len() % 4);
        // A whole message is checked when it becomes an event.
        let whole = frame.fin && frame.missing == 0;
        if frame.kind == Kind::Text && !whole {
            payload.check_utf8()
        } else {
            Ok(())
        }
    }
}

impl Partial {
    fn is_idle(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.open.is_none()
    }

    /// Where the payload of such a frame goes.
    fn payload(&mut self, kind: Kind) -> &mut Payload {
        if kind.is_control() {
            &mut self.control
        } else {
            &mut self.message
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::testing::masked;
    use bytes::Bytes;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// All events of `input` until the violation, if there is one.
    fn decode(decoder: &mut Decoder, mut input: &[u8]) -> (Vec<Event>, Option<Violation>) {
        let mut events = Vec::new();
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, None),
                Err(violation) => return (events, Some(violation)),
            }
        }
    }

    /// What a fresh decoder with a limit of 64 KiB makes of some frames.
    fn decode_frames(frames: &[(u8, &[u8])]) -> (Vec<Event>, Option<Violation>) {
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(first, payload)| masked(*first, payload, KEY))
            .collect();
        decode(&mut Decoder::new(1 << 16), &bytes)
    }

    fn violation(frames: &[(u8, &[u8])]) -> Option<Violation> {
        decode_frames(frames).1
    }

    #[test]
    fn an_idle_decoder_is_small_and_holds_nothing() {
        assert!(size_of::<Decoder>() <= 24, "{}", size_of::<Decoder>());
        let mut decoder = Decoder::new(1000);
        let bytes = [masked(0x01, b"Hel", KEY), masked(0x80, b"lo", KEY)].concat();
        for (i, byte) in bytes.iter().enumerate() {
            assert_eq!(decoder.buffered_bytes() > 0, i > 0);
            assert!(decoder.next(&mut &[*byte][..]).is_ok());
        }
        assert_eq!(decoder.buffered_bytes(), 0);
    }

    #[test]
    fn rfc_5_7_vectors() {
        let (events, _) = decode_frames(&[
            (0x81, b"Hello"),
            (0x01, b"Hel"),
            (0x80, b"lo"),
            (0x89, b"Hello"),
            (0x8a, b"Hello"),
            (0x82, &[1; 256]),
            (0x82, &[1; 65_536]),
        ]);
        let hello = Bytes::from_static(b"Hello");
        let expected = [
            Event::Text("Hello".into()),
            Event::Text("Hello".into()),
            Event::Ping(hello.clone()),
            Event::Pong(hello),
            Event::Binary(vec![1; 256].into()),
            Event::Binary(vec![1; 65_536].into()),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn control_frames_come_between_fragments() {
        let (events, violation) = decode_frames(&[
            (0x01, b"a"),
            (0x89, b"?"),
            (0x00, b"b"),
            (0x8a, b""),
            (0x80, b"c"),
        ]);
        let expected = [
            Event::Ping(Bytes::from_static(b"?")),
            Event::Pong(Bytes::new()),
            Event::Text("abc".into()),
        ];
        assert_eq!((events.as_slice(), violation), (&expected[..], None));
    }

    #[test]
    fn empty_messages_are_messages() {
        let (events, _) = decode_frames(&[(0x81, b""), (0x02, b""), (0x00, b""), (0x80, b"")]);
        let expected = [Event::Text(String::new()), Event::Binary(Bytes::new())];
        assert_eq!(events, expected);
    }

    #[test]
    fn rules_of_fragments_hold_across_frames() {
        assert_eq!(
            violation(&[(0x81, b"a"), (0x80, b"b")]),
            Some(Violation::StrayContinuation)
        );
        assert_eq!(
            violation(&[(0x01, b"a"), (0x82, b"b")]),
            Some(Violation::InterleavedMessage)
        );
    }

    #[test]
    fn a_frame_is_refused_by_its_declared_length_alone() {
        let mut decoder = Decoder::new(100);
        let too_big = Violation::TooBig {
            bytes: 101,
            bytes_max: 100,
        };
        assert_eq!(
            decode(&mut decoder, &[0x82, 0x80 | 101]),
            (vec![], Some(too_big))
        );
        let mut decoder = Decoder::new(100);
        let first = masked(0x02, &[0; 60], KEY);
        assert_eq!(decode(&mut decoder, &first), (vec![], None));
        assert_eq!(
            decode(&mut decoder, &[0x80, 0x80 | 41]),
            (vec![], Some(too_big))
        );
        assert_eq!(decoder.buffered_bytes(), 0);
    }

    #[test]
    fn the_limit_is_of_one_message_and_not_of_control_frames() {
        let mut decoder = Decoder::new(3);
        let bytes = [masked(0x81, b"abc", KEY), masked(0x89, &[0; 125], KEY)].concat();
        let (events, violation) = decode(&mut decoder, &bytes.repeat(2));
        assert_eq!((events.len(), violation), (4, None));
    }

    #[test]
    fn a_declared_length_reserves_nothing() {
        let mut decoder = Decoder::new(1 << 30);
        let header = [0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(decode(&mut decoder, &header), (vec![], None));
        assert_eq!(decoder.buffered_bytes(), size_of::<Partial>());
        assert_eq!(decode(&mut decoder, &[0; 1000]), (vec![], None));
        assert!(decoder.buffered_bytes() <= size_of::<Partial>() + 2000);
    }

    #[test]
    fn text_is_refused_at_its_first_wrong_byte() {
        let bytes = masked(0x81, "κόσμε\u{fffd}\u{10ffff}".as_bytes(), KEY);
        let wrong_at = bytes.len() - 3; // The second byte of U+10FFFF: F4 90 is beyond Unicode.
        let mut decoder = Decoder::new(100);
        assert_eq!(decode(&mut decoder, &bytes[..wrong_at]), (vec![], None));
        let wrong = bytes[wrong_at] ^ 0x8f ^ 0x90;
        assert_eq!(
            decode(&mut decoder, &[wrong]),
            (vec![], Some(Violation::InvalidUtf8))
        );
    }

    #[test]
    fn text_may_be_cut_inside_a_character_but_not_end_there() {
        let euro = "€".as_bytes();
        let (events, _) =
            decode_frames(&[(0x01, &euro[..1]), (0x00, &euro[1..2]), (0x80, &euro[2..])]);
        assert_eq!(events, [Event::Text("€".into())]);
        let cut = violation(&[(0x01, &euro[..1]), (0x80, &euro[1..2])]);
        assert_eq!(cut, Some(Violation::InvalidUtf8));
        assert_eq!(violation(&[(0x82, b"\xff")]), None, "binary is anything");
    }

    #[test]
    fn nothing_comes_after_a_close_or_a_violation() {
        let hello = masked(0x81, b"Hello", KEY);
        for end in [masked(0x88, b"", KEY), masked(0x83, b"", KEY)] {
            let mut decoder = Decoder::new(100);
            let (events, violation) = decode(&mut decoder, &[&hello[..], &end, &hello].concat());
            assert_eq!(events.len() + usize::from(violation.is_some()), 2);
            let mut input = &hello[..];
            assert_eq!(decoder.next(&mut input), Ok(None));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn compressed_messages_are_handed_on_as_they_are() {
        // RFC 7692, section 7.2.3.1: "Hello", whole and in two fragments.
        let deflated = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        let whole = masked(0xc1, deflated, KEY);
        let cut = [
            masked(0x41, &deflated[..3], KEY),
            masked(0x80, &deflated[3..], KEY),
        ]
        .concat();
        let hello = Event::Compressed {
            text: true,
            payload: Bytes::from_static(deflated),
        };
        let mut decoder = Decoder::new(100).with_deflate(true);
        let bytes = [whole.clone(), cut, masked(0x81, b"plain", KEY)].concat();
        let (events, violation) = decode(&mut decoder, &bytes);
        assert_eq!(events, [hello.clone(), hello, Event::Text("plain".into())]);
        assert_eq!(violation, None);
        let refused = decode(&mut Decoder::new(100), &whole);
        assert_eq!(refused, (vec![], Some(Violation::ReservedBits)));
    }
}
