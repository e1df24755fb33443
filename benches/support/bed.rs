//! What is measured: a private PostgreSQL in a temporary directory, and the real plank as a child process.

use std::fs::{self, DirBuilder, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plank::store::private::PrivatePostgres;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls};

use super::{Outcome, SOON, within};

/// For initdb, the start of the server, and its stop.
const POSTGRES_MAX: Duration = Duration::from_secs(90);

/// What plank prints, before its address, once it follows the log.
const LIVE: &str = "plank is live at http://";

/// Both, with their files. On a drop the server and plank are told to end, and the files are removed.
#[derive(Debug)]
pub struct Bed {
    plank: Child,
    /// Its process id.
    pub pid: i32,
    /// Where plank listens.
    pub address: SocketAddr,
    postgres: PrivatePostgres,
    /// The last field: on a drop it goes when nobody needs it any more.
    _dir: TempDir,
}

impl Bed {
    /// Starts both.
    ///
    /// # Errors
    /// If that is not possible; with the log of plank if it did not start.
    pub async fn start() -> Outcome<Self> {
        let dir = TempDir::new()?;
        let postgres = within(
            POSTGRES_MAX,
            "a private PostgreSQL",
            PrivatePostgres::start(&dir.path.join("data")),
        )
        .await?;
        let log_path = dir.path.join("plank.log");
        let mut plank = Command::new(env!("CARGO_BIN_EXE_plank"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            // Only what is said here: a setting of the person at the terminal must not change the figures.
            .env_clear()
            .env("PLANK_DATABASE_URL", postgres.url())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log_path)?)
            .kill_on_drop(true)
            .spawn()?;
        let pid = plank.id().and_then(|id| id.try_into().ok());
        let pid = pid.ok_or("plank ended at once")?;
        let address = within(SOON, "plank", live_address(&mut plank)).await;
        let address = address.map_err(|e| log_of(&log_path, &*e))?;
        Ok(Self {
            plank,
            pid,
            address,
            postgres,
            _dir: dir,
        })
    }

    /// Another connection to the database, over its Unix socket.
    ///
    /// # Errors
    /// If there is none.
    pub async fn connect(&self) -> Outcome<Client> {
        let config = self.postgres.config();
        let (client, connection) = within(SOON, "a connection", config.connect(NoTls)).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// How to connect, for those who poll the connection themselves.
    pub fn database(&self) -> tokio_postgres::Config {
        self.postgres.config()
    }

    /// What the report says about the database.
    ///
    /// # Errors
    /// If it can't be asked.
    pub async fn database_facts(&self) -> Outcome<Vec<(&'static str, String)>> {
        let client = self.connect().await?;
        let sql = "select current_setting('server_version'), current_setting('fsync'), \
            current_setting('synchronous_commit')";
        let row = within(SOON, "the version", client.query_one(sql, &[])).await?;
        let (version, fsync, commit): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let database =
            format!("{version}, fsync {fsync}, synchronous_commit {commit}, Unix socket");
        Ok(vec![("PostgreSQL", database)])
    }

    /// The resident memory of plank, in KiB.
    ///
    /// # Errors
    /// If plank has ended.
    pub fn resident_kib(&self) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid))?;
        let pages = text
            .split_whitespace()
            .nth(1)
            .ok_or("statm has no second field")?;
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
        let page = u64::try_from(page.ok_or("no page size")?)?;
        Ok(pages.parse::<u64>()? * page / 1024)
    }

    /// Ends both in order.
    ///
    /// # Errors
    /// If one of them does not end.
    pub async fn stop(mut self) -> Outcome<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        let status = within(SOON, "the end of plank", self.plank.wait()).await?;
        within(POSTGRES_MAX, "the end of PostgreSQL", self.postgres.stop()).await?;
        if !status.success() {
            return Err(format!("plank ended with {status}").into());
        }
        Ok(())
    }
}

/// Waits for the line with the address.
async fn live_address(plank: &mut Child) -> Outcome<SocketAddr> {
    let stdout = plank.stdout.take().ok_or("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(LIVE) {
            return Ok(address.parse()?);
        }
    }
    Err("ended before it was live".into())
}

fn log_of(path: &Path, error: &dyn std::error::Error) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    format!("{error}; its log:\n{log}")
}

/// Removed on a drop.
#[derive(Debug)]
struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// As root PostgreSQL runs as another user, who has to get through.
    fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("plank-bench-{}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&path)?;
        let dir = Self { path };
        // Whatever the umask says.
        fs::set_permissions(&dir.path, Permissions::from_mode(0o755))?;
        Ok(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A server that was merely told to end may still be writing; what is left is in the temporary directory.
        let _ = fs::remove_dir_all(&self.path);
    }
}
