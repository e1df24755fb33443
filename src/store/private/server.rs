//! One run of the server process: started or adopted, watched, told to end. It never touches the data itself.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::PORT;
use super::binaries::Binaries;
use super::cluster::{Cluster, is_elsewhere};
use super::error::PrivateError;
use super::pid_file::{PidFile, is_alive};
use super::server_log::ServerLog;

/// After SIGINT: the server disconnects its clients and writes a checkpoint.
const FAST_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// After SIGQUIT: it ends at once, and kills what has not after five seconds; the next start recovers.
const IMMEDIATE_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// After SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an adopted server is looked at; it is no child, so nothing reports its end.
const ADOPTED_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How often the log's size is looked at.
const LOG_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A server process. Dropped before its end, it is told to shut down, but not waited for.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) pid: i32,
    pub(super) socket_dir: PathBuf,
    pub(super) port: u16,
    pub(super) log: ServerLog,
    process: Process,
    /// No signal may be sent any more: the pid may soon belong to another process.
    ended: bool,
}

#[derive(Debug)]
enum Process {
    Child(Child),
    /// Started by a plank that is gone, and found alive.
    Adopted {
        file: PidFile,
        pgdata: PathBuf,
        uid: u32,
    },
}

impl Server {
    /// Starts a server. `stale` is the pid file that a server which is gone has left behind.
    pub(super) fn spawn(
        cluster: &Cluster,
        binaries: &Binaries,
        stale: Option<&PidFile>,
    ) -> Result<Self, PrivateError> {
        let socket_dir = cluster.socket_dir(stale.and_then(|file| file.socket_dir.as_deref()))?;
        let (log, out) = ServerLog::open(&cluster.data_dir)?;
        let err = out
            .try_clone()
            .map_err(PrivateError::io("open", &log.path))?;
        let program = binaries.postgres();
        let mut command = cluster.account.command(&program, &cluster.data_dir);
        command
            .stdout(out)
            .stderr(err)
            .arg("-D")
            .arg(cluster.pgdata())
            .args(["-p", &PORT.to_string()]);
        // A list, separated by commas; in quotes a path may have any characters.
        let quoted = format!("\"{}\"", socket_dir.to_string_lossy().replace('"', "\"\""));
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "logging_collector=off",
            "log_destination=stderr",
            // plank runs no query that gains by it, and a sandbox that forbids writable code makes it an error.
            "jit=off",
            &format!("unix_socket_directories={quoted}"),
        ] {
            command.args(["-c", setting]);
        }
        if let Some(stale) = stale {
            // That pid was found not to be a server on this data, but the server itself only tests that a process
            // exists. By this variable, which pg_ctl uses likewise, it knows that pid not to be a rival. Deleting
            // the file would do too, but switch off its second test: that no orphaned backend is left on the data.
            command.env("PG_GRANDPARENT_PID", stale.pid.to_string());
        }
        let failed = |e| cluster.account.spawn_error(&program, &cluster.data_dir, e);
        let child = command.spawn().map_err(failed)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.ok_or_else(|| failed(io::Error::other("it ended at once")))?;
        Ok(Self {
            pid,
            socket_dir,
            port: PORT,
            log,
            process: Process::Child(child),
            ended: false,
        })
    }

    /// Takes over a server that was found running.
    pub(super) fn adopt(cluster: &Cluster, file: PidFile) -> Self {
        Self {
            pid: file.pid,
            socket_dir: file.socket_dir.clone().unwrap_or_default(),
            port: file.port,
            log: ServerLog::of(&cluster.data_dir),
            process: Process::Adopted {
                file,
                pgdata: cluster.pgdata(),
                uid: cluster.account.uid,
            },
            ended: false,
        }
    }

    pub(super) fn is_adopted(&self) -> bool {
        matches!(self.process, Process::Adopted { .. })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Leaves the process alone from now on.
    pub(super) fn let_go(&mut self) {
        self.ended = true;
    }

    /// Resolves when the process has ended. Cancel safe; may be called again.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        let status = match &mut self.process {
            // An error means that another process has reaped it: it has ended as well.
            Process::Child(child) => child.wait().await.ok(),
            Process::Adopted { file, pgdata, uid } => {
                while is_alive(file, pgdata, *uid) {
                    sleep(ADOPTED_POLL_INTERVAL).await;
                }
                None
            }
        };
        self.ended = true;
        status
    }

    /// As `wait`, keeping the log within its bounds meanwhile, and with the error to report.
    pub(super) async fn watch(&mut self) -> PrivateError {
        let mut check = interval(LOG_CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let status = loop {
            let log = self.log.clone();
            tokio::select! {
                status = self.wait() => break status,
                _ = check.tick() => {
                    let _ = tokio::task::spawn_blocking(move || log.trim()).await;
                }
            }
        };
        self.ended_error(status)
    }

    pub(super) fn ended_error(&self, status: Option<ExitStatus>) -> PrivateError {
        PrivateError::Ended {
            pid: self.pid,
            status,
            log: self.log.path.clone(),
            tail: self.log.tail(),
        }
    }

    /// Ends the process: politely, then less so. One that was suspended is continued, or it could not end in
    /// order.
    pub(super) async fn stop(&mut self) -> Result<(), PrivateError> {
        if self.state() == Some('T') {
            log::warn!(
                "private postgresql is suspended (SIGSTOP), it is continued so that it can end pid={}",
                self.pid
            );
        }
        for (signal, patience) in [
            (Signal::SIGINT, FAST_STOP_TIMEOUT),
            (Signal::SIGQUIT, IMMEDIATE_STOP_TIMEOUT),
            (Signal::SIGKILL, KILL_TIMEOUT),
        ] {
            self.signal(signal);
            // To a process that runs it means nothing; one that is just being suspended may not look so yet.
            self.signal(Signal::SIGCONT);
            if self.ended || timeout(patience, self.wait()).await.is_ok() {
                if is_elsewhere(&self.socket_dir) {
                    let _ = fs::remove_dir_all(&self.socket_dir);
                }
                return Ok(());
            }
            let state = match self.state() {
                Some('T') => "it is suspended",
                Some('D') => "it waits for its disk",
                _ => "it does not react",
            };
            log::warn!(
                "private postgresql hangs, {state} pid={} signal={signal} waited_s={}",
                self.pid,
                patience.as_secs()
            );
        }
        Err(PrivateError::StillRunning { pid: self.pid })
    }

    /// The state of the process as Linux has it: `T` suspended, `D` in a call that can't be interrupted.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // Behind the name, which is in brackets and may have any character.
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn signal(&mut self, signal: Signal) {
        if let Process::Adopted { file, pgdata, uid } = &self.process {
            self.ended = self.ended || !is_alive(file, pgdata, *uid);
        }
        // A child's pid stays its own until it is waited for, which sets `ended`.
        if !self.ended
            && let Err(e) = kill(Pid::from_raw(self.pid), signal)
        {
            log::debug!(
                "private postgresql not signalled pid={} signal={signal} error={e}",
                self.pid
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}
