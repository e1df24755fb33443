//! Which pages may connect. A browser lets any page open a WebSocket to any server and sends `Origin` with it; without a
//! look at it, a page on the Internet could read what a plank on somebody's laptop shows.

use actix_http::header::{self, HeaderMap};

/// Whether a request may be served. Programs that are no browsers send no `Origin`.
pub fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .map(str::to_ascii_lowercase);
    let is_own = origin.split_once("://").is_some_and(|(scheme, place)| {
        // Behind a proxy that ends TLS, plank sees http and the page https; the default ports go without saying.
        let default = if scheme == "https" { ":443" } else { ":80" };
        host.is_some_and(|host| host.trim_end_matches(default) == place.trim_end_matches(default))
    });
    is_own || allowed.contains(&origin)
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_own_and_listed_pages_connect() {
        let check = |origin: Option<&str>, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            is_allowed(&headers, &["https://app.example.org".into()])
        };
        assert!(check(None, "a"));
        assert!(check(Some("http://127.0.0.1:8080"), "127.0.0.1:8080"));
        assert!(check(
            Some("https://plank.example.org"),
            "plank.example.org"
        ));
        assert!(check(
            Some("https://Plank.example.org"),
            "plank.example.org:443"
        ));
        assert!(check(Some("https://app.example.org"), "plank.example.org"));
        for foreign in [
            "null",
            "https://evil.example",
            "http://127.0.0.1:8081",
            "https://127.0.0.1:8080.evil.example",
            "file://",
        ] {
            assert!(!check(Some(foreign), "127.0.0.1:8080"), "{foreign}");
        }
    }
}
