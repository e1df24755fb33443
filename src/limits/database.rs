//! Connections to PostgreSQL, and statements.

use std::time::Duration;

/// One connection attempt to PostgreSQL.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);

/// One statement of a request, set as `statement_timeout` in the pool's sessions.
pub const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// For the heartbeat row of the canary to be written. Beyond it the connection is given up.
pub const CANARY_MAX: Duration = Duration::from_secs(5);

/// For a request to get a connection from the pool.
pub const POOL_WAIT_MAX: Duration = Duration::from_secs(3);

/// A pooled connection that was not used for this long is asked for a sign of life before a request gets it. Under load
/// none is: each has just given one.
pub const PROBE_AFTER: Duration = Duration::from_millis(100);

/// For that sign of life. Beyond it the connection is replaced. With the time for a new one a request waits less than 3 s.
pub const PROBE_MAX: Duration = Duration::from_millis(1_500);

/// How long a request may have a connection before the server is asked whether it still works for it: a path that acknowledges
/// and delivers nothing costs a request 3 s at most.
pub const LEASE_LOOK_AFTER: Duration = Duration::from_millis(1_750);

/// Between two looks at how long requests have had their connections.
pub const LEASE_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// For the server's answer to that. Without one the way to it is dead, and the connections are closed.
pub const LEASE_ANSWER_MAX: Duration = Duration::from_secs(3);

/// How often a write is tried again that has lost against other writers (serialization failure, deadlock), and the delay
/// before the first time. It is doubled each time, and between half and all of it.
pub const RACE_RETRIES: u32 = 3;

/// See [`RACE_RETRIES`].
pub const RACE_DELAY: Duration = Duration::from_millis(20);

/// For a write of a request, with all attempts. Within it the server has answered or the connection is given up; who asks
/// is told then whether the write may have been committed.
pub const WRITE_MAX: Duration = STATEMENT_MAX.saturating_add(Duration::from_secs(1));

/// Connections of the pool for requests.
pub const POOL_CONNECTIONS_MAX: usize = 16;

/// For another node's migrations to end.
pub const MIGRATION_LOCK_MAX: Duration = Duration::from_secs(60);

/// For all migrations to run.
pub const MIGRATION_MAX: Duration = Duration::from_secs(600);

/// Between two probes of an idle listener connection, and for the answer to one: a link that swallows packets is noticed
/// after the sum of both at the latest.
pub const PING_INTERVAL: Duration = Duration::from_secs(4);

/// See [`PING_INTERVAL`].
pub const PING_MAX: Duration = Duration::from_secs(3);

/// For the next row of a read of the log to arrive while the log is being followed: a link that swallows packets.
pub const READ_MAX: Duration = Duration::from_secs(6);

/// First and longest delay between two attempts of the listener to connect; doubled each time, and between half and all of it.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);

/// See [`RECONNECT_FIRST`].
pub const RECONNECT_LONGEST: Duration = Duration::from_secs(5);

/// The longest such delay while the database refuses plank, as with a wrong password.
pub const RECONNECT_REFUSED_LONGEST: Duration = Duration::from_secs(15);

/// How long `plank watch` and `plank unwatch` wait for those that use the table. Writers that come meanwhile wait behind
/// them, so it is not long.
pub const WATCH_LOCK_MAX: Duration = Duration::from_secs(5);

/// For all of `plank watch` or `plank unwatch`, with the locks of all partitions.
pub const WATCH_MAX: Duration = Duration::from_secs(60);

/// How old the knowledge may be which tables need no boundary ([`OWN_REFRESH`] asks for it again). Beyond it none does.
pub const OWN_MAX: Duration = Duration::from_secs(2);

/// From when on it is asked for again, beside the request that finds it so old; and between two attempts.
pub const OWN_REFRESH: Duration = Duration::from_millis(500);

/// For the answer. A request that waits for it is then served as if every table needed one.
pub const OWN_ANSWER_MAX: Duration = Duration::from_secs(2);

/// Bytes of a statement of `/rest` that is prepared. A plan may take a hundred times as many.
pub const REST_STATEMENT_BYTES_MAX: usize = 16 * 1_024;

/// Statements of `/rest` that stay prepared in each session, by their shape: which columns, conditions, order and limit. One takes
/// some 50 KiB there. The one that was used the longest ago makes way.
pub const REST_STATEMENTS_MAX: usize = 100;

/// Shapes that were seen once, and are prepared when they come again.
pub const REST_SHAPES_MAX: usize = 400;

/// For what a node that does not read the log asks of it when it starts: which log it is, and which tables are watched.
pub const STANDING_MAX: Duration = Duration::from_secs(10);
