//! The frames of one flush that are of the same topic become one piece of bytes.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::feed::TopicId;
use crate::metrics::Metrics;

use crate::actor::message::{BatchPosition, TopicFrame};
use crate::actor::transport::shared_frame::SharedFrame;

/// All frames of one topic in a flush.
#[derive(Debug)]
pub(super) struct Group {
    /// Whose.
    pub topic: TopicId,
    /// Where the first of them begins.
    pub begins: BatchPosition,
    frames: SmallVec<[SharedFrame; 1]>,
    /// How many changes they have.
    pub changes: usize,
    /// Time of the newest transaction in them, in microseconds of Unix time.
    pub at_us: i64,
}

/// Groups the frames by topic; the topics stay in the order of their first frame.
pub(super) fn join(pending: &mut Vec<TopicFrame>) -> Vec<Group> {
    let mut places: HashMap<TopicId, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for frame in pending.drain(..) {
        let place = *places.entry(frame.topic).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => {
                group.frames.push(frame.frame);
                group.changes += frame.changes;
                group.at_us = group.at_us.max(frame.at_us);
            }
            None => groups.push(Group {
                topic: frame.topic,
                begins: frame.begins,
                frames: SmallVec::from([frame.frame]),
                changes: frame.changes,
                at_us: frame.at_us,
            }),
        }
    }
    groups
}

impl Group {
    /// The frames as they are.
    pub fn plain(&self) -> Bytes {
        concat(self.frames.iter().map(SharedFrame::plain))
    }

    /// The frames, each compressed where that pays; none if it does nowhere.
    pub fn deflated(&self, metrics: &Metrics) -> Option<Bytes> {
        let deflated = |frame: &SharedFrame| frame.deflated(metrics).is_some();
        if !self.frames.iter().any(deflated) {
            return None;
        }
        let either = |frame| SharedFrame::deflated(frame, metrics).unwrap_or(frame.plain());
        Some(concat(self.frames.iter().map(either)))
    }
}

fn concat<'a>(mut frames: impl ExactSizeIterator<Item = &'a Bytes> + Clone) -> Bytes {
    if frames.len() == 1 {
        return frames.next().cloned().unwrap_or_default();
    }
    let mut bytes = BytesMut::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| bytes.extend_from_slice(frame));
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame;

    #[test]
    fn frames_are_joined_by_topic_and_stay_in_order() {
        let metrics = Metrics::default();
        let (long, short) = (frame::text(&[b'x'; 1_000]), frame::text(b"short"));
        let of = |topic, frame: &Bytes, at_us| TopicFrame {
            topic: TopicId(topic),
            begins: BatchPosition::of_paper(),
            frame: SharedFrame::new(frame.clone()),
            changes: 2,
            at_us,
        };
        let mut pending = vec![of(7, &long, 3), of(5, &short, 1), of(7, &short, 2)];
        let groups = join(&mut pending);
        assert!(pending.is_empty());
        let shown: Vec<_> = groups
            .iter()
            .map(|g| (g.topic.0, g.changes, g.at_us))
            .collect();
        assert_eq!(shown, [(7, 4, 3), (5, 2, 1)]);
        assert_eq!(groups[0].plain(), [&long[..], &short].concat());
        let deflated = groups[0].deflated(&metrics).unwrap();
        assert_eq!(deflated[0], 0xc1);
        assert!(
            deflated.len() < 100 && deflated.ends_with(&short),
            "one of them compressed"
        );
        assert_eq!(groups[1].plain(), short);
        assert_eq!(groups[1].deflated(&metrics), None);
    }
}
