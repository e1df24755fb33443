//! How the log is followed, and how long it is kept.

use std::time::Duration;

/// Transactions of one read whose times the listener keeps, to tell how busy the writers are.
pub const BELL_TRANSACTIONS_MAX: usize = 10_000;

/// Bytes of rows after which the listener hands what it has read to the hub: a batch of any size passes in such chunks.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of the changes of one table that wait for the end of the statement that made them, so that those of each key can be
/// put into order. Beyond it the oldest go out.
pub const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keys of one table that the hub remembers of statements of which a part has gone out, at 40 bytes each. A statement that
/// comes back to a key beyond it resets the clients of the table.
pub const STATEMENT_KEYS_MAX: usize = 1024 * 1024;

/// The same for a client that catches up: there may be thousands of them.
pub const STATEMENT_KEYS_OF_REPLAY_MAX: usize = 64 * 1024;

/// Between two reads of the log that no doorbell asked for. They find nothing unless a bell was missed, which is counted.
pub const SAFETY_READ_INTERVAL: Duration = Duration::from_secs(30);

/// Transactions in a second at which the listener stops sleeping and polls when several write at a time: below it a bell
/// holds nobody up.
pub const BELL_BUSY: usize = 50;

/// The same when one writes at a time, whom a bell does not hold up: the reads would take too much. Below half of it it
/// goes back to sleep.
pub const BELL_ALONE: usize = 1_000;

/// How long the transactions of a second were open, all together, at which several are taken to write at a time. One after
/// the other they come to a second, and to the time that it takes to hear of each.
pub const BELL_COMPANY: Duration = Duration::from_millis(1_600);

/// For how long they are taken to go on: while the listener polls, nobody waits for a bell, and it can't tell.
pub const BELL_COMPANY_KEPT: Duration = Duration::from_secs(60);

/// What one transaction counts for at most: that one was open for long says nothing of others.
pub const BELL_OPEN_MAX: Duration = Duration::from_millis(100);

/// Transactions in a second below which it goes back to sleep.
pub const BELL_QUIET: usize = 10;

/// Transactions in a second up to which a listener that polls does so eagerly. From then on several come with each read
/// anyway, and a read takes time from the writers.
pub const BELL_MANY: usize = 400;

/// Between two reads of a listener that polls. On average a change waits for half of it.
pub const POLL_AWAKE: Duration = Duration::from_millis(10);

/// The same while there are some transactions, but not many: a client may write the next one when it has seen this one.
pub const POLL_EAGER: Duration = Duration::from_millis(3);

/// Between two reads of a listener that is about to sleep, and waits for older transactions to end. New ones ring.
pub const POLL_DROWSY: Duration = Duration::from_millis(50);

/// Bytes of recent changes that are kept in memory for clients that come back.
pub const WINDOW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A listener leaves a mark in the log after this many changes, and so a client that has missed much is led along in steps of
/// about as many.
pub const MARK_APART: i64 = 5_000;

/// Or after this many bytes of rows.
pub const MARK_BYTES: usize = 16 * 1024 * 1024;

/// Between two reads that the hub asks for, on behalf of cursors that are ahead of it.
pub const POLL_REQUEST_INTERVAL_MIN: Duration = Duration::from_millis(5);

/// How long changes are kept unless `--retention` says otherwise.
pub const RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// How many changes are kept unless `--retention-rows` says otherwise.
pub const RETENTION_ROWS_MAX: i64 = 10_000_000;

/// Between two looks at whether the log has to be pruned: a small part of the retention, within these.
pub const PRUNE_INTERVAL_MIN: Duration = Duration::from_millis(250);

/// See [`PRUNE_INTERVAL_MIN`].
pub const PRUNE_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// Between two looks at whether a watched table was altered, or its partitions.
pub const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
