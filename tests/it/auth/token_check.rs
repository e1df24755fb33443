//! `plank token --check`: what is wrong with a token, for its owner; and times in milliseconds.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use plank::auth::{Keys, Rejected, Tokens};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SECRET, Secure, hs256, now_s, signed, token, write_secret};
use crate::support::program::{command, run};
use crate::support::within;

fn of(claims: Value, secret: &[u8]) -> String {
    signed(&json!({"alg": "HS256"}), &claims, hs256(secret))
}

#[actix_rt::test]
async fn what_is_wrong_with_a_token_is_said_to_who_has_it() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        write_secret(&path, text);
        path.to_str().unwrap().to_owned()
    };
    let raw: Vec<u8> = (0..48).collect();
    let plain = file("plain", &format!("{SECRET}\n"));
    let (base64, url) = (
        file("base64", &STANDARD.encode(&raw)),
        file("url", &URL_SAFE_NO_PAD.encode(&raw)),
    );
    let hex: String = raw.iter().map(|b| format!("{b:02x}")).collect();
    let hex = file("hex", &format!("{hex}\n"));
    let blanks = file("blanks", &format!("  {SECRET}  "));
    let good = json!({"sub": "ann", "role": "viewer", "exp": now_s() + 600});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        of(claims, SECRET.as_bytes())
    };
    let fine = of(good.clone(), SECRET.as_bytes());
    let bearer = format!("Bearer {fine}");
    let by_raw = of(good.clone(), &raw);
    let with_break = of(good.clone(), format!("{SECRET}\n").as_bytes());
    let ms = with("exp", json!((now_s() + 600) * 1000));
    for (secret, token, part) in [
        (&plain, fine.clone(), "The token is taken."),
        (&plain, ms, "exp is in milliseconds"),
        (&plain, with("exp", json!(now_s() - 7_200)), "expired"),
        (&plain, with("nbf", json!(now_s() + 600)), "not valid yet"),
        (
            &plain,
            with("role", json!(["viewer"])),
            "role is [\"viewer\"], and has to be a text",
        ),
        (&plain, with("sub", json!(null)), "sub is null"),
        (&plain, with("exp", json!("soon")), "exp"),
        (&plain, "abc".into(), "three parts"),
        (&plain, bearer, "without the word Bearer"),
        (&base64, by_raw.clone(), "decoded from base64"),
        (&url, by_raw.clone(), "decoded from base64"),
        (&hex, by_raw.clone(), "decoded from hex"),
        (&blanks, fine.clone(), "without the blanks"),
        (&plain, with_break, "line break"),
        (&plain, by_raw, "another key"),
        (
            &plain,
            signed(&json!({"alg": "RS256", "kid": "r"}), &good, |_| {
                vec![0; 256]
            }),
            "the server's keys are: HS256",
        ),
    ] {
        let args = ["token", "--jwt-secret-file", secret, "--check", &token];
        let (code, out, error) = run(&args).await;
        let text = format!("{out}{error}");
        assert!(text.contains(part), "{part}: {text}");
        assert_eq!(code == 0, part.contains("is taken."), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
    // What is typed is in the history of a shell, and in the list of processes.
    let args = ["token", "--jwt-secret-file", &plain, "--check", "-"];
    let mut plank = command(&args)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = plank.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, format!("{fine}\n").as_bytes())
        .await
        .unwrap();
    drop(input);
    let output = within("its end", plank.wait_with_output()).await.unwrap();
    assert!(output.status.success());
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        out.contains("sub     \"ann\"") && out.contains("in 10 min"),
        "{out}"
    );
    let args = ["token", "--jwt-secret-file", &plain, "--jwt-issuer", "me"];
    let (code, _, error) = run(&[&args[..], &["--check", &fine]].concat()).await;
    assert!(
        code != 0 && error.contains("iss has to be \"me\""),
        "{error}"
    );
}

#[actix_rt::test]
async fn a_time_in_milliseconds_is_refused_and_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("secret");
    write_secret(&path, SECRET);
    let tokens = Tokens::new(Keys::load(Some(path), None, None).unwrap(), None, None);
    let now = now_s();
    for (name, time) in [
        ("exp", (now + 600) * 1000),
        ("nbf", now * 1000),
        ("iat", now * 1000),
    ] {
        let mut claims = json!({"sub": "ann", "role": "viewer", "exp": now + 600});
        claims[name] = json!(time);
        let checked = tokens.check(&of(claims, SECRET.as_bytes()));
        assert_eq!(checked, Err(Rejected::Milliseconds(name)));
    }
    let app = Secure::start().await;
    let ms = token(json!({"sub": "ann", "role": "viewer", "exp": (now + 600) * 1000}));
    let (status, problem) = app.ask(&ms, "GET", "/api/session", None).await;
    assert_eq!(status, 401);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("exp is in milliseconds"), "{detail}");
}
