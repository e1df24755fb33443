//! How a node gets to NATS: TLS, a password, a credentials file, several servers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair as NatsKey;
use plank::backplane::Link;
use plank::config::{Backplane, BackplaneArgs};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use super::follows;
use crate::support::TestApp;
use crate::support::nats::Nats;
use crate::support::program::Dir;
use crate::support::tool::free_port;

fn write(dir: &Dir, name: &str, text: &str) -> std::path::PathBuf {
    let path = dir.0.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A node on this backplane delivers a change, by the stream.
async fn delivers(backplane: Backplane) {
    let app = TestApp::start_with(|config| config.backplane = Some(backplane)).await;
    follows(&app).await;
    let mut client = app.subscribed("items").await;
    app.execute("insert into items (name) values ('x')").await;
    assert_eq!(client.change().await["row"]["name"], "x");
}

async fn refused(backplane: &Backplane) -> String {
    Link::connect(backplane, "test")
        .await
        .unwrap_err()
        .to_string()
}

#[actix_web::test]
async fn over_tls_with_a_password_and_only_to_a_server_of_the_root() {
    let dir = Dir::new("nats-tls");
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &authority).unwrap();
    let (cert, key) = (
        write(&dir, "cert.pem", &own.pem()),
        write(&dir, "key.pem", &key.serialize_pem()),
    );
    let ca = write(&dir, "ca.pem", &authority.pem());
    let other = CertificateParams::new(vec![]).unwrap();
    let other = other.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let other = write(&dir, "other.pem", &other.pem());
    let settings = format!(
        "tls {{ cert_file: {}, key_file: {} }}\nauthorization {{ user: plank, password: \"s@cret\" }}",
        cert.display(),
        key.display()
    );
    let Some(nats) = Nats::start_with("a backplane over TLS", &settings).await else {
        return;
    };
    let place = nats.url().replace("nats://", "");
    let with = |user: &str, ca: &std::path::Path| {
        let args = BackplaneArgs {
            servers: vec![format!("tls://{user}@{place}")],
            ca: Some(ca.to_owned()),
            age: "15m".into(),
            bytes: nats.backplane().bytes,
            role: "auto".into(),
            ..BackplaneArgs::default()
        };
        args.resolve().unwrap().unwrap()
    };
    for (why, wrong) in [
        ("another root", with("plank:s%40cret", &other)),
        ("a wrong password", with("plank:wrong", &ca)),
    ] {
        let error = refused(&wrong).await;
        assert!(
            error.starts_with("NATS: ") && !error.contains("cret"),
            "{why}: {error}"
        );
    }
    delivers(with("plank:s%40cret", &ca)).await;
}

#[actix_web::test]
async fn a_server_of_several_that_is_away_is_passed_by() {
    let Some(nats) = Nats::start("several servers").await else {
        return;
    };
    let away = format!("nats://127.0.0.1:{}", free_port());
    delivers(Backplane {
        servers: vec![away, nats.url()],
        ..nats.backplane()
    })
    .await;
}

/// A token of NATS: `subject` with these claims, by `issuer`.
fn jwt(issuer: &NatsKey, subject: &NatsKey, claims: Value) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let body = part(json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "plank",
        "sub": subject.public_key(), "nats": claims,
    }));
    let signed = format!("{head}.{body}");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[actix_web::test]
async fn with_a_credentials_file() {
    let (operator, system, account, user) = (
        NatsKey::new_operator(),
        NatsKey::new_account(),
        NatsKey::new_account(),
        NatsKey::new_user(),
    );
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let of_account = |limits: &Value| json!({"type": "account", "version": 2, "limits": limits});
    let no_store = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let settings = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
        jwt(
            &operator,
            &operator,
            json!({"type": "operator", "version": 2})
        ),
        system.public_key(),
        system.public_key(),
        jwt(&operator, &system, of_account(&no_store)),
        account.public_key(),
        jwt(&operator, &account, of_account(&limits)),
    );
    let Some(nats) = Nats::start_with("a credentials file", &settings).await else {
        return;
    };
    let dir = Dir::new("nats-creds");
    let token = jwt(
        &account,
        &user,
        json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}),
    );
    let file = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
        -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let credentials = write(&dir, "plank.creds", &file);
    let error = refused(&nats.backplane()).await;
    assert!(error.starts_with("NATS: "), "{error}");
    delivers(Backplane {
        credentials: Some(credentials),
        ..nats.backplane()
    })
    .await;
}
