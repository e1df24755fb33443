//! `plank tail`.

use std::time::Duration;

/// For `plank tail` to reach a server: its name, the connection, TLS and the handshake.
pub const TAIL_CONNECT_MAX: Duration = Duration::from_secs(10);

/// For `plank tail` to send a message.
pub const TAIL_SEND_MAX: Duration = Duration::from_secs(10);

/// First and longest delay before `plank tail` comes back; doubled each time, and anything between none and all of it.
pub const TAIL_RETRY_FIRST: Duration = Duration::from_millis(250);

/// See [`TAIL_RETRY_FIRST`].
pub const TAIL_RETRY_LONGEST: Duration = Duration::from_secs(10);

/// A connection of `plank tail` that has lasted this long was a good one: the delays begin anew.
pub const TAIL_STEADY: Duration = Duration::from_secs(5);

/// Bytes of an unfinished batch that `plank tail` holds back, so that nothing of it is printed twice when the connection
/// is cut. A larger batch is printed as it comes.
pub const TAIL_BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one message that `plank tail` takes. A message has at least one whole change, and PostgreSQL's longest value
/// is 1 GiB.
pub const TAIL_MESSAGE_BYTES_MAX: usize = 1_280 * 1024 * 1024;

/// The longest time between two heartbeats that `plank tail` believes a server.
pub const TAIL_HEARTBEAT_MAX: Duration = Duration::from_secs(3_600);

/// Bytes of the answer of a server to `plank gen types --url`.
pub const TYPES_BYTES_MAX: usize = 64 * 1024 * 1024;
