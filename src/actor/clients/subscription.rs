//! What one client is subscribed to, and from which segment on.

use crate::feed::TopicId;

/// A client's subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Unique in the shard.
    pub serial: u64,
    /// The client's name for it.
    pub id: Box<str>,
    /// How far it has got.
    pub state: State,
    /// The client has asked when it is live, and is waiting for the `pong` that says so.
    pub is_awaited: bool,
    /// The live query that it may be about, by its name.
    pub query: Option<Box<str>>,
    /// Pings whose answer waits for a refresh of the query, once the client's own cursor has been reached.
    pub refreshes_due: u32,
    /// The client has ended it before the hub has answered. It keeps its place until then, so that what one client can
    /// make the hub remember stays bounded.
    pub is_cancelled: bool,
    /// Whether it gets the rows after each `reset`.
    pub wants_snapshot: bool,
    /// Whether it catches up from its first frame on that the socket does not take: the newest change of each key is
    /// enough for it.
    pub conflates: bool,
    /// Whether it follows a window, or counts. Known when it has a topic.
    pub is_derived: bool,
}

/// How far a subscription has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The hub has not answered.
    Requested,
    /// It has a topic, and catches up before it joins it.
    CatchingUp(TopicId),
    /// It has joined its topic.
    Live {
        /// The topic.
        topic: TopicId,
        /// The first segment of the backlog that is for it.
        from: u64,
    },
    /// Its table is not watched any more, and its socket is full. It stays until what was committed before has been written,
    /// and counts no more.
    Ending {
        /// The topic.
        topic: TopicId,
        /// The first segment of the backlog that is for it.
        from: u64,
        /// The first segment that is not for it.
        until: u64,
    },
}

impl Subscription {
    /// What it is subscribed to; none until the hub has answered.
    pub fn topic(&self) -> Option<TopicId> {
        match self.state {
            State::Requested => None,
            State::CatchingUp(topic) | State::Live { topic, .. } | State::Ending { topic, .. } => {
                Some(topic)
            }
        }
    }

    /// Its topic, if it has joined it and that is a window, or counts.
    pub fn derived(&self) -> Option<TopicId> {
        self.topic().filter(|_| self.is_derived && self.is_joined())
    }

    /// Whether it has joined its topic.
    pub fn is_joined(&self) -> bool {
        matches!(self.state, State::Live { .. } | State::Ending { .. })
    }

    /// Whether it gets the frames of this topic.
    pub fn is_live(&self, topic: TopicId) -> bool {
        matches!(self.state, State::Live { topic: own, .. } if own == topic)
    }

    /// Whether it has this topic, and has not joined it.
    pub fn is_catching_up(&self, topic: TopicId) -> bool {
        self.state == State::CatchingUp(topic)
    }

    /// Its table is not watched any more: nothing from the segment `until` on is for it.
    pub fn end(&mut self, until: u64) {
        if let State::Live { topic, from } = self.state {
            self.state = State::Ending { topic, from, until };
            self.is_cancelled = true;
        }
    }

    /// Whether its table is not watched any more.
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending { .. })
    }

    /// Whether a segment of this topic and number is for it.
    pub fn is_for(&self, topic: TopicId, number: u64) -> bool {
        match self.state {
            State::Requested | State::CatchingUp(_) => false,
            State::Live { topic: own, from } => own == topic && from <= number,
            State::Ending {
                topic: own,
                from,
                until,
            } => own == topic && (from..until).contains(&number),
        }
    }
}

/// The place of the one of this id, unless it was taken back.
pub fn named(subscriptions: &[Subscription], id: &str) -> Option<usize> {
    subscriptions
        .iter()
        .position(|s| *s.id == *id && !s.is_cancelled)
}
