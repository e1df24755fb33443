//! Requests and answers over HTTP.

use std::time::Duration;

/// Bytes of a request body on `/api`. One row of `items` fits many times over.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// For the head of a request to arrive.
pub const REQUEST_HEAD_MAX: Duration = Duration::from_secs(10);

/// How long an HTTP connection may rest between two requests, unless `--keep-alive` says otherwise. Longer than nginx and
/// most load balancers keep one (60 s): when both close at the same time, a request gets lost, and a proxy does not send a
/// POST again.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The same while more than half of the connections are taken, of the process or of the client's address.
pub const KEEP_ALIVE_CROWDED: Duration = Duration::from_secs(5);

/// For the rest of a request, and for a response to be written, when a socket is being closed.
pub const DISCONNECT_MAX: Duration = Duration::from_secs(3);

/// Changes in one answer of `/api/changes`, at most and by default.
pub const CHANGES_MAX: usize = 10_000;

/// See [`CHANGES_MAX`].
pub const CHANGES_DEFAULT: usize = 1_000;

/// Seconds that a long poll may wait.
pub const LONG_POLL_WAIT_MAX_S: usize = 60;

/// For the rest of a batch whose beginning a long poll has passed on. Longer ones end the connection, and the client asks
/// again.
pub const LONG_POLL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Milliseconds after which an EventSource comes back, and up to how much later: each one at a time of its own.
pub const SSE_RETRY_MS: u64 = 2_000;

/// See [`SSE_RETRY_MS`].
pub const SSE_RETRY_SPREAD_MS: u64 = 1_000;

/// Bytes of log rows that an answer of `/api/changes` gathers to find a place to end at. Longer ones are streamed to the
/// end of their batch.
pub const CHANGES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows in one answer of `/api/tables/{table}/rows`, at most and by default. As NDJSON there may be any number.
pub const ROWS_MAX: usize = 10_000;

/// See [`ROWS_MAX`].
pub const ROWS_DEFAULT: usize = 1_000;

/// Rows of one answer of `/rest`: as many as a request can ask for, and as many as it gets that does not say.
pub const REST_ROWS_MAX: usize = 1_000;

/// Bytes of the rows of one answer of `/rest`.
pub const REST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Rows that `Prefer: count=estimated` counts one by one.
pub const REST_COUNT_MAX: u64 = 10_000;

/// Rows of one write of `/rest`, and operations of one batch.
pub const REST_WRITES_MAX: usize = 1_000;

/// How long the answer to an `Idempotency-Key` is kept.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Bytes of the documents `/openapi.json` that are kept. Beyond it all are let go, and made again when they are asked for
/// (`plank_limits_total{limit="openapi"}`).
pub const DOCUMENTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Columns that a client names in `order`.
pub const ORDER_COLUMNS_MAX: usize = 16;

/// Bytes of the values that say where a page ends. They come back in a query string, which most programs and proxies
/// don't let grow beyond 8 KiB.
pub const PLACE_BYTES_MAX: usize = 4 * 1024;

/// Rows of a page of `/api/items`, at most and by default.
pub const PAGE_ROWS_MAX: u32 = 200;

/// See [`PAGE_ROWS_MAX`].
pub const PAGE_ROWS_DEFAULT: u32 = 50;

/// For `plank ready` to have its answer: below the time that a health check of a container usually has.
pub const READY_ANSWER_MAX: Duration = Duration::from_secs(4);
