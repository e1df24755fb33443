//! How long to wait before something that has failed is tried again. Nothing is tried again without it.

use std::time::Duration;

/// A delay that is doubled with each failure up to a bound, and begins anew with a success.
#[derive(Clone, Debug)]
pub struct Retry {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Retry {
    /// Begins with `first` and does not get above `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// It has failed; how long to wait: between half and all of the delay, so that many nodes don't try at the same moment.
    pub fn failed(&mut self) -> Duration {
        self.failed_within(self.longest)
    }

    /// The same with another bound, for a failure that does not pass by itself.
    pub fn failed_within(&mut self, longest: Duration) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// The delay after so many failures in a row, for what counts them itself.
    pub fn after(mut self, failures: usize) -> Duration {
        self.failures = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.failed()
    }

    /// It has worked.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    #[test]
    fn a_delay_grows_to_its_bound_varies_and_begins_anew_with_a_success() {
        let mut retry = Retry::new(FIRST, LONGEST);
        let mut delay = FIRST;
        for _ in 0..100 {
            assert!((delay / 2..=delay).contains(&retry.failed()));
            delay = (delay * 2).min(LONGEST);
        }
        assert_eq!(delay, LONGEST);
        assert_ne!(retry.failed(), retry.failed());
        retry.worked();
        assert!((FIRST / 2..=FIRST).contains(&retry.failed()));
        assert!((LONGEST / 2..=LONGEST).contains(&Retry::new(FIRST, LONGEST).after(usize::MAX)));
        assert!(Retry::new(FIRST, LONGEST).after(1) <= FIRST);
        let longer = 10 * LONGEST;
        let mut refused = Retry::new(FIRST, LONGEST);
        assert!((0..30).any(|_| refused.failed_within(longer) > LONGEST));
    }
}
