//! Windows and counts that are followed.

use std::time::Duration;

/// Rows of a window.
pub const LIVE_WINDOW_ROWS_MAX: usize = 1_000;

/// Groups of a subscription that counts.
pub const COUNT_GROUPS_MAX: usize = 10_000;

/// Different windows and counts of one principal, and of all. `--auth off` knows no principals.
pub const DERIVED_PER_PRINCIPAL_MAX: usize = 1_000;

/// See [`DERIVED_PER_PRINCIPAL_MAX`].
pub const DERIVED_MAX: usize = 20_000;

/// Bytes of rows that one window holds, or counts.
pub const DERIVED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same of all windows and counts of one principal.
pub const DERIVED_BYTES_PER_PRINCIPAL_MAX: usize = 128 * 1024 * 1024;

/// The same of all of them.
pub const DERIVED_BYTES_OF_ALL_MAX: usize = 512 * 1024 * 1024;

/// What clients are told of a window is computed at most so often.
pub const DERIVED_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of changes that wait for a window which is being read. Beyond it the window is read once more.
pub const DERIVED_WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Windows and counts that are read from the database at a time. The others wait, those of each principal in turn.
pub const DERIVED_READS_MAX: usize = 4;

/// For all rows of a window, or of counts, to arrive. One that takes longer is tried again, later and later.
pub const DERIVED_READ_MAX: Duration = Duration::from_secs(60);

/// How long reads of a window, or of counts, may fail one after the other while the log is followed. Then those that wait for its rows
/// are told, and those that follow it begin anew. A read that takes [`DERIVED_READ_MAX`] is enough.
pub const DERIVED_FAILING_MAX: Duration = DERIVED_READ_MAX;

/// Rows of two lists that the hub compares itself. More are compared on another thread.
pub const DERIVED_INLINE_ROWS_MAX: usize = 1_000;

/// The same in bytes.
pub const DERIVED_INLINE_BYTES_MAX: usize = 512 * 1024;
