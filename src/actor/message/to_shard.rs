//! What a shard is told, all of it by the hub.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;

use crate::feed::{LogRow, TopicId, View};
use crate::wire::message::{Refusal, ResetReason, Subscribe as Wanted};

use super::{SubscriptionKey, TopicFrame, TopicRequest};

/// Frames for the topics that a shard has subscribers of.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Push {
    /// In the order in which they leave.
    pub frames: Vec<TopicFrame>,
    /// The cursor after the batch, if it ends here.
    pub cursor: Option<Reached>,
}

/// Up to where everything has been pushed.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The cursor.
    pub cursor: Arc<str>,
    /// The windows and counts that are behind it.
    pub stale: Arc<[TopicId]>,
}

/// All batches up to this cursor have been pushed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Advance {
    /// For heartbeats.
    pub cursor: Reached,
}

/// A subscription belongs to a topic from here on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Joined {
    /// Whose.
    pub key: SubscriptionKey,
    /// The topic.
    pub topic: TopicId,
    /// The `subscribed` message, unless it has been sent.
    pub reply: Option<Bytes>,
    /// What its client has missed.
    pub missed: Option<Missed>,
    /// What it asked for: for the case that it has to ask again.
    pub wanted: Arc<Wanted>,
}

/// The last of what a client has missed: all of it, up to the place where its topic goes on.
#[derive(Debug)]
pub enum Missed {
    /// Rows of the log.
    Rows {
        /// In the order of `seq`.
        rows: Vec<LogRow>,
        /// How they are shown.
        view: View,
        /// The cursor after them.
        cursor: Arc<str>,
    },
    /// Whole messages.
    Frames(Vec<Bytes>),
}

/// A subscription has a topic, but it has to catch up before it joins it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Started {
    /// Whose.
    pub key: SubscriptionKey,
    /// The topic.
    pub topic: TopicId,
    /// See [`Replay::breaks`].
    pub breaks: u64,
    /// What it will see.
    pub view: View,
    /// What it asked for: with `since` it resumes, else it begins with a snapshot.
    pub wanted: Arc<Wanted>,
}

/// A subscription can't go on from where its client was: it is told, and asks again without `since`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Restart {
    /// Whose.
    pub key: SubscriptionKey,
    /// Why.
    pub reason: ResetReason,
    /// What it asked for.
    pub wanted: Arc<Wanted>,
}

/// A subscription can't be had.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Refused {
    /// Whose.
    pub key: SubscriptionKey,
    /// Why.
    pub refusal: Refusal,
}

/// The stream of a topic has broken; it goes on from `cursor`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reset {
    /// The topic.
    pub topic: TopicId,
    /// Why.
    pub reason: ResetReason,
    /// What was asked for: those who want a snapshot subscribe again.
    pub asked: TopicRequest,
    /// They can't have it any more, and learn why when they ask again.
    pub is_void: bool,
    /// Where the stream goes on.
    pub cursor: Arc<str>,
}

/// A topic's table is not watched any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retire {
    /// The topic.
    pub topic: TopicId,
}
