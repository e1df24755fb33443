//! When a listener sleeps and when it polls.
//!
//! A NOTIFY takes a lock on the whole cluster until its commit is on disk, so a bell in every transaction holds up all
//! writers. A trigger therefore rings only while the bell is armed, that is, while some listener sleeps or is about to.
//! When several sessions write at a time, or one very much, a listener disarms the bell and polls. A session that writes alone, a
//! row after it has seen the one before, waits for no other, and is heard at once.
//!
//! Asleep, a listener must be woken by every transaction that it has not read. A writer reads the bell after it has got
//! its transaction id. So: arm; then draw an id of one's own, the fence; a session that still read a disarmed bell has an id
//! below the fence. When all of those have ended and have been read, it is safe to wait for the socket alone. Until then
//! the listener is drowsy: it hears the bell, and looks every few milliseconds as well.
//!
//! No I/O here: the listener does what this says. `tests/model/doorbell.pml` is the same as a model.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits::{
    BELL_ALONE, BELL_BUSY, BELL_COMPANY, BELL_COMPANY_KEPT, BELL_MANY, BELL_OPEN_MAX, BELL_QUIET,
    POLL_AWAKE, POLL_DROWSY, POLL_EAGER,
};

/// Over which the rate of transactions is taken.
const SECOND: Duration = Duration::from_secs(1);

/// What the listener does about the bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Polls. The bell is disarmed, unless another listener sleeps.
    Awake,
    /// Has armed the bell, and waits for all transactions up to this id to end.
    Drowsy(u64),
    /// Waits for the bell.
    Asleep,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Arm the bell, draw a fence, and tell it with [`Bell::armed`].
    Arm,
    /// Let go of the bell, and disarm it if nobody else sleeps; then [`Bell::disarmed`].
    Disarm,
    /// Read when this time has passed, or the bell rings.
    Poll(Duration),
    /// Read when the bell rings.
    Wait,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Bell {
    /// False: it polls for ever, since the database uses prepared transactions, which refuse a NOTIFY.
    may_sleep: bool,
    phase: Phase,
    /// Whether the bell is known to be disarmed, and when that was last tried.
    disarm: Disarm,
    /// The reads of the last second that have found something.
    recent: VecDeque<Read>,
    /// Until then several are taken to write at a time. It shows only while the bell is armed, and they wait for it.
    company_until: Option<Instant>,
    /// Since when an armed bell would have delayed no writer.
    quiet_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    at: Instant,
    transactions: usize,
    /// How long they had been open, all together.
    open: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Disarm {
    Wanted,
    Failed(Instant),
    Done,
}

impl Bell {
    /// Of a new connection: it holds nothing, so its first step is to arm the bell, or to disarm it when it may not
    /// sleep.
    pub fn new(may_sleep: bool, now: Instant) -> Self {
        Self {
            may_sleep,
            phase: Phase::Awake,
            disarm: Disarm::Wanted,
            recent: VecDeque::new(),
            company_until: None,
            // A listener that has just connected knows nothing of any load.
            quiet_since: now.checked_sub(SECOND),
        }
    }

    /// What it does.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether this listener holds the bell armed.
    pub fn is_armed(&self) -> bool {
        self.phase != Phase::Awake
    }

    /// The bell is armed, and `fence` was drawn after that.
    pub fn armed(&mut self, fence: u64) {
        debug_assert!(self.may_sleep, "a listener that polls only never arms");
        self.phase = Phase::Drowsy(fence);
    }

    /// The bell has been let go; `is_off` says that it is disarmed, and not held by another listener.
    pub fn disarmed(&mut self, is_off: bool, now: Instant) {
        self.phase = Phase::Awake;
        self.disarm = if is_off {
            Disarm::Done
        } else {
            Disarm::Failed(now)
        };
    }

    /// It has rung. While this listener is awake nobody should: another one has armed the bell, and may have died with
    /// it armed. So it is disarmed again, if nobody sleeps.
    pub fn rung(&mut self, now: Instant) {
        if let (Phase::Awake, Disarm::Done) = (self.phase, self.disarm) {
            self.disarm = Disarm::Failed(now);
        }
    }

    /// A read has ended: when it looked, the transactions that it found had begun so long ago, and below `xmin` everything
    /// had ended.
    pub fn read(
        &mut self,
        transactions: impl IntoIterator<Item = Duration>,
        xmin: u64,
        now: Instant,
    ) {
        let mut read = Read {
            at: now,
            transactions: 0,
            open: Duration::ZERO,
        };
        for age in transactions {
            read.transactions += 1;
            read.open += age.min(BELL_OPEN_MAX);
        }
        if read.transactions > 0 {
            self.recent.push_back(read);
        }
        // Little's law: so many were open at a time, on average, as the seconds that they were open for in a second.
        let open: Duration = self.last_second(now).map(|read| read.open).sum();
        if self.is_armed() && open >= BELL_COMPANY && self.per_second(now) >= BELL_BUSY {
            self.company_until = Some(now + BELL_COMPANY_KEPT);
        }
        let quiet = match self.has_company(now) {
            true => BELL_QUIET,
            false => BELL_ALONE / 2,
        };
        if self.per_second(now) >= quiet {
            self.quiet_since = None;
        } else if self.quiet_since.is_none() {
            self.quiet_since = Some(now);
        }
        if let Phase::Drowsy(fence) = self.phase
            && xmin > fence
        {
            self.phase = Phase::Asleep;
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Instant) -> Step {
        let per_second = self.per_second(now);
        let busy = match self.has_company(now) {
            true => BELL_BUSY,
            false => BELL_ALONE,
        };
        let is_busy = per_second >= busy;
        let is_over = |since: Instant| now.saturating_duration_since(since) >= SECOND;
        match self.phase {
            Phase::Asleep | Phase::Drowsy(_) if is_busy => Step::Disarm,
            Phase::Asleep => Step::Wait,
            Phase::Drowsy(_) => Step::Poll(POLL_DROWSY),
            Phase::Awake if self.may_sleep && self.quiet_since.is_some_and(is_over) => Step::Arm,
            Phase::Awake => match self.disarm {
                Disarm::Wanted => Step::Disarm,
                // The other listener may have woken up by now.
                Disarm::Failed(at) if is_over(at) => Step::Disarm,
                Disarm::Failed(_) | Disarm::Done => Step::Poll(match per_second {
                    BELL_QUIET..BELL_MANY => POLL_EAGER,
                    _ => POLL_AWAKE,
                }),
            },
        }
    }

    fn per_second(&mut self, now: Instant) -> usize {
        self.last_second(now).map(|read| read.transactions).sum()
    }

    fn has_company(&self, now: Instant) -> bool {
        self.company_until.is_some_and(|until| now < until)
    }

    fn last_second(&mut self, now: Instant) -> impl Iterator<Item = &Read> {
        while let Some(read) = self.recent.front()
            && now.saturating_duration_since(read.at) >= SECOND
        {
            self.recent.pop_front();
        }
        self.recent.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn it_sleeps_only_behind_its_fence() {
        let mut now = Instant::now() + SECOND * 10;
        let mut bell = Bell::new(true, now);
        assert_eq!(bell.step(now), Step::Arm);
        bell.armed(100);
        for (xmin, phase) in [
            (90, Phase::Drowsy(100)),
            (100, Phase::Drowsy(100)),
            (101, Phase::Asleep),
        ] {
            assert_eq!(bell.step(now), Step::Poll(POLL_DROWSY));
            now += ms(50);
            bell.read([], xmin, now);
            assert_eq!(bell.phase(), phase);
        }
        assert_eq!(bell.step(now), Step::Wait);
        assert!(bell.is_armed());
    }

    /// So many transactions that have been open for so long.
    fn some(count: usize, age_ms: u64) -> impl Iterator<Item = Duration> {
        (0..count).map(move |_| ms(age_ms))
    }

    #[test]
    fn under_load_it_polls_and_goes_back_to_sleep() {
        let mut now = Instant::now() + SECOND * 10;
        let mut bell = Bell::new(true, now);
        bell.armed(1);
        bell.read([], 2, now);
        // Eight at a time, each of which waits for the seven before it.
        for _ in 0..2 * BELL_BUSY {
            now += ms(2);
            bell.read(some(1, 16), 3, now);
        }
        assert_eq!(bell.step(now), Step::Disarm);
        bell.disarmed(false, now);
        assert_eq!(bell.step(now), Step::Poll(POLL_EAGER));
        now += SECOND;
        bell.read(some(BELL_BUSY, 3), 4, now);
        assert_eq!(
            bell.step(now),
            Step::Disarm,
            "another listener slept, and is asked again"
        );
        bell.disarmed(true, now);
        assert_eq!(bell.step(now), Step::Poll(POLL_EAGER));
        bell.read(some(BELL_MANY, 3), 5, now);
        assert_eq!(bell.step(now), Step::Poll(POLL_AWAKE));
        // Some go on: they would line up again.
        for _ in 0..50 {
            now += ms(50);
            bell.read(some(1, 3), 5, now);
            assert!(matches!(bell.step(now), Step::Poll(_)));
        }
        // Quiet for a second, after the second in which the load is counted.
        for _ in 0..30 {
            now += ms(100);
            bell.read([], 5, now);
        }
        assert_eq!(bell.step(now), Step::Arm);
    }

    #[test]
    fn one_who_writes_alone_is_heard_at_once_unless_he_writes_very_much() {
        let mut now = Instant::now() + SECOND * 10;
        let mut bell = Bell::new(true, now);
        bell.armed(1);
        bell.read([], 2, now);
        for _ in 0..2 * BELL_MANY {
            now += ms(2);
            bell.read(some(1, 2), 3, now);
            assert_eq!(bell.step(now), Step::Wait);
        }
        // A transaction that has been open for an hour is one.
        bell.read(some(1, 3_600_000), 3, now);
        assert_eq!(bell.step(now), Step::Wait);
        bell.read(some(BELL_ALONE, 0), 4, now);
        assert_eq!(bell.step(now), Step::Disarm);
        bell.disarmed(true, now);
        for _ in 0..2 * BELL_MANY {
            now += ms(3);
            bell.read(some(1, 4), 5, now);
        }
        assert_eq!(bell.step(now), Step::Arm, "fewer, and alone");
    }

    #[test]
    fn one_that_may_not_sleep_polls_for_ever() {
        let mut now = Instant::now() + SECOND * 10;
        let mut bell = Bell::new(false, now);
        assert_eq!(bell.step(now), Step::Disarm);
        bell.disarmed(true, now);
        for _ in 0..100 {
            now += SECOND;
            bell.read([], 9, now);
            assert_eq!(bell.step(now), Step::Poll(POLL_AWAKE));
        }
        // Another listener has armed it, and is gone.
        bell.rung(now);
        assert_eq!(bell.step(now), Step::Poll(POLL_AWAKE));
        assert_eq!(bell.step(now + SECOND), Step::Disarm);
    }
}
