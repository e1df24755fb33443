//! Starting, stopping and what the server is like meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid, getpgid};
use tokio::process::Command;
use tokio_postgres::config::Host;

use super::support::*;
use crate::support::program::Program;

#[tokio::test]
async fn rows_survive_a_restart_and_nothing_is_left_running() {
    let home = Home::new("restart");
    let server = start(&home).await;
    assert!(!server.adopted());
    add_row(&server.config()).await;
    let client = connect(&server.config()).await;
    server.stop().await.unwrap();
    assert!(
        client.batch_execute("select 1").await.is_err(),
        "a client does not hold up the stop"
    );
    home.none_left().await;
    let server = start(&home).await;
    assert_eq!(rows(&server.config()).await, 1);
    server.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
async fn the_server_is_durable_and_keeps_to_itself() {
    let home = Home::new("settings");
    let server = start(&home).await;
    let client = connect(&server.config()).await;
    for (name, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "200"),
    ] {
        let row = client
            .query_one("select current_setting($1)", &[&name])
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), value, "{name}");
    }
    let row = client
        .query_one("select upper('grün'), 'a' > 'B'", &[])
        .await
        .unwrap();
    assert_eq!(
        (row.get(0), row.get(1)),
        ("GRÜN", true),
        "letters are Unicode's, the order is that of bytes"
    );
    for dir in ["pgdata", "run"] {
        assert_eq!(
            fs::metadata(home.data().join(dir)).unwrap().mode() & 0o777,
            0o700,
            "{dir}"
        );
    }
    let pid = server.pid();
    assert_eq!(
        getpgid(Some(Pid::from_raw(pid))).unwrap().as_raw(),
        pid,
        "a Ctrl-C does not reach it"
    );
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(
        !String::from_utf8_lossy(&environment).contains("CARGO"),
        "plank's environment is its own"
    );
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = fs::read_link(fd.path()).unwrap_or_default();
        assert!(!target.ends_with("plank.lock"), "the lock is not inherited");
    }
    if geteuid().is_root() {
        let owner = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
        assert_eq!(
            owner,
            User::from_name("postgres").unwrap().unwrap().uid.as_raw()
        );
        assert_eq!(fs::metadata(home.data()).unwrap().uid(), 0);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let groups = status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .unwrap();
        assert_eq!(groups.trim(), "", "no group of root's is left");
    }
    drop(client);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn psql_takes_the_url_with_odd_characters_in_it() {
    let home = Home::new("url");
    // The socket of the second one is elsewhere.
    for name in ["a \"b\" & 'c'=%41?é", "a, b"] {
        let data_dir = home.0.join(name);
        let server = start_in(&data_dir).await;
        let mut psql = Command::new("psql");
        let output = psql
            .args(["-XAtc", "select current_database()", &server.url()])
            .output()
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "plank\n",
            "{output:?}"
        );
        add_row(&server.url().parse().unwrap()).await;
        server.stop().await.unwrap();
        home.none_left().await;
    }
}

#[tokio::test]
async fn a_dropped_server_ends_by_itself() {
    let home = Home::new("drop");
    drop(start(&home).await);
    // Whatever it is doing by now, a start has to cope with it.
    drop(start(&home).await);
    home.none_left().await;
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_worked_around() {
    let home = Home::new("long");
    let data_dir = home.0.join("d".repeat(120));
    let owner = Owner::start(owner_command(&this_program(), &data_dir)).await;
    add_row(&owner.config).await;
    let pid = owner.kill_9().await;
    let mut server = start_in(&data_dir).await;
    assert_eq!(
        (server.adopted(), server.pid()),
        (true, pid),
        "it is found again"
    );
    assert_eq!(rows(&server.config()).await, 1);
    let Host::Unix(socket_dir) = server.config().get_hosts()[0].clone() else {
        panic!("no socket")
    };
    assert!(socket_dir.starts_with("/tmp"));
    assert_eq!(fs::metadata(&socket_dir).unwrap().mode() & 0o777, 0o700);
    // The same one after a crash, none after a stop.
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    exited(&mut server).await;
    drop(server);
    let server = start_in(&data_dir).await;
    assert_eq!(
        server.config().get_hosts()[0],
        Host::Unix(socket_dir.clone())
    );
    server.stop().await.unwrap();
    assert!(!socket_dir.exists());
    home.none_left().await;
}

#[tokio::test]
async fn a_server_that_was_suspended_is_continued_and_ends_in_order() {
    let home = Home::new("suspended");
    let server = start(&home).await;
    add_row(&server.config()).await;
    kill(Pid::from_raw(server.pid()), Signal::SIGSTOP).unwrap();
    // Before, only SIGKILL ended it, after 40 s, and the next start had to recover.
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(20), server.stop());
    stopped.await.expect("it ends when it is asked to").unwrap();
    let log = fs::read_to_string(home.data().join("postgres.log")).unwrap();
    assert!(
        log.trim_end().ends_with("database system is shut down"),
        "{log}"
    );
    let server = start(&home).await;
    assert_eq!(rows(&server.config()).await, 1);
    server.stop().await.unwrap();
}

#[actix_web::test]
async fn a_plank_outlives_a_private_server_that_can_not_start() {
    let home = Home::new("no-start");
    let data = home.data().display().to_string();
    let plank = Program::serve(&["--data-dir", &data]).await;
    let status = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", plank.address)).await;
        answer.map(|answer| answer.status().as_u16()).ok()
    };
    // As with a disk that is full: each start fails.
    let (there, away) = (
        home.pgdata().join("global"),
        home.pgdata().join("global.away"),
    );
    let ready = |wanted: u16| {
        let status = &status;
        crate::support::until("readyz", async move || {
            status("/readyz").await == Some(wanted)
        })
    };
    fs::rename(&there, &away).unwrap();
    for pid in home.processes() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    ready(503).await;
    // It gave up after five attempts once, within some 5 s.
    let since = std::time::Instant::now();
    crate::support::until("it goes on", async || {
        assert_eq!(
            status("/livez").await,
            Some(200),
            "after {:?}",
            since.elapsed()
        );
        since.elapsed().as_secs() >= 8
    })
    .await;
    fs::rename(&away, &there).unwrap();
    ready(200).await;
    assert_eq!(plank.end(Signal::SIGTERM).await, Some(0));
}
