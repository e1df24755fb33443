//! Who may see what: a plank with `--auth on`, and everything that a principal without rights tries.

mod attacks;
mod browser;
mod cursors;
mod dear;
mod explain;
mod jwks_url;
mod key_files;
mod keys;
mod left_behind;
mod objects;
pub mod policies;
mod random;
mod rates;
mod refused_policies;
mod revoke;
mod revoked;
mod rights;
mod secrets;
mod sessions;
mod several;
mod token_check;
mod write_races;
mod writes;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plank::config::{Auth, Config};
use ring::hmac;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestApp, WsClient};

/// A secret that no log may ever have; see [`secrets`].
pub const SECRET: &str = "never-in-a-log-0123456789abcdef0123456789abcdef";

/// A plank where people have to log in, and the files with its keys.
pub struct Secure {
    pub app: TestApp,
    _dir: TempDir,
}

impl std::ops::Deref for Secure {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

/// A file that only its owner reads.
pub fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// The settings, with files in `dir`.
pub fn settings(dir: &TempDir) -> Auth {
    let secret_file = dir.path().join("secret");
    write_secret(&secret_file, &format!("{SECRET}\n"));
    Auth {
        secret_file: Some(secret_file),
        jwks_file: None,
        jwks_url: None,
        audience: None,
        issuer: None,
        metrics_role: "metrics".into(),
        metrics_on_loopback: true,
        login_url: None,
    }
}

impl Secure {
    /// With a table `notes` that has rows of three owners in two tenants, of which nothing is allowed yet.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new().unwrap();
        let auth = settings(&dir);
        let app = TestApp::start_with(|config| {
            config.auth = Some(auth);
            change(config);
        })
        .await;
        app.execute(
            "create table notes (id int primary key, owner text not null, tenant int not null, body text not null);
             insert into notes values (1, 'ann', 1, 'a'), (2, 'bob', 1, 'b'), (3, 'cid', 2, 'c');
             select plank.watch('notes')",
        )
        .await;
        Self { app, _dir: dir }
    }

    /// A request with this token.
    pub async fn ask(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self
            .http
            .request(method.parse().unwrap(), self.url(path))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A request with these headers: the status, and the answer as text.
    pub async fn with_headers(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let mut request = self.http.request(method.parse().unwrap(), self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A WebSocket of a principal, after `welcome`.
    pub async fn socket(&self, token: &str) -> WsClient {
        let mut client = self.anonymous("/ws").await;
        client.send(json!({"type": "auth", "token": token})).await;
        client.expect("welcome").await;
        client.expect("authenticated").await;
        client
    }

    /// A WebSocket of nobody yet.
    pub async fn anonymous(&self, target: &str) -> WsClient {
        WsClient::connect(self.address, target).await
    }
}

pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with this header and these claims, signed by whatever signs.
pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}

/// HS256 with a secret.
pub fn hs256(secret: &[u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |text| hmac::sign(&key, text).as_ref().to_vec()
}

/// A good token with these claims beside `exp`.
pub fn token(mut claims: Value) -> String {
    if claims.get("exp").is_none() {
        claims["exp"] = json!(now_s() + 600);
    }
    signed(
        &json!({"alg": "HS256", "typ": "JWT"}),
        &claims,
        hs256(SECRET.as_bytes()),
    )
}

/// A good token with the role `viewer`.
pub fn viewer(sub: &str) -> String {
    token(json!({"sub": sub, "role": "viewer"}))
}

/// Where the test's own files are.
pub fn here(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/auth")
        .join(name)
}
