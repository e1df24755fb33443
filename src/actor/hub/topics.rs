//! Who has subscribed to what, by shard.

use std::collections::HashMap;
use std::sync::Arc;

use crate::feed::catalog::Oid;
use crate::feed::{Subject, Table, TopicId};

use super::super::message::ShardId;

/// What several subscriptions share.
#[derive(Debug)]
struct Topic {
    subject: Subject,
    table: Arc<Table>,
    /// The columns that leave; none for rows as they are. Topics with equal ones share the text of a change.
    projection: Option<Arc<[String]>>,
    /// How many subscriptions each shard has.
    shards: HashMap<ShardId, usize>,
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

    /// One more subscription on a shard.
    pub fn join(&mut self, subject: Subject, table: &Arc<Table>, shard: ShardId) -> TopicId {
        let id = *self.by_subject.entry(subject.clone()).or_insert_with(|| {
            self.newest += 1;
            TopicId(self.newest)
        });
        let topic = self.topics.entry(id).or_insert_with(|| {
            self.by_root.entry(subject.root).or_default().push(id);
            let projection = projection(&subject, table);
            Topic {
                subject,
                table: table.clone(),
                projection,
                shards: HashMap::new(),
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
        self.by_subject.remove(&topic.subject);
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
            .map(|id| (*id, self.topics[id].projection.as_ref()))
    }

    /// The topics of a table, each with the shards that have subscribers of it.
    pub fn of(&self, root: Oid) -> Vec<(TopicId, Arc<Table>, Vec<ShardId>)> {
        let ids = self.by_root.get(&root).into_iter().flatten();
        ids.map(|id| {
            (
                *id,
                self.topics[id].table.clone(),
                self.shards(*id).collect(),
            )
        })
        .collect()
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
            breaks |= gone || topic.table.key != table.key;
            topic.projection = projection(&topic.subject, table);
            topic.table = table.clone();
        }
        breaks
    }
}

fn projection(subject: &Subject, table: &Table) -> Option<Arc<[String]>> {
    table.projection(subject.columns.as_deref()).map(Arc::from)
}
