//! Live queries.

use std::time::Duration;

/// Rows of the result of a live query, unless `--live-query-rows-max` says otherwise.
pub const LIVE_QUERY_ROWS_MAX: i64 = 100_000;

/// For a refresh of a live query. Beyond it the query is stale, and is tried again later.
pub const LIVE_QUERY_REFRESH_MAX: Duration = Duration::from_secs(30);

/// For the answer to a statement of the refresher that has to be a short one.
pub const LIVE_QUERY_ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a refresh waits for a lock. It needs none that others hold for long.
pub const LIVE_QUERY_LOCK_MAX: Duration = Duration::from_secs(1);

/// Refreshes of different queries that are under way at the same time on one node.
pub const LIVE_QUERY_REFRESHES_MAX: usize = 6;

/// So many of them may be of dear queries: the others never wait for those.
pub const LIVE_QUERY_DEAR_REFRESHES_MAX: usize = 3;

/// A query whose refresh takes longer is dear.
pub const LIVE_QUERY_DEAR: Duration = Duration::from_millis(500);

/// Connections that are kept for the next refreshes.
pub const LIVE_QUERY_CONNECTIONS_KEPT: usize = 2;

/// How long a node leaves a change to the node that has refreshed the query last. When that one is gone, another one takes over after
/// this time.
pub const LIVE_QUERY_TAKE_OVER: Duration = Duration::from_millis(500);

/// Between two tries to refresh a query that another node is refreshing.
pub const LIVE_QUERY_BUSY: Duration = Duration::from_millis(50);

/// Between two looks at which live queries there are, and whether what they read was altered.
pub const LIVE_QUERY_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Before the refresher tries again when the database was away.
pub const LIVE_QUERY_AWAY: Duration = Duration::from_secs(1);

/// Transactions that are remembered for each table until a query that reads it was refreshed. Beyond it the log is asked.
pub const LIVE_QUERY_XIDS_MAX: usize = 1_000;

const _: () = assert!(LIVE_QUERY_DEAR_REFRESHES_MAX < LIVE_QUERY_REFRESHES_MAX);
const _: () = assert!(
    LIVE_QUERY_TAKE_OVER.as_millis() < 1_500,
    "another node takes over within 2 s"
);
