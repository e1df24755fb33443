//! The actors, and what they say to each other. Each room is a folder, and imports only from rooms below it in this list
//! (`tests/it/architecture.rs`):
//!
//! - [`session`], one per client, reads what the client says, and writes on when its socket was full. Clients of Server-Sent
//!   Events and of a long poll are sessions as well, over a pipe in place of a socket.
//! - [`shard`], one per worker thread, writes what the hub pushes to the sockets of that thread.
//! - [`catch_up`], one task for each subscription that resumes or loads a snapshot, until it is live.
//! - [`clients`], what a worker thread knows of its clients: connections, subscriptions, what waits for a full socket.
//! - [`listener`] owns the LISTEN connection and reads the log with it. Supervised; never touches a session.
//! - [`refresher`] keeps the results of live queries up to date, after the tables that they read have changed.
//! - [`hub`] owns the topics: encodes each batch once per topic and hands it to the shards.
//! - [`message`], every message between them; [`poll_request`] and [`refresh_request`], what is asked without a message.
//! - [`admission`], how many clients there may be, and how often they may ask.
//! - [`transport`], where bytes go: sockets, pipes, frames that many clients share.
//!
//! A change goes from `listener/follower.rs` to `hub/follow.rs`, `hub/batch.rs`, `shard/mod.rs` and `shard/flush.rs`, and from there
//! to the socket. Nothing sends an actor message to a session: a broadcast costs one message per shard.

pub mod admission;
mod catch_up;
pub mod clients;
pub mod hub;
pub mod listener;
pub mod message;
pub mod poll_request;
pub mod refresh_request;
pub mod refresher;
pub mod session;
pub mod shard;
pub mod transport;
