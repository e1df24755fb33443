//! Tokens and their keys.

use std::time::Duration;

/// Bytes of a token. Headers of 8 KiB are what most servers and proxies take.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a token that fits into a cookie together with its name (RFC 6265, 6.1).
pub const COOKIE_TOKEN_BYTES_MAX: usize = 3_800;

/// By how much the clock of the issuer of tokens may differ.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(5);

/// Bytes of a secret, at least: what HS256 makes is as long (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Bytes of a file with keys.
pub const KEYS_BYTES_MAX: u64 = 1024 * 1024;

/// How often it is looked whether a file with keys has changed, at most.
pub const KEYS_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Between two reads of the keys at `--jwt-jwks-url`. A key that is taken back there works for this long.
pub const JWKS_INTERVAL: Duration = Duration::from_secs(300);

/// Between two reads that tokens with an unknown `kid` cause: anybody can make one up.
pub const JWKS_ASK_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// First delay before the URL is asked again when it does not answer, doubled up to [`JWKS_ASK_INTERVAL_MIN`].
pub const JWKS_RETRY_FIRST: Duration = Duration::from_secs(1);

/// For an answer of the URL.
pub const JWKS_ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long a request waits for a key that may have come to the URL just now.
pub const JWKS_ASK_MAX: Duration = JWKS_ANSWER_MAX.saturating_add(Duration::from_secs(1));

/// Unix time from which on a claim is taken for milliseconds: in seconds it is the year 5138.
pub const CLAIM_SECONDS_MAX: f64 = 1e11;

/// Between two looks at whose tokens have been taken back. A session looks as often again, and both are below a second.
pub const REVOKED_INTERVAL: Duration = Duration::from_millis(400);

/// How long a client of a WebSocket may take to say who it is, if its request did not.
pub const AUTH_MAX: Duration = Duration::from_secs(5);

/// How long a ticket works.
pub const TICKET_TTL: Duration = Duration::from_secs(30);
