//! What is yet to be written to a socket that was full: a position in the shard's backlog, and the client's own replies.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::feed::TopicId;
use crate::limits::DRAIN_BYTES;

use super::backlog::Backlog;

/// Slices of one vectored write.
pub(in crate::actor) const SLICES_MAX: usize = 32;

/// What is yet to be written, while the socket is full.
#[derive(Debug, Default)]
pub(in crate::actor) struct Queue {
    /// The next segment of the backlog, and how much of it has been written.
    pub segment: u64,
    pub offset: usize,
    /// The rest of a reply that has been begun.
    pub begun: Bytes,
    /// Replies, each with the segment before which it goes out.
    pub replies: VecDeque<(u64, Bytes)>,
    pub reply_bytes: usize,
}

/// Where a slice of a vectored write comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::actor) enum Source {
    Begun,
    Reply,
    /// Its number.
    Segment(u64),
}

/// What one vectored write takes.
pub(in crate::actor) type Slices = SmallVec<[(Source, Bytes); SLICES_MAX]>;

impl Queue {
    /// What goes out next, at most [`DRAIN_BYTES`] unless a single piece is larger. Skips segments that are not for
    /// this client, but finishes one that has been begun. `deflates` says which of their bytes it gets.
    pub fn next(
        &mut self,
        backlog: &Backlog,
        is_closing: bool,
        deflates: bool,
        is_for: impl Fn(TopicId, u64) -> bool,
    ) -> Slices {
        let mut slices = Slices::new();
        let mut bytes = 0;
        let mut add = |source, piece: Bytes| {
            bytes += piece.len();
            slices.push((source, piece));
            slices.len() < SLICES_MAX && bytes < DRAIN_BYTES
        };
        if !self.begun.is_empty() && !add(Source::Begun, self.begun.clone()) {
            return slices;
        }
        let (mut number, mut offset) = (self.segment, self.offset);
        let mut replies = self.replies.iter().peekable();
        loop {
            // Nothing may stand between the parts of a segment.
            if offset == 0 {
                while let Some((_, reply)) = replies.next_if(|(before, _)| *before <= number) {
                    if !add(Source::Reply, reply.clone()) {
                        return slices;
                    }
                }
            }
            // Nothing comes after a close frame (RFC 6455, section 5.5.1); it is the last reply.
            if is_closing && offset == 0 && replies.peek().is_none() {
                return slices;
            }
            let Some(segment) = backlog.get(number) else {
                return slices;
            };
            if offset > 0 || is_for(segment.topic, number) {
                if !add(
                    Source::Segment(number),
                    segment.of(deflates).slice(offset..),
                ) {
                    return slices;
                }
            } else if self.segment == number {
                self.segment += 1;
            }
            (number, offset) = (number + 1, 0);
        }
    }

    /// `n` bytes of `slices` have been written.
    pub fn advance(&mut self, slices: &Slices, mut n: usize) {
        for (source, bytes) in slices {
            let part = n.min(bytes.len());
            let whole = part == bytes.len();
            match source {
                Source::Begun => self.begun.advance(part),
                Source::Reply if part > 0 => {
                    if let Some((_, reply)) = self.replies.pop_front() {
                        self.reply_bytes -= reply.len();
                        self.begun = reply.slice(part..);
                    }
                }
                Source::Segment(number) if whole => (self.segment, self.offset) = (number + 1, 0),
                Source::Segment(number) if part > 0 => {
                    let before = if *number == self.segment {
                        self.offset
                    } else {
                        0
                    };
                    (self.segment, self.offset) = (*number, before + part);
                }
                Source::Reply | Source::Segment(_) => {}
            }
            n -= part;
            if !whole {
                return;
            }
        }
    }
}
