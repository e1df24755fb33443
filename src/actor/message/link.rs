//! How the hub reaches a shard, whatever actor that is.

use actix::dev::RecipientRequest;
use actix::prelude::*;

use super::{Advance, Drain, Joined, Push, Receipt, Refused, Reset, Restart, Retire, Started};

/// All that a shard is told without an answer.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ToShard {
    /// See [`Advance`].
    Advance(Advance),
    /// See [`Joined`].
    Joined(Joined),
    /// See [`Started`].
    Started(Started),
    /// See [`Restart`].
    Restart(Restart),
    /// See [`Receipt`].
    Receipt(Receipt),
    /// See [`Refused`].
    Refused(Refused),
    /// See [`Reset`].
    Reset(Reset),
    /// See [`Retire`].
    Retire(Retire),
    /// See [`Drain`].
    Drain(Drain),
}

macro_rules! to_shard {
    ($($name:ident),+) => {$(
        impl From<$name> for ToShard {
            fn from(message: $name) -> Self {
                Self::$name(message)
            }
        }
    )+};
}

to_shard!(
    Advance, Joined, Started, Restart, Receipt, Refused, Reset, Retire, Drain
);

/// A shard's mailbox. What is told comes in order, frames and all else.
#[derive(Clone, Debug)]
pub struct ShardLink {
    frames: Recipient<Push>,
    all_else: Recipient<ToShard>,
}

impl ShardLink {
    /// That of this actor.
    pub fn new<A>(shard: Addr<A>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Push> + Handler<ToShard>,
    {
        Self {
            frames: shard.clone().recipient(),
            all_else: shard.recipient(),
        }
    }

    /// Hands frames over; the answer comes when they have been taken.
    pub fn push(&self, push: Push) -> RecipientRequest<Push> {
        self.frames.send(push)
    }

    /// Tells all else. A shard that is gone is told nothing.
    pub fn tell(&self, message: impl Into<ToShard>) {
        self.all_else.do_send(message.into());
    }
}
