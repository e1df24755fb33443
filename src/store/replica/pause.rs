//! When a replica that could not be used is tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{REPLICA_REST_FIRST, REPLICA_REST_LONGEST};

/// Tried at once in the beginning, and after each failure a growing while later.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The next delay, before it is made a random part of it; none while the replica works.
    delay: Option<Duration>,
    /// Not before.
    until: Option<Instant>,
    /// Failures in a row, for the log.
    why: Option<String>,
}

impl Pause {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a read may try it at `now`. Of those that come when a rest is over one tries, and the others wait for what comes of it.
    pub fn is_over(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                let delay = state.delay.unwrap_or(REPLICA_REST_FIRST);
                state.until = Some(now + delay);
                true
            }
        }
    }

    /// It served a read; whether it had rested before.
    pub fn works(&self) -> bool {
        let mut state = self.lock();
        let had_rested = state.until.is_some();
        *state = State::default();
        had_rested
    }

    /// It could not be used, and rests; whether that is news: another reason than the last time.
    pub fn fails(&self, now: Instant, why: &str) -> bool {
        let mut state = self.lock();
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
        assert!(
            rest.is_over(now) && rest.is_over(now),
            "nothing is wrong yet"
        );
        let mut longest = REPLICA_REST_FIRST;
        for round in 0..12 {
            assert_eq!(rest.fails(now, "away"), round == 0, "said once");
            assert!(!rest.is_over(now), "it rests");
            now += longest;
            assert!(rest.is_over(now), "round {round}");
            assert!(!rest.is_over(now), "one read tries, and no crowd");
            longest = (longest * 2).min(REPLICA_REST_LONGEST);
        }
        assert!(rest.fails(now, "another reason"));
        assert!(rest.works() && rest.is_over(now));
        assert!(!rest.works());
        rest.fails(now, "away");
        assert!(rest.is_over(now + REPLICA_REST_FIRST), "from the beginning");
    }
}
