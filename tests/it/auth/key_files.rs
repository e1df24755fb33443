//! Files with keys: which ones are refused, and what happens when their content changes, or goes away.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plank::auth::{Keys, Rejected, Tokens};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::keys::Pairs;
use super::{SECRET, hs256, now_s, signed, write_secret};
use crate::support::until;

fn load(secret: Option<&Path>, jwks: Option<&Path>) -> Result<Keys, String> {
    let keys = Keys::load(secret.map(Into::into), jwks.map(Into::into), None);
    keys.map_err(|e| e.to_string())
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

#[test]
fn a_file_that_others_may_use_is_refused() {
    let dir = TempDir::new().unwrap();
    let (secret, jwks) = (dir.path().join("secret"), dir.path().join("jwks"));
    write_secret(&secret, SECRET);
    write_secret(&jwks, &set(&Pairs::new().jwks()));
    for (mode, of_secret, of_jwks) in [
        (0o600, None, None),
        (0o440, None, None),
        (0o644, Some("chmod o-r"), None),
        (0o604, Some("chmod o-r"), None),
        (0o666, Some("chmod o-w"), Some("chmod o-w")),
        (0o602, Some("chmod o-w"), Some("chmod o-w")),
    ] {
        for path in [&secret, &jwks] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        for (keys, expected) in [
            (load(Some(&secret), None), of_secret),
            (load(None, Some(&jwks)), of_jwks),
        ] {
            match (keys, expected) {
                (Ok(_), None) => {}
                (Err(why), Some(part)) => assert!(why.contains(part), "{mode:o}: {why}"),
                (keys, expected) => panic!("{mode:o}: {keys:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for path in [
        Path::new("/dev/zero"),
        Path::new("/dev/urandom"),
        Path::new("/dev/null"),
        dir.path(),
        &pipe,
    ] {
        for keys in [load(Some(path), None), load(None, Some(path))] {
            let why = keys.unwrap_err();
            assert!(why.contains("no regular file"), "{path:?}: {why}");
        }
    }
    let large = dir.path().join("large");
    write_secret(&large, &"x".repeat(1024 * 1024 + 1));
    assert!(load(Some(&large), None).unwrap_err().contains("1048576"));
}

#[test]
fn a_private_key_in_a_set_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("jwks");
    let public = Pairs::new().jwks();
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for place in 0..public.len() {
            let mut keys = public.clone();
            keys[place][member] = json!("never-in-a-message");
            write_secret(&path, &set(&keys));
            let why = load(None, Some(&path)).unwrap_err();
            assert!(why.contains("private or secret key"), "{member}: {why}");
            assert!(!why.contains("never-in-a-message"), "{why}");
        }
    }
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    write_secret(&path, &set(&[public[0].clone(), secret]));
    assert!(load(None, Some(&path)).is_err());
}

/// A token of a secret.
fn token_of(secret: &str) -> String {
    let claims = json!({"sub": "ann", "role": "viewer", "exp": now_s() + 600});
    signed(&json!({"alg": "HS256"}), &claims, hs256(secret.as_bytes()))
}

#[actix_rt::test]
async fn a_file_is_read_again_when_its_content_changes_and_its_time_does_not() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("secret");
    let other = SECRET.replace('0', "1");
    write_secret(&path, SECRET);
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let tokens = Tokens::new(load(Some(&path), None).unwrap(), None, None);
    assert!(tokens.check(&token_of(SECRET)).is_ok());
    write_secret(&path, &other);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    until("the other secret", async || {
        tokens.check(&token_of(&other)).is_ok()
    })
    .await;
    assert_eq!(
        tokens.check(&token_of(SECRET)),
        Err(Rejected::Signature),
        "the old one is taken back"
    );
}

#[actix_rt::test]
async fn a_set_that_is_emptied_takes_its_keys_back_and_a_broken_one_does_not() {
    let (dir, pairs) = (TempDir::new().unwrap(), Pairs::new());
    let path = dir.path().join("jwks");
    let header = json!({"alg": "EdDSA", "kid": "o"});
    let token = pairs.sign("o", &header, "ann");
    let useless = json!({"kty": "EC", "crv": "P-521", "x": "x", "y": "y"});
    for (emptied, is_taken_back) in [
        (set(&[]), true),
        (set(&[useless]), true),
        (String::new(), true),
        ("\n".into(), true),
        ("{\"keys\": [".into(), false),
        ("null".into(), false),
    ] {
        write_secret(&path, &set(&pairs.jwks()));
        let tokens = Tokens::new(load(None, Some(&path)).unwrap(), None, None);
        assert!(tokens.check(&token).is_ok());
        write_secret(&path, &emptied);
        match is_taken_back {
            true => {
                until("the keys are gone", async || {
                    tokens.check(&token) == Err(Rejected::UnknownKey)
                })
                .await;
            }
            false => {
                let looks = std::time::Instant::now();
                until("some looks", async || {
                    assert!(tokens.check(&token).is_ok(), "{emptied:?}");
                    looks.elapsed().as_millis() > 2_200
                })
                .await;
            }
        }
    }
}
