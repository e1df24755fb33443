//! A directory for a test, a process to kill, and what asks a server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plank::store::private::{BinarySearch, PrivateError, PrivatePostgres};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

pub const DEADLINE: Duration = Duration::from_secs(60);
pub const NOBODY: u32 = 65534;

/// A directory that other users may pass through, so that the server's user can get to what is in it. On the way out
/// it sees to it that no server is left on it.
pub struct Home(pub PathBuf);

impl Home {
    pub fn new(test: &str) -> Self {
        let dir = PathBuf::from(format!("/tmp/plank-test-{}-{test}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub fn pgdata(&self) -> PathBuf {
        self.data().join("pgdata")
    }

    /// The processes of PostgreSQL that work in here.
    pub fn processes(&self) -> Vec<i32> {
        let of_us = |pid: &i32| {
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            cwd.starts_with(&self.0) && matches!(name.trim(), "postgres" | "initdb")
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(of_us).collect()
    }

    pub async fn none_left(&self) {
        until("no process is left", || self.processes().is_empty()).await;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// Waits for a condition that nothing else reports.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

pub async fn start_in(data_dir: &Path) -> PrivatePostgres {
    PrivatePostgres::start(data_dir)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
}

pub async fn start(home: &Home) -> PrivatePostgres {
    start_in(&home.data()).await
}

/// What a start that must fail says.
pub async fn refusal(data_dir: &Path, search: &BinarySearch) -> (PrivateError, String) {
    let error = PrivatePostgres::start_with(data_dir, search)
        .await
        .unwrap_err();
    let text = error.to_string();
    println!("{text}\n");
    (error, text)
}

pub async fn exited(server: &mut PrivatePostgres) -> PrivateError {
    timeout(DEADLINE, server.exited()).await.unwrap()
}

pub async fn connect(config: &tokio_postgres::Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Writes a row, so that a later `rows` must count it.
pub async fn add_row(config: &tokio_postgres::Config) {
    let sql = "create table if not exists t (n int); insert into t values (1)";
    connect(config).await.batch_execute(sql).await.unwrap();
}

pub async fn rows(config: &tokio_postgres::Config) -> i64 {
    connect(config)
        .await
        .query_one("select count(*) from t", &[])
        .await
        .unwrap()
        .get(0)
}

/// A process that owns a private PostgreSQL, and can be killed: this very test program, running `owner` below.
pub struct Owner {
    child: Child,
    /// Kept open, so that it can write to the end.
    lines: Lines<BufReader<ChildStdout>>,
    /// The server's process.
    pub pid: i32,
    pub config: tokio_postgres::Config,
}

pub fn owner_command(program: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(program);
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::owner");
    command.args(["--exact", &test, "--ignored", "--nocapture"]);
    command.env("PLANK_TEST_OWNER", data_dir);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A copy that other users can run. Another process writes it: if this one did, a child that another test starts meanwhile would
/// have the file open for writing until it runs its own program, and the copy could not be run ("Text file busy").
pub fn copy_this_program(to: &Path) {
    let status = std::process::Command::new("cp")
        .arg(this_program())
        .arg(to)
        .status();
    assert!(status.unwrap().success());
}

impl Owner {
    pub async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            loop {
                let line = lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the owner has ended");
                if let Some(rest) = line.strip_prefix("ready ") {
                    let (pid, url) = rest.split_once(' ').unwrap();
                    return (pid.parse().unwrap(), url.parse().unwrap());
                }
            }
        };
        let (pid, config) = timeout(DEADLINE, ready).await.unwrap();
        Self {
            child,
            lines,
            pid,
            config,
        }
    }

    pub async fn kill_9(mut self) -> i32 {
        self.child.kill().await.unwrap();
        self.pid
    }

    /// It stops when its stdin ends.
    pub async fn end(mut self) {
        drop(self.child.stdin.take());
        while timeout(DEADLINE, self.lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .is_some()
        {}
        assert!(
            timeout(DEADLINE, self.child.wait())
                .await
                .unwrap()
                .unwrap()
                .success()
        );
    }
}

#[tokio::test]
#[ignore = "not a test: the process that other tests start and kill"]
async fn owner() {
    let Some(data_dir) = std::env::var_os("PLANK_TEST_OWNER") else {
        return;
    };
    let server = start_in(Path::new(&data_dir)).await;
    println!("\nready {} {}", server.pid(), server.url());
    tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()))
        .await
        .unwrap()
        .unwrap();
    server.stop().await.unwrap();
}
