//! What a client can do wrong under RFC 6455, and the close code for it. The sections named are
//! those of the RFC.

use crate::wire::close::CloseCode;

/// Why a connection must be failed: with [`Violation::close_code`], and the sentence as its
/// reason, which fits a Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A client must mask every frame (section 5.1).
    #[error("the frame is not masked")]
    Unmasked,
    /// RSV1 to RSV3 belong to extensions, RSV1 to the first frame of a message (section 5.2).
    #[error("a reserved bit is set and no negotiated extension uses it here")]
    ReservedBits,
    /// Opcodes 3 to 7 and 11 to 15 are reserved (section 5.2).
    #[error("opcode {0} is reserved")]
    UnknownOpcode(u8),
    /// A control frame must not be fragmented (section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame has at most 125 bytes of payload (section 5.5).
    #[error("a control frame announces more than 125 bytes")]
    LongControl,
    /// There is no message to continue (section 5.4).
    #[error("a continuation frame continues no message")]
    StrayContinuation,
    /// Messages must not be interleaved (section 5.4).
    #[error("a message begins inside another, fragmented one")]
    InterleavedMessage,
    /// A length must take the shortest form, with the top bit of 64 clear (section 5.2).
    #[error("the payload length is not in its shortest form, or beyond 63 bits")]
    MalformedLength,
    /// The message is above the limit by its declared length, with all fragments so far.
    #[error("the message announces at least {bytes} bytes, the limit is {bytes_max}")]
    TooBig {
        /// What the message would come to with this frame.
        bytes: u64,
        /// The limit given to [`Decoder::new`](crate::wire::decode::Decoder::new).
        bytes_max: usize,
    },
    /// The message is in more pieces than its size could explain.
    #[error("the message has more than {0} fragments")]
    TooManyFragments(usize),
    /// A compressed message is above the limit, whatever it announces.
    #[error("the message has more than {bytes_max} bytes when it is inflated, which is the limit")]
    InflatesTooBig {
        /// The limit.
        bytes_max: usize,
    },
    /// A compressed message is not what a compressor makes (RFC 7692, section 7.2.2).
    #[error("the compressed message can't be inflated")]
    NotDeflate,
    /// A text message or the reason of a Close is not UTF-8 (section 8.1).
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The payload of a Close is empty or begins with two bytes of code (section 5.5.1).
    #[error("a close frame has half a status code")]
    ShortClose,
    /// The code must not be sent (section 7.4).
    #[error("close code {0} must not be sent")]
    IllegalCloseCode(u16),
}

impl Violation {
    /// The code to fail the connection with: 1002, 1007 or 1009.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::TooBig { .. } | Self::InflatesTooBig { .. } | Self::TooManyFragments(_) => {
                CloseCode::TOO_BIG
            }
            Self::InvalidUtf8 | Self::NotDeflate => CloseCode::INVALID_DATA,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::REASON_BYTES_MAX;

    #[test]
    fn the_close_code_follows_section_7_4() {
        assert_eq!(Violation::Unmasked.close_code(), CloseCode::PROTOCOL_ERROR);
        assert_eq!(Violation::InvalidUtf8.close_code(), CloseCode::INVALID_DATA);
        let too_big = Violation::TooBig {
            bytes: 2,
            bytes_max: 1,
        };
        assert_eq!(too_big.close_code(), CloseCode::TOO_BIG);
    }

    #[test]
    fn the_sentence_fits_a_close_frame() {
        let longest = Violation::TooBig {
            bytes: u64::MAX,
            bytes_max: usize::MAX,
        };
        let inflates = Violation::InflatesTooBig {
            bytes_max: usize::MAX,
        };
        for violation in [
            longest,
            inflates,
            Violation::MalformedLength,
            Violation::ReservedBits,
        ] {
            assert!(
                violation.to_string().len() <= REASON_BYTES_MAX,
                "{violation}"
            );
        }
    }
}
