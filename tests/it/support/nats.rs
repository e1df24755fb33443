//! A nats-server with JetStream, as Debian's package `nats-server` has it.

use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plank::config::Backplane;
use tokio::process::{Child, Command};

use super::tool::{free_port, listening};
use super::within;

/// See the module's documentation. It ends with this value, and its files go.
pub struct Nats {
    child: Option<Child>,
    port: u16,
    dir: PathBuf,
}

impl Nats {
    /// Starts one. `None` when it is not installed, which is a failure in CI; `what` is not tested then.
    pub async fn start(what: &str) -> Option<Self> {
        Self::start_with(what, "").await
    }

    /// The same with more settings.
    pub async fn start_with(what: &str, more: &str) -> Option<Self> {
        let port = free_port();
        let dir = PathBuf::from(format!("/tmp/plank-nats-{}-{port}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let config = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {}, max_memory_store: 64MB, max_file_store: 1GB }}\n{more}\n",
            dir.display()
        );
        std::fs::write(dir.join("nats.conf"), config).unwrap();
        let mut nats = Self {
            child: None,
            port,
            dir,
        };
        nats.child = Some(nats.spawn(what).await?);
        Some(nats)
    }

    async fn spawn(&self, what: &str) -> Option<Child> {
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(self.dir.join("nats.conf"));
        listening(command, self.port, what).await
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// For a node.
    pub fn backplane(&self) -> Backplane {
        Backplane {
            bytes: 256 * 1024 * 1024,
            ..Backplane::at(&self.url())
        }
    }

    /// A node that never reads the log for the others.
    pub fn edge(&self) -> Backplane {
        Backplane {
            may_read: false,
            ..self.backplane()
        }
    }

    /// As kill -9.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.start_kill().unwrap();
        within("the end of nats-server", child.wait())
            .await
            .unwrap();
    }

    /// It does nothing, and its connections stay open.
    pub fn freeze(&self, is_frozen: bool) {
        let signal = if is_frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        let child = self.child.as_ref().unwrap();
        kill(Pid::from_raw(child.id().unwrap() as i32), signal).unwrap();
    }

    /// On the same port.
    pub async fn start_again(&mut self) {
        self.child = self.spawn("a restart").await;
    }

    /// Forgets all streams; it has been killed.
    pub fn wipe(&self) {
        assert!(self.child.is_none());
        std::fs::remove_dir_all(self.dir.join("jetstream")).unwrap();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
