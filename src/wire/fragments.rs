//! The bound of the pieces of a message.

use bytes::Bytes;

use super::decode::Decoder;
use super::event::Event;
use super::frame::testing::masked;
use super::violation::Violation;
use crate::limits::{FRAGMENT_BYTES_MIN, FRAGMENTS_MAX, MESSAGE_BYTES_MAX};

/// The event or the violation that a frame makes, if it makes one.
fn push(decoder: &mut Decoder, first: u8, payload: &[u8]) -> Result<Option<Event>, Violation> {
    decoder.next(&mut &masked(first, payload, [1, 2, 3, 4])[..])
}

#[test]
fn a_message_in_too_many_pieces_is_refused_even_if_they_are_empty() {
    let most = FRAGMENTS_MAX + MESSAGE_BYTES_MAX / FRAGMENT_BYTES_MIN;
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    for _ in 0..2 {
        assert_eq!(push(&mut decoder, 0x01, b"x"), Ok(None));
        for _ in 2..most {
            assert_eq!(push(&mut decoder, 0x00, b""), Ok(None));
            // A control frame is none of them.
            assert_eq!(
                push(&mut decoder, 0x89, b""),
                Ok(Some(Event::Ping(Bytes::new())))
            );
        }
        assert_eq!(
            push(&mut decoder, 0x80, b""),
            Ok(Some(Event::Text("x".into())))
        );
        assert_eq!(decoder.buffered_bytes(), 0);
    }
    assert_eq!(push(&mut decoder, 0x01, b"x"), Ok(None));
    for _ in 1..most {
        assert_eq!(push(&mut decoder, 0x00, b""), Ok(None));
    }
    let refused = push(&mut decoder, 0x80, b"");
    assert_eq!(refused, Err(Violation::TooManyFragments(most)));
}
