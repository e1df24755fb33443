//! Every message between the actors, on one page.
//!
//! ```text
//! listener ── Live, Lost, Chunk ──► hub ── Push, Joined, Refused, Reset, Retire, Advance ──► shard ── bytes ──► sockets
//!                                    ▲                                                        │
//!                                    └───────────────── Attach, Subscribe, Left ──────────────┘
//! ```
//!
//! Commands are imperative, facts are past. Only a `Chunk` is waited for; it is what bounds everything behind it: the
//! listener reads on when all shards have taken what it brought. The others are bounded by the number of sessions.

use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;

use crate::feed::{Catalog, Cursor, LogRow, Table, TopicId};
use crate::wire::message::{Refusal, ResetReason, Subscribe as Wanted};

use super::shard::Shard;

/// One worker thread's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardId(pub usize);

/// One subscription of one session, on its shard. The serial is never used again, so an answer that comes late finds
/// nobody rather than somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionKey {
    /// The session's place in its shard.
    pub slot: usize,
    /// Unique in the shard.
    pub serial: u64,
}

// listener -> hub

/// The listener stands at a cursor and hears the doorbell.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Live {
    /// Where it reads on from.
    pub cursor: Cursor,
    /// The tables that are watched now. The log tells what changes from the cursor on, so a table that is missing here
    /// may still have changes to come.
    pub catalog: Catalog,
    /// Why what was delivered before does not lead to this cursor, if it does not.
    pub broken: Option<ResetReason>,
}

/// The database is out of reach. What is subscribed stays subscribed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lost;

/// A part of a batch: rows of the log in the order of `seq`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Chunk {
    /// The rows.
    pub rows: Vec<LogRow>,
    /// The cursor after the batch.
    pub next: Arc<Cursor>,
    /// Whether the batch ends with it.
    pub last: bool,
}

// shard -> hub

/// A worker has started.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Chosen by the worker, unique in the process.
    pub id: ShardId,
    /// Its shard.
    pub shard: Addr<Shard>,
}

/// A session wants a subscription.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// Where the session is.
    pub shard: ShardId,
    /// Which one, and which of its subscriptions.
    pub key: SubscriptionKey,
    /// What it wants.
    pub wanted: Wanted,
}

/// This many subscriptions of a topic have ended on a shard.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Left {
    /// The shard.
    pub shard: ShardId,
    /// How many, of which topic.
    pub topics: Vec<(TopicId, usize)>,
}

// hub -> shard

/// A topic's frame, the same for all its subscribers.
#[derive(Clone, Debug)]
pub struct TopicFrame {
    /// Whose.
    pub topic: TopicId,
    /// A `changes` message.
    pub frame: Bytes,
    /// How many changes it has.
    pub changes: usize,
    /// Time of the newest transaction in it, in microseconds of Unix time.
    pub at_us: i64,
}

/// Frames for the topics that a shard has subscribers of.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Push {
    /// In the order in which they leave.
    pub frames: Vec<TopicFrame>,
    /// The cursor after the batch, if it ends here.
    pub cursor: Option<Arc<str>>,
}

/// All batches up to this cursor have been pushed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Advance {
    /// For heartbeats.
    pub cursor: Arc<str>,
}

/// A subscription belongs to a topic from here on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Joined {
    /// Whose.
    pub key: SubscriptionKey,
    /// The topic.
    pub topic: TopicId,
    /// The `subscribed` message.
    pub reply: Bytes,
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
    /// What the table is now, and where the stream goes on.
    pub table: Arc<Table>,
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

/// Closes all sockets: the process is about to end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Ends the hub: nobody is left to tell anything to.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;
