//! PostgreSQL stores transaction ids with 32 bits and counts them with 64. Nothing is special about 2^32 for plank.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::{User, getuid};
use serde_json::json;

use crate::resume::{cursor, names};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

/// The first transaction whose id needs 33 bits.
const BOUNDARY: u64 = 1 << 32;

/// The next transaction of the cluster. The migrations and the start of plank take a dozen.
const NEXT: u64 = BOUNDARY - 60;

/// Sets the next transaction of a stopped cluster.
fn set_next_transaction(bin: &str, pgdata: &PathBuf) {
    let owner = User::from_name("postgres")
        .unwrap()
        .filter(|_| getuid().is_root());
    // pg_resetwal does not make the file that holds the status of this transaction.
    let segment = pgdata.join(format!("pg_xact/{:04X}", NEXT >> 20));
    std::fs::write(&segment, vec![0; 256 * 1024]).unwrap();
    let mut command = Command::new(format!("{bin}/pg_resetwal"));
    if let Some(user) = &owner {
        chown(&segment, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        command = Command::new("runuser");
        command
            .args(["-u", "postgres", "--"])
            .arg(format!("{bin}/pg_resetwal"));
    }
    let next = NEXT.to_string();
    let oldest = (NEXT - 2000).to_string();
    let out = command
        .args(["--next-transaction-id", &next, "--epoch", "0"])
        .args(["--oldest-transaction-id", &oldest])
        .arg(pgdata)
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

#[actix_web::test]
async fn transaction_ids_of_more_than_32_bits_are_followed() {
    let mut cluster = Cluster::start();
    let mut bin = String::new();
    let mut pgdata = PathBuf::new();
    for database in ["plank", "postgres", "template1"] {
        let sql = connect(&cluster.config(database)).await;
        // Rows from before would be of the future.
        sql.batch_execute("vacuum freeze").await.unwrap();
        let sql = sql.query_one(
            "select (select setting from pg_config where name = 'BINDIR'), current_setting('data_directory')",
            &[],
        );
        let row = sql.await.unwrap();
        (bin, pgdata) = (row.get(0), row.get::<_, String>(1).into());
    }
    cluster.stop().await;
    set_next_transaction(&bin, &pgdata);
    cluster.start_again().await;

    let app = TestApp::start_on(&cluster).await;
    app.ready().await;
    let mut client = app.subscribed("items").await;
    let mut cursors = vec![cursor(&app).await];
    let mut written = 0;
    let mut newest = NEXT;
    while newest < BOUNDARY + 20 {
        let name = format!("n{written}");
        app.execute(&format!("insert into items (name) values ('{name}')"))
            .await;
        written += 1;
        assert_eq!(names(&client.changes(1).await), [name.as_str()]);
        cursors.push(cursor(&app).await);
        // As the server itself gives it, in SQL.
        let sql = "select plank.cursor(), (select max(xid::text::bigint) from plank.log)";
        let row = app.sql.query_one(sql, &[]).await.unwrap();
        cursors.push(row.get(0));
        newest = u64::try_from(row.get::<_, i64>(1)).unwrap();
    }
    let sql = "select min(xid::text::bigint) from plank.log where op = 'I'";
    let oldest: i64 = app.sql.query_one(sql, &[]).await.unwrap().get(0);
    assert!(
        (oldest as u64) < BOUNDARY,
        "changes on both sides: {oldest}"
    );
    for (n, cursor) in cursors.iter().enumerate() {
        let path = format!("/api/changes?table=items&since={cursor}");
        let (status, page) = app.request("GET", &path, None).await;
        assert_eq!(status, 200, "{page}");
        let missed = page["changes"].as_array().unwrap().len();
        assert_eq!(missed, written - n.div_ceil(2), "{n}: {cursor}");
    }
    // A listener that starts on either side, and at the boundary itself.
    for _ in 0..3 {
        assert_eq!(app.cut_listener().await, 1);
        app.execute("insert into items (name) values ('again')")
            .await;
        assert_eq!(client.change().await["row"]["name"], json!("again"));
    }
}
