//! Figures from samples.

use std::time::Duration;

/// Measured durations, sorted.
#[derive(Debug)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Of at least one sample.
    pub fn new(mut samples: Vec<Duration>) -> Self {
        debug_assert!(!samples.is_empty());
        samples.sort_unstable();
        Self(samples)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that `percent` of all samples don't exceed (nearest rank): always one that was measured.
    pub fn percentile(&self, percent: f64) -> Duration {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0
            .get(rank.saturating_sub(1))
            .or(self.0.last())
            .copied()
            .unwrap_or_default()
    }

    /// How many times `floor` it is at `percent`.
    pub fn ratio(&self, floor: &Self, percent: f64) -> f64 {
        self.percentile(percent).as_secs_f64() / floor.percentile(percent).as_secs_f64()
    }
}

/// Milliseconds with the digits that mean something.
pub fn ms(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

/// The one in the middle, or what lies between the two there; 0 of none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 if middle > 0 => (at(middle - 1) + at(middle)) / 2.0,
        _ => at(middle),
    }
}

/// The median of the ratios of two series that were measured together: what the machine did meanwhile is in both.
pub fn median_ratio(samples: &[f64], floor: &[f64]) -> f64 {
    let ratios: Vec<f64> = samples.iter().zip(floor).map(|(a, b)| a / b).collect();
    median(&ratios)
}
