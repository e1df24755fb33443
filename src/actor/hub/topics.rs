//! Who has subscribed to what, by shard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::feed::catalog::Oid;
use crate::feed::filter::Filter;
use crate::feed::topic::Anew;
use crate::feed::{Derivation, Subject, Table, TopicId, View};
use crate::wire::message::ResetReason;

use super::budget::{Budget, Cost, Exceeded};
use super::index::Index;
use super::load::Load;
use crate::actor::message::{ShardId, TopicRequest};

/// What several subscriptions share.
#[derive(Debug)]
struct Topic {
    subject: Subject,
    view: View,
    /// How many subscriptions each shard has, those that catch up among them.
    shards: HashMap<ShardId, usize>,
    /// How often the stream has broken, and why it did last.
    breaks: (u64, ResetReason),
    /// How heavy it is.
    load: Load,
    /// A column that its filter needs is gone, or has a type that the filter does not fit. It gets nothing any more.
    is_void: bool,
}

impl Topic {
    fn asked(&self) -> TopicRequest {
        let filter = self.subject.filter.as_ref();
        let window = match self.subject.derivation.as_deref() {
            Some(Derivation::Window(spec)) => Some(spec.clone()),
            Some(Derivation::Counts(_)) | None => None,
        };
        TopicRequest {
            window,
            table: self.view.table.clone(),
            columns: self.subject.columns.clone(),
            filter: filter.map(|filter| filter.expr().clone()),
            conflate: self.subject.conflates,
        }
    }
}

/// A topic whose stream is about to break, or to end.
#[derive(Debug)]
pub struct Affected {
    /// Which.
    pub topic: TopicId,
    /// What its subscribers asked for.
    pub asked: TopicRequest,
    /// Whether what they asked for can't be had any more.
    pub is_void: bool,
    /// Whether it is a window, or counts: its stream does not go on, its subscribers ask again.
    pub is_derived: bool,
    /// The shards that have subscribers of it.
    pub shards: Vec<ShardId>,
}

/// The topics of one table.
#[derive(Debug, Default)]
struct Group {
    ids: Vec<TopicId>,
    index: Index,
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    topics: HashMap<TopicId, Topic>,
    by_subject: HashMap<Subject, TopicId>,
    by_root: HashMap<Oid, Group>,
    budget: Budget,
    newest: u32,
}

impl Topics {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// One more subscription on a shard. `alone`: it shares its topic with nobody. A new topic is counted for `sub`.
    ///
    /// # Errors
    /// If one more topic costs more than is left.
    pub fn join(
        &mut self,
        subject: Subject,
        table: &Arc<Table>,
        shard: ShardId,
        alone: bool,
        sub: Option<&str>,
    ) -> Result<TopicId, Exceeded> {
        let is_there = !alone && self.by_subject.contains_key(&subject);
        let cost = |filter: &Option<_>| filter.as_ref().map_or(0, |f: &Arc<Filter>| f.cost());
        let rows = subject.grant.as_ref().map_or(0, |grant| cost(&grant.rows));
        let cost = Cost {
            filter: cost(&subject.filter) + rows,
            is_derived: subject.derivation.is_some(),
        };
        if !is_there {
            self.budget.admit(sub, cost)?;
        }
        let mut new = || {
            self.newest += 1;
            TopicId(self.newest)
        };
        let id = match alone {
            true => new(),
            false => *self.by_subject.entry(subject.clone()).or_insert_with(new),
        };
        let topic = self.topics.entry(id).or_insert_with(|| {
            let view = View::new(table.clone(), &subject);
            let group = self.by_root.entry(subject.root).or_default();
            group.ids.push(id);
            group.index.insert(id, view.filter.as_deref());
            Topic {
                view,
                subject,
                shards: HashMap::new(),
                breaks: (0, ResetReason::Schema),
                load: Load::new(Instant::now()),
                is_void: false,
            }
        });
        *topic.shards.entry(shard).or_default() += 1;
        if !is_there {
            self.budget.add(id, sub, cost);
        }
        Ok(id)
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

    /// Whether it still has subscribers.
    pub fn has(&self, id: TopicId) -> bool {
        self.topics.contains_key(&id)
    }

    /// Forgets a topic.
    pub fn remove(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else {
            return;
        };
        self.budget.remove(id);
        if self.by_subject.get(&topic.subject) == Some(&id) {
            self.by_subject.remove(&topic.subject);
        }
        if let Some(group) = self.by_root.get_mut(&topic.subject.root) {
            group.ids.retain(|other| *other != id);
            if !topic.is_void {
                group.index.remove(id, topic.view.filter.as_deref());
            }
            if group.ids.is_empty() {
                self.by_root.remove(&topic.subject.root);
            }
        }
    }

    /// Which topics of a table a change may concern.
    pub fn index(&self, root: Oid) -> Option<&Index> {
        self.by_root.get(&root).map(|group| &group.index)
    }

    /// What the subscribers of a topic see, and how often its stream has broken.
    pub fn shown(&self, id: TopicId) -> Option<(&View, u64)> {
        let topic = self.topics.get(&id)?;
        Some((&topic.view, topic.breaks.0))
    }

    /// The topics of a table, by name only.
    pub fn ids(&self, root: Oid) -> &[TopicId] {
        self.by_root.get(&root).map_or(&[], |group| &group.ids)
    }

    /// What there is to know of some topics before their streams break or end.
    pub fn affected(&self, ids: &[TopicId]) -> Vec<Affected> {
        let of = |id: &TopicId| {
            let topic = self.topics.get(id)?;
            Some(Affected {
                topic: *id,
                asked: topic.asked(),
                is_void: topic.is_void,
                is_derived: topic.view.derivation.is_some(),
                shards: topic.shards.keys().copied().collect(),
            })
        };
        ids.iter().filter_map(of).collect()
    }

    /// How a topic's rows are shown, and what its subscribers asked for.
    pub fn described(&self, id: TopicId) -> Option<(View, TopicRequest)> {
        let topic = self.topics.get(&id)?;
        Some((topic.view.clone(), topic.asked()))
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

    /// How heavy a topic is, and how many subscriptions it has.
    pub fn load(&self, id: TopicId) -> Option<(&Load, usize)> {
        let topic = self.topics.get(&id)?;
        Some((&topic.load, topic.shards.values().sum()))
    }

    /// The same of all topics.
    pub fn loads(&self) -> impl Iterator<Item = (TopicId, &Load)> {
        self.topics.iter().map(|(id, topic)| (*id, &topic.load))
    }

    /// Whose policies a topic goes by; none where everybody sees everything.
    pub fn role(&self, id: TopicId) -> Option<Arc<str>> {
        let grant = self.topics.get(&id)?.subject.grant.as_ref();
        grant.map(|grant| grant.role.clone())
    }

    /// The tables that have topics.
    pub fn roots(&self) -> Vec<Oid> {
        self.by_root.keys().copied().collect()
    }

    /// A table is described anew. Gives the topics whose streams that breaks: all of them if what was captured before does
    /// not fit, the key is another one, or something that a subscription asked for is gone; those of a role if it may see other
    /// rows now.
    pub fn describe(&mut self, table: &Arc<Table>) -> Vec<TopicId> {
        let Some(group) = self.by_root.get_mut(&table.rel) else {
            return Vec::new();
        };
        let (mut breaks_all, mut revoked) = (false, Vec::new());
        for id in &group.ids {
            let Some(topic) = self.topics.get_mut(id) else {
                continue;
            };
            let old = &topic.view.table;
            let is_gone = !topic.subject.names_columns_of(table);
            breaks_all |= is_gone || old.key != table.key || old.since != table.since;
            if !topic.is_void {
                group.index.remove(*id, topic.view.filter.as_deref());
            }
            if self.by_subject.get(&topic.subject) == Some(id) {
                self.by_subject.remove(&topic.subject);
            }
            match topic.subject.bound_anew(table) {
                Anew::Bound(subject) => {
                    breaks_all |= subject != topic.subject;
                    (topic.subject, topic.is_void) = (subject, false);
                    topic.view = View::new(table.clone(), &topic.subject);
                    group.index.insert(*id, topic.view.filter.as_deref());
                    self.by_subject.entry(topic.subject.clone()).or_insert(*id);
                    continue;
                }
                Anew::Unfit => breaks_all = true,
                Anew::Revoked => revoked.push(*id),
            }
            topic.is_void = true;
            topic.view.table = table.clone();
        }
        match breaks_all {
            true => group.ids.clone(),
            false => revoked,
        }
    }
}
