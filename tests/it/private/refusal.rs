//! What plank says when it can't have a server.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use nix::unistd::{User, geteuid};
use plank::store::private::{BinarySearch, PrivateError, PrivatePostgres};

use super::support::*;

#[tokio::test]
async fn a_second_plank_is_refused() {
    let home = Home::new("second");
    let first = start(&home).await;
    let (error, text) = refusal(&home.data(), &BinarySearch::from_env()).await;
    assert!(
        matches!(error, PrivateError::InUse { pid: Some(pid), .. } if pid == std::process::id())
    );
    assert!(text.contains("in use by another plank (pid "), "{text}");
    first.stop().await.unwrap();
    start(&home).await.stop().await.unwrap();
}

#[tokio::test]
async fn missing_binaries_are_explained() {
    let home = Home::new("missing");
    let empty = home.0.join("empty");
    fs::create_dir(&empty).unwrap();
    let search = BinarySearch {
        explicit: None,
        system: vec![empty.clone()],
        path: Some(empty.clone().into()),
    };
    let (_, text) = refusal(&home.data(), &search).await;
    assert_eq!(
        text,
        "no PostgreSQL server binaries found; install postgresql or set PLANK_DATABASE_URL"
    );
    let search = BinarySearch {
        explicit: Some(empty),
        ..BinarySearch::from_env()
    };
    let (_, text) = refusal(&home.data(), &search).await;
    assert!(text.starts_with("PLANK_PG_BIN is "), "{text}");
    assert!(!home.pgdata().exists());
}

/// Programs that pretend to be PostgreSQL of some version.
fn fake(dir: &Path, major: u32, initdb: &str) {
    fs::create_dir_all(dir).unwrap();
    let postgres = format!("echo 'postgres (PostgreSQL) {major}.1'");
    for (name, body) in [("postgres", postgres.as_str()), ("initdb", initdb)] {
        fs::write(dir.join(name), format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(dir.join(name), Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn the_newest_version_wins_and_another_major_is_refused() {
    let home = Home::new("major");
    for major in [9, 13, 98, 99] {
        let bin = home.0.join(format!("pg/{major}/bin"));
        fake(
            &bin,
            major,
            &format!("echo this is initdb {major} >&2; exit 1"),
        );
    }
    let search = |pattern: &str| BinarySearch {
        explicit: None,
        system: vec![home.0.join(pattern)],
        path: None,
    };
    let (_, text) = refusal(&home.data(), &search("pg/*/bin")).await;
    assert!(text.contains("this is initdb 99"), "{text}");
    let (_, text) = refusal(&home.data(), &search("pg/1*/bin")).await;
    assert!(
        text.contains("14 or newer is needed, this machine has PostgreSQL 13 in "),
        "{text}"
    );
    start(&home).await.stop().await.unwrap();
    let (error, text) = refusal(&home.data(), &search("pg/9*/bin")).await;
    let own = fs::read_to_string(home.pgdata().join("PG_VERSION")).unwrap();
    assert!(
        matches!(error, PrivateError::VersionMismatch { .. }),
        "{text}"
    );
    assert!(
        text.contains(&format!("was made by PostgreSQL {},", own.trim())),
        "{text}"
    );
    assert!(text.contains("PostgreSQL 99 in "), "{text}");
    // The right major wins over a newer one.
    let mut mixed = BinarySearch::from_env();
    mixed.system.insert(0, home.0.join("pg/*/bin"));
    let server = PrivatePostgres::start_with(&home.data(), &mixed)
        .await
        .unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_initdb_is_shown_and_leaves_nothing() {
    let home = Home::new("initdb");
    let bin = home.0.join("bin");
    fake(
        &bin,
        99,
        "echo 'initdb: error: could not write: No space left on device' >&2; exit 1",
    );
    let search = BinarySearch {
        explicit: Some(bin),
        ..BinarySearch::default()
    };
    let (_, text) = refusal(&home.data(), &search).await;
    assert!(text.contains("No space left on device"), "{text}");
    let left: Vec<_> = fs::read_dir(home.data())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["plank.lock"]);
}

#[tokio::test]
async fn a_system_without_c_utf8_gets_the_c_locale() {
    let home = Home::new("locale");
    let bin = home.0.join("bin");
    let initdb = "case \"$*\" in *C.UTF-8*) echo 'invalid locale name \"C.UTF-8\"' >&2 ;; *) echo second: $* >&2 ;; esac; exit 1";
    fake(&bin, 99, initdb);
    let search = BinarySearch {
        explicit: Some(bin),
        ..BinarySearch::default()
    };
    let (_, text) = refusal(&home.data(), &search).await;
    assert!(
        text.contains("second: -D") && text.contains("--lc-ctype=C "),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_come_up_shows_its_log() {
    let home = Home::new("broken");
    start(&home).await.stop().await.unwrap();
    let conf = home.pgdata().join("postgresql.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nshared_buffers = 'lots'\n")).unwrap();
    let (_, text) = refusal(&home.data(), &BinarySearch::from_env()).await;
    assert!(
        text.contains("invalid value for parameter \"shared_buffers\""),
        "{text}"
    );
    fs::write(&conf, good).unwrap();
    fs::write(home.pgdata().join("pg_hba.conf"), "local all all reject\n").unwrap();
    let (_, text) = refusal(&home.data(), &BinarySearch::from_env()).await;
    assert!(
        text.contains("refuses plank") && text.contains("pg_hba.conf rejects connection"),
        "{text}"
    );
    home.none_left().await;
}

#[tokio::test]
async fn foreign_things_are_not_touched() {
    let home = Home::new("foreign");
    let search = BinarySearch::from_env();
    fs::create_dir_all(home.pgdata()).unwrap();
    if geteuid().is_root() {
        let (_, text) = refusal(&home.data(), &search).await;
        assert!(
            text.contains("belongs to root, but PostgreSQL does not run as root"),
            "{text}"
        );
        let postgres = User::from_name("postgres").unwrap().unwrap();
        chown(home.pgdata(), Some(postgres.uid.as_raw()), None).unwrap();
    }
    fs::write(home.pgdata().join("diary.txt"), "dear diary").unwrap();
    let (error, _) = refusal(&home.data(), &search).await;
    assert!(matches!(error, PrivateError::NotACluster { .. }));
    fs::remove_file(home.pgdata().join("diary.txt")).unwrap();
    // A link where the log or the socket goes is not followed.
    let target = home.0.join("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, home.data().join("postgres.log")).unwrap();
    let (error, _) = refusal(&home.data(), &search).await;
    assert!(matches!(error, PrivateError::Io { what: "open", .. }));
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    fs::remove_file(home.data().join("postgres.log")).unwrap();
    fs::remove_dir(home.data().join("run")).unwrap();
    symlink(&home.0, home.data().join("run")).unwrap();
    let (error, _) = refusal(&home.data(), &search).await;
    assert!(matches!(error, PrivateError::Owner { .. }));
    home.none_left().await;
}
