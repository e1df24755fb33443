//! How many requests a second a client may send.

use std::num::NonZeroU32;

use crate::limits::{HANDSHAKES_PER_SECOND, MESSAGES_PER_SECOND, REQUESTS_PER_SECOND};

use super::{ConfigError, ServeArgs};

/// How many requests a second a client may send; see [`ServeArgs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of one address, and of one principal.
    pub requests: NonZeroU32,
    /// WebSockets of one address.
    pub handshakes: NonZeroU32,
    /// On one WebSocket.
    pub messages: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let of = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            requests: of(REQUESTS_PER_SECOND),
            handshakes: of(HANDSHAKES_PER_SECOND),
            messages: of(MESSAGES_PER_SECOND),
        }
    }
}

impl Rates {
    /// What the flags say.
    ///
    /// # Errors
    /// If one is 0.
    pub(super) fn new(args: &ServeArgs) -> Result<Self, ConfigError> {
        Ok(Self {
            requests: rate("--max-requests-per-second", args.max_requests_per_second)?,
            handshakes: rate(
                "--max-handshakes-per-second",
                args.max_handshakes_per_second,
            )?,
            messages: rate("--max-messages-per-second", args.max_messages_per_second)?,
        })
    }
}

fn rate(flag: &str, per_second: u32) -> Result<NonZeroU32, ConfigError> {
    NonZeroU32::new(per_second)
        .ok_or_else(|| ConfigError(format!("{flag} is 0; it has to be at least 1")))
}
