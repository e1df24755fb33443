//! When a replica that could not be used is tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{REPLICA_REST_FIRST, REPLICA_REST_LONGEST};

/// Tried at once in the beginning, and after each failure a growing while later.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<State>);

/// A read that tries it. What comes of one that began before the replica was last found wanting says nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(u64);

#[derive(Debug, Default)]
struct State {
    /// The next delay, before it is made a random part of it; none while the replica works.
    delay: Option<Duration>,
    /// Not before.
    until: Option<Instant>,
    /// Of the last failure, for the log.
    why: Option<String>,
    /// How often it was found wanting.
    round: u64,
}

impl Pause {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A read may try it at `now`; none while it rests. Of those that come when a rest is over one tries, and the others wait for what comes of it.
    pub fn attempt(&self, now: Instant) -> Option<Attempt> {
        let mut state = self.lock();
        if let Some(until) = state.until {
            if now < until {
                return None;
            }
            let delay = state.delay.unwrap_or(REPLICA_REST_FIRST);
            state.until = Some(now + delay);
        }
        Some(Attempt(state.round))
    }

    /// It served a read; whether it had rested before.
    pub fn works(&self, attempt: Attempt) -> bool {
        let mut state = self.lock();
        if attempt.0 != state.round {
            return false;
        }
        let had_rested = state.until.is_some();
        *state = State {
            round: state.round,
            ..State::default()
        };
        had_rested
    }

    /// It could not be used, and rests; whether that is news: another reason than the last time. Many reads may fail at once, and it
    /// rests as long as if one had.
    pub fn fails(&self, attempt: Attempt, now: Instant, why: &str) -> bool {
        let mut state = self.lock();
        if attempt.0 != state.round {
            return false;
        }
        state.round += 1;
        let delay = state.delay.unwrap_or(REPLICA_REST_FIRST);
        state.until = Some(now + delay.mul_f64(0.5 + fastrand::f64() / 2.0));
        state.delay = Some((delay * 2).min(REPLICA_REST_LONGEST));
        let is_news = state.why.as_deref() != Some(why);
        state.why = Some(why.to_owned());
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_grows_up_to_a_bound_and_is_forgotten_once_it_works() {
        let (rest, mut now) = (Pause::default(), Instant::now());
        let mut attempt = rest.attempt(now).unwrap();
        assert_eq!(rest.attempt(now), Some(attempt), "nothing is wrong yet");
        let mut longest = REPLICA_REST_FIRST;
        for round in 0..12 {
            assert_eq!(rest.fails(attempt, now, "away"), round == 0, "said once");
            assert_eq!(rest.attempt(now), None, "it rests");
            now += longest;
            attempt = rest.attempt(now).unwrap();
            assert_eq!(rest.attempt(now), None, "one read tries, and no crowd");
            longest = (longest * 2).min(REPLICA_REST_LONGEST);
        }
        assert!(rest.fails(attempt, now, "another reason"));
        let attempt = rest.attempt(now + REPLICA_REST_LONGEST).unwrap();
        assert!(rest.works(attempt));
        assert!(!rest.works(attempt));
        let attempt = rest.attempt(now).unwrap();
        rest.fails(attempt, now, "away");
        assert!(
            rest.attempt(now + REPLICA_REST_FIRST).is_some(),
            "from the beginning"
        );
    }

    #[test]
    fn reads_that_fail_at_once_make_one_rest_and_none_of_them_ends_it() {
        let (rest, now) = (Pause::default(), Instant::now());
        let crowd: Vec<Attempt> = (0..100).map(|_| rest.attempt(now).unwrap()).collect();
        for (i, attempt) in crowd.iter().enumerate() {
            assert_eq!(rest.fails(*attempt, now, "away"), i == 0);
        }
        assert!(!rest.works(crowd[0]), "it began before");
        assert_eq!(rest.attempt(now), None);
        let next = now + REPLICA_REST_FIRST;
        let attempt = rest.attempt(next).unwrap();
        rest.fails(attempt, next, "away");
        assert!(
            rest.attempt(next + 2 * REPLICA_REST_FIRST).is_some(),
            "the second rest is twice the first, and not the longest"
        );
    }
}
