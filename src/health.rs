//! Who is alive: each actor leaves the time of its last tick here, and the health routes, systemd's watchdog and the
//! process itself look at it. Lock-free, since it is read while something may hang.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without a look for this long, the process stood still.
const STANDSTILL: Duration = Duration::from_secs(5);

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
    /// The listener does so itself; else it follows the stream of the backplane.
    reads_log: AtomicBool,
    /// This node reads the log for the backplane.
    is_reader: AtomicBool,
    /// Milliseconds since `started` when the listener last stood at the end of the log.
    caught_up: AtomicU64,
    /// Milliseconds since `started` when the ticks were last looked at.
    looked: AtomicU64,
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
            reads_log: AtomicBool::new(true),
            is_reader: AtomicBool::new(false),
            caught_up: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            trouble: Mutex::new(String::new()),
        }
    }
}

impl Health {
    /// `part` is alive.
    pub fn tick(&self, part: Part) {
        self.ticks[part as usize].store(self.now_ms(), Relaxed);
    }

    /// The first part that has not ticked for longer than `silence`. The watchdog looks every second: when nobody has
    /// for a while, the whole process stood still (SIGSTOP, a suspended machine), and no part is to blame.
    pub fn silent(&self, silence: Duration) -> Option<Part> {
        let now = self.now_ms();
        if now.saturating_sub(self.looked.swap(now, Relaxed)) > STANDSTILL.as_millis() as u64 {
            Part::ALL.iter().for_each(|part| self.tick(*part));
        }
        let is_silent = |part: &Part| {
            let quiet = now.saturating_sub(self.ticks[*part as usize].load(Relaxed));
            u128::from(quiet) > silence.as_millis()
        };
        Part::ALL.into_iter().find(is_silent)
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

    /// Whether the listener reads the log itself, and does not follow the stream of the backplane.
    pub fn set_reads_log(&self, reads_log: bool) {
        self.reads_log.store(reads_log, Relaxed);
    }

    /// Whether this node reads the log for the backplane.
    pub fn set_reader(&self, is_reader: bool) {
        self.is_reader.store(is_reader, Relaxed);
    }

    /// Whether this node looks after the log: prunes it, and follows what becomes of watched tables. Of those that follow the
    /// stream of the backplane only the reader does.
    pub fn keeps_house(&self) -> bool {
        self.is_live() && (self.reads_log.load(Relaxed) || self.is_reader.load(Relaxed))
    }

    /// Why not.
    pub fn trouble(&self) -> String {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// There is nothing in the log that has not been read: a read has ended, or the server has answered while no bell
    /// had rung.
    pub fn set_caught_up(&self) {
        self.caught_up.store(self.now_ms(), Relaxed);
    }

    /// The same was so, this long ago.
    pub fn set_caught_up_before(&self, ago: Duration) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        let at = self.now_ms().saturating_sub(ago);
        self.caught_up.fetch_max(at, Relaxed);
    }

    /// For how long that has not been so. A little more than zero while all is well.
    pub fn lag(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.caught_up.load(Relaxed)))
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
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
