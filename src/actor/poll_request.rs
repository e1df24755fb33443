//! The hub asks the listener to look at the log now: a client has come with a cursor that is ahead of the hub, from
//! another node or from a snapshot. Shared, since the listener waits in the middle of a future and takes no messages.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct PollRequest {
    asked: AtomicU64,
    notify: Notify,
}

impl PollRequest {
    /// Asks; the number of this question.
    pub fn ask(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.notify.notify_one();
        number
    }

    /// How many have been asked so far. What is read after this answers all of them.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits for the next question.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }
}
