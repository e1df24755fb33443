//! Where people log in, when that is not plank's own page.

use url::{Host, Url};

use super::ConfigError;

/// Parameters that plank's page adds. One that is there already would be there twice, and the two ends might read another one.
const ADDED: [&str; 2] = ["return_to", "state"];

/// A page that gives tokens away: `https://...`, or `http://...` on this machine. It may have a query, and has no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUrl(Url);

impl LoginUrl {
    /// Reads one.
    ///
    /// # Errors
    /// If a browser would be sent to what is no page, or over a link that others can read. The text repeats nothing: there may be
    /// a password in it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |why: &str| Err(ConfigError(format!("--login-url {why}")));
        let text = text.trim();
        let Ok(url) = Url::parse(text) else {
            return refuse("is no URL; write it as https://HOST/PATH");
        };
        // `https:host` is taken by the parser.
        if !text.contains("://") {
            return refuse("is no URL; write it as https://HOST/PATH");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("has a user or a password, which every visitor would see");
        }
        if url.fragment().is_some() {
            return refuse("has a fragment (#...); a browser keeps that to itself, leave it out");
        }
        if let Some(name) = (ADDED.iter()).find(|name| url.query_pairs().any(|(n, _)| n == **name))
        {
            return refuse(&format!(
                "has {name} in its query; plank's page says that itself, leave it out"
            ));
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _ => refuse(
                "has to be https://HOST/PATH; http:// only on this machine (127.0.0.1, localhost), for anybody on the way could \
                 read the tokens",
            ),
        }
    }

    /// As a browser takes it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_log_in_over_tls_or_on_this_machine() {
        for (good, shown) in [
            ("https://id.example/login", "https://id.example/login"),
            (
                " https://ID.example/login?app=plank ",
                "https://id.example/login?app=plank",
            ),
            ("https://id.example", "https://id.example/"),
            ("http://127.0.0.1:4000/", "http://127.0.0.1:4000/"),
            ("http://localhost:4000/in", "http://localhost:4000/in"),
            ("http://[::1]/in", "http://[::1]/in"),
        ] {
            assert_eq!(LoginUrl::parse(good).unwrap().as_str(), shown, "{good}");
        }
        for (bad, part) in [
            ("", "is no URL"),
            ("id.example/login", "is no URL"),
            ("/login", "is no URL"),
            ("https:id.example", "is no URL"),
            ("https://", "is no URL"),
            ("http://id.example/login", "has to be https"),
            ("http://127.0.0.1.evil.example/", "has to be https"),
            ("javascript://id.example/%0aalert(1)", "has to be https"),
            ("data:text/html,x", "is no URL"),
            ("file:///etc/passwd", "has to be https"),
            ("https://ann:geheim@id.example/", "user or a password"),
            ("https://id.example/#in", "fragment"),
            ("https://id.example/?return_to=x", "return_to"),
            ("https://id.example/?a=1&state=x", "state"),
        ] {
            let error = LoginUrl::parse(bad).unwrap_err().to_string();
            let named = error.starts_with("--login-url ") && error.contains(part);
            assert!(named, "{bad}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
