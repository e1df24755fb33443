//! `sql/schema.sql` is what the migrations make, as pg_dump of PostgreSQL 15 says it: to read, and to see in a change what a
//! migration does. `make schema` writes it anew.

use std::process::Command;

use crate::support::Cluster;
use crate::support::cluster::connect;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/schema.sql");

/// Without what differs between two dumps of the same schema: versions, and the token that restricts psql.
fn comparable(dump: &str) -> String {
    let is_kept = |line: &&str| {
        !line.starts_with("-- Dumped ")
            && !line.starts_with("\\restrict ")
            && !line.starts_with("\\unrestrict ")
    };
    let lines: Vec<&str> = dump.lines().filter(is_kept).collect();
    format!("{}\n", lines.join("\n").trim())
}

#[actix_web::test]
async fn schema_sql_is_what_the_migrations_make() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let sql = connect(&cluster.config(&database)).await;
    let row = sql
        .query_one(
            "select current_setting('server_version_num')::int / 10000, setting from pg_config where name = 'BINDIR'",
            &[],
        )
        .await
        .unwrap();
    let (version, programs): (i32, String) = (row.get(0), row.get(1));
    if version != 15 {
        println!("skipped: sql/schema.sql is of PostgreSQL 15, and this is {version}");
        return;
    }
    let dump = Command::new(format!("{programs}/pg_dump"))
        .args(["--schema-only", "--schema=plank", "--dbname"])
        .arg(cluster.url(&database))
        .output()
        .unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let made = comparable(&String::from_utf8(dump.stdout).unwrap());
    if std::env::var_os("PLANK_WRITE_SCHEMA").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    let differs = made.lines().zip(kept.lines()).find(|(a, b)| a != b);
    assert!(
        made == kept,
        "sql/schema.sql is not what the migrations make; `make schema` writes it. The first difference: {differs:?}"
    );
}
