//! Who is alive: each actor leaves the time of its last tick here, and the health routes, systemd's watchdog and the
//! process itself look at it. Lock-free, since it is read while something may hang.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The listener actor.
    Listener,
    /// The hub actor.
    Hub,
}

impl Part {
    const ALL: [Self; 2] = [Self::Listener, Self::Hub];

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Hub => "hub",
        }
    }
}

/// The state of the process. One for each [`crate::app::App`].
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Milliseconds since `started` at each part's last tick.
    ticks: [AtomicU64; 2],
    /// The listener reads the log and hears the doorbell.
    live: AtomicBool,
    /// Microseconds of Unix time of the newest change, and how late it was seen.
    lag_us: AtomicI64,
    /// Sockets being served.
    sessions: AtomicU64,
    /// Why the database can't be used, for people; empty while it can.
    trouble: Mutex<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            ticks: [AtomicU64::new(0), AtomicU64::new(0)],
            live: AtomicBool::new(false),
            lag_us: AtomicI64::new(0),
            sessions: AtomicU64::new(0),
            trouble: Mutex::new(String::new()),
        }
    }
}

impl Health {
    /// `part` is alive.
    pub fn tick(&self, part: Part) {
        self.ticks[part as usize].store(self.started.elapsed().as_millis() as u64, Relaxed);
    }

    /// The first part that has not ticked for longer than `silence`.
    pub fn silent(&self, silence: Duration) -> Option<Part> {
        let now = self.started.elapsed();
        let quiet = |part: &Part| {
            now.saturating_sub(Duration::from_millis(
                self.ticks[*part as usize].load(Relaxed),
            ))
        };
        Part::ALL.into_iter().find(|part| quiet(part) > silence)
    }

    /// The listener is connected and has caught up with its start.
    pub fn set_live(&self) {
        self.live.store(true, Relaxed);
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The listener is not connected; `why` is for people and names no secret.
    pub fn set_lost(&self, why: &str) {
        self.live.store(false, Relaxed);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clear();
        trouble.push_str(why);
    }

    /// Whether changes are being followed.
    pub fn is_live(&self) -> bool {
        self.live.load(Relaxed)
    }

    /// Why not.
    pub fn trouble(&self) -> String {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A batch has been read whose newest change is this old.
    pub fn set_lag(&self, lag: Duration) {
        self.lag_us.store(lag.as_micros() as i64, Relaxed);
    }

    /// How old the newest change was when it was read.
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_us.load(Relaxed).unsigned_abs())
    }

    /// Takes a place for a socket, if one of `max` is free. [`Self::release_session`] gives it back.
    pub fn take_session(&self, max: usize) -> bool {
        self.sessions
            .fetch_update(Relaxed, Relaxed, |n| (n < max as u64).then_some(n + 1))
            .is_ok()
    }

    /// See [`Self::take_session`].
    pub fn release_session(&self) {
        self.sessions.fetch_sub(1, Relaxed);
    }

    /// Sockets being served.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_part_is_named() {
        let health = Health::default();
        assert_eq!(health.silent(Duration::from_secs(60)), None);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(5) {
            health.tick(Part::Hub);
        }
        assert_eq!(
            health.silent(Duration::from_millis(3)),
            Some(Part::Listener)
        );
    }

    #[test]
    fn places_are_bounded() {
        let health = Health::default();
        assert!(health.take_session(2) && health.take_session(2) && !health.take_session(2));
        health.release_session();
        assert!(health.take_session(2));
        assert_eq!(health.sessions(), 2);
    }
}
