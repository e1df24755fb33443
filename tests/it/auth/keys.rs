//! Keys: which algorithms they pin, and what happens when their file changes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use plank::auth::{Keys, Rejected, Tokens};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SECRET, Secure, here, hs256, now_s, signed, token, viewer, write_secret};
use crate::support::until;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of each kind, and the JWK of its public half.
pub struct Pairs {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Pairs {
    pub fn new() -> Self {
        let text = std::fs::read_to_string(here("rsa.pkcs8.b64")).unwrap();
        let der = STANDARD
            .decode(text.split_whitespace().collect::<String>())
            .unwrap();
        let random = SystemRandom::new();
        let params = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(params, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            rsa: RsaKeyPair::from_pkcs8(&der).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(params, ec.as_ref(), &random).unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        }
    }

    pub fn jwks(&self) -> Vec<Value> {
        let PublicKeyComponents { n, e } = self.rsa.public().into();
        let (n, e): (Vec<u8>, Vec<u8>) = (n, e);
        let point = self.ec.public_key().as_ref();
        vec![
            json!({"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": encode(&n), "e": encode(&e)}),
            json!({"kty": "EC", "kid": "e", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])}),
            json!({"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": encode(self.ed.public_key().as_ref())}),
        ]
    }

    /// A token that the pair of this name has signed, with a header of one's own.
    pub fn sign(&self, pair: &str, header: &Value, sub: &str) -> String {
        let claims = json!({"sub": sub, "role": "viewer", "exp": now_s() + 600});
        signed(header, &claims, |text| match pair {
            "r" => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa
                    .sign(
                        &RSA_PKCS1_SHA256,
                        &SystemRandom::new(),
                        text,
                        &mut signature,
                    )
                    .unwrap();
                signature
            }
            "e" => self
                .ec
                .sign(&SystemRandom::new(), text)
                .unwrap()
                .as_ref()
                .to_vec(),
            _ => self.ed.sign(text).as_ref().to_vec(),
        })
    }
}

fn alg(pair: &str) -> &'static str {
    match pair {
        "r" => "RS256",
        "e" => "ES256",
        _ => "EdDSA",
    }
}

fn write(dir: &TempDir, keys: &[Value]) -> std::path::PathBuf {
    let path = dir.path().join("keys.json");
    std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    path
}

#[test]
fn each_key_is_for_its_own_algorithm() {
    let (dir, pairs) = (TempDir::new().unwrap(), Pairs::new());
    let secret_file = dir.path().join("secret");
    write_secret(&secret_file, SECRET);
    let jwks_file = write(&dir, &pairs.jwks());
    let keys = Keys::load(Some(secret_file), Some(jwks_file), None).unwrap();
    let tokens = Tokens::new(keys, None, None);
    for pair in ["r", "e", "o"] {
        let good = pairs.sign(pair, &json!({"alg": alg(pair), "kid": pair}), "ann");
        assert_eq!(tokens.check(&good).unwrap().sub, "ann", "{pair}");
        // The only key of its algorithm has to be named as well: it has a name.
        let nameless = pairs.sign(pair, &json!({"alg": alg(pair)}), "ann");
        assert_eq!(tokens.check(&nameless), Err(Rejected::UnknownKey), "{pair}");
        for (kid, other) in [
            ("r", "ES256"),
            ("e", "EdDSA"),
            ("o", "RS256"),
            ("nobody", alg(pair)),
            ("", alg(pair)),
        ] {
            let header = json!({"alg": other, "kid": kid});
            let rejected = tokens.check(&pairs.sign(pair, &header, "ann")).unwrap_err();
            assert!(
                matches!(rejected, Rejected::UnknownKey | Rejected::Signature),
                "{pair} {header}: {rejected:?}"
            );
        }
    }
    assert_eq!(tokens.check(&viewer("ann")).unwrap().sub, "ann");
    // While a key without a name is replaced by one with a name, both are good.
    let nameless = Pairs::new();
    let mut jwks = vec![nameless.jwks().remove(2), pairs.jwks().remove(2)];
    jwks[0].as_object_mut().unwrap().remove("kid");
    let rotating = Keys::load(None, Some(write(&dir, &jwks)), None).unwrap();
    let rotating = Tokens::new(rotating, None, None);
    let header = json!({"alg": "EdDSA", "kid": "o"});
    assert!(rotating.check(&pairs.sign("o", &header, "ann")).is_ok());
    let header = json!({"alg": "EdDSA"});
    assert!(rotating.check(&nameless.sign("o", &header, "ann")).is_ok());
    // The classic: the public key, which everybody has, as a secret.
    for public in [
        pairs.jwks()[0]["n"].as_str().unwrap().to_owned(),
        pairs.jwks()[0].to_string(),
    ] {
        for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "r"})] {
            let claims = json!({"sub": "ann", "role": "viewer", "exp": now_s() + 600});
            let forged = signed(&header, &claims, hs256(public.as_bytes()));
            assert_eq!(tokens.check(&forged), Err(Rejected::Signature));
        }
    }
    // What a token brings along as its key is not looked at.
    let stranger = Pairs::new();
    let header = json!({"alg": "EdDSA", "kid": "o", "jwk": stranger.jwks()[2], "jku": "http://127.0.0.1/keys", "x5u": "http://127.0.0.1/"});
    assert_eq!(
        tokens.check(&stranger.sign("o", &header, "ann")),
        Err(Rejected::Signature)
    );
}

#[test]
fn audience_and_issuer_are_checked_where_they_are_asked_for() {
    let dir = TempDir::new().unwrap();
    let secret_file = dir.path().join("secret");
    write_secret(&secret_file, SECRET);
    let tokens = |audience: Option<&str>, issuer: Option<&str>| {
        let keys = Keys::load(Some(secret_file.clone()), None, None).unwrap();
        Tokens::new(keys, audience.map(String::from), issuer.map(String::from))
    };
    let of = |more: Value| {
        let mut claims = json!({"sub": "ann", "role": "viewer"});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        token(claims)
    };
    let strict = tokens(Some("plank"), Some("https://id.example"));
    let iss = "https://id.example";
    assert!(
        strict
            .check(&of(json!({"aud": "plank", "iss": iss})))
            .is_ok()
    );
    assert!(
        strict
            .check(&of(json!({"aud": ["x", "plank"], "iss": iss})))
            .is_ok()
    );
    for (claims, expected) in [
        (json!({"iss": iss}), Rejected::Audience),
        (json!({"aud": "plan", "iss": iss}), Rejected::Audience),
        (json!({"aud": ["x"], "iss": iss}), Rejected::Audience),
        (json!({"aud": "plank"}), Rejected::Issuer),
        (
            json!({"aud": "plank", "iss": "https://evil.example"}),
            Rejected::Issuer,
        ),
    ] {
        assert_eq!(strict.check(&of(claims.clone())), Err(expected), "{claims}");
    }
    assert!(
        tokens(None, None)
            .check(&of(json!({"aud": "x", "iss": "y"})))
            .is_ok()
    );
}

#[test]
fn a_file_that_can_not_be_used_says_why() {
    let dir = TempDir::new().unwrap();
    let file = |text: &str| {
        let path = dir.path().join("file");
        write_secret(&path, text);
        path
    };
    for (text, part) in [
        ("short\n", "can be guessed"),
        ("0123456789012345678901234567890\n", "31 bytes"),
    ] {
        let error = Keys::load(Some(file(text)), None, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(part)
                && error.contains("--jwt-secret-file")
                && !error.contains("012345"),
            "{error}"
        );
    }
    assert!(Keys::load(Some(dir.path().join("nothing")), None, None).is_err());
    let secret = json!({"keys": [{"kty": "oct", "k": encode(SECRET.as_bytes())}]}).to_string();
    let weak =
        json!({"keys": [{"kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB"}]}).to_string();
    let encrypts = {
        let mut key = Pairs::new().jwks().remove(0);
        key["use"] = json!("enc");
        json!({ "keys": [key] }).to_string()
    };
    let twice = json!({"keys": [Pairs::new().jwks()[2], Pairs::new().jwks()[2]]}).to_string();
    for (text, part) in [
        ("{}", "is no JWKS"),
        ("\"a secret that nobody may read\"", "is no JWKS"),
        ("{\"keys\": []}", "has no key"),
        (secret.as_str(), "private or secret key"),
        (&weak, "has no key"),
        (&encrypts, "has no key"),
        (&twice, "two keys of the name"),
    ] {
        let error = Keys::load(None, Some(file(text)), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(part) && !error.contains("nobody may read"),
            "{text}: {error}"
        );
    }
}

#[actix_rt::test]
async fn a_key_file_that_changes_is_read_again() {
    let (dir, old, new) = (TempDir::new().unwrap(), Pairs::new(), Pairs::new());
    let path = write(&dir, &old.jwks());
    let file = path.clone();
    let app =
        Secure::start_with(|config| config.auth.as_mut().unwrap().jwks_file = Some(file)).await;
    let header = json!({"alg": "EdDSA", "kid": "o"});
    let asks = async |pairs: &Pairs| {
        app.ask(&pairs.sign("o", &header, "ann"), "GET", "/api/tables", None)
            .await
            .0
    };
    assert_eq!((asks(&old).await, asks(&new).await), (200, 401));
    // A file that is broken changes nothing.
    std::fs::write(&path, "{").unwrap();
    until("a look at the file", async || asks(&old).await == 200).await;
    let broken = dir.path().join("new.json");
    std::fs::write(&broken, json!({ "keys": new.jwks() }).to_string()).unwrap();
    std::fs::rename(&broken, &path).unwrap();
    until("the new key", async || asks(&new).await == 200).await;
    assert_eq!(asks(&old).await, 401, "the old one is taken back");
}
