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
mod tests;
