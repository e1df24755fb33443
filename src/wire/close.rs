//! The registry of close codes: what each one means, what a client must do about it, and
//! which of them may appear on the wire at all. It never decides when to close.

use std::fmt;

/// A status code of a Close frame (RFC 6455, section 7.4).
///
/// The constants are the codes that plank itself sends or expects. A value can only be made of
/// a code that is legal on the wire, so every `CloseCode` may be sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

/// What a Close frame says (RFC 6455, section 5.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    /// Why, for the program.
    pub code: CloseCode,
    /// Why, for a human; at most 123 bytes on the wire, often empty.
    pub reason: String,
}

/// Declares each code once: its constant, its place in [`CloseCode::ALL`] and its label.
macro_rules! registry {
    ($($(#[$doc:meta])+ $name:ident = $code:literal, $label:literal;)+) => {
        impl CloseCode {
            $($(#[$doc])+ pub const $name: Self = Self($code);)+

            /// Every registered code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A short stable name for metrics; `other` for a code that is not registered, so
            /// that a peer can't invent labels.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self.0 {
                    $($code => $label,)+
                    _ => "other",
                }
            }
        }
    };
}

registry! {
    /// The purpose of the connection is fulfilled. Nothing to do.
    NORMAL = 1000, "normal";
    /// The server goes down or the page is left. Reconnect with the cursor, after the hinted delay.
    GOING_AWAY = 1001, "going_away";
    /// The peer broke RFC 6455. Mend the client; a reconnect would end the same way.
    PROTOCOL_ERROR = 1002, "protocol_error";
    /// A kind of message that is not served here, such as binary. Mend the client.
    UNSUPPORTED = 1003, "unsupported";
    /// A text message or a close reason was not UTF-8. Mend the client.
    INVALID_DATA = 1007, "invalid_data";
    /// The message or the request breaks a rule that no other code names. Don't repeat it.
    POLICY = 1008, "policy";
    /// A message, by the length it declares, is above the limit. Send smaller ones.
    TOO_BIG = 1009, "too_big";
    /// The server failed. Reconnect with the cursor, with back-off.
    INTERNAL = 1011, "internal";
    /// The server restarts. Reconnect with the cursor, after the hinted delay plus jitter.
    RESTART = 1012, "restart";
    /// The server is overloaded for now. Reconnect with the cursor, with back-off.
    TRY_LATER = 1013, "try_later";
    /// The client reads more slowly than changes arrive, and its queue is full. Reconnect with
    /// the cursor; nothing is lost.
    SLOW = 4000, "slow";
    /// The client fell behind what is kept in memory, and can't be served from the log on this socket. Reconnect with the cursor: the log serves
    /// it, or a `reset` says that it can't.
    LAGGING = 4001, "lagging";
    /// No pong came in time. Reconnect with the cursor.
    PONG_TIMEOUT = 4002, "pong_timeout";
    /// The client sent more messages than allowed. Reconnect with the cursor and send fewer.
    RATE = 4003, "rate";
    /// No valid credential arrived in time. Get one before the next attempt.
    UNAUTHENTICATED = 4501, "unauthenticated";
    /// The token has expired. Get a new one before the next attempt.
    TOKEN_EXPIRED = 4502, "token_expired";
    /// The credential is valid and doesn't allow this. Don't come back with the same one.
    FORBIDDEN = 4503, "forbidden";
    /// A well-formed WebSocket message that is no `plank.v1`. Mend the client.
    MISUSE = 4504, "misuse";
}

impl CloseCode {
    /// The code as received from a peer; `None` where it must not be sent at all (RFC 6455,
    /// section 7.4). 1004, 1005, 1006 and 1015 are reserved for local use, 1016 to 2999 and
    /// everything outside 1000 to 4999 are unassigned.
    #[must_use]
    pub const fn from_wire(code: u16) -> Option<Self> {
        if is_legal_on_wire(code) {
            Some(Self(code))
        } else {
            None
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a client may come back with its cursor, unchanged.
    ///
    /// Yes for 4000 to 4499 and for trouble on the server's side (1001, 1011 to 1014); no for
    /// 4500 to 4999, for the client's own mistakes and for an orderly end.
    #[must_use]
    pub const fn may_reconnect(self) -> bool {
        matches!(self.0, 1001 | 1011..=1014 | 4000..=4499)
    }
}

/// Whether a peer may put `code` into a Close frame (RFC 6455, section 7.4, and the IANA
/// registry for 1012 to 1014).
#[must_use]
pub const fn is_legal_on_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn registered_codes_are_legal_ordered_and_distinctly_labelled() {
        assert!(
            CloseCode::ALL
                .iter()
                .all(|code| is_legal_on_wire(code.get()))
        );
        assert!(CloseCode::ALL.is_sorted_by(|a, b| a < b));
        let labels: HashSet<_> = CloseCode::ALL.iter().map(|code| code.label()).collect();
        assert_eq!(labels.len(), CloseCode::ALL.len());
        assert!(!labels.contains("other"));
    }

    #[test]
    fn legal_codes_are_those_of_section_7_4() {
        let legal = (0..=u16::MAX).filter(|&code| is_legal_on_wire(code));
        let expected = (1000..=1003).chain(1007..=1014).chain(3000..=4999);
        assert!(legal.eq(expected));
        assert_eq!(CloseCode::from_wire(1005), None);
        assert_eq!(CloseCode::from_wire(1000), Some(CloseCode::NORMAL));
    }

    #[test]
    fn the_range_tells_whether_to_reconnect() {
        let back: Vec<u16> = (CloseCode::ALL.iter())
            .filter(|code| code.may_reconnect())
            .map(|code| code.get())
            .collect();
        assert_eq!(back, [1001, 1011, 1012, 1013, 4000, 4001, 4002, 4003]);
        let foreign = |code| CloseCode::from_wire(code).map(CloseCode::may_reconnect);
        assert_eq!(foreign(4499), Some(true));
        assert_eq!(foreign(4500), Some(false));
        assert_eq!(foreign(3000), Some(false));
    }

    #[test]
    fn an_unregistered_code_shares_one_label() {
        assert_eq!(
            CloseCode::from_wire(4999).map(CloseCode::label),
            Some("other")
        );
        assert_eq!(CloseCode::SLOW.label(), "slow");
        assert_eq!(CloseCode::SLOW.to_string(), "4000");
    }
}
