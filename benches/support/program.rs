//! The real plank, as a child process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::proc::Proc;
use super::{Outcome, SOON, within};

/// What plank prints, before its address, once it follows the log.
const LIVE: &str = "plank is live at http://";

/// Killed on a drop.
#[derive(Debug)]
pub struct Plank {
    child: Child,
    pid: i32,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Plank {
    /// Starts one on this database, and waits until it is live. `args` are those of `plank serve`.
    ///
    /// # Errors
    /// If it does not come to that; with what it has written to `log`.
    pub async fn start(database_url: &str, args: &[&str], log: &Path) -> Outcome<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_plank"));
        Self::start_program(program, database_url, args, log).await
    }

    /// The same with another program than the one that was built along with the benchmarks.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_program(
        program: &Path,
        database_url: &str,
        args: &[&str],
        log: &Path,
    ) -> Outcome<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            // Only what is said here: a setting of the person at the terminal must not change the figures.
            .env_clear()
            .env("PLANK_DATABASE_URL", database_url)
            .env("PLANK_DEMO", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|id| id.try_into().ok());
        let pid = pid.ok_or("plank ended at once")?;
        let address = within(SOON, "plank", live_address(&mut child)).await;
        let address = address.map_err(|error| {
            let said = fs::read_to_string(log).unwrap_or_default();
            format!("{error}; its log:\n{said}")
        })?;
        Ok(Self {
            child,
            pid,
            address,
        })
    }

    /// The process.
    pub fn proc(&self) -> Proc {
        Proc(self.pid)
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// If it does not end, or not well.
    pub async fn stop(mut self) -> Outcome<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        let status = within(SOON, "the end of plank", self.child.wait()).await?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("plank ended with {status}").into()),
        }
    }
}

/// Waits for the line with the address.
async fn live_address(child: &mut Child) -> Outcome<SocketAddr> {
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(LIVE) {
            return Ok(address.parse()?);
        }
    }
    Err("ended before it was live".into())
}
