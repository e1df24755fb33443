//! One connection's life: LISTEN, catch up, then read when the bell rings or the clock says so.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::backplane::link::Tail;
use crate::backplane::{Retry, Writer};

use crate::feed::bell::{Bell, Step};
use crate::feed::{Cursor, Epoch, LogOp, LogRow, Rest};
use crate::health::Health;
use crate::limits::{
    CATCH_UP_READ_MAX, CHUNK_BYTES, MARK_APART, MARK_BYTES, PING_INTERVAL,
    POLL_REQUEST_INTERVAL_MIN, READ_MAX, SAFETY_READ_INTERVAL,
};
use crate::metrics::Metrics;
use crate::store::ConnectError;
use crate::store::log::LogReader;
use crate::wire::message::ResetReason;

use super::found::Found;
use super::sink::Sink;
use super::way_back::{self, way_back};
use super::{Listener, ResumePoint, Settings};
use crate::actor::message::{Chunk, Live};
use crate::actor::poll_request::PollRequest;
use crate::actor::refresh_request::{RefreshRequest, Touched};

/// After a safety read that found something: the time for its doorbell to arrive, before it counts as missed.
const BELL_LATE_MAX: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(super) struct Follower {
    settings: Settings,
    sink: Sink,
    poll_request: Arc<PollRequest>,
    refresh_request: Arc<RefreshRequest>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    pub(super) place: ResumePoint,
    bell: Bell,
    /// How long the last read took, until all shards had it.
    busy: Duration,
    /// How many nudges the last read has answered.
    answered: u64,
    unmarked: Unmarked,
    /// Before the first look at the stream, see [`way_back`].
    returns: Retry,
    pub(super) was_live: bool,
}

/// What was read since a mark was left in the log.
#[derive(Debug, Default)]
struct Unmarked {
    changes: i64,
    /// The highest number of a log row.
    number: i64,
    bytes: usize,
}

impl Unmarked {
    fn take(&mut self, row: &LogRow) {
        self.changes += 1;
        self.number = self.number.max(row.number());
        self.bytes += row.bytes();
    }

    fn is_much(&self) -> bool {
        self.changes >= MARK_APART || self.bytes >= MARK_BYTES
    }
}

/// What can't be.
pub(super) enum Never {}

/// Why the log is not read any more, while it could be.
pub(super) enum Ended {
    /// The stream of the backplane can be followed, behind this place. What was read has all that is before it.
    Back(Tail),
}

/// Resolves when the stream can be followed.
type WayBack = Pin<Box<dyn Future<Output = Tail>>>;

impl Follower {
    /// Goes on where the listener's last connection has left off.
    pub(super) fn new(listener: &Listener) -> Self {
        Self {
            bell: Bell::new(listener.settings.doorbell, Instant::now().into_std()),
            settings: listener.settings.clone(),
            sink: Sink::Hub(listener.hub.clone()),
            poll_request: listener.poll_request.clone(),
            refresh_request: listener.refresh_request.clone(),
            metrics: listener.metrics.clone(),
            health: listener.health.clone(),
            place: listener.place.clone(),
            busy: Duration::ZERO,
            answered: 0,
            unmarked: Unmarked::default(),
            returns: listener.returns.clone(),
            was_live: false,
        }
    }

    /// Appends to the stream of the backplane, behind a place of it: none if that is not known.
    pub(super) fn publishing(
        settings: &Settings,
        (writer, cursor): (Arc<Mutex<Writer>>, Option<Cursor>),
        poll_request: Arc<PollRequest>,
        metrics: Arc<Metrics>,
        progress: Arc<Health>,
    ) -> Self {
        Self {
            bell: Bell::new(settings.doorbell, Instant::now().into_std()),
            settings: settings.clone(),
            sink: Sink::Stream(writer),
            poll_request,
            // The node learns from the stream what its live queries read.
            refresh_request: Arc::default(),
            metrics,
            health: progress,
            place: ResumePoint {
                cursor,
                ..ResumePoint::default()
            },
            busy: Duration::ZERO,
            answered: 0,
            unmarked: Unmarked::default(),
            returns: way_back::returns(),
            was_live: false,
        }
    }

    /// When to leave the log for the stream.
    fn way_back(&self, epoch: Epoch) -> WayBack {
        match (&self.sink, &self.settings.backplane) {
            (Sink::Hub(_), Some(config)) => {
                Box::pin(way_back(config.clone(), epoch, self.returns.clone()))
            }
            _ => Box::pin(std::future::pending()),
        }
    }

    /// Until the connection is lost, or the stream can be followed.
    pub(super) async fn run(&mut self) -> Result<Ended, ConnectError> {
        // LISTEN comes first, then the catch-up: a doorbell between the two is heard.
        let mut reader = LogReader::connect_for(
            &self.settings.database,
            self.settings.doorbell,
            self.settings.demo,
        )
        .await?;
        let now = reader.now().await?;
        self.settings.history.forget_shared();
        let before = self.place.cursor.clone();
        let broken = match &before {
            None => None,
            Some(_) if self.place.void.is_some() => self.place.void,
            // After a crash the server may have forgotten what it had only promised (synchronous_commit=off).
            Some(c) if c.epoch != now.epoch || !now.snapshot.covers(&c.snapshot) => {
                Some(ResetReason::Epoch)
            }
            Some(c) if reader.pruned(&c.snapshot).await? => Some(ResetReason::Expired),
            Some(_) => None,
        };
        let resumed = before.filter(|_| broken.is_none());
        let mut way_back = self.way_back(now.epoch);
        let cursor = resumed.clone().unwrap_or(now);
        self.go_live(&reader, cursor, broken).await?;
        match (&resumed, &self.place.cursor) {
            (Some(_), _) if self.sink.is_hub() => drop(self.metrics.listener_reconnects.inc()),
            (Some(_), _) => {}
            (None, Some(cursor)) => reader.leave_first_mark(&cursor.snapshot).await?,
            (None, None) => {}
        }
        self.read(&reader, CATCH_UP_READ_MAX).await?;
        if self.sink.is_hub() {
            self.metrics.listener_up.set(1);
        }
        self.health.set_live();
        self.was_live = true;
        log::info!("listener live resumed={}", resumed.is_some());

        let mut safety = Instant::now() + SAFETY_READ_INTERVAL;
        let mut nudged = Instant::now();
        loop {
            match self.bell.step(Instant::now().into_std()) {
                Step::Arm => {
                    let fence = reader.arm().await?;
                    self.bell.armed(fence);
                }
                Step::Disarm => {
                    let is_off = reader.disarm().await?;
                    self.bell.disarmed(is_off, Instant::now().into_std());
                }
                Step::Poll(interval) => {
                    tokio::select! {
                        () = reader.bell() => self.bell.rung(Instant::now().into_std()),
                        () = self.poll_request.heard() => sleep_until(nudged + POLL_REQUEST_INTERVAL_MIN).await,
                        tail = &mut way_back => {
                            self.answer(&reader).await?;
                            return Ok(Ended::Back(tail));
                        }
                        () = sleep(interval) => {}
                    }
                    nudged = Instant::now();
                    self.answer(&reader).await?;
                    safety = Instant::now() + SAFETY_READ_INTERVAL;
                }
                Step::Wait => tokio::select! {
                    () = reader.bell() => self.answer(&reader).await?,
                    () = self.poll_request.heard() => {
                        sleep_until(nudged + POLL_REQUEST_INTERVAL_MIN).await;
                        nudged = Instant::now();
                        self.answer(&reader).await?;
                    }
                    // Whatever is on the stream up to there was read before this read.
                    tail = &mut way_back => {
                        self.answer(&reader).await?;
                        return Ok(Ended::Back(tail));
                    }
                    () = sleep(PING_INTERVAL) => {
                        reader.ping().await?;
                        if self.sink.is_hub() {
                            self.metrics.listener_lag_seconds.set(0.0);
                        }
                        self.health.set_caught_up();
                    }
                    () = sleep_until(safety) => {
                        safety = Instant::now() + SAFETY_READ_INTERVAL;
                        self.read_unasked(&reader).await?;
                    }
                },
            }
            // What the reader of the backplane does is not what this node's listener does.
            if self.sink.is_hub() {
                self.metrics.bell_armed.set(self.bell.is_armed().into());
            }
        }
    }

    /// Tells the hub where the log is followed from.
    async fn go_live(
        &mut self,
        reader: &LogReader,
        cursor: Cursor,
        broken: Option<ResetReason>,
    ) -> Result<(), ConnectError> {
        if let Some(reason) = broken {
            log::warn!(
                "changes were missed, clients are reset reason={}",
                reason.as_str()
            );
        }
        // Read after the cursor was taken: what is watched from then on, the log itself tells.
        let catalog = self.sink.catalog(reader).await?;
        let live = Live {
            cursor: cursor.clone(),
            catalog,
            broken,
        };
        self.refresh_request.may_have_other_queries();
        let is_first = self.place.cursor.is_none();
        self.sink.live(live, is_first).await?;
        // Only now: had this failed, the next connection would have to know all of it.
        if broken.is_some() || self.place.cursor.is_none() {
            self.refresh_request.has_gap();
            self.place = ResumePoint {
                cursor: Some(cursor),
                ..ResumePoint::default()
            };
        }
        Ok(())
    }

    /// The bell has rung, or the connection has ended.
    async fn answer(&mut self, reader: &LogReader) -> Result<(), ConnectError> {
        if let Some(lost) = reader.ended() {
            return Err(lost);
        }
        self.read(reader, READ_MAX).await.map(drop)
    }

    /// The slow read that finds nothing unless a bell was missed. One that is on its way is not missed yet.
    async fn read_unasked(&mut self, reader: &LogReader) -> Result<(), ConnectError> {
        if self.read(reader, READ_MAX).await?.rows == 0 {
            return Ok(());
        }
        if timeout(BELL_LATE_MAX, reader.bell()).await.is_ok() {
            // It may be that of a later change.
            return self.answer(reader).await;
        }
        self.metrics.bell_missed.inc();
        log::error!(
            "changes found without a doorbell, late by up to {} s",
            SAFETY_READ_INTERVAL.as_secs()
        );
        Ok(())
    }

    /// Rows before this place were thrown away unread.
    async fn expired(&mut self, reader: &LogReader, next: &Cursor) -> Result<(), ConnectError> {
        if reader.epoch_now().await? != next.epoch {
            // That it was begun anew has been pruned as well.
            return Err(ConnectError::Away("the log has been begun anew".into()));
        }
        self.go_live(reader, next.clone(), Some(ResetReason::Expired))
            .await
    }

    /// Reads a batch and hands it to the hub.
    async fn read(
        &mut self,
        reader: &LogReader,
        patience: Duration,
    ) -> Result<Found, ConnectError> {
        let mut found = Found::default();
        let Some(cursor) = self.place.cursor.clone() else {
            return Ok(found);
        };
        let begun = Instant::now();
        let interrupted = self.place.interrupted.clone();
        // Before the read: it answers all of these. The rest of an older batch is no news.
        let asked = match interrupted {
            None => self.poll_request.asked(),
            Some(_) => self.answered,
        };
        let mut reading = reader
            .read(&cursor.snapshot, interrupted.as_ref(), patience)
            .await?;
        let next = reading.end().clone();
        let (mut rows, mut bytes): (Vec<LogRow>, usize) = (Vec::new(), 0);
        let mut touched = Touched::default();
        let interrupted_before = interrupted.is_some();
        let mut seq = interrupted.map_or(i64::MIN, |rest| rest.seq);
        while let Some(row) = reading.next().await? {
            if row.op == LogOp::Renewed {
                let why = "the log was full while no plank was there, and has been begun anew";
                return Err(ConnectError::Away(why.into()));
            }
            if bytes >= CHUNK_BYTES {
                self.refresh_request.announce(&touched);
                let chunk = chunk(std::mem::take(&mut rows), &next, false, 0);
                self.sink.chunk(chunk, &self.health).await?;
                // From here on a lost connection must not begin the batch anew.
                let end = next.clone();
                self.place.interrupted = Some(Rest { end, seq });
                bytes = 0;
            }
            bytes += row.bytes();
            seq = row.seq;
            found.take(row.xid, row.at_us);
            self.unmarked.take(&row);
            touched.take(&row);
            rows.push(row);
        }
        // Nodes that follow the stream go on from its last place, and know nothing of the one before: that rows are missing is said
        // there before anything that is behind them.
        if !self.sink.is_hub() && *next != cursor && reader.pruned(&cursor.snapshot).await? {
            self.expired(reader, &next).await?;
            return Ok(found);
        }
        let is_news = found.rows > 0 || self.place.interrupted.is_some() || *next != cursor;
        self.health.set_caught_up();
        if is_news || asked > self.answered {
            self.refresh_request.announce(&touched);
            let chunk = chunk(rows, &next, true, asked);
            self.sink.chunk(chunk, &self.health).await?;
            self.answered = asked;
            // The hub has it all, but the cursor may not pass it yet: see below.
            let end = next.clone();
            self.place.interrupted = Some(Rest { end, seq });
        }
        // Of an interrupted batch the first rows were read before.
        if interrupted_before {
            self.refresh_request.has_gap();
        }
        self.refresh_request.has_read(touched, &next.snapshot);
        // What is thrown away while it is read is missing from what was read. TopicRequest last, and before the old cursor,
        // which alone can tell, is given up.
        let is_pruned =
            self.sink.is_hub() && *next != cursor && reader.pruned(&cursor.snapshot).await?;
        self.place = ResumePoint {
            cursor: Some((*next).clone()),
            ..ResumePoint::default()
        };
        if is_pruned {
            self.expired(reader, &next).await?;
        }
        if self.unmarked.is_much() {
            let Unmarked { number, .. } = std::mem::take(&mut self.unmarked);
            reader.leave_mark(number, &next.snapshot).await?;
        }
        // What committed while the read before was under way has waited for that, and for nobody who writes.
        let busy = std::mem::replace(&mut self.busy, begun.elapsed());
        let age = |at_us: &i64| reading.age(*at_us).saturating_sub(busy);
        let ages = found.times().map(age);
        self.bell
            .read(ages, reading.xmin(), Instant::now().into_std());
        Ok(found)
    }
}

fn chunk(rows: Vec<LogRow>, next: &Arc<Cursor>, last: bool, asked: u64) -> Chunk {
    Chunk {
        rows,
        next: next.clone(),
        last,
        asked,
    }
}
