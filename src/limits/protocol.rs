//! The protocol: messages, frames, filters.

/// Bytes of one inbound WebSocket message, fragments joined. Clients send subscriptions, nothing large.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Fragments of one inbound message, and one more for each [`FRAGMENT_BYTES_MIN`] bytes that it may have: an empty one
/// costs nothing but time.
pub const FRAGMENTS_MAX: usize = 1_024;

/// See [`FRAGMENTS_MAX`].
pub const FRAGMENT_BYTES_MIN: usize = 64;

/// Bytes of a message below which it is not compressed: what is smaller than one change would hardly get smaller.
pub const DEFLATE_BYTES_MIN: usize = 256;

/// Bytes of a message above which it is not compressed: its worker does nothing else meanwhile, for some 5 ms.
pub const DEFLATE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that a worker keeps to compress and inflate into. What a larger message needs is given back behind it.
pub const DEFLATE_SCRATCH_BYTES_MAX: usize = 512 * 1024;

/// Bytes of the `id` that a client gives to a subscription.
pub const SUBSCRIPTION_ID_BYTES_MAX: usize = 64;

/// Column names in one subscription; PostgreSQL allows 1,600 columns in a table.
pub const SUBSCRIPTION_COLUMNS_MAX: usize = 1_600;

/// Bytes of those names together.
pub const SUBSCRIPTION_COLUMNS_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a filter, decoded.
pub const FILTER_BYTES_MAX: usize = 16 * 1024;

/// Conditions in a filter.
pub const FILTER_CONDITIONS_MAX: usize = 100;

/// Groups in groups.
pub const FILTER_DEPTH_MAX: usize = 10;

/// Values of one `in`.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// Characters of the pattern of a `like`.
pub const FILTER_PATTERN_MAX: usize = 200;

/// Bytes of the name of a table: two quoted names of 63 bytes, each of which might be a quote.
pub const TABLE_NAME_BYTES_MAX: usize = 300;

/// What a pattern costs in a filter, against any other condition: it walks through the whole value.
pub const PATTERN_COST: usize = 50;

/// What the filters of the topics of one principal may cost, and those of all: so many conditions, or as many patterns as
/// [`PATTERN_COST`] says.
pub const FILTER_COST_PER_PRINCIPAL_MAX: usize = 50_000;

/// See [`FILTER_COST_PER_PRINCIPAL_MAX`].
pub const FILTER_COST_MAX: usize = 500_000;

/// Bytes of changes that are handed at a time to a client that catches up. It takes one such piece, and only then the
/// next is made.
pub const PIECE_BYTES: usize = 64 * 1024;
