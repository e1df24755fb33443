//! Which server, if any, has the data open: reads `postmaster.pid`, and does not believe it blindly.

use std::fs;
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::PORT;
use super::cluster::Cluster;
use super::error::PrivateError;

/// How long a server that is found starting or stopping may take to become one thing or the other.
const UNDECIDED_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a pid file may be without content. A server fills it at once; a power failure may have emptied it, and
/// no server would start then.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the pid file is read while the server makes up its mind.
const PID_FILE_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What is found in a data directory before a start.
#[derive(Debug)]
pub(super) enum Found {
    /// A live server.
    Running(PidFile),
    /// None; where one has not cleaned up, its pid file.
    Nothing(Option<PidFile>),
}

/// The lines of `postmaster.pid` that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) port: u16,
    /// Missing for the first moments of a server.
    pub(super) socket_dir: Option<PathBuf>,
    stopping: bool,
}

impl PidFile {
    fn path(pgdata: &Path) -> PathBuf {
        pgdata.join("postmaster.pid")
    }

    /// `None` when there is none, or it has no content (yet).
    pub(super) fn read(pgdata: &Path) -> Result<Option<Self>, PrivateError> {
        let path = Self::path(pgdata);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(PrivateError::io("read", &path)(e)),
        }
    }

    /// Line 1 is the pid (negative for a server in single-user mode), 4 the port, 5 the first socket directory,
    /// 8 the state.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let line = |n: usize| {
            lines
                .get(n - 1)
                .map(|line| line.trim())
                .filter(|line| !line.is_empty())
        };
        let pid: i32 = line(1)?.parse().ok()?;
        Some(Self {
            pid: pid.checked_abs().filter(|pid| *pid > 0)?,
            port: line(4).and_then(|port| port.parse().ok()).unwrap_or(PORT),
            socket_dir: line(5).map(PathBuf::from),
            stopping: line(8) == Some("stopping"),
        })
    }
}

/// Looks for a server on this cluster, and waits while it is coming or going.
pub(super) async fn look(cluster: &Cluster) -> Result<Found, PrivateError> {
    let pgdata = cluster.pgdata();
    let started = Instant::now();
    loop {
        let Some(file) = PidFile::read(&pgdata)? else {
            let path = PidFile::path(&pgdata);
            if !path.exists() {
                return Ok(Found::Nothing(None));
            }
            if started.elapsed() > EMPTY_TIMEOUT {
                log::warn!("empty pid file removed path={}", path.display());
                fs::remove_file(&path).map_err(PrivateError::io("remove", &path))?;
            }
            sleep(PID_FILE_POLL_INTERVAL).await;
            continue;
        };
        if !is_alive(&file, &pgdata, cluster.account.uid) {
            return Ok(Found::Nothing(Some(file)));
        }
        if file.socket_dir.is_some() && !file.stopping {
            return Ok(Found::Running(file));
        }
        if started.elapsed() > UNDECIDED_TIMEOUT {
            return Err(PrivateError::Undecided {
                pid: file.pid,
                pgdata,
                seconds: UNDECIDED_TIMEOUT.as_secs(),
            });
        }
        sleep(PID_FILE_POLL_INTERVAL).await;
    }
}

/// Whether the process of that pid is a server, of the right user, on this very directory. A pid alone proves
/// nothing: after a reboot it may be anybody's, and a zombie has one too.
#[cfg(target_os = "linux")]
pub(super) fn is_alive(file: &PidFile, pgdata: &Path, uid: u32) -> bool {
    let process = PathBuf::from(format!("/proc/{}", file.pid));
    let (Ok(owner), Ok(cwd), Ok(data)) = (
        fs::metadata(&process),
        fs::metadata(process.join("cwd")),
        fs::metadata(pgdata),
    ) else {
        return false;
    };
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    owner.uid() == uid
        && (cwd.dev(), cwd.ino()) == (data.dev(), data.ino())
        && matches!(name.trim(), "postgres" | "postmaster")
}

/// Without /proc: the process exists, and a process listens on the socket, which only the server's user can make.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_alive(file: &PidFile, _pgdata: &Path, _uid: u32) -> bool {
    let Some(dir) = &file.socket_dir else {
        return false;
    };
    let socket = dir.join(format!(".s.PGSQL.{}", file.port));
    let pid = nix::unistd::Pid::from_raw(file.pid);
    nix::sys::signal::kill(pid, None).is_ok()
        && std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_read_as_far_as_they_are_written() {
        let whole = "4711\n/d/pgdata\n1760000000\n5432\n/d/run\n\n  5432001         3\nready   \n";
        let file = PidFile {
            pid: 4711,
            port: 5432,
            socket_dir: Some("/d/run".into()),
            stopping: false,
        };
        assert_eq!(PidFile::parse(whole), Some(file.clone()));
        let stopping = whole.replace("ready   ", "stopping");
        assert_eq!(
            PidFile::parse(&stopping),
            Some(PidFile {
                stopping: true,
                ..file.clone()
            })
        );
        assert_eq!(
            PidFile::parse("4711\n/d/pgdata\n"),
            Some(PidFile {
                socket_dir: None,
                ..file.clone()
            })
        );
        assert_eq!(
            PidFile::parse("-4711\n"),
            Some(PidFile {
                socket_dir: None,
                ..file
            })
        );
        for none in ["", "\n", "x\n", "0\n", "-2147483648\n"] {
            assert_eq!(PidFile::parse(none), None, "{none:?}");
        }
    }
}
