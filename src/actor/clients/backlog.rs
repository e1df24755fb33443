//! The frames that a shard keeps while some of its sockets lag behind. Shared by all of them: a socket that lags has a
//! position in here, and no queue of its own.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::feed::TopicId;

use crate::actor::message::BatchPosition;

/// What left in one flush for one topic: one or several whole frames.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whose.
    pub topic: TopicId,
    /// Where the first of the frames begins.
    pub begins: BatchPosition,
    /// The frames, for clients that have negotiated no compression; for all of them where `deflated` is none.
    pub bytes: Bytes,
    /// The frames for those that have.
    pub deflated: Option<Bytes>,
}

impl Segment {
    /// The frames for a client. Always the same ones: its socket may be full in the middle of them.
    pub fn of(&self, deflates: bool) -> &Bytes {
        match &self.deflated {
            Some(deflated) if deflates => deflated,
            _ => &self.bytes,
        }
    }

    fn len(&self) -> usize {
        self.bytes.len() + self.deflated.as_ref().map_or(0, Bytes::len)
    }
}

/// Segments in the order in which they were flushed, numbered for ever.
#[derive(Debug)]
pub struct Backlog {
    /// Each with the bytes of all that came before it.
    segments: VecDeque<(u64, Segment)>,
    /// Number of the first segment that is still kept.
    base: u64,
    /// Bytes of all that ever came.
    pushed: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Backlog {
    /// An empty one that keeps at most `bytes_max`, or one segment.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            base: 0,
            pushed: 0,
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
        let bytes = segment.len();
        self.segments.push_back((self.pushed, segment));
        self.bytes += bytes;
        self.pushed += bytes as u64;
    }

    /// The segment of this number, unless it is gone or not there yet.
    pub fn get(&self, number: u64) -> Option<&Segment> {
        self.kept(number).map(|(_, segment)| segment)
    }

    fn kept(&self, number: u64) -> Option<&(u64, Segment)> {
        let place = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.segments.get(place)
    }

    /// All that are kept, in order; the first has the number [`Self::base`].
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().map(|(_, segment)| segment)
    }

    /// How much has come from the segment of this number on, in bytes; of those that are gone nothing counts.
    pub fn behind(&self, number: u64) -> u64 {
        let before = self.kept(number.max(self.base)).map(|(before, _)| *before);
        self.pushed - before.unwrap_or(self.pushed)
    }

    /// Forgets the oldest segments: all of them when nobody lags, else until the rest fits the bound or
    /// is a single one. Gives those that
    /// a session may still need, of which the first had the number [`Self::base`] before the call.
    pub fn trim(&mut self, somebody_lags: bool) -> Vec<Segment> {
        let mut cut = Vec::new();
        if !somebody_lags {
            self.base = self.head();
            self.segments.clear();
            self.bytes = 0;
        }
        // Never the newest: a session in the middle of it is not behind.
        while self.bytes > self.bytes_max
            && self.segments.len() > 1
            && let Some((_, segment)) = self.segments.pop_front()
        {
            self.bytes -= segment.len();
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
            begins: BatchPosition::of_paper(),
            bytes: vec![0; len].into(),
            deflated: None,
        }
    }

    #[test]
    fn a_segment_counts_with_all_that_is_kept_of_it() {
        let mut backlog = Backlog::new(10);
        let (bytes, deflated) = (Bytes::from_static(b"plain"), Bytes::from_static(b"def"));
        backlog.push(Segment {
            topic: TopicId(1),
            begins: BatchPosition::of_paper(),
            bytes: bytes.clone(),
            deflated: Some(deflated.clone()),
        });
        assert_eq!(backlog.bytes(), 8);
        let both = backlog.get(0).unwrap();
        assert_eq!((both.of(false), both.of(true)), (&bytes, &deflated));
        backlog.push(segment(3));
        assert_eq!((backlog.trim(true).len(), backlog.bytes()), (1, 3));
        assert_eq!(
            backlog.get(1).unwrap().of(true).len(),
            3,
            "the same for all"
        );
    }

    #[test]
    fn it_keeps_what_fits_and_numbers_never_change() {
        let mut backlog = Backlog::new(10);
        for len in [4, 4, 4] {
            backlog.push(segment(len));
        }
        assert_eq!(backlog.trim(true).len(), 1);
        assert_eq!((backlog.base(), backlog.head(), backlog.bytes()), (1, 3, 8));
        assert_eq!([0, 1, 2, 3].map(|n| backlog.behind(n)), [8, 8, 4, 0]);
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
