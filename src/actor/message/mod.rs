//! Every message between the actors: `to_hub`, `to_shard`, what both name in `topic`, and how the hub reaches a shard in `link`.
//!
//! ```text
//! listener ── Live, Lost, Chunk ──► hub ── Push, Joined, Started, Restart, Refused, Reset, Retire, Advance ──► shard ── bytes ──► sockets
//!                                    ▲                                                                           │
//!                                    └──────────────── Attach, Subscribe, Replay, Describe, Left ──────────────────┘
//! ```
//!
//! Commands are imperative, facts are past. Only a `Chunk`, a `Replay`, a `Describe`, a `Find` and a `ListTables` are waited for. The first is what bounds
//! everything behind it: the listener reads on when all shards have taken what it brought. The second bounds what a
//! client gets that catches up: it asks for the next piece when it has taken the last one. The others are bounded by the
//! number of sessions.

use actix::prelude::*;

mod link;
mod to_hub;
mod to_shard;
mod topic;

pub use link::{ShardLink, ToShard};
pub use to_hub::*;
pub use to_shard::*;
pub use topic::*;

/// One worker thread's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardId(pub usize);

/// One subscription of one session, on its shard. The serial is never used again, so an answer that comes late finds
/// no session rather than another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionKey {
    /// The session's place in its shard.
    pub slot: usize,
    /// Unique in the shard.
    pub serial: u64,
}

/// Closes all sockets: the process is about to end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Ends the hub: nobody is left to tell anything to.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;
