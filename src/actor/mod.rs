//! The actors: who owns what, and what they tell each other (`message`).
//!
//! - [`listener`] owns the LISTEN connection and reads the log with it. Supervised; never touches a session.
//! - [`hub`] owns the topics: encodes each batch once per topic and hands it to the shards.
//! - [`shard`], one per worker thread, owns the sockets of that thread and writes to them.
//! - [`catch_up`], one task for each subscription that resumes or loads a snapshot, until it is live.
//! - [`session`], one per client, reads what it says, and writes on when its socket was full. Clients of Server-Sent Events
//!   and of a long poll are sessions as well, over a [`pipe`] in place of a socket.
//!
//! Nothing sends an actor message to a session: a broadcast costs one message per shard.

pub mod asker;
pub mod backlog;
mod behind;
mod catch_up;
mod coalesce;
pub mod conn;
mod encode;
mod flush;
pub mod hub;
mod joining;
mod line;
pub mod listener;
pub mod local;
mod login;
pub mod message;
pub mod nudge;
mod ping;
pub mod pipe;
pub mod place;
mod queue;
pub mod rates;
pub mod session;
pub mod shard;
pub mod shared;
pub mod socket;
pub mod subscription;
mod turn;
