//! `plank.revoke`: tokens of a subject from before a time are taken back, on every node.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{SECRET, Secure, hs256, now_s, settings, signed, token, viewer};
use crate::support::{Cluster, TestApp, WsClient, cluster, until};

/// A token that was issued so many seconds ago.
fn issued(sub: &str, ago: u64) -> String {
    token(json!({"sub": sub, "role": "viewer", "iat": now_s() - ago}))
}

#[actix_rt::test]
async fn tokens_from_before_a_revocation_end_within_a_second_on_every_node() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let dir = tempfile::TempDir::new().unwrap();
    let auth = settings(&dir);
    let target = Cluster::shared().config(&app.database);
    let sql = cluster::connect(&target).await;
    let node = TestApp::build(target, sql, app.database.clone(), |config| {
        config.auth = Some(auth);
    })
    .await;
    node.ready().await;

    let (old, other) = (issued("ann", 60), issued("bob", 60));
    let undated = viewer("ann");
    let mut sockets = Vec::new();
    for address in [app.address, node.address] {
        for token in [&old, &undated] {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            sockets.push(
                WsClient::with_headers(address, "/ws", &headers)
                    .await
                    .unwrap(),
            );
        }
    }
    let mut kept = app.socket(&other).await;
    let ticket = app.ask(&old, "POST", "/api/ticket", None).await.1;
    let stream = app.http.get(app.url("/api/stream?table=notes"));
    let mut stream = stream.bearer_auth(&old).send().await.unwrap();

    app.execute("select plank.revoke('ann')").await;
    let started = Instant::now();
    for mut socket in sockets {
        let closed = loop {
            if let Err(closed) = socket.next().await {
                break closed;
            }
        };
        assert_eq!(closed.code, 4502, "{closed:?}");
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    while stream.chunk().await.unwrap().is_some() {}
    let fresh = signed(
        &json!({"alg": "HS256"}),
        &json!({"sub": "ann", "role": "viewer", "exp": now_s() + 600, "iat": now_s() + 1}),
        hs256(SECRET.as_bytes()),
    );
    for address in [app.address, node.address] {
        for (token, expected) in [(&old, 401), (&undated, 401), (&other, 200), (&fresh, 200)] {
            let url = format!("http://{address}/api/tables/notes/rows");
            let answer = app.http.get(url).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), expected);
        }
        let bearer = format!("Bearer {old}");
        let headers = [("authorization", bearer.as_str())];
        let refused = WsClient::with_headers(address, "/ws", &headers).await;
        assert_eq!(refused.err().unwrap().0, 401);
    }
    let target = format!("/ws?ticket={}", ticket["ticket"].as_str().unwrap());
    let refused = WsClient::with_headers(app.address, &target, &[]).await;
    assert_eq!(refused.err().unwrap().0, 401, "a ticket of an old token");
    let mut late = app.anonymous("/ws").await;
    late.send(json!({"type": "auth", "token": old})).await;
    assert_eq!(late.next().await.unwrap_err().code, 4501);
    kept.send(json!({"type": "ping"})).await;
    kept.expect("pong").await;
}

#[actix_rt::test]
async fn a_revocation_only_moves_forward_and_holds_after_a_restart() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let status = async |token: &str| app.ask(token, "GET", "/api/tables", None).await.0;
    let (older, newer) = (issued("ann", 100), issued("ann", 20));
    app.execute("select plank.revoke('ann', now() - interval '50 s')")
        .await;
    until("the revocation", async || status(&older).await == 401).await;
    assert_eq!(status(&newer).await, 200);
    app.execute("select plank.revoke('ann', now() - interval '1 day')")
        .await;
    let dir = tempfile::TempDir::new().unwrap();
    let auth = settings(&dir);
    let target = Cluster::shared().config(&app.database);
    let sql = cluster::connect(&target).await;
    let node = TestApp::build(target, sql, app.database.clone(), |config| {
        config.auth = Some(auth);
    })
    .await;
    node.ready().await;
    let of_node = async |token: &str| {
        let request = app.http.get(node.url("/api/tables")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    until("a node that has just started", async || {
        of_node(&older).await == 401
    })
    .await;
    assert_eq!((of_node(&newer).await, status(&older).await), (200, 401));
    for bad in [
        "select plank.revoke('')",
        "select plank.revoke(null)",
        "select plank.revoke('ann', null)",
        "select plank.revoke('ann', 'infinity')",
    ] {
        assert!(app.sql.batch_execute(bad).await.is_err(), "{bad}");
    }
}
