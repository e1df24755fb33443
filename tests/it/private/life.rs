//! Starting, stopping and what the server is like meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid, getpgid};
use tokio::process::Command;
use tokio_postgres::config::Host;

use super::support::*;

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
