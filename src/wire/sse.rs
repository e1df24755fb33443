//! Messages as Server-Sent Events: `event:` is the type, `data:` the message, `id:` the cursor where a client may resume.
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>)

use serde::Deserialize;

use crate::limits::{SSE_RETRY_MS, SSE_RETRY_SPREAD_MS};

use super::close::CloseReason;
use super::unframe::{Head, Part};

/// An EventSource comes back after the same time again and again, so none is told to come at once.
const RETRY_MS_MIN: u64 = 1_000;

/// It says that the client has caught up: a comment, since an EventSource has asked nothing.
const PONG: &str = "pong";

/// Writes events.
#[derive(Debug, Default)]
pub struct Events {
    /// The message that has begun.
    open: Option<Head>,
    /// Whether there may be several subscriptions.
    has_many: bool,
    is_over: bool,
}

/// The first line of a stream.
pub fn preamble() -> String {
    retry(SSE_RETRY_MS + fastrand::u64(0..SSE_RETRY_SPREAD_MS))
}

fn retry(ms: u64) -> String {
    format!("retry: {ms}\n\n")
}

impl Events {
    /// Of a stream with several subscriptions. It goes on when one of them ends, says of which one it is that has caught up,
    /// and has no `id`: each subscription has a place of its own, and an EventSource keeps one.
    pub fn of_many() -> Self {
        Self {
            has_many: true,
            ..Self::default()
        }
    }

    /// Whether nothing follows: the subscription has ended, or the server ends the stream.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the message that has begun is no event.
    fn is_comment(&self) -> bool {
        !self.has_many && self.open.as_ref().is_some_and(|head| head.kind == PONG)
    }

    /// Appends the text of a part.
    pub fn push(&mut self, part: Part, out: &mut Vec<u8>) {
        match part {
            Part::Begin(head) if head.kind == PONG && !self.has_many => self.open = Some(head),
            Part::Begin(head) => {
                out.extend_from_slice(b"event: ");
                out.extend_from_slice(head.kind.as_bytes());
                out.extend_from_slice(b"\ndata: ");
                self.open = Some(head);
            }
            // A value of the type json keeps the line ends between its tokens; here they would end the field.
            Part::Text(_) if self.is_comment() => {}
            Part::Text(text) => out.extend(text.iter().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                byte => *byte,
            })),
            Part::End(_) if self.is_comment() => {
                self.open = None;
                out.extend_from_slice(b": live\n\n");
            }
            Part::End(may_resume) => {
                out.push(b'\n');
                let Some(head) = self.open.take() else {
                    return;
                };
                if let Some(cursor) = head.cursor.filter(|_| may_resume && !self.has_many) {
                    out.extend_from_slice(format!("id: {cursor}\n").as_bytes());
                }
                out.push(b'\n');
                // It had only this one subscription.
                let is_end = matches!(head.kind.as_str(), "unsubscribed" | "error");
                self.is_over |= is_end && !self.has_many;
            }
            Part::Ping => out.extend_from_slice(b":\n\n"),
            Part::Close(reason) => {
                out.extend_from_slice(farewell(reason.as_ref()).as_bytes());
                self.is_over = true;
            }
        }
    }
}

/// What a close frame says, for people, and when to come back.
fn farewell(reason: Option<&CloseReason>) -> String {
    #[derive(Deserialize)]
    struct Hint {
        retry_ms: u64,
    }
    let Some(CloseReason { code, reason }) = reason else {
        return preamble();
    };
    match serde_json::from_str::<Hint>(reason) {
        Ok(hint) => format!(": {code}\n{}", retry(RETRY_MS_MIN + hint.retry_ms)),
        Err(_) => format!(": {code} {reason}\n{}", preamble()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::TopicId;
    use crate::wire::close::CloseCode;
    use crate::wire::frame;
    use crate::wire::message::{self, Changes, Refusal};
    use crate::wire::unframe::Unframer;
    use bytes::Bytes;

    fn written(frames: &[Bytes]) -> (String, bool) {
        let (mut bytes, mut out) = (frames.concat().into(), Vec::new());
        let (mut unframer, mut events) = (Unframer::default(), Events::default());
        while let Some(part) = unframer.next(&mut bytes) {
            events.push(part, &mut out);
        }
        (String::from_utf8(out).unwrap(), events.is_over())
    }

    #[test]
    fn a_message_is_an_event() {
        let mut changes = Changes::new(TopicId(7), "C1");
        changes.push("{\"row\":{\"j\":{\r\n\"a\": 1}}}");
        let unfinished = Changes::new(TopicId(7), "C2").finish(false);
        let (text, is_over) = written(&[
            changes.finish(true),
            unfinished,
            message::heartbeat(Some("C3")),
        ]);
        insta::assert_snapshot!(text, @r#"
        event: changes
        data: {"type":"changes","topic":"t7","cursor":"C1","changes":[{"row":{"j":{  "a": 1}}}],"last":true}
        id: C1

        event: changes
        data: {"type":"changes","topic":"t7","cursor":"C2","changes":[],"last":false}

        event: heartbeat
        data: {"type":"heartbeat","cursor":"C3"}
        id: C3

        :
        "#);
        assert!(!is_over);
    }

    #[test]
    fn that_it_has_caught_up_is_a_comment() {
        let (text, is_over) = written(&[message::pong(Some("url")), message::unsubscribed("url")]);
        assert!(
            text.starts_with(": live\n\nevent: unsubscribed\n"),
            "{text}"
        );
        assert!(is_over);
    }

    #[test]
    fn the_end_of_the_subscription_is_the_end_of_the_stream() {
        assert!(written(&[message::unsubscribed("url")]).1);
        assert!(written(&[message::error(&Refusal::of("url", "busy", "why"))]).1);
    }

    #[test]
    fn a_close_frame_says_when_to_come_back() {
        let (text, is_over) = written(&[frame::close(CloseCode::RESTART, r#"{"retry_ms":399}"#)]);
        assert_eq!((text.as_str(), is_over), (": 1012\nretry: 1399\n\n", true));
        let (text, _) = written(&[frame::close(CloseCode::LAGGING, "too far behind")]);
        assert!(
            text.starts_with(": 4001 too far behind\nretry: 2"),
            "{text}"
        );
        assert!(preamble().starts_with("retry: 2"));
    }
}
