//! Keeps a flood of clients from being a flood of the log.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::limits::LOG_INTERVAL;

/// Lets one line pass in a while. For lines that say the same of different clients.
#[derive(Debug)]
pub struct Throttle {
    started: Instant,
    /// Milliseconds since `started` at which the next one may pass.
    next_ms: AtomicU64,
    /// How many have not passed since the last one that did.
    kept_back: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            next_ms: AtomicU64::new(0),
            kept_back: AtomicU64::new(0),
        }
    }
}

impl Throttle {
    /// Whether a line may pass; if so, how many were kept back before it.
    pub fn pass(&self) -> Option<u64> {
        let now = self.started.elapsed().as_millis() as u64;
        let next = now + LOG_INTERVAL.as_millis() as u64;
        let passes = |due: u64| (due <= now).then_some(next);
        match self.next_ms.fetch_update(Relaxed, Relaxed, passes) {
            Ok(_) => Some(self.kept_back.swap(0, Relaxed)),
            Err(_) => {
                self.kept_back.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_and_says_how_many_did_not() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert!((0..1_000).all(|_| throttle.pass().is_none()));
        throttle.next_ms.store(0, Relaxed);
        assert_eq!(throttle.pass(), Some(1_000));
        assert_eq!(throttle.pass(), None);
    }
}
