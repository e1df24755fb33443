//! Names that an owner of a table chooses: they are no lines of the log, and nothing that a terminal obeys.

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::program::{command, run};
use crate::support::{Cluster, cluster, within};

/// A line break, a line of the log that nobody wrote, and an escape sequence that empties a terminal.
const EVIL: &str = "x\n[2026-01-01T00:00:00.000Z ERROR] forged by=nobody\u{1b}[2J\u{9b}2J";

#[actix_web::test]
async fn a_name_makes_no_line_of_the_log_in_any_form() {
    for format in ["text", "logfmt", "json"] {
        let database = Cluster::shared().database().await;
        let url = Cluster::shared().url(&database);
        let sql = cluster::connect(&Cluster::shared().config(&database)).await;
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &url,
            "--log-format",
            format,
        ];
        let mut plank = command(&args).spawn().unwrap();
        let mut said = BufReader::new(plank.stdout.take().unwrap());
        let mut line = String::new();
        let live = within("that it is live", said.read_line(&mut line)).await;
        assert!(live.unwrap() > 0, "plank ended");
        let mut log = BufReader::new(plank.stderr.take().unwrap());
        let table = format!("create table \"{EVIL}\" (id int primary key)");
        sql.batch_execute(&table).await.unwrap();
        let watch = format!("select plank.watch('\"{EVIL}\"')");
        sql.batch_execute(&watch).await.unwrap();
        loop {
            let mut line = Vec::new();
            let read = within("the line", log.read_until(b'\n', &mut line)).await;
            assert!(read.unwrap() > 0, "plank ended");
            let line = String::from_utf8(line).unwrap();
            let text = line.trim_end_matches('\n');
            assert!(!text.contains(char::is_control), "{format}: {text:?}");
            assert!(!text.starts_with("[2026-01-01T00:00:00.000Z"), "{text}");
            if text.contains("table watched") && text.contains("forged") {
                break;
            }
        }
    }
}

#[actix_web::test]
async fn a_name_is_nothing_that_a_terminal_obeys() {
    let database = Cluster::shared().database().await;
    let url = Cluster::shared().url(&database);
    let sql = cluster::connect(&Cluster::shared().config(&database)).await;
    let name = format!("\"{EVIL}\"");
    let table = format!("create unlogged table {name} (\"{EVIL}\" int)");
    sql.batch_execute(&table).await.unwrap();
    for args in [
        &["watch", &name][..],
        &["doctor", "--max-connections", "10"],
        &["unwatch", &name],
        &["watch", "\"none\u{1b}[2J\""],
    ] {
        let args = [args, &["--database-url", &url]].concat();
        let (_, out, error) = run(&args).await;
        for text in [out, error] {
            let is_unseen = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(is_unseen), "{args:?}: {text:?}");
            assert!(!text.contains("\n[2026"), "{args:?}: {text:?}");
        }
    }
}
