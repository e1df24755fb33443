//! What plank tells systemd (`sd_notify(3)`). Without systemd all of this does nothing.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::health::Health;
use crate::limits::{ACTOR_SILENCE_MAX, DRAIN_MAX};

/// How often the process looks at itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The exit status when an actor is dead or stuck (`EX_SOFTWARE` of sysexits.h).
const EXIT_STUCK: i32 = 70;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd could not be told error={error}");
    }
}

/// Migrated, listening, and live on the database.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// On the way down.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Watches the actors from a thread of its own, which no stuck actor can hold up: feeds systemd's watchdog while they
/// are alive, and ends the process when one of them has been silent for too long. A plank that hears nothing must not
/// look alive.
pub fn watch(health: Arc<Health>) {
    let feed = sd_notify::watchdog_enabled().is_some();
    let look = move || {
        let mut shown = String::new();
        loop {
            thread::sleep(LOOK_INTERVAL);
            if let Some(part) = health.silent(ACTOR_SILENCE_MAX + DRAIN_MAX) {
                log::error!(
                    "part of plank is stuck, the process ends part={}",
                    part.as_str()
                );
                std::process::exit(EXIT_STUCK);
            }
            if feed && health.silent(ACTOR_SILENCE_MAX).is_none() {
                notify(&[NotifyState::Watchdog]);
            }
            let database = if health.is_live() {
                "live"
            } else {
                "database away"
            };
            let status = format!(
                "{database}, {} sessions, lag {:.3} s",
                health.sessions(),
                health.lag().as_secs_f64()
            );
            if status != shown {
                notify(&[NotifyState::Status(&status)]);
                shown = status;
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("watchdog".into()).spawn(look) {
        log::error!("watchdog could not be started error={error}");
    }
}
