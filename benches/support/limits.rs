//! The limits of the process, which plank inherits as its child.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Outcome;

/// Raises the number of open files to what the system allows: each client is one here and one in plank.
///
/// # Errors
/// If the system refuses.
pub fn raise_open_files() -> Outcome<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

/// Fails early, and says why, where `count` clients can't be had.
///
/// # Errors
/// If there are too few open files.
pub fn need_open_files(count: usize) -> Outcome<()> {
    /// For the database, logs, epoll and the like.
    const OTHERS: u64 = 100;
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < count as u64 + OTHERS {
        return Err(format!(
            "{count} clients need more open files than the {soft} that are allowed; raise the hard limit (ulimit -Hn)"
        )
        .into());
    }
    Ok(())
}
