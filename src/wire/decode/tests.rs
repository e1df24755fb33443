//! The decoder, fed with frames and with pieces of them.

use super::*;
use crate::limits::{FRAGMENT_BYTES_MIN, FRAGMENTS_MAX, MESSAGE_BYTES_MAX};
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
    let (events, _) = decode_frames(&[(0x01, &euro[..1]), (0x00, &euro[1..2]), (0x80, &euro[2..])]);
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
