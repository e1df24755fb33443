//! One batch on its way out: a message per topic, cut into several where it is long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::feed::{Change, Table, TopicId};
use crate::limits::CHUNK_BYTES;
use crate::wire::message::Changes;

use super::super::message::TopicFrame;
use super::topics::Topics;

/// See the module's documentation.
#[derive(Debug)]
pub struct Batch {
    /// The cursor after it.
    cursor: Arc<str>,
    /// In the order in which the topics came up.
    open: Vec<Open>,
    places: HashMap<TopicId, usize>,
    muted: HashSet<TopicId>,
    /// Whole messages that have not been taken yet.
    ready: Vec<TopicFrame>,
}

/// The message of one topic that is being written.
#[derive(Debug)]
struct Open {
    topic: TopicId,
    changes: Changes,
    at_us: i64,
}

impl Batch {
    /// An empty one that ends at `cursor`.
    pub fn new(cursor: Arc<str>) -> Self {
        Self {
            cursor,
            open: Vec::new(),
            places: HashMap::new(),
            muted: HashSet::new(),
            ready: Vec::new(),
        }
    }

    /// Adds a change for all topics of its table. Its text is made once for all that have the same projection.
    ///
    /// # Errors
    /// If a row of the log is no JSON object.
    pub fn add(
        &mut self,
        topics: &Topics,
        table: &Table,
        change: &Change,
    ) -> Result<(), serde_json::Error> {
        let mut texts: Vec<(Option<&Arc<[String]>>, String)> = Vec::new();
        for (topic, projection) in topics.projections(table.rel) {
            if self.muted.contains(&topic) {
                continue;
            }
            let place = match texts.iter().position(|(p, _)| *p == projection) {
                Some(place) => place,
                None => {
                    let mut text = String::new();
                    change.write_json(&mut text, projection.map(|p| &**p))?;
                    texts.push((projection, text));
                    texts.len() - 1
                }
            };
            self.push(topic, &texts[place].1, change.at_us);
        }
        Ok(())
    }

    fn push(&mut self, topic: TopicId, text: &str, at_us: i64) {
        let place = *self.places.entry(topic).or_insert_with(|| {
            self.open.push(Open {
                topic,
                changes: Changes::new(topic, &self.cursor),
                at_us,
            });
            self.open.len() - 1
        });
        let open = &mut self.open[place];
        open.changes.push(text);
        open.at_us = open.at_us.max(at_us);
        if open.changes.len() >= CHUNK_BYTES {
            let changes = std::mem::replace(&mut open.changes, Changes::new(topic, &self.cursor));
            self.ready.push(frame(topic, changes, open.at_us, false));
        }
    }

    /// Nothing more of this batch goes out for a topic: its stream has ended, or goes on behind the batch.
    pub fn mute(&mut self, topic: TopicId) {
        self.muted.insert(topic);
        self.ready.retain(|f| f.topic != topic);
        if let Some(place) = self.places.remove(&topic) {
            self.open.swap_remove(place);
            if let Some(moved) = self.open.get(place) {
                self.places.insert(moved.topic, place);
            }
        }
    }

    /// Whether nothing more of it goes out for a topic.
    pub fn is_muted(&self, topic: TopicId) -> bool {
        self.muted.contains(&topic)
    }

    /// The last message of a topic that ends in the middle of the batch, if it has had a part of it.
    pub fn end(&mut self, topic: TopicId) -> Option<TopicFrame> {
        let place = *self.places.get(&topic)?;
        let open = &mut self.open[place];
        let changes = std::mem::replace(&mut open.changes, Changes::new(topic, &self.cursor));
        Some(frame(topic, changes, open.at_us, true))
    }

    /// The cursor after it.
    pub fn cursor(&self) -> &Arc<str> {
        &self.cursor
    }

    /// The messages that are whole by now. The batch goes on.
    pub fn ready(&mut self) -> Vec<TopicFrame> {
        std::mem::take(&mut self.ready)
    }

    /// The rest, each topic's last message marked. It has no changes if the one before was just full.
    pub fn finish(mut self) -> Vec<TopicFrame> {
        self.ready.extend(
            self.open
                .into_iter()
                .map(|o| frame(o.topic, o.changes, o.at_us, true)),
        );
        self.ready
    }
}

fn frame(topic: TopicId, changes: Changes, at_us: i64, last: bool) -> TopicFrame {
    TopicFrame {
        topic,
        changes: changes.count(),
        frame: changes.finish(last),
        at_us,
    }
}
