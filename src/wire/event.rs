//! What a client sends, as the decoder hands it on: whole messages and control frames.

use crate::wire::close::{CloseCode, CloseReason};
use crate::wire::deflate;
use crate::wire::header::Kind;
use crate::wire::violation::Violation;
use bytes::Bytes;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// A whole message under permessage-deflate, still deflated (RFC 7692, section 6.2). See
    /// [`Event::inflated`].
    Compressed {
        /// Whether the message is text; binary otherwise.
        text: bool,
        /// The payload as sent, without the trailing `00 00 ff ff`.
        payload: Bytes,
    },
    /// To be answered with a Pong of the same payload, at most 125 bytes.
    Ping(Bytes),
    /// The answer to a Ping, or a heartbeat nobody asked for; at most 125 bytes.
    Pong(Bytes),
    /// The client closes; `None` if it gave no code. Nothing comes after it.
    Close(Option<CloseReason>),
}

impl Event {
    /// Makes an event of a whole payload, unmasked.
    ///
    /// # Errors
    /// Text that is not UTF-8, or a Close that section 5.5.1 or 7.4 forbids.
    pub(crate) fn new(kind: Kind, payload: Vec<u8>) -> Result<Self, Violation> {
        Ok(match kind {
            Kind::Text => {
                Self::Text(String::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?)
            }
            Kind::Binary => Self::Binary(payload.into()),
            Kind::Compressed { text } => Self::Compressed {
                text,
                payload: payload.into(),
            },
            Kind::Ping => Self::Ping(payload.into()),
            Kind::Pong => Self::Pong(payload.into()),
            Kind::Close => Self::Close(close_reason(&payload)?),
        })
    }

    /// Bytes of a message's payload; 0 for control frames.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(payload) | Self::Compressed { payload, .. } => payload.len(),
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => 0,
        }
    }

    /// The same, and a compressed message as the text or binary one that it stands for.
    ///
    /// # Errors
    /// It has more than `bytes_max` bytes, was not made by a compressor, or is text and not UTF-8.
    pub fn inflated(self, bytes_max: usize) -> Result<Self, Violation> {
        let Self::Compressed { text, payload } = self else {
            return Ok(self);
        };
        let kind = if text { Kind::Text } else { Kind::Binary };
        Self::new(kind, deflate::inflate(&payload, bytes_max)?)
    }
}

/// Reads the payload of a Close (section 5.5.1).
fn close_reason(payload: &[u8]) -> Result<Option<CloseReason>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Violation::ShortClose),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    let code = CloseCode::from_wire(code).ok_or(Violation::IllegalCloseCode(code))?;
    let reason = str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some(CloseReason {
        code,
        reason: reason.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_is_empty_or_has_a_legal_code() {
        let close = |payload: &[u8]| Event::new(Kind::Close, payload.to_vec());
        let said = |reason: &str| {
            let reason = reason.to_owned();
            Ok(Event::Close(Some(CloseReason {
                code: CloseCode::NORMAL,
                reason,
            })))
        };
        assert_eq!(close(b""), Ok(Event::Close(None)));
        assert_eq!(close(b"\x03\xe8"), said(""));
        assert_eq!(close(b"\x03\xe8bye \xc3\xa9"), said("bye é"));
        assert_eq!(close(b"\x03"), Err(Violation::ShortClose));
        assert_eq!(close(b"\x03\xed"), Err(Violation::IllegalCloseCode(1005)));
        assert_eq!(close(b"\x03\xe8\xc3"), Err(Violation::InvalidUtf8));
    }

    #[test]
    fn a_compressed_message_is_text_or_binary_under_a_bound() {
        let event = |text, payload| Event::Compressed {
            text,
            payload: Bytes::from_static(payload),
        };
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        let text = Event::Text("Hello".into());
        assert_eq!(event(true, hello).inflated(5), Ok(text.clone()));
        let binary = Event::Binary(Bytes::from_static(b"Hello"));
        assert_eq!(event(false, hello).inflated(5), Ok(binary));
        let too_big = Violation::InflatesTooBig { bytes_max: 4 };
        assert_eq!(event(true, hello).inflated(4), Err(too_big));
        let not_utf8 = b"\x00\x01\x00\xfe\xff\xff\x00";
        let wrong = event(true, not_utf8).inflated(4);
        assert_eq!(wrong, Err(Violation::InvalidUtf8));
        assert_eq!(text.clone().inflated(0), Ok(text));
    }

    #[test]
    fn only_plain_text_must_be_utf8() {
        let event = |kind| Event::new(kind, vec![0xff]);
        assert_eq!(event(Kind::Text), Err(Violation::InvalidUtf8));
        assert!(event(Kind::Binary).is_ok());
        assert!(event(Kind::Compressed { text: true }).is_ok());
        assert!(event(Kind::Ping).is_ok());
    }
}
