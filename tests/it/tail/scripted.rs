//! `plank tail` against a server that says what a test wants: what is cut off, what is closed, what is silent, and TLS.

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::support::program::{Dir, command};
use crate::support::within;

use super::support::{Said, Scripted, Tail};

#[actix_web::test]
async fn a_batch_that_is_cut_off_is_printed_once() {
    let server = Scripted::start().await;
    let mut tail = Tail::start(&[
        "t",
        "--url",
        &server.url,
        "--filter",
        "a=eq.1",
        "--columns",
        "id",
    ]);
    let mut client = server.subscriber().await;
    assert_eq!(
        client.subscribe,
        json!({"type": "subscribe", "id": "tail", "table": "t", "filter": "a=eq.1", "columns": ["id"]})
    );
    client.subscribed("A").await;
    client.changes("B", &[1], true).await;
    client.changes("C", &[2, 3], false).await;
    assert_eq!(tail.json().await["seq"], 1);
    drop(client);
    let mut client = server.subscriber().await;
    assert_eq!(client.subscribe["since"], "B");
    client.subscribed("B").await;
    client.changes("C", &[2, 3], false).await;
    client.changes("C", &[4], true).await;
    client
        .say(json!({"type": "heartbeat", "cursor": "D"}))
        .await;
    for seq in 2..=4 {
        assert_eq!(tail.json().await["seq"], seq);
    }
    client.close(4001, "").await;
    assert!(tail.says("4001").await.contains("lagging"));
    assert_eq!(
        server.subscriber().await.subscribe["since"],
        "D",
        "of the heartbeat"
    );
    tail.signal(Signal::SIGTERM);
    let (status, lines, said) = tail.end().await;
    assert_eq!((status, lines), (Some(0), vec![]));
    assert!(said.contains("--since D"), "{said}");
}

#[actix_web::test]
async fn a_server_that_falls_silent_is_left() {
    let server = Scripted::start().await;
    let mut tail = Tail::start(&["t", "--url", &server.url]);
    let mut client = server.subscriber().await;
    client.subscribed("A").await;
    // It has promised a heartbeat every second, and keeps the socket open.
    tail.says("nothing came for 2.5 s").await;
    assert_eq!(server.subscriber().await.subscribe["since"], "A");
    drop(client);
}

#[actix_web::test]
async fn a_close_code_says_whether_to_come_back() {
    let server = Scripted::start().await;
    let mut tail = Tail::start(&["t", "--url", &server.url]);
    for (code, reason, said) in [
        (1012, "{\"retry_ms\":7}", "trying again in 0.0 s"),
        (1013, "full", "1013 (try_later): full"),
        (4000, "", "4000 (slow)"),
        (4499, "", "4499 (other)"),
    ] {
        let client = server.subscriber().await;
        client.close(code, reason).await;
        tail.says(said).await;
    }
    let mut client = server.subscriber().await;
    client
        .say(json!({"type": "error", "id": "tail", "code": "busy", "message": "later"}))
        .await;
    tail.says("later; trying again").await;
    server.subscriber().await.close(4503, "\u{1b}[2Jno").await;
    let (status, _, said) = tail.end().await;
    assert_eq!(status, Some(1));
    assert!(
        said.contains("4503 (forbidden): \u{fffd}[2Jno\n"),
        "{said:?}"
    );
}

#[actix_web::test]
async fn a_table_that_is_let_go_ends_it() {
    let server = Scripted::start().await;
    let mut tail = Tail::start(&["t", "--url", &server.url]);
    let mut client = server.subscriber().await;
    client.subscribed("A").await;
    client.changes("B", &[1], true).await;
    client
        .say(json!({"type": "unsubscribed", "id": "tail"}))
        .await;
    assert_eq!(tail.json().await["seq"], 1);
    let (status, _, said) = tail.end().await;
    assert_eq!(status, Some(1));
    assert!(
        said.ends_with("plank: public.t is not watched any more\n"),
        "{said}"
    );
}

#[actix_web::test]
async fn it_checks_the_certificate_of_a_server() {
    let dir = Dir::new("tls");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let trusted = format!("{}/ca.pem", dir.path());
    std::fs::write(&trusted, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let server = Scripted::start().await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let url = format!("https://localhost:{port}");

    let trusting = |url: &str| {
        let mut command = command(&["tail", "t", "--url", url]);
        command
            .env("SSL_CERT_FILE", &trusted)
            .env_remove("SSL_CERT_DIR");
        command
    };
    let mut tail = Tail::spawn(trusting(&url));
    let stream = within("a handshake", Box::pin(tls.accept(server.accept().await)))
        .await
        .unwrap();
    let mut client = Said::open(Box::new(stream)).await;
    client.subscribed("A").await;
    client.changes("B", &[1], true).await;
    assert_eq!(tail.json().await["seq"], 1);

    // The certificate is not one of this name.
    let tail = Tail::spawn(trusting(&url.replace("localhost", "127.0.0.1")));
    let handshake = within("a handshake", Box::pin(tls.accept(server.accept().await))).await;
    let (status, _, said) = tail.end().await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("TLS: invalid peer certificate"), "{said}");
    drop(handshake);
}
