//! Reads the keys of `--jwt-jwks-url`, now and then and when a token has a key that is not known.

use std::sync::Arc;

use actix_rt::task::spawn_blocking;
use ureq::Agent;

use crate::auth::Tokens;
use crate::config::JwksUrl;
use crate::limits::{JWKS_ANSWER_MAX, KEYS_BYTES_MAX};

use super::https;

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
    let mut config = https::config(JWKS_ANSWER_MAX).https_only(!url.is_loopback());
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
