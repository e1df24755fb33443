//! Cursors that plank has not made, on every way that takes one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::policies::{cursor, subscribe};
use super::{Secure, viewer};

/// Of a cursor: version, and the epoch that it shows.
const HEAD: usize = 9;
const SIGNATURE: usize = 8;

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The body of a cursor of the same log as `good`: nothing from `xmax` on was seen, nor what is that much below it.
fn body(good: &str, xmax: u64, back: &[u64]) -> Vec<u8> {
    let mut bytes = URL_SAFE_NO_PAD.decode(good).unwrap();
    bytes.truncate(HEAD);
    varint(&mut bytes, xmax);
    varint(&mut bytes, back.len() as u64);
    for step in back {
        varint(&mut bytes, *step);
    }
    bytes
}

/// A cursor of the format before cursors were signed.
fn unsigned(mut body: Vec<u8>) -> String {
    body[0] = 1;
    let check = Sha256::digest(&body);
    body.extend_from_slice(&check[..4]);
    URL_SAFE_NO_PAD.encode(body)
}

fn with(body: &[u8], signature: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([body, signature].concat())
}

/// What a client can make of a cursor that it has: `(what, text)`.
pub fn forgeries(good: &str) -> Vec<(&'static str, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(good).unwrap();
    let (signed, signature) = bytes.split_at(bytes.len() - SIGNATURE);
    let mut other = signature.to_vec();
    other[SIGNATURE - 1] ^= 1;
    let all = body(good, 1, &[]);
    let checked = Sha256::digest(&all);
    vec![
        (
            "a transaction that never was is listed as running",
            with(&body(good, 900, &[900]), signature),
        ),
        (
            "old transactions are listed as running",
            with(&body(good, 900, &[1, 1, 1, 1, 100]), signature),
        ),
        ("nothing was seen", with(&all, signature)),
        ("signed with a checksum", with(&all, &checked[..SIGNATURE])),
        ("signed with zeros", with(&all, &[0; SIGNATURE])),
        ("another last bit", with(signed, &other)),
        ("a longer signature", with(&bytes, signature)),
    ]
}

#[actix_rt::test]
async fn a_cursor_that_plank_has_not_made_is_bad_on_every_way() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    app.execute("insert into notes values (4, 'x', 1, 'before')")
        .await;
    let (token, good) = (viewer("ann"), cursor(&app).await);
    for (what, forged) in forgeries(&good) {
        let mut socket = app.socket(&token).await;
        subscribe(&mut socket, json!({"since": forged})).await;
        let error = socket.expect("error").await;
        assert_eq!(error["code"], "bad_cursor", "{what}");
        for path in ["changes?", "changes?wait=5&"] {
            let url = app.url(&format!("/api/{path}table=notes&since={forged}"));
            let answer = app.http.get(url).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{what}: {path}");
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert!(problem.to_string().contains("since"), "{problem}");
        }
        let url = app.url(&format!("/api/stream?table=notes&since={forged}"));
        let answer = app.http.get(url).bearer_auth(&token).send().await.unwrap();
        let text = match answer.status().as_u16() {
            400 => String::from("bad_cursor"),
            _ => first_event(answer).await,
        };
        assert!(text.contains("bad_cursor"), "{what}: {text}");
    }
    // None of them has asked the database for anything.
    let mut socket = app.socket(&token).await;
    subscribe(&mut socket, json!({"since": good})).await;
    socket.expect("subscribed").await;
}

async fn first_event(mut answer: reqwest::Response) -> String {
    let mut text = String::new();
    while !text.contains("error") && !text.contains("reset") {
        let chunk = answer.chunk().await.unwrap();
        let Some(chunk) = chunk else { break };
        text += str::from_utf8(&chunk).unwrap();
    }
    text
}

#[actix_rt::test]
async fn a_cursor_from_before_they_were_signed_is_a_reset() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let (token, good) = (viewer("ann"), cursor(&app).await);
    for back in [&[][..], &[900], &[1, 1, 1]] {
        let old = unsigned(body(&good, 900, back));
        let mut socket = app.socket(&token).await;
        subscribe(&mut socket, json!({"since": old})).await;
        assert_eq!(socket.expect("reset").await["reason"], "epoch");
        socket.expect("subscribed").await;
        for path in ["changes?", "changes?wait=5&"] {
            let url = app.url(&format!("/api/{path}table=notes&since={old}"));
            let answer = app.http.get(url).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), 410, "{path}");
        }
        let url = app.url(&format!("/api/stream?table=notes&since={old}"));
        let answer = app.http.get(url).bearer_auth(&token).send().await.unwrap();
        let text = first_event(answer).await;
        assert!(text.contains("\"epoch\""), "{text}");
    }
}

#[actix_rt::test]
async fn the_key_of_cursors_is_read_by_plank_alone() {
    let app = Secure::start().await;
    app.execute("create role curious login; grant usage on schema plank to curious; grant execute on function plank.cursor() to curious")
        .await;
    app.execute("set role curious").await;
    // A program needs no other right to say where it is.
    let theirs = cursor(&app).await;
    for sql in [
        "select secret from plank.meta",
        "select plank.identity()",
        "select plank.hmac('', '')",
    ] {
        let error = app.sql.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}");
    }
    app.execute("reset role; select plank.allow('notes', 'viewer')")
        .await;
    // And it is the cursor that a server would write.
    let mut socket = app.socket(&viewer("ann")).await;
    subscribe(&mut socket, json!({"since": theirs})).await;
    // The policy is newer than the cursor.
    assert_eq!(socket.expect("reset").await["reason"], "schema");
}
