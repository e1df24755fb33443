//! What can go wrong with the private PostgreSQL. Every text says what happened, what it means and what to do.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::binaries::{Binaries, MAJOR_MIN};

/// Why the private PostgreSQL could not be started, or no longer runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// Nothing is installed, or only servers that are too old.
    #[error(
        "no PostgreSQL server binaries found; install postgresql or set PLANK_DATABASE_URL{}",
        too_old(.seen)
    )]
    NoBinaries {
        /// Servers that were found, all of them older than plank can use.
        seen: Vec<Binaries>,
    },

    /// `PLANK_PG_BIN` is set, but wrong.
    #[error(
        "PLANK_PG_BIN is {}, but no usable `initdb` and `postgres` (version {MAJOR_MIN} or newer) are there; \
         correct it, or unset it to let plank search", .dir.display()
    )]
    NoBinariesIn {
        /// The directory that the variable names.
        dir: PathBuf,
    },

    /// The cluster was made by another major version than those installed.
    #[error(
        "the data in {} was made by PostgreSQL {cluster}, but {}; a server can only open data of its own major \
         version: install PostgreSQL {cluster}, or move the data with pg_upgrade", .pgdata.display(), installed(.found)
    )]
    VersionMismatch {
        /// The directory with the data.
        pgdata: PathBuf,
        /// The major version in its `PG_VERSION`.
        cluster: u32,
        /// What is installed instead.
        found: Vec<Binaries>,
    },

    /// Another plank holds the lock of this data directory.
    #[error(
        "the data directory {} is in use by another plank{}; stop that one first, or give this one its own \
         --data-dir", .data_dir.display(), .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The directory that both want.
        data_dir: PathBuf,
        /// The other one, where its lock file tells.
        pid: Option<u32>,
    },

    /// plank runs as root, and there is nobody that the server could run as.
    #[error(
        "plank runs as root, PostgreSQL refuses to, and there is no user `postgres` to run it as; install \
         postgresql with the system's package manager (it makes that user), or run plank as an ordinary user"
    )]
    NoPostgresUser,

    /// The server's user can't get to a directory, since one above it is closed.
    #[error(
        "the user `{user}`, which runs PostgreSQL, can't reach {} because {} is closed to it; give a --data-dir \
         outside of it (as root, /var/lib/plank is a good place), or run `chmod o+x {}`",
        .target.display(), .closed.display(), .closed.display()
    )]
    NotTraversable {
        /// The user that runs the server.
        user: String,
        /// Where it has to get to.
        target: PathBuf,
        /// The first directory on the way that does not let it pass.
        closed: PathBuf,
    },

    /// A file or directory belongs to a user that can't run a server on it.
    #[error("{} belongs to {owner}, but {wanted}; correct its owner, or give another --data-dir", .path.display())]
    Owner {
        /// Whose owner is wrong.
        path: PathBuf,
        /// Who it is.
        owner: String,
        /// Who it should be, as a clause.
        wanted: String,
    },

    /// `pgdata` exists and holds something else.
    #[error(
        "{} is not empty and holds no PostgreSQL data (no PG_VERSION); plank does not touch it: move it away, or \
         give another --data-dir", .pgdata.display()
    )]
    NotACluster {
        /// The directory in question.
        pgdata: PathBuf,
    },

    /// `initdb` failed. What it had written is gone again.
    #[error("initdb failed ({how}), no database was created in {}:\n{}", .data_dir.display(), indent(.output))]
    Initdb {
        /// Where the cluster should have been.
        data_dir: PathBuf,
        /// Its exit status, or that it took too long.
        how: String,
        /// What it said.
        output: String,
    },

    /// A program could not be run at all.
    #[error("could not run {} as user `{user}`: {source}{}", .program.display(), hint(.source))]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The user that it should run as.
        user: String,
        /// What the system said.
        source: io::Error,
    },

    /// The file system said no.
    #[error("could not {what} {}: {source}{}", .path.display(), hint(.source))]
    Io {
        /// The verb.
        what: &'static str,
        /// Its object.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The server runs, but did not accept connections in time.
    #[error(
        "the private PostgreSQL (pid {pid}) did not accept connections within {seconds} s ({last}); the end of {} \
         tells why:\n{}", .log.display(), indent(.tail)
    )]
    NotReady {
        /// Its process id.
        pid: i32,
        /// How long plank waited.
        seconds: u64,
        /// What the last attempt was answered.
        last: String,
        /// Where the server's log is.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// The server answered, but refuses plank.
    #[error("the private PostgreSQL (pid {pid}) refuses plank: {}; were its pg_hba.conf or roles changed?", chain(.source))]
    Refused {
        /// Its process id.
        pid: i32,
        /// The answer.
        source: tokio_postgres::Error,
    },

    /// The server process has ended without being told to by plank.
    #[error(
        "the private PostgreSQL (pid {pid}) has ended{}; the end of {} tells why:\n{}",
        .status.map(|status| format!(" ({status})")).unwrap_or_default(), .log.display(), indent(.tail)
    )]
    Ended {
        /// Its process id.
        pid: i32,
        /// How it ended; unknown for an adopted server, which is no child of this process.
        status: Option<ExitStatus>,
        /// Where the server's log is.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// An earlier server of this data directory neither comes up nor goes away.
    #[error(
        "a PostgreSQL (pid {pid}) on {} has been starting or stopping for more than {seconds} s; wait for it, or \
         end it with `kill -QUIT {pid}`", .pgdata.display()
    )]
    Undecided {
        /// Its process id.
        pid: i32,
        /// The data that it has open.
        pgdata: PathBuf,
        /// How long plank waited.
        seconds: u64,
    },

    /// The server did not even end when it was killed.
    #[error(
        "the private PostgreSQL (pid {pid}) does not end, not even when killed; is its disk hanging?"
    )]
    StillRunning {
        /// Its process id.
        pid: i32,
    },
}

impl PrivateError {
    /// For `map_err`: the system said no when plank wanted to `what` the `path`.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// An error with its causes on one line; tokio-postgres keeps the useful part in the cause.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            let _ = write!(text, ": {reason}");
        }
        cause = error.source();
    }
    text
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; the disk is full: free some space or give a --data-dir on another one"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; give a --data-dir that is writable (under systemd: StateDirectory=)"
        }
        io::ErrorKind::PermissionDenied => {
            "; give a --data-dir that plank's user may write to, or name a database with --database-url (PLANK_DATABASE_URL)"
        }
        _ => "",
    }
}

fn too_old(seen: &[Binaries]) -> String {
    if seen.is_empty() {
        return String::new();
    }
    format!(" ({MAJOR_MIN} or newer is needed, {})", installed(seen))
}

fn installed(found: &[Binaries]) -> String {
    if found.is_empty() {
        return "no PostgreSQL server is installed".to_owned();
    }
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    format!("this machine has {}", list.join(" and "))
}

fn indent(lines: &str) -> String {
    if lines.trim().is_empty() {
        return "    (nothing)".to_owned();
    }
    let lines: Vec<String> = lines.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}
