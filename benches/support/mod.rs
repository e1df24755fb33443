//! What the benchmarks share: a bed with a PostgreSQL and a plank of its own, clients, figures, and reports.

use std::error::Error;
use std::time::Duration;

use tokio::time::timeout;

pub mod auth;
pub mod bed;
pub mod bell;
pub mod change;
pub mod client;
pub mod fanout;
pub mod floor;
pub mod fsync;
pub mod keep_alive;
pub mod limits;
pub mod log_fill;
pub mod machine;
pub mod node;
pub mod pgbench;
pub mod plot;
pub mod proc;
pub mod program;
pub mod receiver;
pub mod report;
pub mod stats;
pub mod table;
pub mod temp_dir;
pub mod variants;

/// For the person in front of the terminal; nothing is done about it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What everything here returns.
pub type Outcome<T> = Result<T, Failure>;

/// For anything that takes milliseconds on a machine that works.
pub const SOON: Duration = Duration::from_secs(10);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub enum Effort {
    /// Enough for figures that mean something.
    Full,
    /// Enough to see that everything works.
    Quick,
}

impl Effort {
    /// The one or the other.
    pub fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

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
        Ok(result) => result.map_err(|error| {
            let error = error.into();
            format!("{what}: {}{}", error, cause(&*error)).into()
        }),
        Err(_) => Err(format!("{what}: not within {} s", deadline.as_secs()).into()),
    }
}

/// tokio-postgres says "db error", and only its source says which.
fn cause(error: &(dyn Error + 'static)) -> String {
    error
        .source()
        .map_or_else(String::new, |source| format!(": {source}"))
}
