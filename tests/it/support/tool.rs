//! Programs of others that stand between plank and its clients or its database.

use std::path::Path;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::until;

/// A port of 127.0.0.1 that nothing listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a program, and waits until it listens on the port. `None` when it is not installed, which is a failure in CI; `what` is not
/// tested then.
pub async fn listening(mut command: Command, port: u16, what: &str) -> Option<Child> {
    let name = command.as_std().get_program().display().to_string();
    // Where Debian has servers.
    let path = std::env::var("PATH").unwrap_or_default();
    let started = command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(process) = started else {
        assert!(std::env::var_os("CI").is_none(), "{name} is missing");
        println!("skipped: {what}: {name} is missing");
        return None;
    };
    let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    until(&format!("{name} listens"), listens).await;
    Some(process)
}

/// An nginx with this in its `http` block, which has `$connection_upgrade` for WebSockets. Its files are in `dir`.
pub async fn nginx(dir: &Path, port: u16, http: &str, what: &str) -> Option<Child> {
    let at = dir.display();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {at}/{name};"))
        .collect();
    let user = match nix::unistd::getuid().is_root() {
        true => "user root;",
        false => "",
    };
    let config = format!(
        "daemon off; {user} pid {at}/nginx-{port}.pid; error_log {at}/error.log; events {{ worker_connections 4096; }} \
         http {{ {temp} access_log off; map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }} {http} }}"
    );
    let file = dir.join(format!("nginx-{port}.conf"));
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file);
    listening(command, port, what).await
}

/// Makes keys and certificates in `dir`.
pub fn openssl(dir: &Path, args: &str) {
    let output = std::process::Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("the tests need openssl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {args}: {said}");
}
