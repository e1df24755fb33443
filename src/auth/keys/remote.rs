//! Keys that come from a URL. This says when to ask there and keeps what came; who asks is [`crate::app`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::limits::{JWKS_ASK_INTERVAL_MIN, JWKS_ASK_MAX, JWKS_INTERVAL, JWKS_RETRY_FIRST};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Remote {
    /// Where, for the log. Its query may have a key of its own.
    place: String,
    asked: Mutex<Asked>,
    /// A key is wanted whose name is not known.
    wanted: Notify,
    /// How many answers there have been, good or not.
    answers: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Asked {
    /// When the last answer came; none before the first.
    at: Option<Instant>,
    /// Whether one was good.
    has_keys: bool,
    /// Answers in a row that were not.
    failures: u32,
    /// Why the last one was not, so that the log has it once.
    why: String,
}

impl Remote {
    pub(super) fn new(place: String) -> Self {
        Self {
            place,
            asked: Mutex::default(),
            wanted: Notify::new(),
            answers: watch::Sender::new(0),
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there has been a good answer.
    pub(super) fn has_keys(&self) -> bool {
        self.asked().has_keys
    }

    /// Whether asking for a key that is not known makes sense now: once in a while it does.
    pub(super) fn may_know_more(&self) -> bool {
        let asked = self.asked();
        let is_due = |at: Instant| at.elapsed() >= JWKS_ASK_INTERVAL_MIN;
        asked.at.is_none_or(is_due)
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self) {
        let mut answers = self.answers.subscribe();
        self.wanted.notify_one();
        // Without one in time the old keys have to do.
        let _ = timeout(JWKS_ASK_MAX, answers.changed()).await;
    }

    /// Asks, and does not wait.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until it is time to ask.
    pub(super) async fn is_time(&self) {
        let (at, failures) = {
            let asked = self.asked();
            (asked.at, asked.failures)
        };
        let Some(at) = at else { return };
        let (usual, least) = match failures {
            0 => (JWKS_INTERVAL, JWKS_ASK_INTERVAL_MIN),
            n => {
                let wait = JWKS_RETRY_FIRST.saturating_mul(1 << n.min(10));
                let wait = wait.min(JWKS_ASK_INTERVAL_MIN);
                (wait, wait)
            }
        };
        let rest = |all: Duration| all.saturating_sub(at.elapsed());
        tokio::select! {
            () = sleep(rest(usual)) => {}
            () = async {
                self.wanted.notified().await;
                sleep(rest(least)).await;
            } => {}
        }
    }

    /// An answer was good; whether the log has to say so.
    pub(super) fn succeed(&self) -> bool {
        let mut asked = self.asked();
        let was_away = asked.failures > 0;
        *asked = Asked {
            at: Some(Instant::now()),
            has_keys: true,
            ..Asked::default()
        };
        was_away
    }

    /// An answer was none; whether the log has to say so.
    pub(super) fn fail(&self, why: &str) -> bool {
        let mut asked = self.asked();
        asked.at = Some(Instant::now());
        asked.failures = asked.failures.saturating_add(1);
        let is_news = asked.why != why;
        asked.why = why.to_owned();
        is_news
    }

    /// Those who wait may look again.
    pub(super) fn tell(&self) {
        self.answers.send_modify(|n| *n = n.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(remote: &Remote) -> u64 {
        let started = Instant::now();
        remote.is_time().await;
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_url_is_asked_in_time_and_for_unknown_keys_once_a_minute() {
        let remote = Remote::new("x".into());
        assert_eq!(waited(&remote).await, 0, "at once");
        assert!(remote.may_know_more() && !remote.has_keys());
        remote.succeed();
        assert!(!remote.may_know_more(), "it has just been asked");
        // Made-up names of keys cause one question a minute.
        for _ in 0..1_000 {
            remote.want();
        }
        assert_eq!(waited(&remote).await, 60);
        assert!(remote.may_know_more());
        remote.succeed();
        assert_eq!(waited(&remote).await, 300, "by itself");
        remote.succeed();
        // While it is away more often, but not all the time.
        let mut waits = Vec::new();
        for _ in 0..8 {
            remote.fail("away");
            waits.push(waited(&remote).await);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(remote.has_keys(), "the old ones stay");
        assert!(!remote.fail("away"), "said once");
        assert!(remote.fail("elsewhere"));
        assert!(remote.succeed(), "said when it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_waits_for_one_answer_and_not_for_ever() {
        let remote = std::sync::Arc::new(Remote::new("x".into()));
        let started = Instant::now();
        remote.ask().await;
        assert_eq!(started.elapsed(), JWKS_ASK_MAX);
        let asked = remote.clone();
        let asking = tokio::spawn(async move { asked.ask().await });
        tokio::task::yield_now().await;
        remote.succeed();
        remote.tell();
        let started = Instant::now();
        asking.await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
