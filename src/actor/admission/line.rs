//! When those who were refused may come back: one after the other, at the rate of the limit, so that a crowd behind one address
//! gets in in the time that the limit needs for it, and nobody of it is unlucky for longer.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::limits::{LINE_PLACES_MAX, LINE_WAIT_MAX};

/// A refusal is asked about at once. One that nobody asks about is forgotten this long after its time has come.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// The line of one address.
#[derive(Debug)]
struct Line {
    /// The time of the last one in it.
    last: Instant,
    /// Those of whom nobody has asked yet.
    untold: VecDeque<Instant>,
}

/// All lines.
#[derive(Debug)]
pub(super) struct Lines<K> {
    /// Between two in a line.
    apart: Duration,
    lines: HashMap<K, Line>,
    /// Of all lines.
    untold: usize,
    /// When those that are over have last been forgotten: that looks at all of them.
    forgotten: Option<Instant>,
}

impl<K: Eq + Hash + Clone> Lines<K> {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            apart: Duration::from_secs(1) / per_second.get(),
            lines: HashMap::new(),
            untold: 0,
            forgotten: None,
        }
    }

    /// How long one more that was refused has to wait; `wait` is when the first one could come.
    pub(super) fn join(&mut self, key: K, wait: Duration, now: Instant) -> Duration {
        if self.forgotten.is_none_or(|last| last + ASKED_WITHIN <= now) {
            self.forget(now);
        }
        let is_full = self.untold >= LINE_PLACES_MAX || self.lines.len() >= LINE_PLACES_MAX;
        let first = now + wait;
        let Some(line) = self.lines.get_mut(&key) else {
            if !is_full {
                let untold = VecDeque::from([first]);
                self.lines.insert(
                    key,
                    Line {
                        last: first,
                        untold,
                    },
                );
                self.untold += 1;
            }
            return wait;
        };
        let time = first.max(line.last + self.apart);
        // Nobody is told a longer time. Those who would have one come all at once, and some of them are refused again.
        if time > now + LINE_WAIT_MAX {
            return LINE_WAIT_MAX;
        }
        line.last = time;
        if !is_full {
            line.untold.push_back(time);
            self.untold += 1;
        }
        time - now
    }

    /// How long one has to wait who was refused and has not been told so.
    pub(super) fn tell(&mut self, key: &K, now: Instant) -> Option<Duration> {
        let line = self.lines.get_mut(key)?;
        let told = loop {
            let Some(time) = line.untold.pop_front() else {
                break None;
            };
            self.untold -= 1;
            if time + ASKED_WITHIN > now {
                break Some(time.saturating_duration_since(now));
            }
        };
        if line.untold.is_empty() && line.last <= now {
            self.lines.remove(key);
        }
        told
    }

    /// Forgets the lines that are over.
    fn forget(&mut self, now: Instant) {
        self.lines.retain(|_, line| line.last + ASKED_WITHIN > now);
        self.untold = self.lines.values().map(|line| line.untold.len()).sum();
        self.forgotten = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(per_second: u32) -> Lines<u32> {
        Lines::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn a_crowd_that_is_refused_comes_back_one_after_the_other_at_the_rate_of_the_limit() {
        let (mut lines, now) = (lines(20), Instant::now());
        let waits: Vec<_> = (0..400)
            .map(|_| lines.join(1, Duration::from_millis(50), now))
            .collect();
        for (n, wait) in waits.iter().enumerate() {
            assert_eq!(*wait, Duration::from_millis(50) * (n as u32 + 1));
        }
        assert_eq!(lines.join(2, Duration::from_millis(50), now), waits[0]);
        // Who asks is told the same times, each once, and nothing afterwards.
        let told: Vec<_> = (0..400).map(|_| lines.tell(&1, now).unwrap()).collect();
        assert_eq!(told, waits);
        assert_eq!(lines.tell(&1, now), None);
        // The line is as long as it was: who comes now is behind the others.
        let later = now + Duration::from_secs(10);
        let wait = lines.join(1, Duration::from_millis(50), later);
        assert_eq!(later + wait, now + Duration::from_millis(50) * 401);
    }

    #[test]
    fn nobody_waits_longer_than_a_client_believes() {
        let (mut lines, now) = (lines(1), Instant::now());
        let waits = (0..1_000).map(|_| lines.join(1, Duration::ZERO, now));
        assert!(waits.max() <= Some(LINE_WAIT_MAX));
        assert!(lines.untold <= LINE_WAIT_MAX.as_secs() as usize + 1);
    }

    #[test]
    fn a_line_that_is_over_is_forgotten_and_all_of_them_are_bounded() {
        let (mut lines, now) = (lines(1_000), Instant::now());
        for key in 0..2 * LINE_PLACES_MAX as u32 {
            lines.join(key, Duration::ZERO, now);
        }
        assert_eq!(
            (lines.lines.len(), lines.untold),
            (LINE_PLACES_MAX, LINE_PLACES_MAX)
        );
        let later = now + ASKED_WITHIN;
        assert_eq!(lines.tell(&1, later), None, "too late to ask");
        lines.join(u32::MAX, Duration::ZERO, later);
        assert_eq!((lines.lines.len(), lines.untold), (1, 1));
        let told = lines.tell(&u32::MAX, later + Duration::from_secs(1));
        assert_eq!((told, lines.lines.len()), (Some(Duration::ZERO), 0));
    }
}
