//! A WebSocket of somebody: it says who it is first, and ends with its token.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Secure, now_s, token, viewer};
use crate::support::{SseClient, WsClient, until};

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
