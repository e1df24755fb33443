//! One change at a time on an idle system, from the INSERT to the client that waits for it.

use std::time::Duration;

use futures_util::future::try_join;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Statement};

use super::receiver::Receiver;
use super::{Failure, Outcome, SOON, table, within};

/// A table, who writes to it, and who waits for its changes.
pub struct Target {
    writer: Client,
    insert: Statement,
    receiver: Receiver,
}

impl Target {
    /// Ready to measure.
    ///
    /// # Errors
    /// If the table can't be written.
    pub async fn new(writer: Client, table: &str, receiver: Receiver) -> Outcome<Self> {
        let sql = table::insert(table, "$1");
        let insert = within(SOON, "a statement", writer.prepare(&sql)).await?;
        Ok(Self {
            writer,
            insert,
            receiver,
        })
    }

    /// Lets everything fall asleep for a random time, and measures a change.
    ///
    /// # Errors
    /// If it does not arrive.
    pub async fn change_after(&mut self, pause_ms: std::ops::Range<u64>) -> Outcome<Duration> {
        let (from, to) = (pause_ms.start * 1_000, pause_ms.end * 1_000);
        sleep(Duration::from_micros(fastrand::u64(from..to))).await;
        self.change().await
    }

    /// Both at once: the change may be here before the writer knows that it has committed.
    ///
    /// # Errors
    /// If it does not arrive.
    pub async fn change(&mut self) -> Outcome<Duration> {
        let name = format!("change {:016x}", fastrand::u64(..));
        let Self {
            writer,
            insert,
            receiver,
        } = self;
        let started = Instant::now();
        let written = async { Ok::<_, Failure>(writer.execute(insert, &[&name]).await?) };
        let received = async {
            receiver.find(&name).await?;
            Ok(started.elapsed())
        };
        let (_, latency) = within(SOON, "a change", try_join(written, received)).await?;
        Ok(latency)
    }
}
