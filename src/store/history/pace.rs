//! How long a client may take to read a table, while the connection that it comes on is one of few.

use std::time::Duration;

use tokio::pin;
use tokio::time::{Instant, timeout};

use crate::limits::{SNAPSHOT_MAX, SNAPSHOT_PAUSE_MAX, SNAPSHOT_WAIT_MAX};

use super::TableSnapshot;

/// Between two looks at whether another client waits for the place of a client that is slow.
const PACE_LOOK: Duration = Duration::from_secs(1);

/// Why nothing more is read for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpaced<E> {
    /// It has taken too long, whether or not another client waits.
    Late,
    /// Others wait, and it does not read.
    Slow,
    /// It will take nothing more.
    Over(E),
}

/// How long a table has been read, and how long of that it has waited for its client.
#[derive(Debug)]
pub struct Pace {
    deadline: Instant,
    waited: Duration,
}

impl Pace {
    /// From the moment on at which a place is asked for.
    pub fn start() -> Self {
        Self {
            deadline: Instant::now() + SNAPSHOT_MAX,
            waited: Duration::ZERO,
        }
    }

    /// Waits until the client has room for the next piece of `rows`. One that is slow keeps nobody waiting who wants a
    /// snapshot too.
    ///
    /// # Errors
    /// See [`Unpaced`].
    pub async fn taken<T, E>(
        &mut self,
        rows: &TableSnapshot,
        room: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Unpaced<E>> {
        pin!(room);
        let started = Instant::now();
        loop {
            let done = timeout(PACE_LOOK, room.as_mut()).await;
            let waits = started.elapsed();
            let is_slow = waits >= SNAPSHOT_PAUSE_MAX || self.waited + waits >= SNAPSHOT_WAIT_MAX;
            let done = match done {
                Ok(room) => {
                    self.waited += waits;
                    Some(room.map_err(Unpaced::Over)?)
                }
                Err(_) => None,
            };
            match done {
                _ if Instant::now() >= self.deadline => return Err(Unpaced::Late),
                _ if is_slow && rows.is_place_wanted() => return Err(Unpaced::Slow),
                Some(room) => return Ok(room),
                None => {}
            }
        }
    }
}
