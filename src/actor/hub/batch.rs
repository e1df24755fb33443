//! One batch on its way out: a message per topic, cut into several where it is long.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::feed::change_encoder::Unfit;
use crate::feed::filter::{Opened, Shape};
use crate::feed::{Change, Cursor, Newest, Op, Projection, Table, TopicId};
use crate::limits::{BATCH_TEXT_BYTES_MAX, CHUNK_BYTES, PATTERN_COST};
use crate::wire::message::Changes;

use super::derived::DerivedTopics;
use super::topics::Topics;
use super::turns::{Asking, Bounds, Step};
use crate::actor::message::{BatchPosition, TopicFrame};
use crate::actor::transport::shared_frame::SharedFrame;

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
    /// Bytes of all messages, whole or not, that have not been taken yet.
    text_bytes: usize,
}

/// The message of one topic that is being written.
#[derive(Debug)]
struct Open {
    topic: TopicId,
    begins: BatchPosition,
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
            text_bytes: 0,
        }
    }

    /// Adds a change for the topics of its table that it concerns, as far as the bounds let it: the rest is in `asking`. Its text
    /// is made once for all that see the same.
    ///
    /// # Errors
    /// If a row of the log can't be read.
    pub fn add(
        &mut self,
        topics: &Topics,
        derived: &mut DerivedTopics,
        table: &Table,
        change: &Change,
        asking: &mut Asking,
        bounds: Bounds,
    ) -> Result<Step, Unfit> {
        let Some(index) = topics.index(table.rel) else {
            return Ok(Step::Done);
        };
        let Asking { concerned, made } = asking;
        let mut texts = Texts { change, made };
        let mut opened = None;
        let open = || Opened::new(table, change).map_err(|_| Unfit);
        if concerned.is_none() {
            // Those that take every change come with the others: their messages take memory too.
            let mut list: VecDeque<TopicId> = index.plain().iter().copied().collect();
            if index.has_filters() {
                let opened = opened.insert(open()?);
                list.extend(match change.op {
                    Op::Truncate => index.all(),
                    _ => index.asked(opened).map_err(|_| Unfit)?,
                });
            }
            *concerned = Some(list);
        }
        let mut checks = 0_u32;
        while let Some(topic) = concerned.as_mut().and_then(VecDeque::pop_front) {
            let Some((view, _)) = topics.shown(topic) else {
                continue;
            };
            let shape = match (&view.filter, &mut opened) {
                (None, _) => Some(Shape::Plain),
                (Some(_), Some(opened)) => view.shape(opened).map_err(|_| Unfit)?,
                (Some(_), none) => view.shape(none.insert(open()?)).map_err(|_| Unfit)?,
            };
            let cost = view.filter.as_ref().map_or(0, |filter| filter.cost());
            match (shape, &view.derivation) {
                (None, _) => {}
                (Some(shape), None) => self.show(topics, topic, &mut texts, shape)?,
                (Some(shape), Some(_)) => {
                    let opened = match &mut opened {
                        Some(opened) => opened,
                        none => none.insert(open()?),
                    };
                    derived.take(topic, view, change, shape, opened)?;
                }
            }
            // The clock is not asked for each of ten thousand cheap ones.
            checks += 1;
            let is_due = checks.is_multiple_of(64) || cost >= PATTERN_COST;
            if is_due || self.text_bytes > BATCH_TEXT_BYTES_MAX {
                let step = bounds.check(self.text_bytes);
                if step != Step::Done && concerned.as_ref().is_some_and(|rest| !rest.is_empty()) {
                    return Ok(step);
                }
            }
        }
        Ok(Step::Done)
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
                begins: BatchPosition {
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
        self.text_bytes += text.len();
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
        self.text_bytes = self.open.iter().map(Open::bytes).sum();
        std::mem::take(&mut self.ready)
    }

    /// All there is, in messages that may be short. The batch goes on.
    pub fn cut_all(&mut self) -> Vec<TopicFrame> {
        let open = self.open.iter_mut().filter(|open| open.bytes() > 0);
        self.ready
            .extend(open.map(|open| open.cut(&self.cursor, false)));
        self.ready()
    }

    /// Bytes of messages that have not been taken yet.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
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
    made: &'a mut Vec<(Projection, Shape, String)>,
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
