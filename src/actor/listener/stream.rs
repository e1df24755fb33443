//! Follows the stream of the backplane instead of the log: no connection of its own to PostgreSQL, and nothing that depends on
//! how many nodes there are. What does not continue what the hub has it leaves to the log.

use std::sync::Arc;

use actix::prelude::*;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout_at};

use crate::actor::hub::Hub;
use crate::actor::message::{Chunk, Live};
use crate::actor::poll_request::PollRequest;
use crate::actor::refresh_request::{RefreshRequest, Touched};
use crate::backplane::codec::{Assembler, Head};
use crate::backplane::link::{LogStream, Tail};
use crate::backplane::{Chain, Link, LinkError, Message, Origin, Step};
use crate::feed::{Cursor, Epoch};
use crate::health::Health;
use crate::limits::{
    BACKPLANE_ASK_AGAIN, BACKPLANE_SILENCE_MAX, BACKPLANE_STEADY, POLL_REQUEST_INTERVAL_MIN,
};
use crate::metrics::Metrics;
use crate::store::{ConnectError, log as store_log};
use crate::wire::message::ResetReason;

use super::sink::tell;
use super::way_back::{again, begin_again};
use super::{Listener, ResumePoint, Settings};

/// See the module's documentation.
pub(super) struct StreamFollower {
    settings: Settings,
    hub: Addr<Hub>,
    poll_request: Arc<PollRequest>,
    refresh_request: Arc<RefreshRequest>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    pub(super) place: ResumePoint,
    /// Chosen at random: whose questions the reader answers.
    node: u64,
    /// The newest of this node's questions that was answered.
    answered: u64,
    /// The same, as the hub knows it.
    told: u64,
    touched: Touched,
    live_since: Option<Instant>,
}

/// Why the stream is left for the log.
pub(super) enum Left {
    /// For people.
    Stream(String),
    /// A part of plank itself is dead.
    Broken(ConnectError),
}

impl From<LinkError> for Left {
    fn from(error: LinkError) -> Self {
        Self::Stream(error.to_string())
    }
}

impl From<ConnectError> for Left {
    fn from(error: ConnectError) -> Self {
        Self::Broken(error)
    }
}

pub(super) fn left(why: impl ToString) -> Left {
    Left::Stream(why.to_string())
}

/// Where to begin on the stream.
struct Begin {
    /// The first message to read.
    from: u64,
    /// The end of the stream when that was found out.
    tail: Tail,
    /// What the hub has; none at the very first.
    chain: Option<Chain>,
}

impl StreamFollower {
    /// Goes on where the listener stands.
    pub(super) fn new(listener: &Listener) -> Self {
        Self {
            settings: listener.settings.clone(),
            hub: listener.hub.clone(),
            poll_request: listener.poll_request.clone(),
            refresh_request: listener.refresh_request.clone(),
            metrics: listener.metrics.clone(),
            health: listener.health.clone(),
            place: listener.place.clone(),
            node: fastrand::u64(..),
            answered: 0,
            told: 0,
            touched: Touched::default(),
            live_since: None,
        }
    }

    /// Whether it has followed for so long that what ended it is not a part of a row of failures.
    pub(super) fn was_steady(&self) -> bool {
        self.live_since
            .is_some_and(|since| since.elapsed() >= BACKPLANE_STEADY)
    }

    /// Until the log has to be read.
    pub(super) async fn run(&mut self) -> Left {
        let left = match Box::pin(self.follow()).await {
            Err(left) => left,
            Ok(never) => match never {},
        };
        self.health.set_reads_log(true);
        self.metrics.backplane_followed.set(0);
        left
    }

    async fn follow(&mut self) -> Result<super::follower::Never, Left> {
        let config = self.settings.backplane.clone();
        let config = config.ok_or_else(|| left("there is no backplane"))?;
        let link = Link::connect(&config, "node").await?;
        let epoch = match &self.place.cursor {
            Some(cursor) => cursor.epoch,
            None => store_log::epoch(&self.settings.pool).await.map_err(left)?,
        };
        self.settings.history.forget_shared();
        // Many nodes do not come to PostgreSQL at the same moment.
        let silence = BACKPLANE_SILENCE_MAX.mul_f64(1.0 + fastrand::f64());
        let (stream, begin) = self.begin(&link, &epoch).await?;
        let Begin {
            from,
            tail,
            mut chain,
        } = begin;
        let mut assembler = Assembler::new(&epoch, &self.metrics);
        let mut messages = stream.follow(from).await?;
        let (mut next, mut heard) = (from, Instant::now());
        let mut last = None;
        let mut ask_again = interval(BACKPLANE_ASK_AGAIN);
        ask_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Not within the branch: messages are taken one at a time, and do not wait for it.
        let mut ask_after = Instant::now();
        loop {
            tokio::select! {
                received = timeout_at(heard + silence, messages.next()) => match received {
                    Err(_) => return Err(left(format!("nothing was heard for {} s", silence.as_secs()))),
                    Ok(Ok(received)) => {
                        // Before the very first message some may have been thrown away.
                        if chain.is_some() && received.sequence != next {
                            return Err(left("messages are missing on the stream"));
                        }
                        next = received.sequence + 1;
                        let (sequence, pending) = (received.sequence, received.pending);
                        let head = part_of(&received.payload, &epoch, last)?;
                        last = Some(head);
                        let Some(message) = assembler.take(&received.payload).map_err(left)? else {
                            heard = Instant::now();
                            continue;
                        };
                        // It says nothing of what comes behind this node.
                        let is_old = chain.as_ref().is_some_and(|chain| chain.is_beyond(&message));
                        let behind = message.behind;
                        self.hear(&mut chain, message, &epoch).await?;
                        if is_old {
                            continue;
                        }
                        // Only now: a hub that takes its time is no silence.
                        heard = Instant::now();
                        if pending == 0 {
                            self.health.set_caught_up_before(behind);
                        }
                        if self.live_since.is_none() && chain.is_some() && sequence > tail.sequence {
                            self.go_live();
                        }
                    }
                    Ok(Err(error)) => {
                        log::debug!("stream interrupted reason=\"{error}\"");
                        messages = begin_again(&stream, &epoch, (next, last), tail, heard + silence).await?;
                    }
                },
                () = async { sleep_until(ask_after).await; self.poll_request.heard().await } => {
                    ask_after = Instant::now() + POLL_REQUEST_INTERVAL_MIN;
                    self.ask(&stream).await?;
                }
                _ = ask_again.tick() => if self.poll_request.asked() > self.answered {
                    self.ask(&stream).await?;
                },
            }
        }
    }

    /// Finds the stream, and where to begin on it.
    async fn begin(&self, link: &Link, epoch: &Epoch) -> Result<(LogStream, Begin), Left> {
        if let Some(cursor) = self.place.cursor.clone() {
            let Some(known) = self.place.tail else {
                return Err(left(
                    "the log has not been read up to a place of the stream",
                ));
            };
            let stream = link.find(epoch).await?;
            let stream = stream.ok_or_else(|| left("there is no stream"))?;
            let tail = stream.tail().await?;
            if tail.made != known.made || tail.sequence < known.sequence {
                return Err(left("the stream was made anew"));
            }
            let begin = Begin {
                from: known.sequence + 1,
                tail: known,
                chain: Some(Chain::new(Arc::new(cursor))),
            };
            return Ok((stream, begin));
        }
        let until = Instant::now() + BACKPLANE_SILENCE_MAX;
        let mut retry = again();
        let stream = loop {
            if let Some(stream) = link.find(epoch).await? {
                break stream;
            }
            if Instant::now() >= until {
                return Err(left("there is no stream, and no reader that makes one"));
            }
            sleep(retry.failed()).await;
        };
        let tail = stream.tail().await?;
        let begin = Begin {
            from: stream.history().await?,
            tail,
            chain: None,
        };
        Ok((stream, begin))
    }

    /// The hub has what the stream has, or what the log had a moment ago.
    fn go_live(&mut self) {
        self.live_since = Some(Instant::now());
        self.metrics.listener_up.set(1);
        self.metrics.backplane_followed.set(1);
        self.health.set_reads_log(false);
        self.health.set_live();
        log::info!("listener follows the stream");
    }

    /// Takes a message.
    async fn hear(
        &mut self,
        chain: &mut Option<Chain>,
        message: Message,
        epoch: &Epoch,
    ) -> Result<(), Left> {
        for (_, question) in message
            .answers
            .iter()
            .filter(|(node, _)| *node == self.node)
        {
            self.answered = self.answered.max(*question);
        }
        let Some(chain) = chain else {
            *chain = self.join(message, epoch).await?;
            return Ok(());
        };
        let before = chain.at().clone();
        match chain.take(message) {
            Step::Skip => self.tell_answered(chain).await?,
            // A beat.
            Step::Take(rows, end, true) if rows.is_empty() && end == before => {
                self.metrics.listener_lag_seconds.set(0.0);
                self.tell_answered(chain).await?;
            }
            Step::Take(rows, next, last) => {
                rows.iter().for_each(|row| self.touched.take(row));
                let asked = if last { self.answered } else { self.told };
                let chunk = Chunk {
                    rows,
                    next,
                    last,
                    asked,
                };
                self.tell_chunk(chain, chunk).await?;
            }
            Step::Leave => return Err(left("the stream does not continue what this node has")),
            Step::Void(origin) => {
                self.place.void = Some(match origin {
                    Origin::Pruned => ResetReason::Expired,
                    Origin::Empty | Origin::Forgotten => ResetReason::Epoch,
                });
                return Err(left("the reader has begun anew"));
            }
        }
        Ok(())
    }

    /// The very first message: the hub begins where it does.
    async fn join(&mut self, message: Message, epoch: &Epoch) -> Result<Option<Chain>, Left> {
        if message.number > 0 {
            return Ok(None);
        }
        let (begins, from) = match &message.from {
            Ok(from) => (true, from.clone()),
            Err(_) => (false, message.next.clone()),
        };
        let cursor = Cursor {
            epoch: *epoch,
            snapshot: from,
        };
        // Read after the cursor was taken: what is watched from then on, the log itself tells.
        let catalog = store_log::catalog(&self.settings.pool)
            .await
            .map_err(left)?;
        let live = Live {
            cursor: cursor.clone(),
            catalog,
            broken: None,
        };
        self.refresh_request.may_have_other_queries();
        tell(&self.hub, live).await?;
        self.refresh_request.has_gap();
        self.place.cursor = Some(cursor.clone());
        let mut chain = Some(Chain::new(Arc::new(cursor)));
        if begins {
            Box::pin(self.hear(&mut chain, message, epoch)).await?;
        }
        Ok(chain)
    }

    /// Tells the hub that a question was answered, where there is nothing else to tell.
    async fn tell_answered(&mut self, chain: &Chain) -> Result<(), Left> {
        if self.told == self.answered || chain.interrupted().is_some() {
            return Ok(());
        }
        let chunk = Chunk {
            rows: Vec::new(),
            next: chain.at().clone(),
            last: true,
            asked: self.answered,
        };
        self.tell_chunk(chain, chunk).await
    }

    async fn tell_chunk(&mut self, chain: &Chain, chunk: Chunk) -> Result<(), Left> {
        let (last, asked) = (chunk.last, chunk.asked);
        self.refresh_request.announce(&self.touched);
        tell(&self.hub, chunk).await?;
        self.told = asked;
        self.place.cursor = Some((**chain.at()).clone());
        self.place.interrupted = chain.interrupted();
        if last {
            let touched = std::mem::take(&mut self.touched);
            self.refresh_request.has_read(touched, &chain.at().snapshot);
        }
        Ok(())
    }

    /// Asks the reader to look at the log: a client has come with a cursor that is ahead of this node.
    async fn ask(&self, stream: &LogStream) -> Result<(), Left> {
        stream.ask(self.node, self.poll_request.asked()).await?;
        Ok(())
    }
}

/// The head of a part that a reader has written, behind what was read last.
fn part_of(payload: &[u8], epoch: &Epoch, last: Option<Head>) -> Result<Head, Left> {
    let (head, _) = Head::read(payload, epoch).map_err(left)?;
    match last {
        Some(last) if !head.may_follow(&last) => {
            Err(left("a message of the stream has come again"))
        }
        _ => Ok(head),
    }
}
