//! Who has subscribed to what, by shard.

use std::collections::HashMap;
use std::sync::Arc;

use crate::feed::catalog::Oid;
use crate::feed::{Subject, Table, TopicId, View};
use crate::wire::message::ResetReason;

use super::super::message::ShardId;

/// What several subscriptions share.
#[derive(Debug)]
struct Topic {
    subject: Subject,
    view: View,
    /// How many subscriptions each shard has, those that catch up among them.
    shards: HashMap<ShardId, usize>,
    /// How often the stream has broken, and why it did last.
    breaks: (u64, ResetReason),
}

/// A topic whose stream is about to break, or to end.
#[derive(Debug)]
pub struct Affected {
    /// Which.
    pub topic: TopicId,
    /// Its table as it was described last.
    pub table: Arc<Table>,
    /// The columns that its subscribers asked for.
    pub columns: Option<Vec<String>>,
    /// The shards that have subscribers of it.
    pub shards: Vec<ShardId>,
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    topics: HashMap<TopicId, Topic>,
    by_subject: HashMap<Subject, TopicId>,
    by_root: HashMap<Oid, Vec<TopicId>>,
    newest: u32,
}

impl Topics {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// One more subscription on a shard. `alone`: it shares its topic with nobody.
    pub fn join(
        &mut self,
        subject: Subject,
        table: &Arc<Table>,
        shard: ShardId,
        alone: bool,
    ) -> TopicId {
        let mut new = || {
            self.newest += 1;
            TopicId(self.newest)
        };
        let id = match alone {
            true => new(),
            false => *self.by_subject.entry(subject.clone()).or_insert_with(new),
        };
        let topic = self.topics.entry(id).or_insert_with(|| {
            self.by_root.entry(subject.root).or_default().push(id);
            Topic {
                view: View::new(table.clone(), subject.columns.as_deref()),
                subject,
                shards: HashMap::new(),
                breaks: (0, ResetReason::Schema),
            }
        });
        *topic.shards.entry(shard).or_default() += 1;
        id
    }

    /// `count` subscriptions fewer on a shard. The topic goes with the last one.
    pub fn leave(&mut self, id: TopicId, shard: ShardId, count: usize) {
        let Some(topic) = self.topics.get_mut(&id) else {
            return;
        };
        if let Some(left) = topic.shards.get_mut(&shard) {
            *left = left.saturating_sub(count);
            if *left == 0 {
                topic.shards.remove(&shard);
            }
        }
        if topic.shards.is_empty() {
            self.remove(id);
        }
    }

    /// Forgets a topic.
    pub fn remove(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else {
            return;
        };
        if self.by_subject.get(&topic.subject) == Some(&id) {
            self.by_subject.remove(&topic.subject);
        }
        if let Some(ids) = self.by_root.get_mut(&topic.subject.root) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_root.remove(&topic.subject.root);
            }
        }
    }

    /// The topics of a table, each with its projection.
    pub fn projections(
        &self,
        root: Oid,
    ) -> impl Iterator<Item = (TopicId, Option<&Arc<[String]>>)> {
        self.by_root
            .get(&root)
            .into_iter()
            .flatten()
            .map(|id| (*id, self.topics[id].view.projection.as_ref()))
    }

    /// The topics of a table.
    pub fn of(&self, root: Oid) -> Vec<Affected> {
        let ids = self.by_root.get(&root).into_iter().flatten();
        ids.map(|id| {
            let topic = &self.topics[id];
            Affected {
                topic: *id,
                table: topic.view.table.clone(),
                columns: topic.subject.columns.clone(),
                shards: topic.shards.keys().copied().collect(),
            }
        })
        .collect()
    }

    /// How a topic's rows are shown, and how often its stream has broken, and why it did last.
    pub fn view(&self, id: TopicId) -> Option<(View, (u64, ResetReason))> {
        let topic = self.topics.get(&id)?;
        Some((topic.view.clone(), topic.breaks))
    }

    /// The stream of a topic has broken. Those that catch up learn it when they ask for more.
    pub fn break_stream(&mut self, id: TopicId, reason: ResetReason) {
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.breaks = (topic.breaks.0 + 1, reason);
        }
    }

    /// The shards that have subscribers of a topic.
    pub fn shards(&self, id: TopicId) -> impl Iterator<Item = ShardId> {
        self.topics
            .get(&id)
            .into_iter()
            .flat_map(|t| t.shards.keys().copied())
    }

    /// The tables that have topics.
    pub fn roots(&self) -> Vec<Oid> {
        self.by_root.keys().copied().collect()
    }

    /// A table is described anew. True if that breaks the streams: the key is another one, or a column that somebody
    /// asked for is gone.
    pub fn describe(&mut self, table: &Arc<Table>) -> bool {
        let mut breaks = false;
        for id in self.by_root.get(&table.rel).into_iter().flatten() {
            let Some(topic) = self.topics.get_mut(id) else {
                continue;
            };
            let gone = topic
                .subject
                .columns
                .iter()
                .flatten()
                .any(|name| !table.has_column(name));
            breaks |= gone || topic.view.table.key != table.key;
            topic.view = View::new(table.clone(), topic.subject.columns.as_deref());
        }
        breaks
    }
}
