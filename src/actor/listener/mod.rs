//! Follows the log: owns the LISTEN connection, reads when the doorbell rings, hands what it read to the hub. When the
//! connection is lost the actor stops, its supervisor starts it again, and it goes on from where it was, even in the
//! middle of a batch: sockets stay open, nothing is lost and nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use crate::backplane::Retry;
use crate::backplane::link::Tail;
use crate::config::{Backplane, Server};
use crate::feed::{Cursor, Rest};
use crate::health::{Health, Part};
use crate::limits::{RECONNECT_FIRST, RECONNECT_LONGEST, RECONNECT_REFUSED_LONGEST};
use crate::metrics::Metrics;
use crate::store::{ConnectError, History, Pool};
use crate::wire::message::ResetReason;

use crate::actor::hub::Hub;
use crate::actor::message::{Drain, Lost};
use crate::actor::poll_request::PollRequest;
use crate::actor::refresh_request::RefreshRequest;

mod follower;
mod found;
pub mod publish;
mod sink;
mod stream;
mod way_back;

use follower::{Ended, Follower};
use stream::{Left, StreamFollower};

/// Where a lost connection left off.
#[derive(Clone, Debug, Default)]
struct ResumePoint {
    /// The end of the last whole batch; none before the first connection.
    cursor: Option<Cursor>,
    /// A batch of which the hub has a part.
    interrupted: Option<Rest>,
    /// Nothing leads on from there, whatever the log says: the reader of the backplane has seen why.
    void: Option<ResetReason>,
    /// The cursor has all that the stream has up to here.
    tail: Option<Tail>,
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The log in PostgreSQL.
    Log,
    /// The stream of the backplane.
    Stream,
}

/// How a listener is to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database, not through a pooler.
    pub database: Server,
    /// Whether it may sleep until the doorbell rings; else it polls.
    pub doorbell: bool,
    /// What was read for clients that come back: void when the server was away.
    pub history: History,
    /// Whether the demo's table is made where it is missing.
    pub demo: bool,
    /// The stream that is followed instead of the log; none: the log is.
    pub backplane: Option<Arc<Backplane>>,
    /// For what has to be known of the log when it is not read.
    pub pool: Pool,
}

/// The actor.
pub struct Listener {
    settings: Settings,
    hub: Addr<Hub>,
    poll_request: Arc<PollRequest>,
    refresh_request: Arc<RefreshRequest>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Tells the process to end: waiting will not help.
    fatal: watch::Sender<Option<String>>,
    place: ResumePoint,
    source: Source,
    /// Returns to the stream that did not last.
    returns: Retry,
    attempt: u32,
    /// The last attempt met something that does not pass by itself.
    is_refused: bool,
    /// What follows the log, for as long as there is a connection.
    following: Option<SpawnHandle>,
}

impl Listener {
    /// A listener that looks when it is asked to with `poll_request`, and tells which tables have changed with `refresh_request`. What makes it give up goes to `fatal`.
    pub fn new(
        settings: Settings,
        hub: Addr<Hub>,
        poll_request: Arc<PollRequest>,
        refresh_request: Arc<RefreshRequest>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        fatal: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            source: match settings.backplane {
                Some(_) => Source::Stream,
                None => Source::Log,
            },
            settings,
            hub,
            poll_request,
            refresh_request,
            metrics,
            health,
            fatal,
            place: ResumePoint::default(),
            returns: way_back::returns(),
            attempt: 0,
            is_refused: false,
            following: None,
        }
    }

    /// Follows until that fails.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        match self.source {
            Source::Log => self.follow_log(ctx),
            Source::Stream => self.follow_stream(ctx),
        }
    }

    /// The stream of the backplane. When that fails the log is read; the hub learns nothing of it.
    fn follow_stream(&mut self, ctx: &mut Context<Self>) {
        let follower = StreamFollower::new(self);
        let follow = async move {
            let mut follower = follower;
            let left = follower.run().await;
            (follower, left)
        };
        let following = follow
            .into_actor(self)
            .map(|(follower, left), listener, ctx| {
                listener.place = follower.place.clone();
                listener.place.tail = None;
                if follower.was_steady() {
                    listener.returns.worked();
                }
                listener.source = Source::Log;
                match left {
                    Left::Broken(error) => listener.lost(&error, ctx),
                    Left::Stream(why) => {
                        listener.metrics.backplane_left.inc();
                        log::warn!("listener leaves the stream for the log reason=\"{why}\"");
                        let later =
                            ctx.run_later(way_back::apart(), |listener, ctx| listener.follow(ctx));
                        listener.following = Some(later);
                    }
                }
            });
        self.following = Some(ctx.spawn(following));
    }

    /// Connects to the database and reads the log.
    fn follow_log(&mut self, ctx: &mut Context<Self>) {
        let follower = Follower::new(self);
        let follow = async move {
            let mut follower = follower;
            let ended = follower.run().await;
            (follower, ended)
        };
        let following = ctx.spawn(follow.into_actor(self).map(
            |(follower, ended), listener, ctx| {
                listener.place = follower.place;
                if follower.was_live {
                    listener.attempt = 0;
                }
                match ended {
                    Err(error) => listener.lost(&error, ctx),
                    Ok(Ended::Back(tail)) => {
                        listener.metrics.bell_armed.set(0);
                        listener.place.tail = Some(tail);
                        // Until it has lasted.
                        let _ = listener.returns.failed();
                        listener.source = Source::Stream;
                        listener.follow(ctx);
                    }
                }
            },
        ));
        self.following = Some(following);
    }

    fn lost(&mut self, error: &ConnectError, ctx: &mut Context<Self>) {
        self.metrics.listener_up.set(0);
        self.metrics.bell_armed.set(0);
        self.health.set_lost(&error.to_string());
        self.hub.do_send(Lost);
        self.attempt += 1;
        self.is_refused = matches!(error, ConnectError::Fatal(_) | ConnectError::Data(_));
        match error {
            ConnectError::Broken(why) => {
                // The receiver is gone when the process ends anyway.
                let _ = self.fatal.send(Some(why.clone()));
                return;
            }
            // What the database says ends no plank that runs: what has worked before can work again.
            ConnectError::Fatal(_) | ConnectError::Data(_) => log::error!(
                "listener refused, plank waits for the database attempt={} reason=\"{error}\"",
                self.attempt
            ),
            ConnectError::Away(_) => {
                log::warn!("listener lost attempt={} reason=\"{error}\"", self.attempt);
            }
        }
        // Ends this life of the actor; the supervisor begins the next one, in `started`.
        ctx.stop();
    }
}

/// Before attempt number `attempt`: doubled each time up to the longest, and between half and all of that, so that many
/// nodes don't come back at the same moment. The longest is longer when the database has refused: a wrong password that
/// is sent all the time may lock the role.
fn delay(attempt: u32, is_refused: bool) -> Duration {
    let doubled = RECONNECT_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let longest = match is_refused {
        true => RECONNECT_REFUSED_LONGEST,
        false => RECONNECT_LONGEST,
    };
    doubled.min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
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
        let delay = delay(self.attempt, self.is_refused);
        log::info!(
            "listener reconnects attempt={} delay_ms={}",
            self.attempt,
            delay.as_millis()
        );
        ctx.run_later(delay, |listener, ctx| listener.follow(ctx));
    }
}

/// Lets go of the connection without a word: plank ends, and the database may end before it.
impl Handler<Drain> for Listener {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        if let Some(following) = self.following.take() {
            ctx.cancel_future(following);
        }
    }
}

/// The supervisor has no back-off of its own, which is why `started` waits.
impl Supervised for Listener {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_its_bound_and_varies() {
        for _ in 0..100 {
            for (is_refused, longest) in [
                (false, RECONNECT_LONGEST),
                (true, RECONNECT_REFUSED_LONGEST),
            ] {
                let delay = |attempt| delay(attempt, is_refused);
                assert!((RECONNECT_FIRST / 2..=RECONNECT_FIRST).contains(&delay(1)));
                assert!((longest / 2..=longest).contains(&delay(u32::MAX)));
            }
        }
        assert_ne!(delay(20, false), delay(20, false));
    }
}
