//! The canary: a row that this plank writes now and then, and how long it takes to come back through the log. It knows no
//! database; `store` writes the row, and the hub shows it what comes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// See the module's documentation.
#[derive(Debug)]
pub struct Canary {
    /// Who beats: this process, and no other one on the same database.
    node: Uuid,
    /// How its rows begin in the log.
    prefix: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last beat.
    beat: i64,
    /// The first one that has not come back, and when it was begun.
    waits: Option<(i64, Instant)>,
    /// How long the last one that came back took.
    took: Duration,
}

impl Default for Canary {
    fn default() -> Self {
        let node = Uuid::new_v4();
        Self {
            node,
            prefix: format!("{{\"node\":\"{node}\",\"beat\":"),
            state: Mutex::default(),
        }
    }
}

impl Canary {
    /// Who beats.
    pub fn node(&self) -> Uuid {
        self.node
    }

    /// Begins a beat; its number, to be written now. One that can't be written does not come back either.
    pub fn begin(&self) -> i64 {
        let mut state = self.state();
        state.beat += 1;
        let beat = state.beat;
        state.waits.get_or_insert((beat, Instant::now()));
        beat
    }

    /// A row of a table that nobody watches has come with the log, as JSON: perhaps a beat.
    pub fn hear(&self, row: &str) {
        let beat = row.strip_prefix(&self.prefix).and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest[..end].parse::<i64>().ok()
        });
        let mut state = self.state();
        if let (Some(beat), Some((waiting, since))) = (beat, state.waits)
            && beat >= waiting
        {
            (state.took, state.waits) = (since.elapsed(), None);
        }
    }

    /// How long the last beat took to come back, or for how long one has not, if that is longer.
    pub fn age(&self) -> Duration {
        let state = self.state();
        let waits = state
            .waits
            .map_or(Duration::ZERO, |(_, since)| since.elapsed());
        state.took.max(waits)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_beat_ends_the_wait() {
        let canary = Canary::default();
        assert_eq!(canary.age(), Duration::ZERO);
        let row =
            |node: Uuid, beat: i64| format!("{{\"node\":\"{node}\",\"beat\":{beat},\"at\":\"x\"}}");
        assert_eq!((canary.begin(), canary.begin()), (1, 2));
        canary.hear(&row(Uuid::new_v4(), 1));
        canary.hear("{\"id\":1}");
        canary.hear("");
        let first = canary.age();
        assert!(canary.age() > first, "it waits on");
        canary.hear(&row(canary.node(), 2));
        let took = canary.age();
        assert!(took > first && canary.age() == took, "it has come back");
        // An old one that comes late ends no later wait.
        assert_eq!(canary.begin(), 3);
        canary.hear(&row(canary.node(), 2));
        while canary.age() <= took {}
        assert!(canary.age() > took);
    }
}
