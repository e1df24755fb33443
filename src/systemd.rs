//! What plank tells systemd (`sd_notify(3)`), and the sockets that it has from it (`sd_listen_fds(3)`). Without systemd all
//! of this does nothing.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::health::Health;
use crate::limits::{ACTOR_SILENCE_MAX, DRAIN_MAX};

/// How often the process looks at itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The exit status when an actor is dead or stuck (`EX_SOFTWARE` of sysexits.h).
const EXIT_STUCK: i32 = 70;

/// A socket that systemd has opened, and goes on holding open: a restart of plank refuses nobody.
#[derive(Debug)]
pub enum Passed {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// The sockets that were passed to this process; none without a socket unit.
///
/// # Errors
/// If one of them can't be listened on as a stream. The text says what to do.
pub fn sockets() -> Result<Vec<Passed>, String> {
    let mut fds = ListenFd::from_env();
    let mut passed = Vec::new();
    for i in 0..fds.len() {
        // One that is no TCP socket stays where it is.
        if let Ok(Some(socket)) = fds.take_tcp_listener(i) {
            passed.push(Passed::Tcp(socket));
        } else if let Ok(Some(socket)) = fds.take_unix_listener(i) {
            passed.push(Passed::Unix(socket));
        } else {
            return Err(format!(
                "socket {} that systemd passed is neither TCP nor a Unix stream; plank.socket needs ListenStream=",
                i + 1
            ));
        }
    }
    Ok(passed)
}

/// Whether a service manager has started this process and wants to hear from it.
pub fn is_manager_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

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
