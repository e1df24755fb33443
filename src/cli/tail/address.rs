//! Where the server is: what a person writes, and what has to be dialled.

use std::path::PathBuf;

use tokio_tungstenite::tungstenite::http::Uri;

use crate::app::AppError;

/// A server's address, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As it was written, for people.
    pub shown: String,
    /// What the handshake asks for, as `ws://HOST/ws` or `wss://HOST/ws`.
    pub request: Uri,
    /// What to dial.
    pub target: Target,
}

/// See [`Address::target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A name or an address, and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether it is reached through TLS.
    pub fn is_tls(&self) -> bool {
        self.request.scheme_str() == Some("wss")
    }

    /// Reads `http://`, `https://`, `ws://`, `wss://` with a host, and `unix:/PATH`. A path before `/ws` is kept, for a
    /// proxy that serves plank below one.
    ///
    /// # Errors
    /// Says how to write it. The text is not repeated where it may hold a password.
    pub fn parse(text: &str) -> Result<Self, AppError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self {
                    shown: text.to_owned(),
                    request: Uri::from_static("ws://localhost/ws"),
                    target: Target::Unix(path.into()),
                }),
                false => Err(wrong(format!("{text} needs an absolute path"))),
            };
        }
        let uri: Uri = text
            .parse()
            .map_err(|e| wrong(format!("can't be read: {e}")))?;
        let scheme = match uri.scheme_str() {
            Some("http" | "ws") => "ws",
            Some("https" | "wss") => "wss",
            Some(other) => return Err(wrong(format!("begins with {other}://"))),
            None => return Err(wrong(format!("{text} has no scheme"))),
        };
        let authority = uri.authority().map_or("", |a| a.as_str());
        if authority.contains('@') {
            return Err(wrong("names a user; plank asks for none".into()));
        }
        if uri.query().is_some() {
            return Err(wrong(format!(
                "{text} has a query; the flags say what is in it"
            )));
        }
        if uri.port_u16().is_none() && uri.host() != Some(authority) {
            return Err(wrong(format!("{text} has a port that is none")));
        }
        // Of an address in brackets the brackets are not part.
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong(format!("{text} names no host")));
        }
        let port = uri
            .port_u16()
            .unwrap_or(if scheme == "wss" { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/ws").unwrap_or(path);
        let request = format!("{scheme}://{authority}{path}/ws");
        Ok(Self {
            shown: text.to_owned(),
            request: request
                .parse()
                .map_err(|e| wrong(format!("can't be read: {e}")))?,
            target: Target::Tcp(host.to_owned(), port),
        })
    }
}

fn wrong(why: String) -> AppError {
    AppError(format!(
        "--url (PLANK_URL) {why}; write it as http://127.0.0.1:8080, https://HOST or unix:/run/plank.sock"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let tcp = |host: &str, port| Target::Tcp(host.into(), port);
        for (text, request, target) in [
            (
                "http://127.0.0.1:8080",
                "ws://127.0.0.1:8080/ws",
                tcp("127.0.0.1", 8080),
            ),
            (
                "http://127.0.0.1:8080/",
                "ws://127.0.0.1:8080/ws",
                tcp("127.0.0.1", 8080),
            ),
            (
                "https://plank.example",
                "wss://plank.example/ws",
                tcp("plank.example", 443),
            ),
            ("wss://h/live/ws", "wss://h/live/ws", tcp("h", 443)),
            ("ws://h/live/", "ws://h/live/ws", tcp("h", 80)),
            ("http://[::1]:81", "ws://[::1]:81/ws", tcp("::1", 81)),
            (
                "unix:/run/p.sock",
                "ws://localhost/ws",
                Target::Unix("/run/p.sock".into()),
            ),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.request.to_string(), request);
            assert_eq!((address.target, address.shown.as_str()), (target, text));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_password() {
        for (text, part) in [
            ("127.0.0.1:8080", "write it as http://127.0.0.1:8080"),
            ("localhost", "no scheme"),
            ("/run/p.sock", "no scheme"),
            ("unix:p.sock", "absolute path"),
            ("ftp://h", "ftp://"),
            ("http://u:geheim@h", "names a user"),
            ("http://h/?table=t", "has a query"),
            ("http://h:99999", "--url"),
            ("", "--url"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && !error.contains("geheim"),
                "{text}: {error}"
            );
        }
    }
}
