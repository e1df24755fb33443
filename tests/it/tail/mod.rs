//! `plank tail`, the program, against a real server.

use std::os::fd::AsFd;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::cluster::connect;
use crate::support::program::{Dir, Program, command, run};
use crate::support::{Cluster, TestApp, within};

mod scripted;
mod support;

use support::Tail;

/// A server with a live table `t`, and its address.
async fn app() -> (TestApp, String) {
    let app = TestApp::start().await;
    app.execute("create table t (id int primary key, name text, total numeric, note json)")
        .await;
    app.execute("select plank.watch('t')").await;
    // Until the server knows the table.
    let url = app.url("");
    crate::support::until("the table is served", async || {
        app.request("GET", "/api/changes?table=t", None).await.0 == 200
    })
    .await;
    (app, url)
}

#[actix_web::test]
async fn each_change_is_a_json_line_as_it_came() {
    let (app, url) = app().await;
    let mut tail = Tail::start(&["t", "--url", &url]);
    assert_eq!(
        tail.says("following").await,
        "plank: following public.t from now on"
    );
    app.execute(
        "insert into t values (1, 'é', 2.50, E'{\\n \"a\": 1\\n}'); update t set name = 'b'; delete from t; truncate t",
    )
    .await;
    let insert = tail.line().await;
    assert!(
        insert.contains(r#""total":2.50,"note":{  "a": 1 }}"#),
        "{insert}"
    );
    let insert: Value = serde_json::from_str(&insert).unwrap();
    assert_eq!(
        (&insert["op"], &insert["row"]["name"]),
        (&json!("insert"), &json!("é"))
    );
    assert_eq!(insert["key"], json!({"id": 1}));
    let update = tail.json().await;
    assert_eq!(
        (&update["op"], &update["row"]["name"]),
        (&json!("update"), &json!("b"))
    );
    let delete = tail.json().await;
    assert_eq!(
        (&delete["op"], &delete["old"]["id"]),
        (&json!("delete"), &json!(1))
    );
    assert_eq!(tail.json().await["op"], "truncate");
    tail.signal(Signal::SIGTERM);
    let (status, lines, said) = tail.end().await;
    assert_eq!((status, lines), (Some(0), vec![]));
    assert!(said.contains("--since"), "{said}");
}

#[actix_web::test]
async fn it_goes_on_from_the_cursor_that_it_names_at_its_end() {
    let (app, url) = app().await;
    let mut tail = Tail::start(&["t", "--url", &url]);
    tail.says("following").await;
    app.execute("insert into t values (1)").await;
    assert_eq!(tail.json().await["key"]["id"], 1);
    tail.signal(Signal::SIGINT);
    let stopped = tail.says("--since ").await;
    let cursor = stopped.split("--since ").nth(1).unwrap().to_owned();
    assert_eq!(tail.end().await.0, Some(0));
    app.execute("insert into t values (2)").await;
    let mut tail = Tail::start(&[
        "t",
        "--url",
        &url,
        "--since",
        &cursor,
        "--columns",
        "id, name",
    ]);
    let change = tail.json().await;
    assert_eq!(change["row"], json!({"id": 2, "name": null}));
}

#[actix_web::test]
async fn rows_come_first_with_snapshot_and_a_cursor_of_another_log_is_a_reset() {
    let (app, url) = app().await;
    app.execute("insert into t (id) values (1), (2)").await;
    let mut tail = Tail::start(&["t", "--url", &url, "--snapshot", "--columns", "id"]);
    assert_eq!(tail.line().await, r#"{"op":"row","row":{"id":1}}"#);
    assert_eq!(tail.line().await, r#"{"op":"row","row":{"id":2}}"#);
    app.execute("delete from t where id = 1").await;
    let delete = tail.json().await;
    assert_eq!(
        (&delete["op"], &delete["key"]["id"]),
        (&json!("delete"), &json!(1))
    );
    tail.signal(Signal::SIGTERM);
    let stopped = tail.says("--since ").await;
    let cursor = stopped.split("--since ").nth(1).unwrap().to_owned();

    // Its log is another one from here on.
    app.execute("select plank.rename_log()").await;
    let args = [
        "t",
        "--url",
        &url,
        "--snapshot",
        "--columns",
        "id",
        "--since",
        &cursor,
    ];
    let mut tail = Tail::start(&args);
    tail.says("reset (epoch)").await;
    assert_eq!(tail.line().await, r#"{"op":"reset","reason":"epoch"}"#);
    assert_eq!(tail.line().await, r#"{"op":"row","row":{"id":2}}"#);
}

#[actix_web::test]
async fn window_is_followed_with_the_places_of_its_rows() {
    let (app, url) = app().await;
    app.execute("insert into t select i, null, i * 10 from generate_series(1, 5) i")
        .await;
    let window = ["t", "--order", "total.desc", "--limit", "2", "--url", &url];
    let mut tail = Tail::start(&[&window[..], &["--columns", "id"]].concat());
    assert_eq!(
        tail.line().await,
        r#"{"op":"row","index":0,"row":{"id":5}}"#
    );
    assert_eq!(
        tail.line().await,
        r#"{"op":"row","index":1,"row":{"id":4}}"#
    );
    tail.says("following public.t behind its rows").await;
    app.execute("update t set total = 45 where id = 1; update t set total = 0 where id = 2")
        .await;
    assert_eq!(
        tail.line().await,
        r#"{"op":"delete","cause":"window","key":{"id":4}}"#
    );
    assert_eq!(
        tail.line().await,
        r#"{"op":"insert","cause":"window","key":{"id":1},"row":{"id":1},"index":1}"#
    );
    // A cursor of before: it begins anew.
    tail.signal(Signal::SIGTERM);
    let stopped = tail.says("--since ").await;
    let cursor = stopped.split("--since ").nth(1).unwrap().to_owned();
    let mut tail = Tail::start(&[&window[..], &["--since", &cursor, "--format", "text"]].concat());
    tail.says("reset (window)").await;
    assert!(tail.line().await.starts_with("row      #0 id=5"));
    assert!(tail.line().await.starts_with("row      #1 id=1"));
}

#[actix_web::test]
async fn guarantee_1_restarts_of_the_server_lose_nothing_and_print_nothing_twice() {
    let dir = Dir::new("tail");
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    sql.batch_execute("create table t (id int primary key); select plank.watch('t')")
        .await
        .unwrap();
    let (url, socket) = (
        Cluster::shared().url(&database),
        format!("unix:{}/p.sock", dir.path()),
    );
    let args = ["--database-url", &url, "--listen", &socket];
    let mut plank = Program::serve(&args).await;
    let mut tail = Tail::start(&["t", "--url", &socket]);
    tail.says("following").await;

    const BATCH: i32 = 500;
    let mut written = 0;
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL] {
        // While it is going down, while it is away, and while it comes back.
        let write = async {
            for _ in 0..20 {
                let ids = format!("generate_series({}, {})", written + 1, written + BATCH);
                let insert = format!("insert into t select {ids}");
                sql.batch_execute(&insert).await.unwrap();
                written += BATCH;
            }
        };
        let restart = async {
            plank.end(signal).await;
            Program::serve(&args).await
        };
        ((), plank) = tokio::join!(write, restart);
    }
    for id in 1..=written {
        assert_eq!(tail.json().await["key"]["id"], id);
    }
    tail.signal(Signal::SIGTERM);
    let (status, more, said) = tail.end().await;
    assert_eq!((status, more), (Some(0), vec![]));
    assert!(
        said.contains("following public.t again, from the cursor"),
        "{said}"
    );
    assert_eq!(plank.end(Signal::SIGTERM).await, Some(0));
}

#[actix_web::test]
async fn it_ends_with_its_reader_though_nothing_changes() {
    let (app, url) = app().await;
    let mut tail = Tail::start(&["t", "--url", &url]);
    tail.says("following").await;
    app.execute("insert into t values (1)").await;
    tail.line().await;
    tail.close();
    let (status, _, said) = tail.end().await;
    assert_eq!((status, said.as_str()), (Some(0), ""));
    // And before anything has changed, also without a server.
    let mut tail = Tail::start(&["t", "--url", "http://127.0.0.1:1"]);
    tail.says("trying again").await;
    tail.close();
    assert_eq!(tail.end().await.0, Some(0));
}

#[actix_web::test]
async fn a_reader_that_does_not_read_does_not_keep_it_from_ending() {
    let (app, url) = app().await;
    let mut tail = Tail::start(&["t", "--url", &url]);
    tail.says("following").await;
    // Many times what a pipe holds.
    app.execute("insert into t select i, repeat('x', 1000) from generate_series(1, 5000) i")
        .await;
    tail.line().await;
    tail.signal(Signal::SIGTERM);
    assert_eq!(tail.end_unread().await, Some(0));
}

#[actix_web::test]
async fn what_the_server_refuses_ends_it_with_a_message() {
    let (app, url) = app().await;
    let cases: [(&[&str], &str); 9] = [
        (
            &["nope"],
            "no watched table \"nope\" that you may read; plank watch nope makes it live",
        ),
        (&["t", "--since", "garbage"], "not a cursor"),
        (&["t", "--columns", "nope"], "nope"),
        (&["t", "--filter", "nonsense"], "filter"),
        (
            &["t", "--order", "nope", "--limit", "5"],
            "no column \"nope\"",
        ),
        (&["t", "--order", "id", "--limit", "0"], "from 1 to 1000"),
        (&["t", "--order", "id", "--limit", "1001"], "from 1 to 1000"),
        (&["t", "--url", "127.0.0.1:8080"], "write it as http://"),
        (&["t", "--url", &app.url("/elsewhere")], "it answered 404"),
    ];
    for (args, part) in cases {
        let mut args = [&["tail"], args].concat();
        if !args.contains(&"--url") {
            args.extend(["--url", &url]);
        }
        let (status, out, err) = run(&args).await;
        assert_eq!((status, out.as_str()), (1, ""), "{args:?}: {err}");
        assert!(
            err.starts_with("plank: ") && err.contains(part),
            "{args:?}: {err}"
        );
    }
}

#[actix_web::test]
async fn on_a_terminal_it_prints_coloured_lines_that_fit() {
    let (app, url) = app().await;
    for is_coloured in [true, false] {
        let size = Winsize {
            ws_row: 24,
            ws_col: 40,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let reader = std::fs::File::from(pty.master.as_fd().try_clone_to_owned().unwrap());
        let mut reader = BufReader::new(tokio::fs::File::from_std(reader)).lines();
        let mut program = command(&["tail", "t", "--url", &url]);
        program.env("TERM", "xterm");
        if !is_coloured {
            program.env("NO_COLOR", "1");
        }
        let mut tail = Tail::on_terminal(program, pty.slave);
        tail.says("following").await;
        app.execute("delete from t; insert into t values (1, repeat('long ', 20))")
            .await;
        let line = within("a line", reader.next_line()).await.unwrap().unwrap();
        assert_eq!(line.contains("\x1b[32minsert"), is_coloured, "{line:?}");
        assert!(line.contains("id") && line.contains('…'), "{line:?}");
        if !is_coloured {
            assert_eq!(line.trim_end().chars().count(), 40, "{line:?}");
        }
        tail.signal(Signal::SIGINT);
        assert_eq!(tail.end().await.0, Some(0));
        app.execute("delete from t").await;
    }
}
