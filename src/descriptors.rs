//! How many files and sockets the system lets this process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::limits::DESCRIPTORS_RESERVED;

/// Raises the limit of this process to the most that it may have without asking anybody: many systems begin with 1,024,
/// for the sake of programs that use `select`.
pub fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        log::debug!("file descriptor limit not raised soft={soft} hard={hard} reason=\"{error}\"");
    }
}

/// How many this process may have.
pub fn limit() -> usize {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => usize::try_from(soft).unwrap_or(usize::MAX),
        Err(_) => usize::MAX,
    }
}

/// How many clients that leaves room for.
pub fn clients_max() -> usize {
    limit().saturating_sub(DESCRIPTORS_RESERVED)
}

/// Says how many clients fit, and what to do if those of `--max-connections` don't.
pub fn announce(connections_max: usize) {
    let (limit, fit) = (limit(), clients_max());
    log::info!("file descriptors limit={limit} clients={fit}");
    if fit < connections_max {
        log::warn!(
            "file descriptors do not suffice for max-connections={connections_max}: limit={limit} is enough for {fit} clients, and \
             more are refused; raise the hard limit (LimitNOFILE= of the systemd unit, ulimit -Hn in a shell) to {} or lower --max-connections",
            connections_max.saturating_add(DESCRIPTORS_RESERVED)
        );
    }
}
