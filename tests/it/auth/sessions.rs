//! A WebSocket that authenticates: it does so first, and ends with its token.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Secure, now_s, token, viewer};

use crate::support::{SseClient, WsClient, until, within};

#[actix_rt::test]
async fn nothing_comes_before_auth() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    for first in [
        json!({"type": "subscribe", "id": "a", "table": "notes"}),
        json!({"type": "ping"}),
        json!({"type": "nonsense"}),
        json!([]),
    ] {
        let mut client = app.anonymous("/ws?table=notes&snapshot=1").await;
        client.send(first.clone()).await;
        let closed = client.next().await.unwrap_err();
        assert_eq!(closed.code, 4501, "{first}");
    }
}

#[actix_rt::test]
async fn who_says_nothing_is_closed_after_five_seconds() {
    let app = Secure::start().await;
    let begun = Instant::now();
    let mut client = app.anonymous("/ws").await;
    let closed = client.next().await.unwrap_err();
    assert_eq!(closed.code, 4501);
    assert!(
        begun.elapsed() >= Duration::from_millis(4_900),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() < Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        app.metric("plank_limits_total{limit=\"auth_time\"}").await,
        1.0
    );
}

#[actix_rt::test]
async fn what_the_address_asks_for_comes_after_auth() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let mut client = app.anonymous("/ws?table=notes&snapshot=1").await;
    client
        .send(json!({"type": "auth", "token": viewer("bob")}))
        .await;
    let welcome = client.next().await.unwrap();
    assert_eq!(welcome["type"], "welcome");
    let said = client.next().await.unwrap();
    assert_eq!(
        (said["type"].as_str(), said["sub"].as_str()),
        (Some("authenticated"), Some("bob"))
    );
    assert!(said["exp"].as_u64().unwrap() > now_s());
    let (rows, _) = client.snapshot().await;
    assert_eq!(
        rows,
        [json!({"id": 2, "owner": "bob", "tenant": 1, "body": "b"})]
    );
}

#[actix_rt::test]
async fn a_session_ends_within_a_second_of_its_token() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let exp = now_s() + 3;
    let short = token(json!({"sub": "ann", "role": "viewer", "exp": exp}));
    let mut socket = app.socket(&short).await;
    socket.subscribe("a", "notes").await;
    let bearer = format!("Bearer {short}");
    let mut early = WsClient::with_headers(
        app.address,
        "/ws?table=notes",
        &[("authorization", &bearer)],
    )
    .await
    .unwrap();
    early.expect("welcome").await;
    early.expect("subscribed").await;
    let answer = app
        .http
        .get(app.url("/api/stream?table=notes"))
        .bearer_auth(&short);
    let stream = answer.send().await.unwrap();
    for client in [&mut socket, &mut early] {
        let closed = client.next().await.unwrap_err();
        let over = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(closed.code, 4502);
        assert!(over >= Duration::from_secs(exp), "not before");
        assert!(
            over < Duration::from_secs(exp) + Duration::from_millis(1_500),
            "{over:?}"
        );
    }
    // Its end is that of the body.
    stream.text().await.unwrap();
    assert!(now_s() <= exp + 2);
    assert_eq!(
        app.ask(&short, "GET", "/api/session", None).await.0,
        200,
        "the leeway"
    );
}

#[actix_rt::test]
async fn a_fresh_token_keeps_a_session() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let exp = now_s() + 2;
    let mut client = app
        .socket(&token(json!({"sub": "ann", "role": "viewer", "exp": exp})))
        .await;
    client.subscribe("a", "notes").await;
    client
        .send(json!({"type": "auth", "token": viewer("ann")}))
        .await;
    assert_eq!(client.expect("authenticated").await["sub"], "ann");
    // Another's token, and one with other rights, change nothing.
    for other in [viewer("bob"), token(json!({"sub": "ann", "role": "admin"}))] {
        client.send(json!({"type": "auth", "token": other})).await;
        assert_eq!(client.expect("error").await["code"], "other_principal");
    }
    until("the old token's end", async || now_s() > exp + 1).await;
    app.execute("insert into notes values (4, 'ann', 1, 'd')")
        .await;
    assert_eq!(client.batch().await[0]["key"]["id"], 4);
    // One that is no good ends it.
    client.send(json!({"type": "auth", "token": "abc"})).await;
    assert_eq!(client.next().await.unwrap_err().code, 4501);
}

#[actix_rt::test]
async fn a_broken_claim_ends_one_session_and_nothing_else() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'tenant=eq.{claim.tenant}')")
        .await;
    let claims = |tenant: serde_json::Value| {
        token(json!({"sub": "ann", "role": "viewer", "tenant": tenant}))
    };
    let mut good = app.socket(&claims(json!(1))).await;
    good.subscribe("a", "notes").await;
    for broken in [
        json!("x"),
        json!("1; drop table notes"),
        json!(1e30),
        json!(""),
    ] {
        let token = claims(broken.clone());
        let mut client = app.socket(&token).await;
        client
            .send(json!({"type": "subscribe", "id": "a", "table": "notes"}))
            .await;
        assert_eq!(client.next().await.unwrap_err().code, 4503, "{broken}");
        for path in [
            "/api/tables/notes/rows",
            "/api/changes?table=notes",
            "/api/stream?table=notes",
        ] {
            assert_eq!(
                app.ask(&token, "GET", path, None).await.0,
                403,
                "{broken} {path}"
            );
        }
    }
    app.execute("insert into notes values (4, 'ann', 1, 'd')")
        .await;
    assert_eq!(good.batch().await[0]["key"]["id"], 4);
}

#[actix_rt::test]
async fn with_auth_off_nobody_has_to_say_anything() {
    let app = crate::support::TestApp::start().await;
    let (status, session) = app.request("GET", "/api/session", None).await;
    assert_eq!((status, session), (200, json!({"auth": false})));
    for path in ["/api/session", "/api/ticket"] {
        let (status, answer) = app.request("POST", path, None).await;
        assert_eq!(
            (status, answer["type"].as_str()),
            (409, Some("urn:plank:problem:auth-off")),
            "{path}"
        );
    }
    let mut client = app.subscribed("items").await;
    client.send(json!({"type": "auth", "token": "abc"})).await;
    assert_eq!(client.expect("error").await["code"], "auth_off");
    let mut stream = SseClient::connect(&app, "table=items").await;
    stream.live().await;
}

#[actix_rt::test]
async fn plank_tail_says_who_it_is_with_a_file_or_a_variable() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{}\n", viewer("cid"))).unwrap();
    let url = format!("http://{}", app.address);
    let tail = |file: Option<&str>, variable: Option<&str>| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_plank"));
        command
            .args(["tail", "notes", "--snapshot", "--format", "json"])
            .args(["--url", &url])
            .args(file.map(|file| format!("--token-file={file}")))
            .env_remove("PLANK_TOKEN")
            .envs(variable.map(|token| ("PLANK_TOKEN", token)))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    };
    let token = viewer("cid");
    for (file, variable) in [(file.to_str(), None), (None, Some(token.as_str()))] {
        let mut tail = tail(file, variable);
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        let line = within("a row", lines.next_line()).await.unwrap().unwrap();
        let row: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (row["op"].as_str(), row["row"]["id"].as_i64()),
            (Some("row"), Some(3))
        );
    }
    for (file, variable, part) in [
        (None, None, "set PLANK_TOKEN"),
        (None, Some("abc"), "set PLANK_TOKEN"),
        (Some("/nowhere"), None, "--token-file /nowhere"),
    ] {
        let ended = within("the end", tail(file, variable).wait_with_output())
            .await
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && said.contains(part), "{said}");
    }
}

#[actix_rt::test]
async fn plank_token_makes_what_the_server_takes() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'tenant=in.({claim.tenants})')")
        .await;
    let dir = tempfile::TempDir::new().unwrap();
    let file = super::settings(&dir).secret_file.unwrap();
    let made = async |more: &[&str]| {
        let made = tokio::process::Command::new(env!("CARGO_BIN_EXE_plank"))
            .args([
                "token",
                "--sub",
                "ann",
                "--role",
                "viewer",
                "--jwt-secret-file",
            ])
            .arg(&file)
            .args(more)
            .output();
        within("a token", made).await.unwrap()
    };
    let made_now = made(&["--claim", "tenants=[2]", "--ttl", "1h"]).await;
    let token = String::from_utf8(made_now.stdout).unwrap();
    let (_, rows) = app
        .ask(token.trim(), "GET", "/api/tables/notes/rows", None)
        .await;
    assert_eq!(rows["rows"][0]["id"], 3, "{rows}");
    let (_, session) = app.ask(token.trim(), "GET", "/api/session", None).await;
    let left = session["exp"].as_u64().unwrap() - now_s();
    assert!((3_590..=3_600).contains(&left), "{left}");
    for (more, part) in [
        (["--ttl", "soon"], "--ttl"),
        (["--claim", "x"], "--claim"),
        (["--claim", "sub=bob"], "--claim sub"),
    ] {
        let ended = made(&more).await;
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && said.contains(part), "{said}");
    }
}
