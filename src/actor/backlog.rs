//! The frames that a shard keeps while some of its sockets lag behind. Shared by all of them: a socket that lags has a
//! position in here, and no queue of its own.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::feed::TopicId;

/// What left in one flush for one topic: one or several whole frames.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whose.
    pub topic: TopicId,
    /// The frames.
    pub bytes: Bytes,
}

/// Segments in the order in which they were flushed, numbered for ever.
#[derive(Debug)]
pub struct Backlog {
    segments: VecDeque<Segment>,
    /// Number of the first segment that is still kept.
    base: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Backlog {
    /// An empty one that keeps at most `bytes_max`, or one segment.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            base: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// The number that the next segment will have.
    pub fn head(&self) -> u64 {
        self.base + self.segments.len() as u64
    }

    /// The number of the first segment that is still kept.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Bytes of all segments that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a segment.
    pub fn push(&mut self, segment: Segment) {
        self.bytes += segment.bytes.len();
        self.segments.push_back(segment);
    }

    /// The segment of this number, unless it is gone or not there yet.
    pub fn get(&self, number: u64) -> Option<&Segment> {
        self.segments
            .get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// Forgets the oldest segments: all of them when nobody lags, else until the rest fits the bound or
    /// is a single one. Gives those that
    /// somebody may still need, of which the first had the number [`Self::base`] before the call.
    pub fn trim(&mut self, somebody_lags: bool) -> Vec<Segment> {
        let mut cut = Vec::new();
        if !somebody_lags {
            self.base = self.head();
            self.segments.clear();
            self.bytes = 0;
        }
        // Never the newest: whoever is in the middle of it is not behind.
        while self.bytes > self.bytes_max
            && self.segments.len() > 1
            && let Some(segment) = self.segments.pop_front()
        {
            self.bytes -= segment.bytes.len();
            self.base += 1;
            cut.push(segment);
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(len: usize) -> Segment {
        Segment {
            topic: TopicId(1),
            bytes: vec![0; len].into(),
        }
    }

    #[test]
    fn it_keeps_what_fits_and_numbers_never_change() {
        let mut backlog = Backlog::new(10);
        for len in [4, 4, 4] {
            backlog.push(segment(len));
        }
        assert_eq!(backlog.trim(true).len(), 1);
        assert_eq!((backlog.base(), backlog.head(), backlog.bytes()), (1, 3, 8));
        assert!(backlog.get(0).is_none() && backlog.get(1).is_some() && backlog.get(3).is_none());
        assert!(backlog.trim(true).is_empty());
        assert!(backlog.trim(false).is_empty());
        assert_eq!((backlog.base(), backlog.head(), backlog.bytes()), (3, 3, 0));
        backlog.push(segment(11));
        assert!(
            backlog.trim(true).is_empty(),
            "the newest is kept, whatever its size"
        );
        backlog.push(segment(1));
        assert_eq!((backlog.trim(true).len(), backlog.bytes()), (1, 1));
    }
}
