//! Why a catch-up ends early, whatever it was that ended it.

use crate::feed::change_encoder::Unfit;
use crate::store::HistoryError;
use crate::store::history::{Lost, Unpaced};
use crate::wire::message::{Refusal, ResetReason};

use crate::actor::clients::gate::Over;

/// Why a catch-up ends before the subscription is live.
pub(super) enum Stop {
    /// The client or the subscription is gone.
    Over,
    /// The client has to begin anew.
    Broken(ResetReason),
    /// The table is not watched any more.
    Gone,
    /// The table can't be read.
    Refused(Refusal),
    /// Too many others wait.
    Busy,
    /// Others wait for a client that does not read.
    Slow,
    /// The database is away.
    Away(String),
}

impl From<Over> for Stop {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

impl From<Unfit> for Stop {
    fn from(_: Unfit) -> Self {
        Self::Broken(ResetReason::Schema)
    }
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        Self::Broken(match lost {
            Lost::Pruned => ResetReason::Expired,
            Lost::Foreign => ResetReason::Epoch,
            Lost::Revoked => ResetReason::Schema,
        })
    }
}

impl From<HistoryError> for Stop {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Busy => Self::Busy,
            HistoryError::Away(why) => Self::Away(why),
            HistoryError::Unservable(why) => {
                log::warn!("replay ended, the client begins anew reason=\"{why}\"");
                Self::Broken(ResetReason::Epoch)
            }
            HistoryError::Denied(code, message) => Self::refused(code, message, None),
            HistoryError::Wrong { field, detail } => {
                let message = format!("{field}: {detail}");
                Self::refused("bad_message", message, Some(field.into()))
            }
        }
    }
}

impl From<Unpaced<Over>> for Stop {
    fn from(unpaced: Unpaced<Over>) -> Self {
        match unpaced {
            Unpaced::Late => Self::Busy,
            Unpaced::Slow => Self::Slow,
            Unpaced::Over(over) => over.into(),
        }
    }
}

impl Stop {
    fn refused(code: &'static str, message: String, field: Option<String>) -> Self {
        Self::Refused(Refusal {
            id: None,
            code,
            message,
            field,
        })
    }
}
