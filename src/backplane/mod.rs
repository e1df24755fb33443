//! One node reads the log and appends it to a stream of NATS JetStream; all others follow the stream. PostgreSQL stays the
//! truth: whatever becomes of the stream costs time, and never a change.
//!
//! - [`message`]: what a part of a batch is on the stream. `codec`: its bytes.
//! - [`chain`]: which messages continue what a follower has, and which send it back to the log.
//! - [`link`]: the talk with NATS.
//! - [`writer`]: appends what the reader has read, and says so each second.
//! - [`leftover`]: removes streams of which no reader is left.
//! - [`retry`]: how long what has failed waits.
//!
//! Only `link`, `leftover` and `writer` do I/O. Nothing here knows an actor.

pub mod chain;
pub mod codec;
pub mod leftover;
pub mod link;
pub mod message;
pub mod retry;
pub mod writer;

pub use chain::{Chain, Step};
pub use link::{Follow, Link, LinkError};
pub use message::{Message, Origin};
pub use retry::Retry;
pub use writer::Writer;
