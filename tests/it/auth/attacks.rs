//! Tokens that are none, or not good, or in the wrong place: over HTTP, before the upgrade of a WebSocket, and on it.

use serde_json::{Value, json};

use super::{SECRET, Secure, hs256, now_s, signed, token, viewer};
use crate::support::WsClient;
use crate::support::raw::{RawClient, handshake};

/// What nobody may get in with, by name. Each is refused with 401 or 400 over HTTP and before an upgrade, and with 4501 on a
/// WebSocket.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let claims = |more: Value| {
        let mut claims = json!({"sub": "ann", "role": "viewer", "exp": now_s() + 600});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        claims
    };
    let good = viewer("ann");
    let parts: Vec<&str> = good.split('.').collect();
    let plain = json!({"alg": "HS256", "typ": "JWT"});
    let with_header = |header: Value| signed(&header, &claims(json!({})), hs256(SECRET.as_bytes()));
    let without = |name: &str| {
        let mut claims = claims(json!({}));
        claims.as_object_mut().unwrap().remove(name);
        signed(&plain, &claims, hs256(SECRET.as_bytes()))
    };
    let of = |more: Value| token(claims(more));
    let none = json!({"alg": "none", "typ": "JWT"});
    let mut flipped = good.clone().into_bytes();
    let place = flipped.len() - 10;
    flipped[place] = if flipped[place] == b'A' { b'B' } else { b'A' };
    vec![
        ("no token at all", String::new()),
        ("no JWT", "abc".into()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("five parts, as an encrypted one", format!("{good}.x.y")),
        ("parts that are no base64", "***.***.***".into()),
        ("parts that are no JSON", "YWJj.YWJj.YWJj".into()),
        (
            "a header that is a list",
            format!("W10.{}.{}", parts[1], parts[2]),
        ),
        (
            "claims that are a list",
            signed(&plain, &json!([1]), hs256(SECRET.as_bytes())),
        ),
        (
            "alg none",
            signed(&none, &claims(json!({})), |_| Vec::new()),
        ),
        (
            "alg NONE",
            signed(&json!({"alg": "NONE"}), &claims(json!({})), |_| Vec::new()),
        ),
        (
            "alg none with a signature",
            signed(&none, &claims(json!({})), hs256(SECRET.as_bytes())),
        ),
        ("no alg", with_header(json!({"typ": "JWT"}))),
        (
            "alg hs256 in small letters",
            with_header(json!({"alg": "hs256"})),
        ),
        (
            "HS512 for a key of HS256",
            with_header(json!({"alg": "HS512"})),
        ),
        (
            "RS256 signed with the secret",
            with_header(json!({"alg": "RS256"})),
        ),
        (
            "EdDSA signed with the secret",
            with_header(json!({"alg": "EdDSA"})),
        ),
        (
            "a critical extension",
            with_header(json!({"alg": "HS256", "crit": ["b64"], "b64": false})),
        ),
        (
            "another secret",
            signed(
                &plain,
                &claims(json!({})),
                hs256(b"another secret that is as long as the right one"),
            ),
        ),
        (
            "an empty secret",
            signed(&plain, &claims(json!({})), hs256(b"")),
        ),
        (
            "the secret with its line break",
            signed(
                &plain,
                &claims(json!({})),
                hs256(format!("{SECRET}\n").as_bytes()),
            ),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        (
            "a flipped bit in the signature",
            String::from_utf8(flipped).unwrap(),
        ),
        ("the claims of another", {
            let other = viewer("bob");
            let other: Vec<&str> = other.split('.').collect();
            format!("{}.{}.{}", parts[0], other[1], parts[2])
        }),
        ("expired", of(json!({"exp": now_s() - 60}))),
        ("expired in 1970", of(json!({"exp": 0}))),
        ("exp that is a text", of(json!({"exp": "9999999999"}))),
        ("exp that is negative", of(json!({"exp": -1}))),
        ("exp that is null", of(json!({"exp": null}))),
        ("not yet valid", of(json!({"nbf": now_s() + 60}))),
        ("made in the future", of(json!({"iat": now_s() + 60}))),
        ("made when nobody knows", of(json!({"iat": "yesterday"}))),
        ("without exp", without("exp")),
        ("without sub", without("sub")),
        ("without role", without("role")),
        ("an empty sub", of(json!({"sub": ""}))),
        (
            "a role that is a list",
            of(json!({"role": ["viewer", "admin"]})),
        ),
        ("a sub that is a number", of(json!({"sub": 7}))),
        ("a token of 9 KiB", of(json!({"x": "y".repeat(7_000)}))),
    ]
}

#[actix_rt::test]
async fn no_bad_token_gets_in_over_http() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let bad = bad_tokens();
    assert!(bad.len() >= 39, "the list is the test");
    for (name, token) in bad {
        let path = "/api/tables/notes/rows";
        let (status, answer) = app.ask(&token, "GET", path, None).await;
        assert_eq!(status, 401, "{name}: {answer}");
        assert_eq!(
            answer["type"], "urn:plank:problem:unauthenticated",
            "{name}"
        );
        assert!(
            !answer.to_string().contains(&token) || token.is_empty(),
            "{name}"
        );
    }
    let (status, answer) = app
        .ask(&viewer("ann"), "GET", "/api/tables/notes/rows", None)
        .await;
    assert_eq!((status, answer["rows"].as_array().unwrap().len()), (200, 3));
}

#[actix_rt::test]
async fn no_bad_token_gets_an_upgrade() {
    let app = Secure::start().await;
    for (name, token) in bad_tokens() {
        let value = format!("Bearer {token}");
        let refused =
            WsClient::with_headers(app.address, "/ws", &[("authorization", &value)]).await;
        let (status, _) = refused.err().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(status, 401, "{name}");
    }
}

#[actix_rt::test]
async fn no_bad_token_opens_a_session() {
    let app = Secure::start().await;
    for (name, token) in bad_tokens() {
        let mut client = app.anonymous("/ws?table=notes&snapshot=1").await;
        client.send(json!({"type": "auth", "token": token})).await;
        let closed = client.next().await.expect_err(name);
        assert_eq!(closed.code, 4501, "{name}");
    }
}

#[actix_rt::test]
async fn a_credential_that_is_there_twice_is_none() {
    let app = Secure::start().await;
    let good = viewer("ann");
    let bearer = format!("Bearer {good}");
    let offer = format!("plank.v1, bearer.{good}");
    for (name, headers) in [
        (
            "two headers",
            vec![
                ("authorization", bearer.as_str()),
                ("authorization", &bearer),
            ],
        ),
        (
            "a header and a subprotocol",
            vec![
                ("authorization", &bearer),
                ("sec-websocket-protocol", &offer),
            ],
        ),
    ] {
        let refused = WsClient::with_headers(app.address, "/ws", &headers).await;
        assert_eq!(refused.err().map(|(status, _)| status), Some(400), "{name}");
    }
    let twice = [
        ("authorization", bearer.as_str()),
        ("authorization", &bearer),
    ];
    assert_eq!(app.with_headers("GET", "/api/tables", &twice).await.0, 400);
    let basic = [("authorization", "Basic YW5uOnNlY3JldA==")];
    assert_eq!(app.with_headers("GET", "/api/tables", &basic).await.0, 401);
}

#[actix_rt::test]
async fn a_token_in_an_address_is_refused_and_told_nobody() {
    let app = Secure::start().await;
    let good = viewer("ann");
    let bearer = format!("Bearer {good}");
    for query in [
        format!("token={good}"),
        format!("access_token={good}"),
        format!("table=notes&anything={good}"),
        format!("table=notes&Authorization=Bearer%20{good}"),
        format!("ticket={good}"),
    ] {
        for path in ["/api/tables", "/api/changes", "/api/stream", "/api/items"] {
            let headers = [("authorization", bearer.as_str())];
            let (status, answer) = app
                .with_headers("GET", &format!("{path}?{query}"), &headers)
                .await;
            assert_eq!(status, 400, "{path}?{query}");
            assert!(answer.contains("must never be in an address") && !answer.contains(&good));
        }
        let refused = WsClient::with_headers(app.address, &format!("/ws?{query}"), &[]).await;
        let (status, answer) = refused.err().unwrap();
        assert!(status == 400 && !answer.contains(&good), "{query}");
    }
}

#[actix_rt::test]
async fn nothing_is_open_without_a_token() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    for (method, path) in [
        ("GET", "/api/tables"),
        ("GET", "/api/tables/notes/rows"),
        ("GET", "/api/tables/nothing/rows"),
        ("GET", "/api/changes?table=notes"),
        ("GET", "/api/changes?table=notes&wait=30"),
        ("GET", "/api/stream?table=notes"),
        ("GET", "/api/items"),
        ("POST", "/api/items"),
        ("GET", "/api/items/1"),
        ("PUT", "/api/items/1"),
        ("PATCH", "/api/items/1"),
        ("DELETE", "/api/items/1"),
        ("GET", "/api/session"),
        ("POST", "/api/session"),
        ("POST", "/api/ticket"),
    ] {
        let answer = app
            .http
            .request(method.parse().unwrap(), app.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
        assert!(
            answer.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer")
        );
    }
    for path in [
        "/livez",
        "/api/login",
        "/readyz",
        "/openapi.json",
        "/asyncapi.json",
        "/docs",
        "/",
        "/metrics",
    ] {
        let answer = app.http.get(app.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[actix_rt::test]
async fn metrics_are_for_their_role_and_for_this_machine_where_that_is_said() {
    let app = Secure::start().await;
    let (viewer, operator) = (
        viewer("ann"),
        token(json!({"sub": "prometheus", "role": "metrics"})),
    );
    let passed_on = ("x-forwarded-for", "127.0.0.1");
    for (headers, expected) in [
        (vec![], 200),
        (vec![passed_on], 401),
        (vec![("x-real-ip", "127.0.0.1")], 401),
        (vec![("via", "1.1 proxy")], 401),
        (vec![("host", "evil.example")], 401),
        (vec![("forwarded", "for=127.0.0.1")], 401),
        (vec![("origin", "https://evil.example")], 401),
        (
            vec![passed_on, ("authorization", &format!("Bearer {viewer}"))],
            403,
        ),
        (
            vec![passed_on, ("authorization", &format!("Bearer {operator}"))],
            200,
        ),
    ] {
        let (status, _) = app.with_headers("GET", "/metrics", &headers).await;
        assert_eq!(status, expected, "{headers:?}");
    }
    // A proxy on this machine that says nothing of whom it asks for looks like a program there, whatever `Host` it passes on.
    let app = Secure::start_with(|config| {
        config.auth.as_mut().unwrap().metrics_on_loopback = false;
    })
    .await;
    let operator = format!("Bearer {operator}");
    for (headers, expected) in [
        (vec![], 401),
        (vec![("host", "localhost")], 401),
        (vec![("host", "127.0.0.1:8080")], 401),
        (vec![("authorization", operator.as_str())], 200),
    ] {
        let (status, _) = app.with_headers("GET", "/metrics", &headers).await;
        assert_eq!(status, expected, "{headers:?}");
    }
}

#[actix_rt::test]
async fn a_request_that_a_proxy_would_read_otherwise_is_no_other_request() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    // Both lengths, one of them twice, and a header name with a blank: what a proxy and a server may read differently.
    for smuggled in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 60\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Authorization : Bearer x\r\nContent-Length: 0\r\n",
    ] {
        let mut client = RawClient::connect(app.address).await;
        let inner = "GET /api/tables/notes/rows HTTP/1.1\r\nHost: x\r\n\r\n";
        let request =
            format!("POST /api/items HTTP/1.1\r\nHost: x\r\n{smuggled}\r\n0\r\n\r\n{inner}");
        client.send(request.as_bytes()).await;
        let head = client.head().await;
        assert!(
            head.starts_with("HTTP/1.1 400") || head.starts_with("HTTP/1.1 401"),
            "{smuggled:?}: {head}"
        );
    }
    // What came behind an upgrade is of the session, and not a request of its own.
    let mut client = RawClient::connect(app.address).await;
    let early = format!("{}GET /api/tables HTTP/1.1\r\n\r\n", handshake("/ws", ""));
    client.send(early.as_bytes()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    let (first, payload) = client.frame().await;
    assert_eq!(first, 0x88, "a frame that is no frame ends the session");
    assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), 1002);
}
