//! The frames of one flush that are of the same topic become one piece of bytes.

use std::collections::HashMap;

use bytes::BytesMut;

use crate::feed::TopicId;

use super::message::TopicFrame;

/// Joins the frames of each topic into one; the topics stay in the order of their first frame.
pub(super) fn join(pending: &mut Vec<TopicFrame>) -> Vec<TopicFrame> {
    if pending.len() == 1 {
        return std::mem::take(pending);
    }
    let mut places: HashMap<TopicId, usize> = HashMap::new();
    let mut groups: Vec<Vec<TopicFrame>> = Vec::new();
    for frame in pending.drain(..) {
        let place = *places.entry(frame.topic).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(frame),
            None => groups.push(vec![frame]),
        }
    }
    let joined = |group: Vec<TopicFrame>| {
        let mut bytes = BytesMut::with_capacity(group.iter().map(|f| f.frame.len()).sum());
        group.iter().for_each(|f| bytes.extend_from_slice(&f.frame));
        let changes = group.iter().map(|f| f.changes).sum();
        let at_us = group.iter().map(|f| f.at_us).max().unwrap_or_default();
        TopicFrame {
            topic: group[0].topic,
            frame: bytes.freeze(),
            changes,
            at_us,
        }
    };
    groups
        .into_iter()
        .map(|mut group| {
            if group.len() == 1 {
                group.remove(0)
            } else {
                joined(group)
            }
        })
        .collect()
}
