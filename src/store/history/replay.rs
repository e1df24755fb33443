//! A step through the log that is under way: a read of its own, or a part of one that many share.

use std::sync::Arc;

use crate::feed::{Cursor, LogRow, PolicyVersion};
use crate::store::connect;
use crate::store::log::read::{Explain, PRUNED, Reading};

use super::shared::{Stretch, Want};
use super::slot::Slot;
use super::{HistoryError, Lost, holds};

/// How far a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To a mark, or to the end of an older read.
    Mark,
    /// To where the hub was.
    Hub,
    /// To now.
    Now,
}

/// See the module's documentation.
pub struct Replay(Kind);

enum Kind {
    Stream(Box<Stream>),
    Shared(Share),
}

/// A read for one client. The server waits while nobody takes its rows.
pub(super) struct Stream {
    pub slot: Slot,
    pub reading: Reading,
    /// Where it began.
    pub place: String,
    pub is_to_now: bool,
    /// By which its rows may be seen, from the beginning to the end.
    pub held: Option<PolicyVersion>,
    pub explain: Explain,
}

/// The rows of a client in a read for many.
struct Share {
    want: Want,
    stretch: Arc<Stretch>,
    at: usize,
}

impl From<Stream> for Replay {
    fn from(stream: Stream) -> Self {
        Self(Kind::Stream(Box::new(stream)))
    }
}

impl Replay {
    pub(super) fn shared(want: Want, stretch: Arc<Stretch>) -> Self {
        let seq = want.rest.as_ref().map_or(i64::MIN, |rest| rest.seq);
        let at = stretch.behind(seq);
        Self(Kind::Shared(Share { want, stretch, at }))
    }

    /// The cursor after it, once it has been finished.
    pub fn end(&self) -> &Arc<Cursor> {
        match &self.0 {
            Kind::Stream(stream) => stream.reading.end(),
            Kind::Shared(share) => share.stretch.end(),
        }
    }

    /// How far it goes.
    pub fn goal(&self) -> Goal {
        match &self.0 {
            Kind::Stream(stream) if stream.is_to_now => Goal::Now,
            Kind::Shared(share) if *share.stretch.end() == share.want.known => Goal::Hub,
            Kind::Stream(_) | Kind::Shared(_) => Goal::Mark,
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn next(&mut self) -> Result<Option<LogRow>, HistoryError> {
        match &mut self.0 {
            Kind::Stream(stream) => Ok(stream.reading.next().await?),
            Kind::Shared(Share { want, stretch, at }) => {
                let next = stretch.next(*at, &want.from.snapshot, &want.rels);
                Ok(next.map(|(row, behind)| {
                    *at = behind;
                    row.clone()
                }))
            }
        }
    }

    /// After the last row: whether all of them were still there. Only this makes what was read a step.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(self) -> Result<Result<(), Lost>, HistoryError> {
        match self.0 {
            Kind::Stream(stream) => stream.finish().await,
            // That was asked when it was read.
            Kind::Shared(_) => Ok(Ok(())),
        }
    }
}

impl Stream {
    async fn finish(self) -> Result<Result<(), Lost>, HistoryError> {
        let client = self.slot.client();
        let ask = async {
            let statement = client.prepare_cached(PRUNED).await?;
            client.query_one(&statement, &[&self.place]).await
        };
        let ask = async { ask.await.map_err(|e| self.explain.error(&e)) };
        let is_pruned: bool = connect::soon("pruned", ask).await?.get(0);
        let holds = holds(&self.slot, self.held.as_ref(), &self.explain).await?;
        self.slot.done();
        Ok(match (is_pruned, holds) {
            (true, _) => Err(Lost::Pruned),
            (_, false) => Err(Lost::Revoked),
            _ => Ok(()),
        })
    }
}
