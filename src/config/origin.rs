//! An origin of a page, as a browser writes it into the header `Origin`.

use url::{Origin, Url};

use super::ConfigError;

/// The normal form (HTML, section 7.1.1, serialisation of an origin): in lower case, names in ASCII, no default port.
///
/// # Errors
/// If it is none, or means more than one. The text says what to write.
pub(super) fn normal(text: &str) -> Result<String, ConfigError> {
    let refuse = |why: &str| {
        Err(ConfigError(format!(
            "--allowed-origin {text}: {why}; write an origin as https://HOST, with :PORT if it has one"
        )))
    };
    if text.contains('*') {
        return refuse("wildcards are not served, name each origin");
    }
    let Ok(url) = Url::parse(text) else {
        return refuse("this is no origin");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("only http and https have pages that may connect");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("an origin has no user and no password");
    }
    // `https:host` is taken by the parser, and is no origin.
    let has_slashes = text.contains("://");
    if !has_slashes || url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return refuse("an origin has no path");
    }
    match url.origin() {
        origin @ Origin::Tuple(..) => Ok(origin.ascii_serialization()),
        Origin::Opaque(_) => refuse("this is no origin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_becomes_what_a_browser_sends() {
        for (text, expected) in [
            ("https://app.example.org", "https://app.example.org"),
            ("HTTPS://App.Example.ORG/", "https://app.example.org"),
            ("https://app.example.org:443", "https://app.example.org"),
            ("http://app.example.org:80/", "http://app.example.org"),
            ("https://app.example.org:80", "https://app.example.org:80"),
            ("http://localhost:08080", "http://localhost:8080"),
            (
                "https://m\u{fc}nchen.example",
                "https://xn--mnchen-3ya.example",
            ),
            (
                "https://xn--mnchen-3ya.example",
                "https://xn--mnchen-3ya.example",
            ),
            ("https://[2001:DB8::0:1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(normal(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_origin_is_refused_with_the_reason() {
        for (text, part) in [
            ("*", "wildcards"),
            ("https://*.example.org", "wildcards"),
            ("https://app.example.org:*", "wildcards"),
            ("app.example.org", "no origin"),
            ("app.example.org:443", "only http and https"),
            ("null", "no origin"),
            ("ftp://app.example.org", "only http"),
            ("https:app.example.org", "no path"),
            ("https://app.example.org/app", "no path"),
            ("https://app.example.org?x", "no path"),
            ("https://app.example.org#x", "no path"),
            ("https://ann@app.example.org", "no user"),
            ("https://app.example.org:99999", "no origin"),
            ("https://", "no origin"),
            ("https://a b.example", "no origin"),
        ] {
            let error = normal(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("https://HOST"),
                "{text}: {error}"
            );
        }
    }
}
