//! Spans.

use std::time::Duration;

/// Spans that wait for the collector, and spans of one batch. More are dropped, and counted (`plank_limits_total{limit="spans"}`).
pub const SPANS_WAITING_MAX: usize = 4_096;

/// Spans of one request to the collector.
pub const SPANS_PER_REQUEST_MAX: usize = 512;

/// How long the first span of a request waits for others.
pub const SPANS_GATHER: Duration = Duration::from_millis(500);

/// For the collector to answer. What it does not take in time is lost: spans are worth no delay and no memory.
pub const OTLP_ANSWER_MAX: Duration = Duration::from_secs(5);

/// For the spans that wait when plank ends.
pub const OTLP_LAST_MAX: Duration = Duration::from_secs(2);
