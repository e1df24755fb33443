//! Where what was read goes: to the hub of this node, or to the stream that all nodes follow.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::actor::hub::Hub;
use crate::actor::message::{Chunk, Live};
use crate::backplane::{LinkError, Origin, Writer};
use crate::feed::Catalog;
use crate::health::Health;
use crate::limits::ACTOR_SILENCE_MAX;
use crate::store::ConnectError;
use crate::store::log::LogReader;
use crate::wire::message::ResetReason;

/// See the module's documentation.
#[derive(Clone)]
pub(super) enum Sink {
    /// The hub.
    Hub(Addr<Hub>),
    /// The stream.
    Stream(Arc<Mutex<Writer>>),
}

/// Tells the hub. It answers when all shards have taken what it sent: that is the back-pressure.
pub(super) async fn tell<M>(hub: &Addr<Hub>, message: M) -> Result<(), ConnectError>
where
    M: Message<Result = ()> + Send + 'static,
    Hub: Handler<M>,
{
    match timeout(ACTOR_SILENCE_MAX, hub.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(ConnectError::Broken(
            "the hub does not answer; plank can't go on".into(),
        )),
    }
}

fn away(error: LinkError) -> ConnectError {
    ConnectError::Away(error.to_string())
}

impl Sink {
    /// Whether it is the hub of this node.
    pub(super) fn is_hub(&self) -> bool {
        matches!(self, Self::Hub(_))
    }

    /// The tables that are watched. The stream does not have them: each node that starts asks.
    pub(super) async fn catalog(&self, reader: &LogReader) -> Result<Catalog, ConnectError> {
        match self {
            Self::Hub(_) => reader.catalog().await,
            Self::Stream(_) => Ok(Catalog::default()),
        }
    }

    /// Where the log is followed from; `is_first`: nothing was before.
    pub(super) async fn live(&self, live: Live, is_first: bool) -> Result<(), ConnectError> {
        let writer = match self {
            Self::Hub(hub) => return tell(hub, live).await,
            Self::Stream(writer) => writer,
        };
        let mut writer = writer.lock().await;
        if *writer.epoch() != live.cursor.epoch {
            return Err(ConnectError::Away("the log has been begun anew".into()));
        }
        let origin = match live.broken {
            None if !is_first => return Ok(()),
            None => Origin::Empty,
            Some(ResetReason::Expired) => Origin::Pruned,
            Some(_) => Origin::Forgotten,
        };
        log::info!("stream is begun anew reason={origin:?}");
        let begun = writer.begin_anew(origin, &live.cursor.snapshot).await;
        begun.map_err(away)
    }

    /// A part of a batch.
    pub(super) async fn chunk(&self, chunk: Chunk, health: &Health) -> Result<(), ConnectError> {
        let writer = match self {
            Self::Hub(hub) => return tell(hub, chunk).await,
            Self::Stream(writer) => writer,
        };
        let Chunk {
            rows,
            next,
            last,
            asked,
        } = chunk;
        let behind = health.lag();
        let mut writer = writer.lock().await;
        let written = writer.part(rows, &next.snapshot, last, asked, behind).await;
        written.map_err(away)
    }
}
