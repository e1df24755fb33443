//! Follows the log: owns the LISTEN connection, reads when the doorbell rings, hands what it read to the hub. When the
//! connection is lost the actor stops, its supervisor starts it again, and it goes on from where it was, even in the
//! middle of a batch: sockets stay open, nothing is lost and nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use crate::config::Server;
use crate::feed::{Cursor, Rest};
use crate::health::{Health, Part};
use crate::limits::{RECONNECT_FIRST, RECONNECT_LONGEST, RECONNECT_REFUSED_LONGEST};
use crate::metrics::Metrics;
use crate::store::{ConnectError, History};

use crate::actor::hub::Hub;
use crate::actor::message::{Drain, Lost};
use crate::actor::poll_request::PollRequest;
use crate::actor::refresh_request::RefreshRequest;

mod follower;
mod found;

use follower::Follower;

/// Where a lost connection left off.
#[derive(Clone, Debug, Default)]
struct ResumePoint {
    /// The end of the last whole batch; none before the first connection.
    cursor: Option<Cursor>,
    /// A batch of which the hub has a part.
    interrupted: Option<Rest>,
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
            settings,
            hub,
            poll_request,
            refresh_request,
            metrics,
            health,
            fatal,
            place: ResumePoint::default(),
            attempt: 0,
            is_refused: false,
            following: None,
        }
    }

    /// Connects and follows until that fails.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        let follower = Follower::new(self);
        let follow = async move {
            let mut follower = follower;
            let error = match follower.run().await {
                Err(error) => error,
                Ok(never) => match never {},
            };
            (follower, error)
        };
        let following = ctx.spawn(follow.into_actor(self).map(
            |(follower, error), listener, ctx| {
                listener.place = follower.place;
                if follower.was_live {
                    listener.attempt = 0;
                }
                listener.lost(&error, ctx);
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
