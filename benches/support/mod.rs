//! What the benchmarks share: a bed with a PostgreSQL and a plank of its own, clients, figures, and reports.

use std::error::Error;
use std::time::Duration;

use tokio::time::timeout;

pub mod bed;
pub mod client;
pub mod limits;
pub mod machine;
pub mod report;
pub mod stats;

/// For the person in front of the terminal; nothing is done about it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What everything here returns.
pub type Outcome<T> = Result<T, Failure>;

/// For anything that takes milliseconds on a machine that works.
pub const SOON: Duration = Duration::from_secs(10);

/// Nothing is waited for without a deadline.
///
/// # Errors
/// Those of the future; or `what` was not there in time.
pub async fn within<T, E>(
    deadline: Duration,
    what: &str,
    future: impl Future<Output = Result<T, E>>,
) -> Outcome<T>
where
    E: Into<Failure>,
{
    match timeout(deadline, future).await {
        Ok(result) => result.map_err(|error| format!("{what}: {}", error.into()).into()),
        Err(_) => Err(format!("{what}: not within {} s", deadline.as_secs()).into()),
    }
}
