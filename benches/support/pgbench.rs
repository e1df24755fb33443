//! pgbench, PostgreSQL's own load generator.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::{Outcome, within};

/// On top of the time that it is told to run: for its connections, and for the last transactions to end.
const PGBENCH_SLACK: Duration = Duration::from_secs(30);

/// Where it is.
#[derive(Debug)]
pub struct Pgbench {
    program: PathBuf,
}

impl Pgbench {
    /// Looks beside the server's programs, then in PATH.
    ///
    /// # Errors
    /// If it is in neither.
    pub fn find(server_programs: &Path) -> Outcome<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::iter::once(server_programs.to_owned()).chain(std::env::split_paths(&path));
        let program = dirs
            .map(|dir| dir.join("pgbench"))
            .find(|program| program.is_file());
        let program = program.ok_or_else(|| {
            format!(
                "pgbench is missing: it is neither in {} nor in PATH. It belongs to PostgreSQL; some systems have it in a \
                 package of its own (postgresql-contrib)",
                server_programs.display()
            )
        })?;
        Ok(Self { program })
    }

    /// Runs `script` as often as `clients` can, each after its own last time; transactions per second, without the time to
    /// connect.
    ///
    /// # Errors
    /// If it fails, or one of its transactions does.
    pub async fn tps(&self, database: &str, script: &Path, load: Load) -> Outcome<f64> {
        let mut command = Command::new(&self.program);
        command
            .args(["--no-vacuum", "--protocol", "prepared"])
            .args(["--client", &load.clients.to_string()])
            .args(["--jobs", if load.clients > 1 { "2" } else { "1" }])
            .args(["--time", &load.duration.as_secs().to_string()])
            .arg("--file")
            .arg(script)
            .arg(database)
            // PGOPTIONS and the like must not change the figures, nor a translation their names.
            .env_clear()
            .env("LC_ALL", "C")
            .kill_on_drop(true);
        let run = within(load.duration + PGBENCH_SLACK, "pgbench", command.output());
        let output = run.await?;
        let said = String::from_utf8_lossy(&output.stdout);
        match tps_in(&said) {
            Some(tps) if output.status.success() && tps > 0.0 => Ok(tps),
            _ => {
                let error = String::from_utf8_lossy(&output.stderr);
                Err(format!("pgbench: {}\n{said}{error}", output.status).into())
            }
        }
    }
}

/// How much at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections.
    pub clients: usize,
    /// In whole seconds.
    pub duration: Duration,
}

/// `tps = 12345.678901 (without initial connection time)`
fn tps_in(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Keeps the SQL of one transaction in a file.
///
/// # Errors
/// If it can't be written.
pub fn script(path: PathBuf, sql: &str) -> Outcome<PathBuf> {
    fs::write(&path, sql)?;
    Ok(path)
}
