//! Which pages may connect. A browser lets any page open a WebSocket to any server and sends `Origin` with it; without a
//! look at it, a page on the Internet could read what a plank on a user's laptop shows.

use actix_http::header::{self, HeaderMap, HeaderValue};

/// Whether a request may be served. Programs that are no browsers send no `Origin`.
pub fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    headers
        .get(header::ORIGIN)
        .is_none_or(|origin| is_own(origin, headers, allowed))
}

/// Whether a request comes from a page that may use the cookie: from one of plank's own origin or of an allowed one, and
/// that is known. Browsers leave `Origin` away when a page asks its own origin with GET; then they say so in
/// `Sec-Fetch-Site`, which no script can set, or, where the page came without TLS, in `Referer`.
pub fn is_own_page(headers: &HeaderMap, allowed: &[String]) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        return is_own(origin, headers, allowed);
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    headers
        .get(header::REFERER)
        .is_some_and(|page| is_own(page, headers, allowed))
}

/// Whether a request comes from a page of plank's own origin over TLS.
pub fn is_own_over_tls(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN);
    origin.is_some_and(|o| o.as_bytes().starts_with(b"https://") && is_own(o, headers, &[]))
}

/// Whether the proxy in front says that the browser speaks TLS with it. Of several the first is the browser's. No page can set it.
fn came_over_tls(headers: &HeaderMap) -> bool {
    let proto = headers.get(header::X_FORWARDED_PROTO);
    let first = proto.and_then(|p| p.to_str().ok()?.split(',').next());
    first.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// Whether a page, or an origin, is of plank's own origin or of an allowed one.
fn is_own(page: &HeaderValue, headers: &HeaderMap, allowed: &[String]) -> bool {
    let Ok(page) = page.to_str() else {
        return false;
    };
    let origin = match page.match_indices('/').nth(2) {
        Some((end, _)) => &page[..end],
        None => page,
    };
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .map(str::to_ascii_lowercase);
    let is_own = origin.split_once("://").is_some_and(|(scheme, place)| {
        // Behind a proxy that ends TLS, plank sees http and the page https; the default ports go without saying. Where the proxy
        // says that the browser came over TLS, a page that came without is another one, and anybody on the way may have made it.
        if scheme != "https" && came_over_tls(headers) {
            return false;
        }
        let default = if scheme == "https" { ":443" } else { ":80" };
        host.is_some_and(|host| host.trim_end_matches(default) == place.trim_end_matches(default))
    });
    is_own || allowed.contains(&origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_tls_is_not_of_an_origin_with_it() {
        for (page, proto, expected) in [
            ("https://a.example", Some("https"), true),
            ("https://a.example:443", Some("HTTPS"), true),
            ("https://a.example", None, true),
            ("https://a.example", Some("http"), true),
            ("http://a.example", None, true),
            ("http://a.example", Some("http"), true),
            ("http://a.example", Some("http, https"), true),
            ("http://a.example", Some("https"), false),
            ("http://a.example", Some("https, http"), false),
            ("http://a.example:443", Some("https"), false),
            // One that is allowed by name is allowed.
            ("http://b.example", Some("https"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("a.example"));
            if let Some(proto) = proto {
                let value = HeaderValue::from_static(proto);
                headers.insert(header::X_FORWARDED_PROTO, value);
            }
            let allowed = ["http://b.example".to_owned()];
            for name in [header::ORIGIN, header::REFERER] {
                let mut headers = headers.clone();
                headers.insert(name.clone(), HeaderValue::from_static(page));
                let is_own = is_own_page(&headers, &allowed);
                assert_eq!(is_own, expected, "{name}: {page} {proto:?}");
            }
        }
    }

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
        let page = |list: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("plank.example.org"));
            for (name, value) in list {
                let name = header::HeaderName::from_static(name);
                headers.insert(name, HeaderValue::from_static(value));
            }
            is_own_page(&headers, &["https://app.example.org".into()])
        };
        for own in [
            [("origin", "https://plank.example.org")],
            [("origin", "https://app.example.org")],
            [("sec-fetch-site", "same-origin")],
            [("referer", "https://plank.example.org/a/b?c=/d")],
        ] {
            assert!(page(&own), "{own:?}");
        }
        for foreign in [
            [("origin", "null")],
            [("sec-fetch-site", "same-site")],
            [("sec-fetch-site", "none")],
            [("referer", "https://evil.example/https://plank.example.org/")],
            [("referer", "")],
        ] {
            assert!(!page(&foreign), "{foreign:?}");
        }
        assert!(!page(&[]));
        assert!(!page(&[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin")
        ]));
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
