//! Who runs the server, and who may connect. These need root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use nix::unistd::geteuid;
use plank::store::private::{BinarySearch, PrivateError};
use tokio::process::Command;

use super::support::*;

#[tokio::test]
async fn another_user_does_not_get_in() {
    if !geteuid().is_root() {
        return eprintln!("needs root");
    }
    let home = Home::new("stranger");
    let server = start(&home).await;
    let mut psql = Command::new("psql");
    psql.args(["-XAtc", "select 1", &server.url()])
        .uid(NOBODY)
        .gid(NOBODY);
    let output = psql.output().await.unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Permission denied"),
        "{output:?}"
    );
    // Not even with the directory and the socket wide open.
    let run = home.data().join("run");
    fs::set_permissions(&run, Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(run.join(".s.PGSQL.5432"), Permissions::from_mode(0o777)).unwrap();
    let output = psql.output().await.unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Peer authentication failed"),
        "{output:?}"
    );
    server.stop().await.unwrap();
    let server = start(&home).await;
    assert_eq!(
        fs::metadata(run).unwrap().mode() & 0o777,
        0o700,
        "a start closes it again"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_postgres_cannot_reach_is_named() {
    if !geteuid().is_root() {
        return eprintln!("needs root");
    }
    let home = Home::new("closed");
    let closed = home.0.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let (error, text) = refusal(&closed.join("data"), &BinarySearch::from_env()).await;
    assert!(
        matches!(error, PrivateError::NotTraversable { .. }),
        "{text}"
    );
    assert!(
        text.contains(&format!("because {} is closed to it", closed.display())),
        "{text}"
    );
    assert!(text.contains("/var/lib/plank"), "{text}");
}

#[tokio::test]
async fn an_ordinary_user_needs_no_root() {
    if !geteuid().is_root() {
        return eprintln!(
            "needs root, to become another user; without it all other tests show the same"
        );
    }
    let home = Home::new("nobody");
    let program = home.0.join("program");
    copy_this_program(&program);
    let own = home.0.join("own");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    let data_dir = own.join("share/plank");
    let as_nobody = || {
        let mut command = owner_command(&program, &data_dir);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let owner = Owner::start(as_nobody()).await;
    assert_eq!(
        fs::metadata(format!("/proc/{}", owner.pid)).unwrap().uid(),
        NOBODY
    );
    assert_eq!(fs::metadata(&data_dir).unwrap().mode() & 0o777, 0o700);
    add_row(&owner.config).await; // As root, who is let in.
    let pid = owner.kill_9().await;
    let owner = Owner::start(as_nobody()).await;
    assert_eq!(owner.pid, pid, "adopted");
    owner.end().await;
    home.none_left().await;
    // A root plank afterwards runs it as the owner of the data.
    let server = start_in(&data_dir).await;
    assert_eq!(
        fs::metadata(format!("/proc/{}", server.pid()))
            .unwrap()
            .uid(),
        NOBODY
    );
    assert_eq!(rows(&server.config()).await, 1);
    server.stop().await.unwrap();
    home.none_left().await;
}

/// Gives a directory to a user with all that is in it, as systemd does with the directory of a service.
fn give(dir: &std::path::Path, user: u32) {
    let status = std::process::Command::new("chown")
        .args(["--recursive", "--no-dereference", &format!("{user}:{user}")])
        .arg(dir)
        .status();
    assert!(status.unwrap().success());
    fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_cluster_that_root_made_serves_the_user_that_it_is_given_to_and_root_again() {
    if !geteuid().is_root() {
        return eprintln!("needs root");
    }
    let home = Home::new("given");
    let program = home.0.join("program");
    copy_this_program(&program);
    let server = start(&home).await;
    add_row(&server.config()).await;
    server.stop().await.unwrap();
    give(&home.data(), NOBODY);
    for turn in 1..=2 {
        let mut command = owner_command(&program, &home.data());
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        let owner = Owner::start(command).await;
        assert_eq!(rows(&owner.config).await, 2 * turn - 1);
        add_row(&owner.config).await;
        owner.end().await;
        let log = home.data().join("postgres.log");
        if turn == 1 {
            // Root's plank may be the one that has to begin a new one.
            fs::remove_file(&log).unwrap();
        }
        let server = start(&home).await;
        assert_eq!(rows(&server.config()).await, 2 * turn);
        add_row(&server.config()).await;
        server.stop().await.unwrap();
        assert_eq!(fs::metadata(&log).unwrap().uid(), NOBODY);
    }
    home.none_left().await;
}

#[tokio::test]
async fn root_makes_new_data_for_the_owner_of_the_directory() {
    if !geteuid().is_root() {
        return eprintln!("needs root");
    }
    let home = Home::new("for-owner");
    fs::create_dir(home.data()).unwrap();
    give(&home.data(), NOBODY);
    let server = start(&home).await;
    assert_eq!(fs::metadata(home.pgdata()).unwrap().uid(), NOBODY);
    server.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
async fn data_of_a_user_that_does_not_exist_is_refused_with_the_reason() {
    if !geteuid().is_root() {
        return eprintln!("needs root");
    }
    let home = Home::new("no-user");
    start(&home).await.stop().await.unwrap();
    // Of the numbers that systemd takes for dynamic users.
    give(&home.data(), 61_234);
    let (error, text) = refusal(&home.data(), &BinarySearch::from_env()).await;
    assert!(matches!(error, PrivateError::Owner { .. }), "{text}");
    assert!(text.contains("belongs to uid 61234"), "{text}");
    assert!(text.contains("no such user"), "{text}");
}
