//! The stream of the backplane.

use std::time::Duration;

/// Bytes of the rows of one message. A row that alone is above it is left to the log.
pub const BACKPLANE_MESSAGE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Bytes of the parts of a message that a follower holds until it is whole. The frames of rows are in it beside their bytes.
pub const BACKPLANE_HELD_BYTES_MAX: usize = 2 * BACKPLANE_MESSAGE_BYTES_MAX;

/// Of one part of a message, if NATS takes as much. A follower holds up to [`BACKPLANE_PULL_MAX`] of them.
pub const BACKPLANE_PART_BYTES_MAX: usize = 1024 * 1024;

/// What NATS counts beside the bytes of a part: the subject and the headers.
pub const BACKPLANE_HEADER_BYTES: usize = 4 * 1024;

/// Nodes whose questions the reader remembers. Others are answered by the next beat that has something new.
pub const BACKPLANE_ANSWERS_MAX: usize = 1_024;

/// Messages of one subscription that wait to be read, of which each has at most the `max_payload` of NATS. A pull asks for fewer;
/// what is above it of the questions of nodes is dropped, and asked again.
pub const BACKPLANE_WAITING_MAX: usize = 128;

const _: () = assert!(BACKPLANE_WAITING_MAX > 2 * BACKPLANE_PULL_MAX);

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

/// A node that leaves the stream for another reason reads the log within this, at a moment of its own: all nodes may have the same
/// reason.
pub const BACKPLANE_LEAVE_SPREAD: Duration = Duration::from_secs(2);

/// First and longest delay before a follower that reads the log looks whether the stream is back; doubled each time, and between
/// half and all of it. It grows with each look, and with each return that did not last for [`BACKPLANE_STEADY`].
pub const BACKPLANE_RETURN_FIRST: Duration = Duration::from_secs(4);

/// See [`BACKPLANE_RETURN_FIRST`].
pub const BACKPLANE_RETURN_LONGEST: Duration = Duration::from_secs(20);

/// For how long something has to work before its next failure counts as the first.
pub const BACKPLANE_STEADY: Duration = Duration::from_secs(30);

/// First and longest delay between two attempts to reach NATS, to append, or to find the stream again; doubled each time, and
/// between half and all of it.
pub const BACKPLANE_AGAIN_FIRST: Duration = Duration::from_millis(100);

/// See [`BACKPLANE_AGAIN_FIRST`].
pub const BACKPLANE_AGAIN_LONGEST: Duration = Duration::from_secs(1);

/// How far back a node that starts reads the stream, so that clients of other nodes can come to it without a question to
/// PostgreSQL. In bytes it is the window.
pub const BACKPLANE_HISTORY: Duration = Duration::from_secs(600);

/// Messages that a follower asks NATS for at a time.
pub const BACKPLANE_PULL_MAX: usize = 32;

/// First and longest delay before a reader that could not read stands for it again; doubled each time, and between half and all of
/// it. Where the database has refused it, the longest is that of the listener.
pub const BACKPLANE_STAND_FIRST: Duration = Duration::from_millis(500);

/// See [`BACKPLANE_STAND_FIRST`].
pub const BACKPLANE_STAND_LONGEST: Duration = Duration::from_secs(10);

/// A stream to which nothing was appended for this long has no reader left, for one says each second that it is there. It is
/// removed.
pub const BACKPLANE_LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// For the look at the streams of NATS, of which there may be many.
pub const BACKPLANE_LEFTOVER_MAX: Duration = Duration::from_secs(10);

/// How often a follower asks the reader again to look at the log.
pub const BACKPLANE_ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long the stream keeps what it has, unless `--backplane-age` says otherwise.
pub const BACKPLANE_AGE: Duration = Duration::from_secs(900);

/// How many bytes it keeps, unless `--backplane-bytes` says otherwise.
pub const BACKPLANE_BYTES: i64 = 1024 * 1024 * 1024;
