//! What a client sends, as the decoder hands it on: whole messages and control frames.

use crate::wire::close::{CloseCode, CloseReason};
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
    /// A whole message under permessage-deflate, still deflated (RFC 7692, section 6.2). Whoever
    /// inflates it must bound the result and, for text, check that it is UTF-8.
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
    fn only_plain_text_must_be_utf8() {
        let event = |kind| Event::new(kind, vec![0xff]);
        assert_eq!(event(Kind::Text), Err(Violation::InvalidUtf8));
        assert!(event(Kind::Binary).is_ok());
        assert!(event(Kind::Compressed { text: true }).is_ok());
        assert!(event(Kind::Ping).is_ok());
    }
}
