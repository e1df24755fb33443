//! What one client is subscribed to, and from which place on.

use std::sync::Arc;

use crate::feed::{Cursor, Expr, Table, TopicId};
use crate::wire::message::Subscribe as Wanted;

/// What the subscribers of a topic have asked for, so that it can be asked for again.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The table as it was described last.
    pub table: Arc<Table>,
    /// The columns; none for all.
    pub columns: Option<Vec<String>>,
    /// Which rows; none for all.
    pub filter: Option<Arc<Expr>>,
    /// Whether the newest change of each key is enough.
    pub conflate: bool,
}

impl Asked {
    /// What the subscription `id` asks for again.
    pub fn again(&self, id: &str, snapshot: bool) -> Arc<Wanted> {
        Arc::new(Wanted {
            id: id.to_owned(),
            table: self.table.quoted.clone(),
            columns: self.columns.clone(),
            filter: self.filter.clone(),
            since: None,
            snapshot,
            conflate: self.conflate,
        })
    }
}

/// Where a frame of a topic begins, for those who get everything from there on in another way.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where the batch begins that the frame is of.
    pub from: Arc<Cursor>,
    /// Where it ends.
    pub end: Arc<Cursor>,
    /// How many of the topic's changes in this batch are in frames before.
    pub sent: usize,
    /// See [`super::message::Replay::breaks`].
    pub breaks: u64,
}

/// A client's subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Unique in the shard.
    pub serial: u64,
    /// The client's name for it.
    pub id: Box<str>,
    /// None until the hub has answered.
    pub topic: Option<TopicId>,
    /// The client has asked when it is live, and is waiting for the `pong` that says so.
    pub is_awaited: bool,
    /// The client has ended it before the hub has answered. It keeps its place until then, so that what one client can
    /// make the hub remember stays bounded.
    pub is_cancelled: bool,
    /// Whether it gets the rows after each `reset`.
    pub wants_snapshot: bool,
    /// Whether it catches up from its first frame on that the socket does not take: the newest change of each key is
    /// enough for it.
    pub conflates: bool,
    /// The first segment of the backlog that is for it; [`CATCHING_UP`] before it has joined its topic.
    pub from: u64,
    /// Set when its table is not watched any more while its socket is full: the first segment that is not for it. It
    /// stays until what was committed before has been written, and counts no more.
    pub until: Option<u64>,
}

impl Subscription {
    /// Whether it has joined its topic.
    pub fn is_joined(&self) -> bool {
        self.topic.is_some() && self.from != CATCHING_UP
    }

    /// Whether it has joined this topic.
    pub fn is_live(&self, topic: TopicId) -> bool {
        self.topic == Some(topic) && self.from != CATCHING_UP
    }
}

/// The place of the one of this id, unless it was taken back.
pub fn named(subscriptions: &[Subscription], id: &str) -> Option<usize> {
    subscriptions
        .iter()
        .position(|s| *s.id == *id && !s.is_cancelled)
}

/// See [`Subscription::from`].
pub const CATCHING_UP: u64 = u64::MAX;

#[cfg(test)]
impl Mark {
    /// Of no batch.
    pub(super) fn of_paper() -> Self {
        let cursor = Arc::new(Cursor {
            epoch: crate::feed::Epoch::of("paper"),
            snapshot: crate::feed::Snapshot::parse("1:1:").expect("a snapshot"),
        });
        Self {
            from: cursor.clone(),
            end: cursor,
            sent: 0,
            breaks: 0,
        }
    }
}
