//! The nginx of the rough weather.

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::support::until;

/// nginx in front of plank. Ends with this value.
pub struct Nginx {
    process: Child,
    /// Where it listens.
    pub port: u16,
}

impl Nginx {
    /// None when it is not installed, which is a failure in CI.
    pub async fn start(dir: &Path, upstream: &str) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = dir.display();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .collect();
        let config = format!(
            "daemon off; user root; pid {at}/nginx.pid; error_log {at}/error.log; events {{ worker_connections 4096; }} \
             http {{ {temp} access_log off; map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }} \
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{upstream}; proxy_http_version 1.1; \
             proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; \
             proxy_set_header Connection $connection_upgrade; proxy_buffering off; proxy_read_timeout 75s; }} }} }}"
        );
        let config = match nix::unistd::getuid().is_root() {
            true => config,
            false => config.replace("user root; ", ""),
        };
        let file = dir.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let path = format!(
            "{}:/usr/sbin:/sbin",
            std::env::var("PATH").unwrap_or_default()
        );
        let started = Command::new("nginx")
            .env("PATH", path)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = started else {
            assert!(std::env::var_os("CI").is_none(), "nginx is missing");
            println!("skipped: rough weather: nginx is missing");
            return None;
        };
        until("nginx listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        Some(Self { process, port })
    }

    /// Tells it to read its configuration again: new processes, the old ones end with their connections.
    pub fn reload(&self) {
        let pid = self.process.id().unwrap() as i32;
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    }
}
