//! Reads for clients that come back: the log behind their cursor, and whole tables.

use std::time::Duration;

/// The same for the first read of a connection, when the server may have to sort a backlog of many million rows.
pub const CATCH_UP_READ_MAX: Duration = Duration::from_secs(300);

/// Clients that read the log at a time because the window does not reach back far enough for them. The others wait.
pub const REPLAYS_MAX: usize = 4;

/// Bytes of a read of the log that many clients share: as far as from one mark to the next. A larger one is read for each.
pub const SHARED_READ_BYTES_MAX: usize = 20 * 1024 * 1024;

/// And of all that are in memory. Beyond it the oldest are forgotten, and while clients still have those, nothing more is shared.
pub const SHARED_READS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// For how long they are kept for those that come back a little later.
pub const SHARED_READ_KEPT: Duration = Duration::from_secs(120);

/// And how many: each client that asks looks through them.
pub const SHARED_READS_KEPT_MAX: usize = 256;

/// Such reads of one place, each of other tables, before the next one is of all tables.
pub const SHARED_READS_MAX: usize = 2;

/// Requests for changes that came within [`LOOKS_MEMORY`] while others waited for a look at the log, up to which each may cause a look
/// of its own. Beyond it they are a crowd: for each such request there are [`LOOKS_APART`] between two looks.
pub const LOOKS_FREE: f64 = 4.0;

/// See [`LOOKS_FREE`].
pub const LOOKS_MEMORY: Duration = Duration::from_secs(10);

/// See [`LOOKS_FREE`].
pub const LOOKS_APART: Duration = Duration::from_millis(20);

/// The longest time between two looks while a crowd waits.
pub const LOOKS_APART_MAX: Duration = Duration::from_secs(1);

/// Clients that load a snapshot at a time. The others wait.
pub const SNAPSHOTS_MAX: usize = 4;

/// Pages of tables that are read at a time, for requests. The others wait, but not behind whole tables.
pub const PAGES_MAX: usize = 4;

/// Bytes of rows of a table that are fetched at once, by the size of those before; PostgreSQL keeps them until they are sent.
pub const READ_PART_BYTES: usize = 256 * 1024;

/// Rows of a table that are fetched at once.
pub const READ_PART_ROWS_MAX: i32 = 4096;

/// For the next row of a page to arrive: a client waits for the answer.
pub const PAGE_READ_MAX: Duration = Duration::from_secs(30);

/// For a place among those. Beyond it the server is overloaded: a socket is closed with 1013, a request gets 503.
pub const HISTORY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Reads of one kind that may wait for a place.
pub const HISTORY_WAITING_MAX: usize = 32_768;

/// The same for one principal or address: half of them, so that others may wait as well.
pub const HISTORY_WAITING_OF_ONE_MAX: usize = HISTORY_WAITING_MAX / 2;

/// Questions to the log that take a moment, at once. They wait behind no read.
pub const LOOKS_MAX: usize = 2;

/// How long a client may hold such a place for a replay before others get their turn. It goes on behind them.
pub const REPLAY_HOLD_MAX: Duration = Duration::from_secs(10);

/// How long a client that catches up may take for one piece before its place is given to others.
pub const REPLAY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a client that loads a snapshot may take for one piece while others wait for its place. A slower one is closed
/// with 4000.
pub const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// And for all pieces of a snapshot together.
pub const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long a snapshot may take. It can't be interrupted, for its rows have to be of one moment.
pub const SNAPSHOT_MAX: Duration = Duration::from_secs(600);

/// First delay before a catch-up tries the database again, doubled up to [`super::RECONNECT_LONGEST`].
pub const CATCH_UP_RETRY: Duration = Duration::from_millis(200);
