//! Every bound of the process, in one place, with the reason for its size.
//!
//! What a person may want to change is a setting (`config`); its default stands here. A bound that is reached shows in
//! a metric, in a close code or in a status: never in memory that grows.

mod activity;
mod auth;
mod backplane;
mod catch_up;
mod clients;
mod database;
mod derived;
mod http;
mod live_query;
mod log;
mod protocol;
mod replica;
mod tail;
mod trace;

pub use activity::*;
pub use auth::*;
pub use backplane::*;
pub use catch_up::*;
pub use clients::*;
pub use database::*;
pub use derived::*;
pub use http::*;
pub use live_query::*;
pub use log::*;
pub use protocol::*;
pub use replica::*;
pub use tail::*;
pub use trace::*;

const _: () = assert!(
    PING_INTERVAL.as_secs() + PING_MAX.as_secs() < 10,
    "a black-holed link is noticed within 10 s"
);
const _: () = assert!(READ_MAX.as_secs() < 10, "also in the middle of a read");
const _: () = assert!(
    SILENCE_MAX.as_secs() > 2 * HEARTBEAT.as_secs(),
    "two heartbeats may get lost"
);
const _: () = assert!(
    (HANDSHAKES_PER_SECOND * RATE_BURST_S.get()) as usize >= CONNECTIONS_PER_IP_MAX,
    "all clients of an address come back at once after a restart"
);
const _: () = assert!(DRAIN_BYTES < BACKLOG_BYTES_MAX);
const _: () = assert!(STALL_MAX.as_secs() < UNACKNOWLEDGED_MAX.as_secs());
const _: () = assert!(PIPE_READ_BYTES < PIPE_BYTES_MAX);
const _: () = assert!(BELL_QUIET < BELL_BUSY, "or it would never be still");
const _: () = assert!(BELL_BUSY < BELL_MANY && BELL_MANY <= BELL_ALONE / 2);
const _: () = assert!(POLL_EAGER.as_millis() < POLL_AWAKE.as_millis());
const _: () = assert!(
    POLL_DROWSY.as_millis() < 1_000,
    "SQL calls are followed within a second"
);
const _: () = assert!(
    BACKPLANE_SILENCE_MAX.as_secs() * 2 <= LAG_MAX.as_secs(),
    "a follower reads the log itself before it counts as late"
);
const _: () = assert!(BACKPLANE_BEAT.as_secs() * 3 < BACKPLANE_SILENCE_MAX.as_secs());
const _: () = assert!(PIECE_BYTES < WINDOW_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX >= READ_BYTES);
const _: () = assert!(
    CHUNK_BYTES < DEFLATE_SCRATCH_BYTES_MAX && DEFLATE_SCRATCH_BYTES_MAX <= DEFLATE_BYTES_MAX,
    "what a batch is cut into is compressed without an allocation"
);
const _: () = assert!(
    REPLICA_FLUSH_AFTER.as_millis() < REPLICA_WAIT_MAX.as_millis(),
    "the primary is asked to flush while there is time left"
);
