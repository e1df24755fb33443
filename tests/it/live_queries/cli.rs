//! `plank watch-query`, `plank unwatch` and `plank doctor --verify`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{BOARD, Followed, shop, truth};
use crate::support::Cluster;
use crate::support::program::{command, run};
use crate::support::within;

#[actix_web::test]
async fn query_is_made_checked_and_taken_away_from_the_command_line() {
    let app = shop().await;
    let url = Cluster::shared().url(&app.database);
    let database = ["--database-url", &url];
    let args = |args: &[&'static str]| [args, &database[..]].concat();

    let made = args(&[
        "watch-query",
        "board",
        "--key",
        "id",
        "--every",
        "50ms",
        "--scope",
        "orders=id",
        "--scope",
        "customers=id:customer_id",
        BOARD,
    ]);
    let (code, out, error) = run(&made).await;
    assert_eq!(
        (code, out.trim()),
        (0, "plank_query.board is live: key id"),
        "{error}"
    );
    let mut followed = Followed::start(&app, "board").await;
    app.execute("update orders set total = 500 where id = 2")
        .await;
    followed.settle().await;
    assert_eq!(followed.rows(), truth(&app, BOARD).await);

    let (code, out, error) = run(&args(&["doctor", "--verify", "board"])).await;
    assert!(
        out.contains("board is what its query gives"),
        "{code} {out} {error}"
    );
    // A result that was changed by hand.
    app.execute("update plank_query.board set total = 0 where id = 3")
        .await;
    let (code, out, _) = run(&args(&["doctor", "--verify", "board"])).await;
    assert!(
        code == 1 && out.contains("1 rows of the result differ"),
        "{out}"
    );
    let (_, out, _) = run(&args(&["doctor", "--verify", "nothing"])).await;
    assert!(out.contains("there is no such live query"), "{out}");

    let (code, out, _) = run(&args(&["unwatch", "board"])).await;
    assert_eq!(
        (code, out.trim()),
        (0, "plank_query.board is not watched any more")
    );
    for (more, expected) in [
        (
            &["board", "--key", "id", "select 1; select 2"][..],
            "one statement",
        ),
        (
            &[
                "board",
                "--key",
                "id",
                "--every",
                "1ms",
                "select id from orders",
            ],
            "--every is",
        ),
        (
            &[
                "board",
                "--key",
                "id",
                "--scope",
                "orders",
                "select id from orders",
            ],
            "--scope is",
        ),
        (
            &["board", "--key", "nr", "select id from orders"],
            "no column nr",
        ),
    ] {
        let (code, _, error) = run(&args(&[&["watch-query"], more].concat())).await;
        assert!(code != 0 && error.contains(expected), "{more:?}: {error}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn query_is_read_from_standard_input_and_its_result_is_printed_by_tail() {
    let app = shop().await;
    let url = Cluster::shared().url(&app.database);
    let args = [
        "watch-query",
        "sums",
        "--key",
        "customer_id",
        "-",
        "--database-url",
        &url,
    ];
    let mut child = command(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let query = b"-- The sum of each customer; all of them.\nselect customer_id, sum(total) as total\nfrom orders group by 1;\n";
    child.stdin.take().unwrap().write_all(query).await.unwrap();
    let output = within("watch-query", child.wait_with_output())
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Followed::start(&app, "sums").await;
    let server = app.url("");
    let mut tail = command(&["tail", "sums", "--snapshot", "--url", &server])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    for _ in 0..4 {
        let line = within("a row", lines.next_line()).await.unwrap().unwrap();
        assert!(line.contains("customer_id"), "{line}");
    }
    app.execute("update orders set total = 1000 where id = 1")
        .await;
    let line = within("a change", lines.next_line())
        .await
        .unwrap()
        .unwrap();
    assert!(line.contains("update"), "{line}");
    app.stop().await.unwrap();
}
