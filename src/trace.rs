//! Traces of other programs ([W3C Trace Context](https://www.w3.org/TR/trace-context/)): what a write says of the trace that it belongs
//! to, and the spans that plank adds to it. It does no I/O: spans leave through a bounded channel.

use std::fmt;

use tokio::sync::mpsc;

use crate::limits::SPANS_WAITING_MAX;

/// Which span of which trace has caused something: the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceParent {
    /// Never zero.
    pub trace_id: u128,
    /// The span; never zero.
    pub parent_id: u64,
    /// Bit 0: the trace is recorded.
    pub flags: u8,
}

/// Bytes of what version 00 writes.
const LEN: usize = 55;

impl TraceParent {
    /// Reads one. `None` for what is none: such a header is ignored, as if it were not there.
    ///
    /// A version that is not known is read as far as version 00 goes, which is what section 3.2.4 asks for.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (own, more) = bytes.split_at_checked(LEN)?;
        let number = |from: usize, to: usize| hex(own.get(from..to)?);
        let dashes = [2, 35, 52];
        if dashes.iter().any(|place| own.get(*place) != Some(&b'-')) {
            return None;
        }
        let version = number(0, 2)?;
        let is_read = match version {
            0xff => false,
            0 => more.is_empty(),
            _ => more.first().is_none_or(|byte| *byte == b'-'),
        };
        let parent = Self {
            trace_id: number(3, 35)?,
            parent_id: u64::try_from(number(36, 52)?).ok()?,
            flags: u8::try_from(number(53, 55)?).ok()?,
        };
        (is_read && parent.trace_id != 0 && parent.parent_id != 0).then_some(parent)
    }

    /// Whether the program that began the trace records it.
    pub fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

/// As version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            parent_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

/// Of lower-case digits alone.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// What one batch has of one trace in one table: from the beginning of the transaction until all shards had the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The write.
    pub parent: TraceParent,
    /// As PostgreSQL quotes it.
    pub table: String,
    /// Changes.
    pub changes: u64,
    /// The transaction, of several the first.
    pub xid: u64,
    /// When that transaction began, in microseconds of Unix time by the clock of PostgreSQL.
    pub begin_us: i64,
    /// When the shards had the frames, by the clock of this machine.
    pub end_us: i64,
}

/// Where spans go; nowhere by default.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<mpsc::Sender<Span>>);

impl Spans {
    /// One that leads to the receiver.
    pub fn channel() -> (Self, mpsc::Receiver<Span>) {
        let (sender, receiver) = mpsc::channel(SPANS_WAITING_MAX);
        (Self(Some(sender)), receiver)
    }

    /// Whether spans are wanted.
    pub fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Sends one on; whether there was room.
    pub fn send(&self, span: Span) -> bool {
        let sender = self.0.as_ref();
        sender.is_none_or(|sender| sender.try_send(span).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_as_w3c_says() {
        let parent = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert!(parent.is_sampled());
        let unsampled = TraceParent::parse(&GOOD.replace("-01", "-02")).unwrap();
        assert!(!unsampled.is_sampled());
        // A later version, with what it has besides.
        for text in [
            GOOD.replacen("00", "01", 1),
            GOOD.replacen("00", "cc", 1) + "-what-else",
        ] {
            assert_eq!(TraceParent::parse(&text), Some(parent), "{text}");
        }
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let zero = |part: &str| GOOD.replace(part, &"0".repeat(part.len()));
        for text in [
            String::new(),
            GOOD[..54].to_owned(),
            GOOD.to_owned() + "-",
            GOOD.to_owned() + "-00",
            GOOD.replacen("00", "cc", 1) + ".what",
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0", 1),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replacen("4bf", "4bg", 1),
            GOOD.replacen("00f0", "+0f0", 1),
            format!(" {GOOD}"),
            format!("{GOOD} "),
            "ä".repeat(28),
            zero("4bf92f3577b34da6a3ce929d0e0e4736"),
            zero("00f067aa0ba902b7"),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn a_span_too_many_is_refused_and_none_is_wanted_by_default() {
        let span = Span {
            parent: TraceParent::parse(GOOD).unwrap(),
            table: "t".into(),
            changes: 1,
            xid: 1,
            begin_us: 0,
            end_us: 1,
        };
        assert!(!Spans::default().are_wanted() && Spans::default().send(span.clone()));
        let (spans, mut receiver) = Spans::channel();
        assert!((0..SPANS_WAITING_MAX).all(|_| spans.send(span.clone())));
        assert!(!spans.send(span.clone()));
        assert_eq!(receiver.try_recv().unwrap(), span);
        assert!(spans.send(span));
    }
}
