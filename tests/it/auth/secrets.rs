//! No secret in any log, whatever its level: the real program at `trace`, with everything that carries one.

use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::{SECRET, settings, token};
use crate::support::{Cluster, WsClient, within};

#[actix_rt::test]
async fn no_secret_is_in_any_log_at_any_level() {
    let dir = TempDir::new().unwrap();
    let auth = settings(&dir);
    let database = Cluster::shared().database().await;
    let url = Cluster::shared().url(&database);
    let password = "pass-that-is-in-no-log";
    let url = format!(
        "{url}{}password={password}",
        if url.contains('?') { '&' } else { '?' }
    );
    let mut plank = Command::new(env!("CARGO_BIN_EXE_plank"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--log",
            "trace",
            "--auth",
            "on",
            "--database-url",
            &url,
        ])
        .arg("--jwt-secret-file")
        .arg(auth.secret_file.unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut out, mut log) = (plank.stdout.take().unwrap(), plank.stderr.take().unwrap());
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        log.read_to_string(&mut text).await.unwrap();
        text
    });
    let mut said = String::new();
    while !said.ends_with('\n') {
        let mut bytes = [0; 256];
        let n = within("that it is live", out.read(&mut bytes))
            .await
            .unwrap();
        assert!(n > 0, "plank ended: {}", reader.await.unwrap());
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    let address: std::net::SocketAddr = said.trim().rsplit("//").next().unwrap().parse().unwrap();
    let good = token(json!({"sub": "ann", "role": "viewer", "private": "claim-that-is-in-no-log"}));
    let bad = format!("{}x", token(json!({"sub": "eve", "role": "viewer"})));
    let http = reqwest::Client::new();
    let ask = async |method: &str, path: &str, token: &str| {
        let request = http.request(method.parse().unwrap(), format!("http://{address}{path}"));
        let answer = within("an answer", request.bearer_auth(token).send())
            .await
            .unwrap();
        (
            answer
                .headers()
                .get("set-cookie")
                .map(|c| c.to_str().unwrap().to_owned()),
            answer.text().await.unwrap(),
        )
    };
    for token in [&good, &bad] {
        ask("GET", "/api/tables", token).await;
        ask("GET", &format!("/api/tables?access_token={token}"), token).await;
    }
    let (cookie, _) = ask("POST", "/api/session", &good).await;
    let cookie = cookie.unwrap();
    let request = http.get(format!("http://{address}/api/tables"));
    request
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin")
        .send()
        .await
        .unwrap();
    let (_, ticket) = ask("POST", "/api/ticket", &good).await;
    let ticket: serde_json::Value = serde_json::from_str(&ticket).unwrap();
    let ticket = ticket["ticket"].as_str().unwrap().to_owned();
    let mut client = WsClient::connect(address, &format!("/ws?ticket={ticket}")).await;
    client.expect("welcome").await;
    client.send(json!({"type": "auth", "token": good})).await;
    client.expect("authenticated").await;
    client.send(json!({"type": "auth", "token": bad})).await;
    assert_eq!(client.next().await.unwrap_err().code, 4501);
    let offer = format!("plank.v1, bearer.{good}");
    WsClient::with_headers(address, "/ws", &[("sec-websocket-protocol", &offer)])
        .await
        .unwrap();
    assert!(
        WsClient::with_headers(address, &format!("/ws?token={good}"), &[])
            .await
            .is_err()
    );

    let pid = nix::unistd::Pid::from_raw(plank.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    within("the end", plank.wait()).await.unwrap();
    let log = within("the log", reader).await.unwrap();
    assert!(
        log.contains("plank starts") && log.contains("TRACE"),
        "it logs everything"
    );
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for (name, secret) in [
        ("the secret", SECRET.to_owned()),
        ("the password", password.into()),
        ("a good token", good.clone()),
        ("its signature", signature(&good)),
        ("its claims", good.split('.').nth(1).unwrap().into()),
        ("a claim", "claim-that-is-in-no-log".into()),
        ("a bad token", bad.clone()),
        ("its signature", signature(&bad)),
        ("the ticket", ticket),
    ] {
        let place = log.find(&secret).map(|at| {
            log[at.saturating_sub(200)..]
                .chars()
                .take(260)
                .collect::<String>()
        });
        assert_eq!(place, None, "{name}");
    }
}
