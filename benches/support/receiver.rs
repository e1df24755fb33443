//! What waits for changes: a client of plank, or the bare one of the floor.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::Subscriber;
use super::floor::Listener;
use super::{Failure, Outcome, within};

/// One of the two.
pub enum Receiver {
    /// The floor's.
    Bare(Listener),
    /// A WebSocket.
    Plank(Subscriber),
}

impl Receiver {
    /// Reads until something has `part` in it, and gives it back. What came before it is dropped.
    ///
    /// # Errors
    /// If the connection ends.
    pub async fn find(&mut self, part: &str) -> Outcome<String> {
        match self {
            Self::Bare(listener) => listener.find(part).await,
            Self::Plank(subscriber) => Ok(subscriber.find(part).await?.as_str().to_owned()),
        }
    }
}

/// What a marker begins with; its number follows.
const MARKER: &str = "caught up ";

/// The text of a marker, for a row's name or a payload.
pub fn marker(number: u64) -> String {
    format!("{MARKER}{number}")
}

/// A receiver that takes whatever comes, in the background, and notes the markers: a client that reads as it should, and
/// a way to know that everything up to some moment has arrived.
pub struct Follower {
    newest: watch::Receiver<u64>,
    task: JoinHandle<Failure>,
}

impl Follower {
    /// Begins to take.
    pub fn start(mut receiver: Receiver) -> Self {
        let (noted, newest) = watch::channel(0);
        let take = async move {
            loop {
                match receiver.find(MARKER).await {
                    Ok(text) => noted.send_modify(|newest| *newest = newest_in(&text).max(*newest)),
                    Err(error) => return error,
                }
            }
        };
        Self {
            newest,
            task: tokio::spawn(take),
        }
    }

    /// Waits for a marker.
    ///
    /// # Errors
    /// If it does not come in time, or the receiver has failed meanwhile.
    pub async fn wait(&mut self, number: u64, patience: Duration) -> Outcome<()> {
        let come = async {
            tokio::select! {
                come = self.newest.wait_for(|newest| *newest >= number) => Ok(come.map(drop)?),
                error = &mut self.task => Err(error.unwrap_or_else(Into::into)),
            }
        };
        within::<_, Failure>(patience, "a marker that was written", come).await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One message may have several.
fn newest_in(text: &str) -> u64 {
    let after = text.split(MARKER).skip(1);
    let numbers = after.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    });
    numbers.max().unwrap_or(0)
}
