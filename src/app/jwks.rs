//! Reads the keys of `--jwt-jwks-url`, now and then and when a token has a key that is not known.

use std::sync::Arc;

use actix_rt::task::spawn_blocking;
use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::auth::Tokens;
use crate::config::JwksUrl;
use crate::limits::{JWKS_ANSWER_MAX, KEYS_BYTES_MAX};

/// Follows the set at a URL; for ever without one.
pub(super) async fn follow(tokens: Option<Arc<Tokens>>, url: Option<JwksUrl>) {
    let (Some(tokens), Some(url)) = (tokens, url) else {
        return std::future::pending().await;
    };
    loop {
        tokens.keys().is_time().await;
        let url = url.clone();
        // A thread of its own: it waits for a name, a connection and an answer.
        let answer = spawn_blocking(move || read(&url)).await;
        let answer = answer.unwrap_or_else(|_| Err("reading it failed".into()));
        tokens.keys().take_answer(answer);
    }
}

/// Reads the set once.
///
/// # Errors
/// Why it did not come.
pub fn read(url: &JwksUrl) -> Result<Vec<u8>, String> {
    let roots = load_native_certs().certs;
    let roots: Vec<_> = roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build();
    // No redirect: it could lead to a server, or to a scheme, that nobody has named.
    let mut config = Config::builder()
        .tls_config(tls)
        .https_only(!url.is_loopback())
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(JWKS_ANSWER_MAX))
        .user_agent(concat!("plank/", env!("CARGO_PKG_VERSION")));
    if url.is_loopback() {
        config = config.proxy(None);
    }
    let mut answer = Agent::new_with_config(config.build())
        .get(&url.as_str())
        .call()
        .map_err(|e| e.to_string())?;
    if answer.status() != 200 {
        return Err(format!(
            "the answer is {}, and not 200",
            answer.status().as_u16()
        ));
    }
    let body = answer.body_mut().with_config().limit(KEYS_BYTES_MAX);
    body.read_to_vec().map_err(|e| e.to_string())
}
