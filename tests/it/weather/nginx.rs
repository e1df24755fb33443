//! The nginx of the rough weather.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::support::tool::{free_port, nginx};

/// nginx in front of plank. Ends with this value.
pub struct Nginx {
    process: Child,
    /// Where it listens.
    pub port: u16,
}

impl Nginx {
    /// None when it is not installed, which is a failure in CI.
    pub async fn start(dir: &Path, upstream: &str) -> Option<Self> {
        let port = free_port();
        let server = format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{upstream}; proxy_http_version 1.1; \
             proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; \
             proxy_set_header Connection $connection_upgrade; proxy_buffering off; proxy_read_timeout 75s; }} }}"
        );
        let process = nginx(dir, port, &server, "rough weather").await?;
        Some(Self { process, port })
    }

    /// Tells it to read its configuration again: new processes, the old ones end with their connections.
    pub fn reload(&self) {
        let pid = self.process.id().unwrap() as i32;
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    }
}
