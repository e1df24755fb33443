//! Where plank is for its clients: a proxy may have taken the beginning of the path away, and says so in `X-Forwarded-Prefix`.

use std::net::SocketAddr;

use actix_http::header::HeaderMap;
use actix_web::HttpRequest;

use super::State;

/// Above what anybody has for a path in front of a server.
const PREFIX_BYTES_MAX: usize = 256;

/// A path of plank, as the client has to ask for it.
pub fn path(state: &State, request: &HttpRequest, path: &str) -> String {
    let prefix = prefix(state, request.peer_addr(), request.headers());
    format!("{}{path}", prefix.unwrap_or_default())
}

/// What a proxy has taken away, if it is one that is believed.
fn prefix<'a>(state: &State, peer: Option<SocketAddr>, headers: &'a HeaderMap) -> Option<&'a str> {
    if !state.peers.is_proxy(peer) {
        return None;
    }
    let prefix = headers.get("x-forwarded-prefix")?.to_str().ok()?;
    let prefix = prefix.trim().trim_end_matches('/');
    is_path(prefix).then_some(prefix)
}

/// Whether it is the beginning of a path of this server: two slashes would begin the name of another one.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%@:+,".contains(&byte);
    text.len() <= PREFIX_BYTES_MAX
        && text.starts_with('/')
        && !text.contains("//")
        && text.split('/').all(|part| !matches!(part, "." | ".."))
        && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_and_nothing_else() {
        for good in ["/live", "/a/b-c", "/%C3%BC"] {
            assert!(is_path(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(PREFIX_BYTES_MAX));
        for bad in [
            "",
            "live",
            "//evil.example",
            "/a//b",
            "/a/../b",
            "/.",
            "/a?b",
            "/a b",
            "/a\\b",
            "https://a",
            &long,
        ] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
