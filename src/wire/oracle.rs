//! The decoder against random input: any cut of a stream into reads, arbitrary bytes, what the
//! encoder writes, and tungstenite as a second opinion.

use crate::wire::close::{CloseCode, CloseReason};
use crate::wire::decode::Decoder;
use crate::wire::event::Event;
use crate::wire::frame::{self, testing::masked};
use crate::wire::violation::Violation;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{self, Cursor, Read, Write};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket, error::ProtocolError};

const MESSAGE_BYTES_MAX: usize = 300;

/// What came of a stream: its events and how it ended.
type Outcome = (Vec<Event>, Option<Violation>);

/// Feeds `reads` to a decoder one by one, and checks its memory after each.
fn decode<'a>(mut decoder: Decoder, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut events = Vec::new();
    for mut input in reads {
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(decoder.next(&mut input), Ok(None));
                    return (events, Some(violation));
                }
            }
        }
        assert!(input.is_empty());
        // The payloads and a fixed part of less than 200 bytes.
        assert!(decoder.buffered_bytes() <= MESSAGE_BYTES_MAX + 125 + 200);
    }
    (events, None)
}

fn decode_whole(bytes: &[u8]) -> Outcome {
    decode(Decoder::new(MESSAGE_BYTES_MAX), [bytes])
}

/// A socket that reads `0` to its end and swallows what is written.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the same stream: its events, and the close code of its refusal.
fn tungstenite(bytes: &[u8]) -> (Vec<Event>, Option<u16>) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let wire = Wire(Cursor::new(bytes));
    let mut socket = WebSocket::from_raw_socket(wire, Role::Server, Some(config));
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Event::Text(text.as_str().to_owned()),
            Ok(Message::Binary(payload)) => Event::Binary(payload),
            Ok(Message::Ping(payload)) => Event::Ping(payload),
            Ok(Message::Pong(payload)) => Event::Pong(payload),
            Ok(Message::Close(None)) => Event::Close(None),
            // It answers an illegal code itself, in place of an error.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                return (events, Some(1002));
            }
            Ok(Message::Close(Some(close))) => Event::Close(Some(CloseReason {
                code: CloseCode::from_wire(close.code.into()).expect("it was found legal"),
                reason: close.reason.as_str().to_owned(),
            })),
            Ok(Message::Frame(_)) => unreachable!("it is never read"),
            Err(Error::ConnectionClosed) => return (events, None),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (events, None);
            }
            Err(Error::Protocol(_)) => return (events, Some(1002)),
            Err(Error::Utf8(_)) => return (events, Some(1007)),
            Err(Error::Capacity(_)) => return (events, Some(1009)),
            Err(error) => unreachable!("{error}"),
        });
    }
}

/// A control frame: whether it is a Ping, otherwise a Pong, and its payload.
type Control = (bool, Vec<u8>);

/// A message and how its payload is cut, with the control frames after each fragment.
#[derive(Debug, Clone)]
struct Sent {
    text: bool,
    payload: Vec<u8>,
    /// The length of each fragment but the last, cut to what is left.
    cuts: Vec<(usize, Option<Control>)>,
}

prop_compose! {
    fn sent()(
        payload in prop_oneof![
            ".{0,70}".prop_map(|text| (true, text.into_bytes())),
            vec(any::<u8>(), 0..MESSAGE_BYTES_MAX).prop_map(|bytes| (false, bytes)),
        ],
        cuts in vec((0..40usize, prop::option::of((any::<bool>(), vec(any::<u8>(), 0..=125)))), 0..4),
    ) -> Sent {
        Sent { text: payload.0, payload: payload.1, cuts }
    }
}

impl Sent {
    /// Writes the frames and notes the events they are to give.
    fn write(&self, key: [u8; 4], bytes: &mut Vec<u8>, events: &mut Vec<Event>) {
        let mut opcode = if self.text { 0x1 } else { 0x2 };
        let mut rest = &self.payload[..];
        for (len, control) in &self.cuts {
            let (fragment, after) = rest.split_at(rest.len().min(*len));
            bytes.extend(masked(opcode, fragment, key));
            (opcode, rest) = (0x0, after);
            if let Some((ping, payload)) = control {
                bytes.extend(masked(if *ping { 0x89 } else { 0x8a }, payload, key));
                let payload = Bytes::copy_from_slice(payload);
                events.push(if *ping {
                    Event::Ping(payload)
                } else {
                    Event::Pong(payload)
                });
            }
        }
        bytes.extend(masked(0x80 | opcode, rest, key));
        events.push(match String::from_utf8(self.payload.clone()) {
            Ok(text) if self.text => Event::Text(text),
            _ => Event::Binary(self.payload.clone().into()),
        });
    }
}

/// A stream of valid messages, closed or not, and its events.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<Event>)> {
    (vec((sent(), any::<[u8; 4]>()), 1..5), any::<bool>()).prop_map(|(messages, closed)| {
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        for (message, key) in messages {
            message.write(key, &mut bytes, &mut events);
        }
        if closed {
            bytes.extend(masked(0x88, b"\x03\xe9bye", [1, 2, 3, 4]));
            let reason = CloseReason {
                code: CloseCode::GOING_AWAY,
                reason: "bye".into(),
            };
            events.push(Event::Close(Some(reason)));
        }
        (bytes, events)
    })
}

/// A first byte: mostly one that is legal somewhere.
fn first_byte() -> impl Strategy<Value = u8> {
    let legal = vec![0x81, 0x01, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8a];
    prop_oneof![4 => prop::sample::select(legal), 1 => any::<u8>()]
}

/// A payload that is good and bad for text and for Close.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        ".{0,20}".prop_map(String::into_bytes),
        vec(
            prop::sample::select(b"\xe2\x82\xac\xf4\x8f\xbf\x90\xedA".to_vec()),
            0..6
        ),
        (990..1020u16).prop_map(|code| code.to_be_bytes().to_vec()),
        vec(any::<u8>(), 0..8),
        (0..400usize).prop_map(|len| vec![b'x'; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_valid_stream_gives_its_events((bytes, events) in stream()) {
        prop_assert_eq!(decode_whole(&bytes), (events.clone(), None));
        prop_assert_eq!(tungstenite(&bytes), (events, None));
    }

    #[test]
    fn one_cut_anywhere_changes_nothing(
        frames in vec((first_byte(), payload()), 1..4),
        key: [u8; 4],
    ) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| masked(*first, payload, key)).collect();
        let whole = decode_whole(&bytes);
        for at in 0..=bytes.len() {
            let (before, after) = bytes.split_at(at);
            let cut = decode(Decoder::new(MESSAGE_BYTES_MAX), [before, after]);
            prop_assert_eq!(&cut, &whole, "cut at {}", at);
        }
        prop_assert_eq!(decode(Decoder::new(MESSAGE_BYTES_MAX), bytes.chunks(1)), whole);
    }

    #[test]
    fn reads_of_any_size_change_nothing((bytes, events) in stream(), size in 1..50usize) {
        let outcome = decode(Decoder::new(MESSAGE_BYTES_MAX), bytes.chunks(size));
        prop_assert_eq!(outcome, (events, None));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>, deflate: bool, size in 1..50usize) {
        let decoder = || Decoder::new(MESSAGE_BYTES_MAX).with_deflate(deflate);
        prop_assert_eq!(decode(decoder(), bytes.chunks(size)), decode(decoder(), [&bytes[..]]));
    }

    #[test]
    fn a_damaged_stream_does_no_harm(
        (mut bytes, _) in stream(),
        at: prop::sample::Index,
        damage: u8,
        size in 1..50usize,
    ) {
        let at = at.index(bytes.len());
        bytes[at] ^= damage;
        let outcome = decode(Decoder::new(MESSAGE_BYTES_MAX), bytes.chunks(size));
        prop_assert_eq!(outcome, decode_whole(&bytes));
    }

    /// Whole frames in the shortest form, otherwise random. The code of a refusal is compared
    /// where it is 1007 here: when a frame breaks two rules, the order is free.
    #[test]
    fn tungstenite_refuses_the_same_frames(
        frames in vec((first_byte(), payload(), prop::bool::weighted(0.95)), 1..5),
        key: [u8; 4],
    ) {
        let bytes: Vec<u8> = (frames.iter())
            .flat_map(|(first, payload, mask)| {
                let mut frame = masked(*first, payload, key);
                if !mask {
                    let head = frame.len() - payload.len() - key.len();
                    frame[1] &= 0x7f;
                    frame.splice(head.., payload.iter().copied());
                }
                frame
            })
            .collect();
        let (events, violation) = decode_whole(&bytes);
        // 1014 is in the IANA registry; tungstenite doesn't know it.
        let bad_gateway = |event: &Event| {
            matches!(event, Event::Close(Some(close)) if close.code.get() == 1014)
        };
        prop_assume!(!events.iter().any(bad_gateway));
        let theirs = tungstenite(&bytes);
        prop_assert_eq!(&events, &theirs.0);
        prop_assert_eq!(violation.is_some(), theirs.1.is_some(), "{:?} {:?}", violation, theirs.1);
        if violation == Some(Violation::InvalidUtf8) {
            prop_assert_eq!(theirs.1, Some(1007));
        }
    }

    #[test]
    fn tungstenite_reads_what_is_encoded(text: String, payload: Vec<u8>, reason: String) {
        let control = &payload[..payload.len().min(125)];
        let frames = [
            frame::text(text.as_bytes()),
            frame::binary(&payload),
            frame::ping(&payload),
            frame::pong(&payload),
            frame::close(CloseCode::SLOW, &reason),
        ];
        let bytes = frames.concat();
        let wire = Wire(Cursor::new(&bytes[..]));
        let mut socket = WebSocket::from_raw_socket(wire, Role::Client, None);
        let mut read = || socket.read().map_err(|error| TestCaseError::fail(error.to_string()));
        prop_assert_eq!(read()?, Message::text(text));
        prop_assert_eq!(read()?, Message::binary(payload.clone()));
        prop_assert_eq!(read()?, Message::Ping(Bytes::copy_from_slice(control)));
        prop_assert_eq!(read()?, Message::Pong(Bytes::copy_from_slice(control)));
        let Message::Close(Some(close)) = read()? else {
            return Err(TestCaseError::fail("no close"));
        };
        prop_assert_eq!(u16::from(close.code), 4000);
        prop_assert!(reason.starts_with(close.reason.as_str()) && close.reason.len() <= 123);
    }
}
