//! How heavy the topics are, for operators. What was sent counts less and less: half of it each minute.

use std::cell::Cell;
use std::time::Instant;

use crate::feed::TopicId;
use crate::feed::derived::Derivation;
use crate::limits::{ACTIVITY_FILTER_CHARS_MAX, ACTIVITY_HALF_LIFE, ACTIVITY_TOPICS_MAX};

use super::topics::Topics;
use crate::actor::message::{Heaviest, TopicFrame, TopicLoad};

/// What a topic has sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    changes: u64,
    bytes: u64,
    /// The bytes, those of before worth less, as of `at`.
    weight: f64,
    at: Instant,
}

/// The same, where the topic itself can't be changed.
#[derive(Debug)]
pub struct Load(Cell<Sent>);

impl Load {
    /// Of a topic that is new.
    pub fn new(at: Instant) -> Self {
        Self(Cell::new(Sent {
            changes: 0,
            bytes: 0,
            weight: 0.0,
            at,
        }))
    }

    fn add(&self, changes: u64, bytes: u64, now: Instant) {
        let sent = self.0.get();
        self.0.set(Sent {
            changes: sent.changes + changes,
            bytes: sent.bytes + bytes,
            weight: self.weight(now) + bytes as f64,
            at: now.max(sent.at),
        });
    }

    fn weight(&self, now: Instant) -> f64 {
        let sent = self.0.get();
        let halves =
            now.saturating_duration_since(sent.at).as_secs_f64() / ACTIVITY_HALF_LIFE.as_secs_f64();
        sent.weight * (-halves).exp2()
    }
}

impl Topics {
    /// A frame leaves for all subscriptions of its topic.
    pub fn count(&self, frame: &TopicFrame, now: Instant) {
        if let Some((load, subscriptions)) = self.load(frame.topic) {
            let bytes = frame.frame.plain().len() * subscriptions;
            load.add(frame.changes as u64, bytes as u64, now);
        }
    }

    /// Those that have sent the most lately.
    pub fn heaviest(&self, now: Instant) -> Heaviest {
        let mut all: Vec<(TopicId, f64)> = (self.loads())
            .map(|(id, load)| (id, load.weight(now)))
            .collect();
        let total = all.len();
        let order =
            |a: &(TopicId, f64), b: &(TopicId, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if total > ACTIVITY_TOPICS_MAX {
            all.select_nth_unstable_by(ACTIVITY_TOPICS_MAX, order);
            all.truncate(ACTIVITY_TOPICS_MAX);
        }
        all.sort_unstable_by(order);
        let topics = all.iter().filter_map(|(id, _)| self.describe_load(*id));
        Heaviest {
            total,
            topics: topics.collect(),
        }
    }

    fn describe_load(&self, id: TopicId) -> Option<TopicLoad> {
        let (load, subscriptions) = self.load(id)?;
        let (view, asked) = self.described(id)?;
        let sent = load.0.get();
        let filter = asked.filter.map(|filter| {
            let text = filter.to_string();
            match text.char_indices().nth(ACTIVITY_FILTER_CHARS_MAX) {
                Some((end, _)) => format!("{}\u{2026}", &text[..end]),
                None => text,
            }
        });
        Some(TopicLoad {
            topic: id,
            table: view.table.quoted.clone(),
            kind: match view.derivation.as_deref() {
                None => "rows",
                Some(Derivation::Window(_)) => "window",
                Some(Derivation::Counts(_)) => "counts",
            },
            filter,
            role: self.role(id),
            subscriptions,
            changes: sent.changes,
            bytes: sent.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_sent_counts_half_after_a_minute() {
        let start = Instant::now();
        let load = Load::new(start);
        load.add(3, 1_000, start);
        assert!((load.weight(start + ACTIVITY_HALF_LIFE) - 500.0).abs() < 1e-6);
        load.add(1, 1_000, start + ACTIVITY_HALF_LIFE);
        assert!((load.weight(start + ACTIVITY_HALF_LIFE) - 1_500.0).abs() < 1e-6);
        let sent = load.0.get();
        assert_eq!(
            (sent.changes, sent.bytes),
            (4, 2_000),
            "and every change is told"
        );
        assert!(load.weight(start + Duration::from_secs(36_000)) < 1e-3);
    }
}
