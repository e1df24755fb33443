//! One batch on its way out: a message per topic, cut into several where it is long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::feed::filter::{Opened, Shape};
use crate::feed::render::Unfit;
use crate::feed::{Change, Cursor, Newest, Op, Projection, Table, TopicId};
use crate::limits::CHUNK_BYTES;
use crate::wire::message::Changes;

use super::super::message::TopicFrame;
use super::super::shared::SharedFrame;
use super::super::subscription::Mark;
use super::topics::Topics;

/// See the module's documentation.
#[derive(Debug)]
pub struct Batch {
    /// The cursor before it.
    from: Arc<Cursor>,
    /// The cursor after it, also as text.
    end: Arc<Cursor>,
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
    begins: Mark,
    changes: Changes,
    /// Held back for those who want only the newest change of each key.
    newest: Newest<String>,
    at_us: i64,
}

impl Open {
    fn bytes(&self) -> usize {
        self.changes.len() + self.newest.bytes()
    }

    /// The message so far; the next one begins behind it.
    fn cut(&mut self, cursor: &str, last: bool) -> TopicFrame {
        self.newest.take().for_each(|text| self.changes.push(&text));
        let changes = std::mem::replace(&mut self.changes, Changes::new(self.topic, cursor));
        let begins = self.begins.clone();
        self.begins.sent += changes.count();
        TopicFrame {
            topic: self.topic,
            begins,
            changes: changes.count(),
            frame: SharedFrame::new(changes.finish(last)),
            at_us: self.at_us,
        }
    }
}

impl Batch {
    /// An empty one from one cursor to another.
    pub fn new(from: Arc<Cursor>, end: Arc<Cursor>) -> Self {
        Self {
            from,
            cursor: end.to_string().into(),
            end,
            open: Vec::new(),
            places: HashMap::new(),
            muted: HashSet::new(),
            ready: Vec::new(),
        }
    }

    /// Adds a change for the topics of its table that it concerns. Its text is made once for all that see the same.
    ///
    /// # Errors
    /// If a row of the log can't be read.
    pub fn add(&mut self, topics: &Topics, table: &Table, change: &Change) -> Result<(), Unfit> {
        let Some(index) = topics.index(table.rel) else {
            return Ok(());
        };
        let mut texts = Texts {
            change,
            made: Vec::new(),
        };
        for topic in index.plain() {
            self.show(topics, *topic, &mut texts, Shape::Plain)?;
        }
        if index.has_filters() {
            let opened = Opened::new(table, change).map_err(|_| Unfit)?;
            let concerned = match change.op {
                Op::Truncate => index.all(),
                _ => index.asked(&opened).map_err(|_| Unfit)?,
            };
            for topic in concerned {
                let Some((view, _)) = topics.shown(topic) else {
                    continue;
                };
                if let Some(shape) = view.shape(&opened).map_err(|_| Unfit)? {
                    self.show(topics, topic, &mut texts, shape)?;
                }
            }
        }
        Ok(())
    }

    fn show(
        &mut self,
        topics: &Topics,
        topic: TopicId,
        texts: &mut Texts<'_>,
        shape: Shape,
    ) -> Result<(), Unfit> {
        if self.muted.contains(&topic) {
            return Ok(());
        }
        let Some((view, breaks)) = topics.shown(topic) else {
            return Ok(());
        };
        let (change, at_us) = (texts.change, texts.change.at_us);
        let text = texts.of(&view.projection, shape)?;
        let place = *self.places.entry(topic).or_insert_with(|| {
            self.open.push(Open {
                topic,
                begins: Mark {
                    from: self.from.clone(),
                    end: self.end.clone(),
                    sent: 0,
                    breaks,
                },
                changes: Changes::new(topic, &self.cursor),
                newest: Newest::default(),
                at_us,
            });
            self.open.len() - 1
        });
        let open = &mut self.open[place];
        if view.conflates {
            let (key, text) = (change.key.clone(), text.to_owned());
            open.newest.push(change.op, key, text.len(), text);
        } else {
            open.changes.push(text);
        }
        open.at_us = open.at_us.max(at_us);
        if open.bytes() >= CHUNK_BYTES {
            self.ready.push(open.cut(&self.cursor, false));
        }
        Ok(())
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
        Some(self.open[place].cut(&self.cursor, true))
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
        let open = self.open.iter_mut();
        self.ready.extend(open.map(|o| o.cut(&self.cursor, true)));
        self.ready
    }
}

/// A change as it shows to some, for each way in which it does.
struct Texts<'a> {
    change: &'a Change,
    made: Vec<(Projection, Shape, String)>,
}

impl Texts<'_> {
    fn of(&mut self, projection: &Projection, shape: Shape) -> Result<&str, Unfit> {
        let mut made = self.made.iter();
        let place = match made.position(|(p, s, _)| *s == shape && p == projection) {
            Some(place) => place,
            None => {
                let mut text = String::new();
                let written = self.change.write_json(&mut text, projection, shape);
                written.map_err(|_| Unfit)?;
                self.made.push((projection.clone(), shape, text));
                self.made.len() - 1
            }
        };
        Ok(&self.made[place].2)
    }
}
