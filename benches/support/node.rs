//! The server that a team writes by hand, in Node.js: `benches/node`.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::proc::Proc;
use super::{Failure, Outcome, SOON, within};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/node");

/// For `npm ci`.
const INSTALL_MAX: std::time::Duration = std::time::Duration::from_secs(120);

/// Killed on a drop.
#[derive(Debug)]
pub struct Node {
    _child: Child,
    pid: i32,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Node {
    /// Installs its packages, and starts one that serves this table of a database.
    ///
    /// # Errors
    /// If Node.js or npm is missing, or it does not start; with what it has written to `log`.
    pub async fn start(database: &Config, table: &str, log: &Path) -> Outcome<Self> {
        let install = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--silent"])
            .current_dir(DIR)
            .status();
        let installed = within(INSTALL_MAX, "npm ci in benches/node", install).await?;
        if !installed.success() {
            return Err("npm can't install benches/node/package.json".into());
        }
        let Some(Host::Unix(socket)) = database.get_hosts().first() else {
            return Err("the database has no Unix socket".into());
        };
        let mut child = Command::new("node")
            .args(["server.mjs", table])
            .current_dir(DIR)
            .env("NODE_ENV", "production")
            .env("PGHOST", socket)
            .env("PGUSER", database.get_user().unwrap_or_default())
            .env("PGDATABASE", database.get_dbname().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|id| id.try_into().ok());
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let port = within(SOON, "Node.js", async {
            let line = BufReader::new(stdout).lines().next_line().await?;
            let line = line.unwrap_or_else(|| fs::read_to_string(log).unwrap_or_default());
            let port = line.strip_prefix("listening ").map(str::parse);
            Ok::<_, Failure>(port.ok_or(line)??)
        });
        Ok(Self {
            address: SocketAddr::from(([127, 0, 0, 1], port.await?)),
            pid: pid.ok_or("Node.js ended at once")?,
            _child: child,
        })
    }

    /// The process.
    pub fn proc(&self) -> Proc {
        Proc(self.pid)
    }
}
