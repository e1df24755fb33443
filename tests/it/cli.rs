//! The program: what a person sees who starts it, rightly or wrongly.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::program::{Dir, Program, command, run};
use crate::support::{Cluster, TestApp, WsClient, until, within};

#[actix_web::test]
async fn it_starts_with_nothing_and_keeps_its_rows() {
    let dir = Dir::new("keeps");
    let args = ["--data-dir", &format!("{}/data", dir.path())];
    let http = reqwest::Client::new();
    let plank = Program::serve(&args).await;
    let url = format!("http://{}/api/items", plank.address);
    assert_eq!(
        http.post(&url)
            .json(&json!({"name": "kept"}))
            .send()
            .await
            .unwrap()
            .status(),
        201
    );
    assert_eq!(plank.end(Signal::SIGTERM).await, Some(0), "an orderly end");

    let plank = Program::serve(&args).await;
    let url = format!("http://{}/api/items", plank.address);
    assert_eq!(
        http.post(&url)
            .json(&json!({"name": "kept too"}))
            .send()
            .await
            .unwrap()
            .status(),
        201
    );
    assert_eq!(plank.end(Signal::SIGKILL).await, None);

    // The PostgreSQL of the killed one still runs, and is taken over.
    let plank = Program::serve(&args).await;
    let mut client = WsClient::connect(plank.address.parse().unwrap(), "/ws?table=items").await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    let url = format!("http://{}/api/items?order=id", plank.address);
    let page: Value = http.get(&url).send().await.unwrap().json().await.unwrap();
    let names: Vec<&Value> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["kept", "kept too"]);
    assert_eq!(plank.end(Signal::SIGINT).await, Some(0));
    assert_eq!(client.closed().await.code, 1012);
}

#[actix_web::test]
async fn a_mistake_ends_it_with_a_reason() {
    let database = Cluster::shared().empty_database().await;
    let good = Cluster::shared().url(&database);
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = occupied.local_addr().unwrap().to_string();
    let admin = crate::support::cluster::connect(&Cluster::shared().config("postgres")).await;
    admin
        .batch_execute("create role with_password login password 'right'")
        .await
        .unwrap();
    let wrong_password = good.replace("postgres@", "with_password:wrong@");
    let unknown_role = good.replace("postgres@", "nobody_here:x@");
    let no_database = good.replace(&format!("/{database}?"), "/nowhere?");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "another user's").unwrap();
    let file = format!("unix:{}", file.display());
    for (args, part) in [
        (
            vec!["--listen", &file, "--database-url", &good],
            "is there already, and is no socket",
        ),
        (vec!["--database-url", ""], "is set and empty"),
        (
            vec!["--allowed-origin", "https://*.example.org"],
            "wildcards are not served",
        ),
        (
            vec!["--listen", &occupied, "--database-url", &good],
            "is in use by another program",
        ),
        (
            vec!["--listen", "0.0.0.0:0", "--database-url", &good],
            "--insecure",
        ),
        (
            vec![
                "--listen",
                "1.2.3.4:80",
                "--insecure",
                "--database-url",
                &good,
            ],
            "no address of this machine",
        ),
        (
            vec!["--database-url", &wrong_password],
            "refused the password of user \"with_password\"",
        ),
        (vec!["--database-url", &unknown_role], "\"nobody_here\""),
        (
            vec!["--database-url", &no_database],
            "there is no database \"nowhere\"",
        ),
        (
            vec!["--database-url", "postgres://:::"],
            "PLANK_DATABASE_URL",
        ),
        (vec!["--workers", "0"], "--workers is 0"),
    ] {
        let listen = if args.contains(&"--listen") {
            vec![]
        } else {
            vec!["--listen", "127.0.0.1:0"]
        };
        let (status, out, err) = run(&[&["serve"][..], &args, &listen].concat()).await;
        let said = err
            .lines()
            .find(|line| line.starts_with("plank: "))
            .unwrap_or_else(|| panic!("{args:?}: {out}{err}"));
        assert!(
            status == 1 && said.contains(part),
            "{args:?}: {status} {err}"
        );
        assert!(!err.contains("wrong@") && !out.contains("live"), "{err}");
    }
}

#[actix_web::test]
async fn a_database_out_of_reach_is_said_plainly_and_waited_for() {
    for (url, part) in [
        ("postgres://u@127.0.0.1:1/d", "127.0.0.1:1 is out of reach"),
        (
            "postgres://u@no-such-host.invalid/d",
            "no-such-host.invalid:5432 is out of reach",
        ),
        (
            "host=/nowhere user=u",
            "/nowhere/.s.PGSQL.5432 is out of reach",
        ),
    ] {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let mut child = crate::support::program::command(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            url,
        ])
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        loop {
            let line = crate::support::within("the warning", lines.next_line())
                .await
                .unwrap()
                .expect("plank goes on");
            if line.contains(part) {
                break;
            }
        }
        assert!(child.try_wait().unwrap().is_none());
    }
}

#[actix_web::test]
async fn a_migration_elsewhere_holds_up_neither_the_health_routes_nor_the_end() {
    let database = Cluster::shared().database().await;
    let other = crate::support::cluster::connect(&Cluster::shared().config(&database)).await;
    other
        .batch_execute("begin; lock table plank.migrating in exclusive mode")
        .await
        .unwrap();
    let url = Cluster::shared().url(&database);
    let mut child = crate::support::program::command(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &url,
    ])
    .spawn()
    .unwrap();
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = crate::support::within("the warning", lines.next_line())
            .await
            .unwrap()
            .expect("plank goes on");
        if line.contains("plank waits for it") {
            break;
        }
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().unwrap() as i32),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(
        crate::support::within("the end", child.wait())
            .await
            .unwrap()
            .code(),
        Some(0)
    );
}

#[actix_web::test]
async fn migrate_says_what_it_did() {
    let database = Cluster::shared().empty_database().await;
    let url = Cluster::shared().url(&database);
    let (status, out, _) = run(&["migrate", "--database-url", &url]).await;
    assert_eq!(
        (status, out.as_str()),
        (
            0,
            "applied V2__log\napplied V3__capture\napplied V4__watch\n\
             applied V5__doorbell\napplied V6__policy\napplied V7__canary\napplied V8__policy_filter\n\
             applied V9__rest\napplied V10__rights\napplied V11__live_query\napplied V12__watch_query\napplied V13__end_query\napplied V14__refresh\n"
        )
    );
    let (status, out, _) = run(&["migrate", "--database-url", &url]).await;
    assert_eq!((status, out.as_str()), (0, "the schema is up to date\n"));
}

#[actix_web::test]
async fn help_lists_every_setting() {
    let (status, out, _) = run(&["serve", "--help"]).await;
    assert_eq!(status, 0);
    for name in [
        "PLANK_DATABASE_URL",
        "PLANK_LISTEN_DATABASE_URL",
        "PLANK_READ_DATABASE_URL",
        "PLANK_DATA_DIR",
        "PLANK_LISTEN",
        "PLANK_WORKERS",
        "PLANK_ALLOWED_ORIGINS",
        "PLANK_MAX_CONNECTIONS",
        "PLANK_MAX_CONNECTIONS_PER_IP",
        "PLANK_TRUSTED_PROXIES",
        "PLANK_LIMIT_LOOPBACK",
        "PLANK_MAX_MESSAGE_BYTES",
        "PLANK_INSECURE",
        "RUST_LOG",
        "PLANK_CANARY",
        "PLANK_LOG_FORMAT",
    ] {
        assert!(out.contains(name), "{name} is missing");
    }
    let (_, out, _) = run(&["--help"]).await;
    for name in ["serve", "migrate", "watch", "unwatch", "tail", "doctor"] {
        assert!(out.contains(&format!("\n  {name} ")), "{name} is missing");
    }
    let (_, out, _) = run(&["tail", "--help"]).await;
    assert!(
        out.contains("PLANK_URL") && out.contains("Examples:"),
        "{out}"
    );
    let (status, out, _) = run(&["--version"]).await;
    assert_eq!(
        (status, out.trim()),
        (0, concat!("plank ", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(run(&["frobnicate"]).await.0, 2);
}

#[actix_web::test]
async fn ready_says_whether_a_server_follows_the_changes() {
    let app = TestApp::start().await;
    let (status, out, err) = run(&["ready", "--url", &app.url("")]).await;
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.ends_with(" is ready\n"), "{out}");
    let address = app.address.to_string();
    let mut by_variable = command(&["ready"]);
    by_variable.env("PLANK_LISTEN", &address);
    let output = within("ready", by_variable.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "by the variable of serve");
    app.stop().await.unwrap();
    // Away, without its database, and something else.
    let (status, _, err) = run(&["ready", "--url", &format!("http://{address}")]).await;
    assert!(status == 1 && err.contains("is not ready"), "{err}");
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/s", dir.path().display());
    let mut serve = command(&[
        "serve",
        "--listen",
        &socket,
        "--database-url",
        "host=/nowhere user=u",
    ]);
    let _serve = serve.spawn().unwrap();
    let mut said = String::new();
    until("plank answers", async || {
        let (status, _, err) = run(&["ready", "--url", &socket]).await;
        assert_eq!(status, 1, "{err}");
        said = err;
        said.contains("answers 503: ")
    })
    .await;
    let (status, _, err) = run(&["ready", "--url", "nonsense"]).await;
    assert!(
        status == 1 && err.contains("nonsense has no scheme"),
        "{err}"
    );
}

#[actix_web::test]
async fn manual_pages_and_completions_are_of_this_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    assert_eq!(run(&["gen", "man", "--output", path]).await.0, 0);
    for (page, part) in [
        ("plank.1", "watch\\-query"),
        ("plank-serve.1", "PLANK_RETENTION_ROWS"),
        ("plank-gen-types.1", "json\\-schema"),
    ] {
        let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(text.contains(part), "{page}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, _) = run(&["gen", "completions", shell]).await;
        assert!(status == 0 && out.contains("watch-query"), "{shell}: {out}");
    }
    let nowhere = format!("{path}/plank.1/x");
    let (status, _, err) = run(&["gen", "man", "--output", &nowhere]).await;
    assert!(status == 1 && err.contains("can't write"), "{err}");
}

#[actix_web::test]
async fn a_likely_mistake_gets_a_tip() {
    let (status, _, err) = run(&["serve", "--port", "8000"]).await;
    assert!(
        status == 2 && err.contains("tip: ") && err.contains("--listen 127.0.0.1:PORT"),
        "{err}"
    );
}
