//! What a killed plank, a killed server or a power failure leaves behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use plank::store::private::PrivateError;
use tokio::process::Command;

use super::support::*;

#[tokio::test]
async fn a_server_that_outlived_its_plank_is_adopted() {
    let home = Home::new("adopt");
    let owner = Owner::start(owner_command(&this_program(), &home.data())).await;
    add_row(&owner.config).await;
    let pid = owner.kill_9().await;
    let mut server = start(&home).await;
    assert_eq!((server.adopted(), server.pid()), (true, pid));
    assert_eq!(rows(&server.config()).await, 1);
    // Its end is noticed though it is no child, and the next start recovers.
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let end = exited(&mut server).await;
    assert!(
        matches!(end, PrivateError::Ended { status: None, .. }),
        "{end}"
    );
    server.stop().await.unwrap();
    let server = start(&home).await;
    assert!(!server.adopted());
    assert_eq!(rows(&server.config()).await, 1);
    server.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
async fn an_adopted_server_is_stopped_too() {
    let home = Home::new("adopt-stop");
    Owner::start(owner_command(&this_program(), &home.data()))
        .await
        .kill_9()
        .await;
    let server = start(&home).await;
    assert!(server.adopted());
    server.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_comes_back() {
    let home = Home::new("kill");
    let mut server = start(&home).await;
    for turn in 1..=3 {
        add_row(&server.config()).await;
        // A backend that computes does not look up for a while after its postmaster has gone.
        let client = connect(&server.config()).await;
        let busy = "select count(*) from generate_series(1, 3000000) a";
        let busy = tokio::spawn(async move { client.batch_execute(busy).await });
        kill(Pid::from_raw(server.pid()), Signal::SIGKILL).unwrap();
        let end = exited(&mut server).await;
        assert!(end.to_string().contains("signal: 9"), "{end}");
        server.stop().await.unwrap();
        server = start(&home).await;
        assert_eq!(rows(&server.config()).await, turn);
        let _ = busy.await.unwrap();
    }
    server.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
async fn orphans_of_a_killed_server_are_waited_for() {
    let home = Home::new("orphans");
    let mut server = start(&home).await;
    add_row(&server.config()).await;
    let client = connect(&server.config()).await;
    let orphan: i32 = client
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    // Stopped, it can't notice that its postmaster is gone, and stays attached to the shared memory.
    kill(Pid::from_raw(orphan), Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(server.pid()), Signal::SIGKILL).unwrap();
    exited(&mut server).await;
    server.stop().await.unwrap();
    let log = home.data().join("postgres.log");
    let refused = || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("pre-existing shared memory block")
    };
    let let_it_go = async {
        until("the new server has met the orphan", refused).await;
        kill(Pid::from_raw(orphan), Signal::SIGCONT).unwrap();
    };
    let (server, ()) = tokio::join!(start(&home), let_it_go);
    assert_eq!(rows(&server.config()).await, 1);
    server.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
async fn a_stale_pid_file_does_not_stand_in_the_way() {
    let home = Home::new("stale");
    let server = start(&home).await;
    add_row(&server.config()).await;
    server.stop().await.unwrap();
    // A process of the server's own user, as after a reboot: PostgreSQL by itself would refuse to start.
    let mut other = Command::new("sleep");
    if geteuid().is_root() {
        let owner = fs::metadata(home.pgdata()).unwrap();
        other.uid(owner.uid()).gid(owner.gid());
    }
    let mut other = other.arg("1000").kill_on_drop(true).spawn().unwrap();
    let pgdata = home.pgdata();
    for pid in [other.id().unwrap(), 1, 4_000_000] {
        let short = format!("{pid}\n");
        let long = format!(
            "{pid}\n{}\n1\n5432\n/nowhere\n\n 0 0\nready   \n",
            pgdata.display()
        );
        for text in [short, long] {
            fs::write(pgdata.join("postmaster.pid"), text).unwrap();
            let server = start(&home).await;
            assert!(!server.adopted());
            assert_eq!(rows(&server.config()).await, 1);
            server.stop().await.unwrap();
        }
    }
    assert!(other.try_wait().unwrap().is_none(), "it was left alone");
    // As a power failure may leave it.
    fs::write(pgdata.join("postmaster.pid"), "").unwrap();
    start(&home).await.stop().await.unwrap();
    home.none_left().await;
}

#[tokio::test]
#[ignore = "slow: waits for two deadlines of a stop, 40 s"]
async fn a_server_that_hangs_is_ended_by_force() {
    let home = Home::new("hang");
    let server = start(&home).await;
    add_row(&server.config()).await;
    kill(Pid::from_raw(server.pid()), Signal::SIGSTOP).unwrap();
    server.stop().await.unwrap();
    home.none_left().await;
    let server = start(&home).await;
    assert_eq!(rows(&server.config()).await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_initdb_that_was_killed_leaves_nothing_half_done() {
    let home = Home::new("half");
    let fresh = || {
        let entries = fs::read_dir(home.data()).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains("pgdata.new-"))
    };
    // Killed as soon as there is something to see of it, and then a little later each time.
    for sign in ["PG_VERSION", "global/pg_control", "base/1/PG_VERSION", ""] {
        let mut owner = owner_command(&this_program(), &home.data())
            .spawn()
            .unwrap();
        let before: Vec<PathBuf> = fresh().collect();
        let got_far = || fresh().any(|dir| !before.contains(&dir) && dir.join(sign).exists());
        until("initdb has got that far", got_far).await;
        owner.kill().await.unwrap();
        assert!(!home.pgdata().exists());
        // The last one's initdb goes on, in a directory of its own; the next start does not mind.
        if !sign.is_empty() {
            for pid in home.processes() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            home.none_left().await;
        }
        assert_ne!(fresh().count(), 0);
    }
    let server = start(&home).await;
    add_row(&server.config()).await;
    server.stop().await.unwrap();
    home.none_left().await;
    start(&home).await.stop().await.unwrap();
    assert_eq!(
        fresh().count(),
        0,
        "what could not be removed at once is by now"
    );
}
