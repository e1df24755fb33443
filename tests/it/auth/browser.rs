//! What a browser can and can't do: cookies, tickets, subprotocols, and pages of other origins.

use plank::config::LoginUrl;
use serde_json::json;

use super::{Secure, now_s, token, viewer};
use crate::support::{TestApp, WsClient, until};

/// Logs in: the status, and the cookie as it was set.
async fn log_in(app: &Secure, token: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = app.http.post(app.url("/api/session")).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let cookie = answer.headers().get("set-cookie");
    let cookie = cookie.map_or("", |c| c.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), cookie)
}

fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

#[actix_rt::test]
async fn a_cookie_is_for_the_browser_alone() {
    let app = Secure::start().await;
    let (status, cookie) = log_in(&app, &viewer("ann"), &[]).await;
    assert_eq!(status, 201);
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let age = cookie.split("Max-Age=").nth(1).unwrap();
    let age: u64 = age.split(';').next().unwrap().parse().unwrap();
    assert!((590..=600).contains(&age), "as long as the token");
    assert!(
        !cookie.contains("Secure"),
        "without TLS it would not come back"
    );
    for tls in [
        ("x-forwarded-proto", "https"),
        ("origin", "https://allowed.example"),
    ] {
        let (_, cookie) = log_in(&app, &viewer("ann"), &[tls]).await;
        assert!(cookie.contains("; Secure"), "{tls:?}: {cookie}");
        // A browser takes this name from this host alone, and only as it is here.
        assert!(
            cookie.starts_with("__Host-plank_session=") && !cookie.contains("Domain"),
            "{tls:?}: {cookie}"
        );
        assert!(cookie.contains("; Path=/;") || cookie.ends_with("; Path=/"));
    }
    let long = token(json!({"sub": "ann", "role": "viewer", "x": "y".repeat(3_900)}));
    assert_eq!(
        log_in(&app, &long, &[]).await.0,
        400,
        "no browser would take it"
    );
    let answer = app
        .http
        .delete(app.url("/api/session"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204);
    let gone = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(
        gone.starts_with("plank_session=;") && gone.contains("Max-Age=0"),
        "{gone}"
    );
}

#[actix_rt::test]
async fn a_page_that_has_nobody_logged_in_learns_where_people_log_in() {
    let with_page = Secure::start_with(|config| {
        let auth = config.auth.as_mut().unwrap();
        auth.login_url = Some(LoginUrl::parse("https://id.example/in?app=plank").unwrap());
    });
    let with_page = with_page.await;
    let (without, open) = (Secure::start().await, TestApp::start().await);
    let url = "https://id.example/in?app=plank";
    for (app, expected) in [
        (
            &with_page.app,
            json!({"auth": true, "login_url": url, "plank_token": true}),
        ),
        (&without.app, json!({"auth": true, "plank_token": true})),
        (&open, json!({"auth": false})),
    ] {
        assert_eq!(
            app.request("GET", "/api/login", None).await,
            (200, expected)
        );
        assert_eq!(app.request("POST", "/api/login", None).await.0, 405);
    }
}

#[actix_rt::test]
async fn a_cookie_of_another_host_of_the_domain_counts_for_nothing_over_tls() {
    let app = Secure::start().await;
    let who = async |cookie: &str| {
        let headers = [
            ("x-forwarded-proto", "https"),
            ("sec-fetch-site", "same-origin"),
            ("cookie", cookie),
        ];
        let (status, body) = app.with_headers("GET", "/api/session", &headers).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        (status, body["sub"].as_str().map(String::from))
    };
    let (ann, eve) = (viewer("ann"), viewer("eve"));
    let (own, tossed) = (
        format!("__Host-plank_session={ann}"),
        format!("plank_session={eve}"),
    );
    assert_eq!(who(&own).await, (200, Some("ann".into())));
    assert_eq!(who(&tossed).await, (401, None));
    for both in [format!("{tossed}; {own}"), format!("{own}; {tossed}")] {
        assert_eq!(who(&both).await, (200, Some("ann".into())), "{both}");
    }
}

#[actix_rt::test]
async fn a_cookie_works_on_pages_of_its_own_origin_only() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let (_, cookie) = log_in(&app, &viewer("ann"), &[]).await;
    let cookie = ("cookie", pair(&cookie));
    let own = format!("http://{}", app.address);
    let page = format!("{own}/docs");
    for (more, expected) in [
        (vec![("origin", own.as_str())], 200),
        (vec![("origin", "https://allowed.example")], 200),
        (vec![("sec-fetch-site", "same-origin")], 200),
        (vec![("referer", page.as_str())], 200),
        (vec![], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("sec-fetch-site", "none")], 403),
        (vec![("referer", "https://evil.example/")], 403),
        (
            vec![
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ],
            403,
        ),
    ] {
        let headers = [vec![cookie], more.clone()].concat();
        for (method, path) in [
            ("GET", "/api/tables/notes/rows"),
            ("GET", "/api/stream?table=nothing"),
            ("POST", "/api/ticket"),
        ] {
            let (status, answer) = app.with_headers(method, path, &headers).await;
            let expected = match (expected, path) {
                (200, "/api/stream?table=nothing") => 404,
                (200, "/api/ticket") => 201,
                (expected, _) => expected,
            };
            assert_eq!(status, expected, "{more:?} {path}: {answer}");
        }
        let headers: Vec<(&'static str, &str)> =
            headers.iter().map(|(n, v)| (name(n), *v)).collect();
        let socket = WsClient::with_headers(app.address, "/ws", &headers).await;
        assert_eq!(socket.is_ok(), expected == 200, "{more:?}");
    }
    // A second one is of another host.
    let twice = format!("{}; plank_session=x.y.z", cookie.1);
    let (status, _) = app
        .with_headers(
            "GET",
            "/api/tables",
            &[("cookie", &twice), ("origin", &own)],
        )
        .await;
    assert_eq!(status, 400);
}

/// The WebSocket client wants names for ever.
fn name(name: &str) -> &'static str {
    match name {
        "cookie" => "cookie",
        "origin" => "origin",
        "referer" => "referer",
        _ => "sec-fetch-site",
    }
}

#[actix_rt::test]
async fn another_site_can_neither_log_in_nor_out() {
    let app = Secure::start().await;
    let evil = [("origin", "https://evil.example")];
    assert_eq!(
        log_in(&app, &viewer("ann"), &evil).await,
        (403, String::new())
    );
    assert_eq!(
        app.with_headers("DELETE", "/api/session", &evil).await.0,
        403
    );
    // A form of another site sends cookies at most, and no header: there is nothing to log in with.
    let (_, cookie) = log_in(&app, &viewer("ann"), &[]).await;
    let headers = [
        ("cookie", pair(&cookie)),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(
        app.with_headers("POST", "/api/session", &headers).await.0,
        401
    );
    // Nor does a preflight allow it.
    let asks = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let answer = app
        .http
        .request(reqwest::Method::OPTIONS, app.url("/api/session"));
    let answer = asks
        .iter()
        .fold(answer, |answer, (name, value)| answer.header(*name, *value))
        .send()
        .await
        .unwrap();
    assert!(
        answer
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
}

async fn ticket(app: &TestApp, token: &str) -> String {
    let answer = app
        .http
        .post(app.url("/api/ticket"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["expires_in"], 30);
    body["ticket"].as_str().unwrap().to_owned()
}

#[actix_rt::test]
async fn a_ticket_works_once_for_whoever_got_it() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let good = ticket(&app, &viewer("cid")).await;
    let target = format!("/ws?table=notes&ticket={good}&snapshot=1");
    let mut client = app.ws(&target).await;
    client.expect("welcome").await;
    assert_eq!(client.snapshot().await.0[0]["id"], 3);
    let bearer = format!("Bearer {}", viewer("ann"));
    let fresh = ticket(&app, &viewer("cid")).await;
    for (name, target, headers, expected) in [
        ("used", target, vec![], 401),
        ("none", "/ws?ticket=".into(), vec![], 401),
        (
            "made up",
            format!("/ws?ticket={}", "0".repeat(64)),
            vec![],
            401,
        ),
        (
            "of another length",
            format!("/ws?ticket={}", "0".repeat(63)),
            vec![],
            401,
        ),
        (
            "too long",
            format!("/ws?ticket={}", "0".repeat(5_000)),
            vec![],
            401,
        ),
        ("SQL", "/ws?ticket='%20or%20''%3d'".into(), vec![], 401),
        (
            "there twice",
            format!("/ws?ticket={fresh}&ticket={fresh}"),
            vec![],
            400,
        ),
        (
            "beside a token",
            format!("/ws?ticket={fresh}"),
            vec![("authorization", bearer.as_str())],
            400,
        ),
    ] {
        let refused = WsClient::with_headers(app.address, &target, &headers).await;
        assert_eq!(
            refused.err().map(|(status, _)| status),
            Some(expected),
            "{name}"
        );
    }
    // It works nowhere else, and was not used up there.
    for path in [
        "/api/tables",
        "/api/changes?table=notes",
        "/api/stream?table=notes",
    ] {
        let path = format!(
            "{path}{}ticket={fresh}",
            if path.contains('?') { '&' } else { '?' }
        );
        assert_eq!(app.with_headers("GET", &path, &[]).await.0, 401, "{path}");
    }
    let mut client = app.ws(&format!("/ws?ticket={fresh}")).await;
    client.expect("welcome").await;
}

#[actix_rt::test]
async fn a_ticket_is_over_after_its_time_and_with_its_token() {
    let app = Secure::start().await;
    let late = ticket(&app, &viewer("ann")).await;
    let changed = "update plank.ticket set expires = now() - interval '1 ms'";
    app.execute(changed).await;
    let refused = WsClient::with_headers(app.address, &format!("/ws?ticket={late}"), &[]).await;
    assert_eq!(refused.err().map(|(status, _)| status), Some(401));
    let exp = now_s() + 2;
    let short = ticket(
        &app,
        &token(json!({"sub": "ann", "role": "viewer", "exp": exp})),
    )
    .await;
    let longer = ticket(
        &app,
        &token(json!({"sub": "ann", "role": "viewer", "exp": exp})),
    )
    .await;
    let mut client = app.ws(&format!("/ws?ticket={longer}")).await;
    client.expect("welcome").await;
    assert_eq!(
        client.next().await.unwrap_err().code,
        4502,
        "the session ends with the token"
    );
    until("the token's end", async || now_s() >= exp).await;
    let refused = WsClient::with_headers(app.address, &format!("/ws?ticket={short}"), &[]).await;
    assert_eq!(refused.err().map(|(status, _)| status), Some(401));
    // Those that nobody used are forgotten with the next one; what is kept of it is no ticket.
    ticket(&app, &viewer("ann")).await;
    let kept = app
        .sql
        .query_one("select count(*), min(length(hash)) from plank.ticket", &[])
        .await
        .unwrap();
    assert!(kept.get::<_, i64>(0) <= 2);
    assert_eq!(kept.get::<_, i32>(1), 32);
}

#[actix_rt::test]
async fn a_token_among_the_subprotocols_is_taken_and_never_echoed() {
    let app = Secure::start().await;
    let good = viewer("ann");
    let offer = format!("bearer.{good}, plank.v1");
    let raw =
        crate::support::raw::handshake("/ws", &format!("Sec-WebSocket-Protocol: {offer}\r\n"));
    let mut client = crate::support::raw::RawClient::connect(app.address).await;
    client.send(raw.as_bytes()).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("sec-websocket-protocol: plank.v1\r\n"),
        "{head}"
    );
    assert!(!head.contains("bearer") && !head.contains(&good));
    assert_eq!(client.frame().await.0, 0x81, "welcome");
    for (name, offer, expected) in [
        ("without plank.v1", format!("bearer.{good}"), 400),
        (
            "two of them",
            format!("plank.v1, bearer.{good}, bearer.{good}"),
            400,
        ),
        ("a bad one", format!("plank.v1, bearer.{good}x"), 401),
        ("an empty one", "plank.v1, bearer.".to_owned(), 401),
    ] {
        let headers = [("sec-websocket-protocol", offer.as_str())];
        let refused = WsClient::with_headers(app.address, "/ws", &headers).await;
        assert_eq!(
            refused.err().map(|(status, _)| status),
            Some(expected),
            "{name}"
        );
    }
}

#[actix_rt::test]
async fn a_page_of_another_origin_gets_no_socket_whatever_it_sends() {
    let app = Secure::start().await;
    let bearer = format!("Bearer {}", viewer("ann"));
    let good = ticket(&app, &viewer("ann")).await;
    for headers in [vec![], vec![("authorization", bearer.as_str())]] {
        for target in ["/ws".to_owned(), format!("/ws?ticket={good}")] {
            let headers = [vec![("origin", "https://evil.example")], headers.clone()].concat();
            let refused = WsClient::with_headers(app.address, &target, &headers).await;
            assert_eq!(
                refused.err().map(|(status, _)| status),
                Some(403),
                "{target}"
            );
        }
    }
}
