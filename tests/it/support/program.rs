//! The program itself, as a person starts it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::within;

/// A plank that runs as a child process; killed with this value.
pub struct Program {
    child: Child,
    /// Where it listens, as it said.
    pub address: String,
    /// Bytes of its log so far.
    pub log_bytes: Arc<AtomicUsize>,
}

/// A command with nothing of this process's settings.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plank"));
    for name in [
        "PLANK_DATABASE_URL",
        "DATABASE_URL",
        "PLANK_LISTEN_DATABASE_URL",
        "PLANK_READ_DATABASE_URL",
        "PLANK_DATA_DIR",
        "PLANK_LISTEN",
        "PLANK_URL",
        "NO_COLOR",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    // The databases of the tests have the table of the demo.
    command.env("PLANK_DEMO", "1");
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end: the exit status, standard output and standard error.
pub async fn run(args: &[&str]) -> (i32, String, String) {
    let output = within("the end of plank", command(args).output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

impl Program {
    /// Starts `plank serve` on a free port and waits until it is live.
    pub async fn serve(args: &[&str]) -> Self {
        Self::serve_within(super::DEADLINE, args).await
    }

    /// The same with a patience of its own.
    pub async fn serve_within(patience: Duration, args: &[&str]) -> Self {
        let mut child = command(&[&["serve", "--listen", "127.0.0.1:0"], args].concat())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(patience, lines.next_line()).await;
        let line = line.expect("the line that it is live").unwrap();
        let Some(line) = line else {
            let mut log = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut log).await;
            panic!("plank ended: {log}");
        };
        let address = line
            .strip_prefix("plank is live at http://")
            .expect(&line)
            .to_owned();
        // The log has to be read, or the program stops when the pipe is full. It is shown for a test that fails.
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let log_bytes = Arc::<AtomicUsize>::default();
        let count = log_bytes.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                count.fetch_add(line.len() + 1, Ordering::Relaxed);
                eprintln!("{line}");
            }
        });
        Self {
            child,
            address,
            log_bytes,
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap() as i32)
    }

    /// Sends a signal and waits for the end; the exit status, none after a kill.
    pub async fn end(self, signal: Signal) -> Option<i32> {
        kill(self.pid(), signal).unwrap();
        self.ended().await
    }

    /// Waits for the end; the exit status, none after a kill.
    pub async fn ended(mut self) -> Option<i32> {
        within("the end of plank", self.child.wait())
            .await
            .unwrap()
            .code()
    }
}

/// A directory in which the server's user may work; removed with this value.
pub struct Dir(pub PathBuf);

impl Dir {
    /// Named after the test.
    pub fn new(test: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = PathBuf::from(format!("/tmp/plank-cli-{}-{test}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    /// As text.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
