//! The stream of the backplane.

use std::time::Duration;

/// Bytes of the rows of one message. A row that alone is above it is left to the log.
pub const BACKPLANE_MESSAGE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Of one part of a message, if NATS takes as much. A follower holds up to [`BACKPLANE_PULL_MAX`] of them.
pub const BACKPLANE_PART_BYTES_MAX: usize = 1024 * 1024;

/// What NATS counts beside the bytes of a part: the subject and the headers.
pub const BACKPLANE_HEADER_BYTES: usize = 4 * 1024;

/// Nodes whose questions the reader remembers. Others are answered by the next beat that has something new.
pub const BACKPLANE_ANSWERS_MAX: usize = 1_024;

/// For a connection to NATS, and for each question to it.
pub const BACKPLANE_CONNECT_MAX: Duration = Duration::from_secs(2);

/// For NATS to acknowledge an append before it is tried again.
pub const BACKPLANE_ACK_MAX: Duration = Duration::from_secs(2);

/// For an append with all its attempts. Beyond it another reader may have better luck.
pub const BACKPLANE_APPEND_MAX: Duration = Duration::from_secs(6);

/// How often the reader says that it is there while there is nothing else to say.
pub const BACKPLANE_BEAT: Duration = Duration::from_secs(1);

/// A follower that has heard nothing for this long reads the log by itself; and by up to as much again later, so that many
/// nodes don't come to PostgreSQL at the same moment.
pub const BACKPLANE_SILENCE_MAX: Duration = Duration::from_secs(5);

/// How often a follower that reads the log looks whether the stream is back, and for how long it has to be there; up to twice as long.
pub const BACKPLANE_RETURN_INTERVAL: Duration = Duration::from_secs(2);

/// How far back a node that starts reads the stream, so that clients of other nodes can come to it without a question to
/// PostgreSQL. In bytes it is the window.
pub const BACKPLANE_HISTORY: Duration = Duration::from_secs(600);

/// Messages that a follower asks NATS for at a time.
pub const BACKPLANE_PULL_MAX: usize = 32;

/// How long a reader that could not read waits before it stands for it again; up to twice as long.
pub const BACKPLANE_STAND_AGAIN: Duration = Duration::from_secs(1);

/// How often a follower asks the reader again to look at the log.
pub const BACKPLANE_ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long the stream keeps what it has, unless `--backplane-age` says otherwise.
pub const BACKPLANE_AGE: Duration = Duration::from_secs(900);

/// How many bytes it keeps, unless `--backplane-bytes` says otherwise.
pub const BACKPLANE_BYTES: i64 = 1024 * 1024 * 1024;
