//! A chunk of the log, worked on in turns: the hub looks at its mailbox at least every [`TURN_MAX`], however many filters have
//! to be asked, and hands on what it has made before that takes too much memory. The order is that of the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::feed::filter::Shape;
use crate::feed::{Change, Cursor, LogRow, Projection, Table, TopicId};
use crate::limits::{BATCH_TEXT_BYTES_MAX, TURN_MAX};

use super::Hub;
use super::follow::{Sent, Turn};
use crate::actor::message::Chunk;

/// The rest of a chunk.
pub(super) struct Work {
    rows: std::vec::IntoIter<LogRow>,
    next: Arc<Cursor>,
    last: bool,
    asked: u64,
    newest_at_us: Option<i64>,
    /// Whether what was held back for the end of the batch has been taken.
    is_settled: bool,
    turn: Turn,
    /// Gets what the shards have not taken yet, when all is done.
    done: oneshot::Sender<Sent>,
}

/// A change, and the topics that are still to be asked about it.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// None before the first turn.
    pub concerned: Option<VecDeque<TopicId>>,
    /// Its texts so far.
    pub made: Vec<(Projection, Shape, String)>,
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the end.
    Done,
    /// Its time is up.
    Late,
    /// There is much that the shards have not taken.
    Full,
}

/// When a turn has to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    until: Option<Instant>,
}

impl Bounds {
    /// Ends after [`TURN_MAX`].
    fn of_a_turn() -> Self {
        let until = Instant::now() + TURN_MAX;
        Self { until: Some(until) }
    }

    /// Never ends: what follows can't be put off.
    pub(super) fn none() -> Self {
        Self { until: None }
    }

    /// Whether to go on, with so much text held.
    pub(super) fn check(self, text_bytes: usize) -> Step {
        match self.until {
            None => Step::Done,
            Some(_) if text_bytes > BATCH_TEXT_BYTES_MAX => Step::Full,
            Some(until) if Instant::now() >= until => Step::Late,
            Some(_) => Step::Done,
        }
    }
}

/// The next turn.
#[derive(Message)]
#[rtype(result = "()")]
pub struct GoOn;

impl Handler<GoOn> for Hub {
    type Result = ();

    fn handle(&mut self, _: GoOn, ctx: &mut Self::Context) {
        self.go_on(ctx);
    }
}

impl Hub {
    /// Begins with a chunk; resolves when the shards have all of it.
    pub(super) fn begin(
        &mut self,
        chunk: Chunk,
        ctx: &mut <Self as Actor>::Context,
    ) -> ResponseFuture<()> {
        self.finish_work(ctx);
        self.open_batch(&chunk);
        let (done, taken) = oneshot::channel();
        self.work = Some(Work {
            newest_at_us: chunk.rows.iter().map(|row| row.at_us).max(),
            rows: chunk.rows.into_iter(),
            next: chunk.next,
            last: chunk.last,
            asked: chunk.asked,
            is_settled: false,
            turn: Turn::default(),
            done,
        });
        self.go_on(ctx);
        Box::pin(async {
            // A shard that is gone has no sockets any more.
            if let Ok(sent) = taken.await {
                join_all(sent).await;
            }
        })
    }

    fn go_on(&mut self, ctx: &mut <Self as Actor>::Context) {
        let Some(mut work) = self.work.take() else {
            return;
        };
        match self.work_on(&mut work, Bounds::of_a_turn()) {
            Step::Done => self.close(work, ctx),
            Step::Late => {
                self.metrics.limit("hub_turn");
                self.work = Some(work);
                // Lagging all that is in the mailbox by now.
                ctx.notify(GoOn);
            }
            Step::Full => {
                self.metrics.limit("batch_text");
                let frames = self.batch.as_mut().map(super::Batch::cut_all);
                self.push(frames.unwrap_or_default(), None, &mut work.turn.sent);
                let sent = std::mem::take(&mut work.turn.sent);
                self.work = Some(work);
                let taken = join_all(sent).into_actor(self);
                ctx.spawn(taken.map(|_, hub, ctx| hub.go_on(ctx)));
            }
        }
    }

    /// Ends what is under way at once: what comes now is about what is behind it.
    pub(super) fn finish_work(&mut self, ctx: &mut <Self as Actor>::Context) {
        if let Some(mut work) = self.work.take() {
            self.work_on(&mut work, Bounds::none());
            self.close(work, ctx);
        }
    }

    fn work_on(&mut self, work: &mut Work, bounds: Bounds) -> Step {
        loop {
            let step = self.add(&mut work.turn, bounds);
            if step != Step::Done {
                return step;
            }
            match work.rows.next() {
                Some(row) => self.take(row, &mut work.turn),
                None if work.last && !work.is_settled => {
                    work.is_settled = true;
                    self.finish_expanding(&mut work.turn);
                }
                None => return Step::Done,
            }
        }
    }

    fn close(&mut self, mut work: Work, ctx: &mut <Self as Actor>::Context) {
        self.end_chunk(
            work.next,
            work.last,
            work.asked,
            work.newest_at_us,
            &mut work.turn,
        );
        // The listener may have given up.
        let _ = work.done.send(work.turn.sent);
        if work.last {
            self.answer_pending();
            self.settle_derived(ctx);
        }
    }
}

/// A change that waits for its turn.
pub(super) type Waiting = VecDeque<(Arc<Table>, Change)>;
