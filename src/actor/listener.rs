//! Follows the log: owns the LISTEN connection, reads when the doorbell rings, hands what it read to the hub. When the
//! connection is lost the actor stops, its supervisor starts it again, and it goes on from where it was, even in the
//! middle of a batch: sockets stay open, nothing is lost and nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::Config;

use crate::feed::{Cursor, LogRow};
use crate::health::{Health, Part};
use crate::limits::{
    ACTOR_SILENCE_MAX, CATCH_UP_READ_MAX, CHUNK_BYTES, PING_INTERVAL, READ_MAX, RECONNECT_FIRST,
    RECONNECT_LONGEST, SAFETY_READ_INTERVAL,
};
use crate::metrics::Metrics;
use crate::store::ConnectError;
use crate::store::log::{Interrupted, LogReader};

use super::hub::Hub;
use super::message::{Chunk, Live, Lost};

/// After a safety read that found something: the time for its doorbell to arrive, before it counts as missed.
const BELL_LATE_MAX: Duration = Duration::from_secs(1);

/// Where a lost connection left off.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The end of the last whole batch; none before the first connection.
    cursor: Option<Cursor>,
    /// A batch of which the hub has a part.
    interrupted: Option<Interrupted>,
}

/// The actor.
pub struct Listener {
    config: Config,
    hub: Addr<Hub>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Tells the process to end: waiting will not help.
    fatal: watch::Sender<Option<String>>,
    place: Place,
    backoff: ExponentialBackoff,
    attempt: u32,
}

impl Listener {
    /// A listener on the database of `config`, which must not go through a pooler. What makes it give up goes to `fatal`.
    pub fn new(
        config: Config,
        hub: Addr<Hub>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        fatal: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            config,
            hub,
            metrics,
            health,
            fatal,
            place: Place::default(),
            backoff: backoff(),
            attempt: 0,
        }
    }

    /// Connects and follows until that fails.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        let follower = Follower {
            config: self.config.clone(),
            hub: self.hub.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            place: self.place.clone(),
            was_live: false,
        };
        let follow = async move {
            let mut follower = follower;
            let error = match follower.run().await {
                Err(error) => error,
                Ok(never) => match never {},
            };
            (follower, error)
        };
        ctx.spawn(
            follow
                .into_actor(self)
                .map(|(follower, error), listener, ctx| {
                    listener.place = follower.place;
                    if follower.was_live {
                        (listener.backoff, listener.attempt) = (backoff(), 0);
                    }
                    listener.lost(&error, ctx);
                }),
        );
    }

    fn lost(&mut self, error: &ConnectError, ctx: &mut Context<Self>) {
        self.metrics.listener_up.set(0);
        self.health.set_lost(&error.to_string());
        self.hub.do_send(Lost);
        match error {
            ConnectError::Fatal(why) => {
                // The receiver is gone when the process ends anyway.
                let _ = self.fatal.send(Some(why.clone()));
            }
            ConnectError::Away(_) => {
                self.attempt += 1;
                log::warn!("listener lost attempt={} reason=\"{error}\"", self.attempt);
                // Ends this life of the actor; the supervisor begins the next one, in `started`.
                ctx.stop();
            }
        }
    }
}

/// With jitter, so that many nodes don't come back at the same moment.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(RECONNECT_FIRST)
        .with_max_delay(RECONNECT_LONGEST)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.tick(Part::Listener);
        ctx.run_interval(Duration::from_secs(1), |listener, _| {
            listener.health.tick(Part::Listener)
        });
        if self.attempt == 0 {
            return self.follow(ctx);
        }
        let delay = self
            .backoff
            .next()
            .unwrap_or(RECONNECT_LONGEST)
            .min(RECONNECT_LONGEST);
        log::info!(
            "listener reconnects attempt={} delay_ms={}",
            self.attempt,
            delay.as_millis()
        );
        ctx.run_later(delay, |listener, ctx| listener.follow(ctx));
    }
}

/// The supervisor has no back-off of its own, which is why `started` waits.
impl Supervised for Listener {}

/// One connection's life.
struct Follower {
    config: Config,
    hub: Addr<Hub>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    place: Place,
    was_live: bool,
}

enum Never {}

impl Follower {
    async fn run(&mut self) -> Result<Never, ConnectError> {
        // LISTEN comes first, then the catch-up: a doorbell between the two is heard.
        let reader = LogReader::connect(&self.config).await?;
        let known = self
            .place
            .cursor
            .take()
            .filter(|cursor| cursor.epoch == reader.epoch());
        let is_resumed = known.is_some();
        let cursor = match known {
            Some(cursor) => cursor,
            None => {
                self.place.interrupted = None;
                reader.now().await?
            }
        };
        // Behind the cursor, the log itself says which tables are watched and which are not any more.
        let catalog = if is_resumed {
            None
        } else {
            Some(reader.catalog().await?)
        };
        self.place.cursor = Some(cursor.clone());
        self.tell(Live { cursor, catalog }).await?;
        if is_resumed {
            self.metrics.listener_reconnects.inc();
        }
        self.read(&reader, CATCH_UP_READ_MAX).await?;
        self.metrics.listener_up.set(1);
        self.health.set_live();
        self.was_live = true;
        log::info!("listener live resumed={is_resumed}");

        let mut safety = Instant::now() + SAFETY_READ_INTERVAL;
        loop {
            tokio::select! {
                () = reader.bell() => {
                    if let Some(why) = reader.ended() {
                        return Err(ConnectError::Away(format!("the connection was lost: {why}")));
                    }
                    self.read(&reader, READ_MAX).await?;
                }
                () = sleep(PING_INTERVAL) => reader.ping().await?,
                () = sleep_until(safety) => {
                    if self.read(&reader, READ_MAX).await? > 0 && timeout(BELL_LATE_MAX, reader.bell()).await.is_err() {
                        self.metrics.bell_missed.inc();
                        log::error!("changes found without a doorbell, they came late by up to {} s", SAFETY_READ_INTERVAL.as_secs());
                    }
                }
            }
            if Instant::now() >= safety {
                safety = Instant::now() + SAFETY_READ_INTERVAL;
            }
        }
    }

    /// Reads a batch and hands it to the hub; the number of rows.
    async fn read(
        &mut self,
        reader: &LogReader,
        patience: Duration,
    ) -> Result<usize, ConnectError> {
        let Some(cursor) = self.place.cursor.clone() else {
            return Ok(0);
        };
        let interrupted = self.place.interrupted.clone();
        let mut reading = reader
            .read(&cursor.snapshot, interrupted.as_ref(), patience)
            .await?;
        let next = Arc::new(reading.next_cursor());
        let (mut rows, mut bytes, mut count): (Vec<LogRow>, usize, usize) = (Vec::new(), 0, 0);
        while let Some(row) = reading.next().await? {
            if bytes >= CHUNK_BYTES {
                let seq = rows.last().map_or(0, |row| row.seq);
                self.hand_on(std::mem::take(&mut rows), &next, false)
                    .await?;
                // From here on a lost connection must not begin the batch anew.
                self.place.interrupted = Some(Interrupted {
                    next: next.snapshot.clone(),
                    seq,
                });
                bytes = 0;
            }
            bytes += row.bytes();
            count += 1;
            rows.push(row);
        }
        if count > 0 || self.place.interrupted.is_some() || *next != cursor {
            self.hand_on(rows, &next, true).await?;
            self.place = Place {
                cursor: Some((*next).clone()),
                interrupted: None,
            };
        }
        Ok(count)
    }

    async fn hand_on(
        &self,
        rows: Vec<LogRow>,
        next: &Arc<Cursor>,
        last: bool,
    ) -> Result<(), ConnectError> {
        self.tell(Chunk {
            rows,
            next: next.clone(),
            last,
        })
        .await
    }

    /// The hub answers when all shards have taken what it sent: that is the back-pressure.
    async fn tell<M>(&self, message: M) -> Result<(), ConnectError>
    where
        M: Message<Result = ()> + Send + 'static,
        Hub: Handler<M>,
    {
        match timeout(ACTOR_SILENCE_MAX, self.hub.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(ConnectError::Fatal(
                "the hub does not answer; plank can't go on".into(),
            )),
        }
    }
}
