//! What operators are told of the topics.

use std::time::Duration;

/// Topics that are told, the heaviest: what a person may read.
pub const ACTIVITY_TOPICS_MAX: usize = 30;

/// Characters of a filter that are told: it may have 16 KiB.
pub const ACTIVITY_FILTER_CHARS_MAX: usize = 200;

/// What a topic has sent counts half after this time.
pub const ACTIVITY_HALF_LIFE: Duration = Duration::from_secs(60);
