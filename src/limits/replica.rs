//! Reads that a replica serves.

use std::time::Duration;

/// How long a read waits for the replica to have replayed what it needs. A replica that is further behind is not used: the primary
/// serves the read.
pub const REPLICA_WAIT_MAX: Duration = Duration::from_millis(500);

/// First and longest delay between two looks at how far the replica is; doubled each time.
pub const REPLICA_LOOK_FIRST: Duration = Duration::from_millis(1);

/// See [`REPLICA_LOOK_FIRST`].
pub const REPLICA_LOOK_LONGEST: Duration = Duration::from_millis(32);

/// How long a read waits before it makes the primary flush its WAL, where the replica can't have what it needs because the primary
/// has not flushed it yet.
pub const REPLICA_FLUSH_AFTER: Duration = Duration::from_millis(20);

/// How long a read waits until the primary shows what the replica has shown already, as while the primary waits for another standby.
pub const REPLICA_AHEAD_MAX: Duration = Duration::from_millis(500);

/// First and longest delay before a replica that could not be used is tried again; doubled each time, and between half and all of it.
pub const REPLICA_REST_FIRST: Duration = Duration::from_millis(250);

/// See [`REPLICA_REST_FIRST`].
pub const REPLICA_REST_LONGEST: Duration = Duration::from_secs(30);

/// Transaction ids that may have been given out between the two places of a read, that of the primary and that of the replica. A cursor
/// may have to list them all.
pub const REPLICA_BETWEEN_MAX: u64 = 2_048;

/// For a connection to the replica. Beyond it the primary serves the read.
pub const REPLICA_CONNECT_MAX: Duration = Duration::from_secs(2);

/// For a request's read there, with all that it waits for. Beyond it the primary serves it.
pub const REPLICA_REQUEST_MAX: Duration = Duration::from_secs(5);

/// For a lock there, which only what it replays can hold. Beyond it the primary serves the read.
pub const REPLICA_LOCK_MAX: Duration = Duration::from_millis(500);
