//! What one client is subscribed to, and from which place on.

use crate::feed::TopicId;

/// A client's subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Unique in the shard.
    pub serial: u64,
    /// The client's name for it.
    pub id: Box<str>,
    /// None until the hub has answered.
    pub topic: Option<TopicId>,
    /// The client has ended it before the hub has answered. It keeps its place until then, so that what one client can
    /// make the hub remember stays bounded.
    pub is_cancelled: bool,
    /// Whether it gets the rows after each `reset`.
    pub wants_snapshot: bool,
    /// The first segment of the backlog that is for it; [`CATCHING_UP`] before it has joined its topic.
    pub from: u64,
    /// Set when its table is not watched any more while its socket is full: the first segment that is not for it. It
    /// stays until what was committed before has been written, and counts no more.
    pub until: Option<u64>,
}

impl Subscription {
    /// Whether it has joined this topic.
    pub fn is_live(&self, topic: TopicId) -> bool {
        self.topic == Some(topic) && self.from != CATCHING_UP
    }
}

/// See [`Subscription::from`].
pub const CATCHING_UP: u64 = u64::MAX;
