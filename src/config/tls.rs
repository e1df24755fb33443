//! How a connection to PostgreSQL is kept from others: `sslmode` and `sslrootcert`, as libpq reads them.

use std::path::PathBuf;

use tokio_postgres::config::SslMode;

/// Whom a certificate has to be from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// One of those that the system trusts.
    System,
    /// One of those in this file, in PEM.
    File(PathBuf),
}

/// What is asked of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// There is no TLS.
    Off,
    /// Nothing: it keeps out those who listen, and nobody who stands in between.
    Unchecked,
    /// It is from somebody who is trusted, whatever name is in it.
    Chain(Roots),
    /// And it is of the host that was asked for.
    Full(Roots),
}

/// A database URL without what tokio-postgres does not know of TLS, and that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The rest, in the same form.
    pub url: String,
    /// What is asked of the certificate.
    pub tls: Tls,
    /// Whether there may be a connection without.
    pub mode: SslMode,
}

/// Takes `sslmode` and `sslrootcert` out of a URL, or of a list of `key=value`.
///
/// # Errors
/// What is wrong with them, without the rest of the URL, which may hold a password.
pub(super) fn take(url: &str) -> Result<Taken, String> {
    let (mut sslmode, mut root) = (None, None);
    let mut take = |key: &str, value: String| {
        match key {
            "sslmode" => sslmode = Some(value),
            "sslrootcert" => root = Some(value),
            _ => return false,
        }
        true
    };
    let url = match url.split_once("://") {
        Some(_) => match url.split_once('?') {
            Some((place, query)) => {
                let left = query.split('&').filter(|pair| {
                    // A plus is a plus here, as in libpq.
                    let pair = pair.replace('+', "%2B");
                    let mut pairs = form_urlencoded::parse(pair.as_bytes());
                    !pairs
                        .next()
                        .is_some_and(|(key, value)| take(&key, value.into_owned()))
                });
                let left: Vec<&str> = left.collect();
                match left.is_empty() {
                    true => place.to_owned(),
                    false => format!("{place}?{}", left.join("&")),
                }
            }
            None => url.to_owned(),
        },
        None => {
            let left = pairs(url).filter(|(key, value, _)| !take(key, value.clone()));
            left.map(|(_, _, pair)| pair).collect::<Vec<_>>().join(" ")
        }
    };
    let roots = match root.filter(|root| !root.is_empty()) {
        None => None,
        Some(system) if system == "system" => Some(Roots::System),
        Some(file) => Some(Roots::File(file.into())),
    };
    let (tls, mode) = match (sslmode.as_deref().unwrap_or("prefer"), roots) {
        ("disable", _) => (Tls::Off, SslMode::Disable),
        ("allow" | "prefer", _) => (Tls::Unchecked, SslMode::Prefer),
        ("require", None) => (Tls::Unchecked, SslMode::Require),
        // As libpq: who names a root wants it to be looked at.
        ("require", Some(roots)) => (Tls::Chain(roots), SslMode::Require),
        ("verify-ca", roots) => (Tls::Chain(roots.unwrap_or(Roots::System)), SslMode::Require),
        ("verify-full", roots) => (Tls::Full(roots.unwrap_or(Roots::System)), SslMode::Require),
        (other, _) => {
            return Err(format!(
                "sslmode is {other:?}; it has to be disable, prefer, require, verify-ca or verify-full"
            ));
        }
    };
    Ok(Taken { url, tls, mode })
}

/// The pairs of a libpq connection string: key, value, and both as they were written.
fn pairs(text: &str) -> impl Iterator<Item = (String, String, &str)> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let (key, after) = rest.split_once('=')?;
        let mut value = String::new();
        let after_spaces = after.trim_start();
        let start = rest.len() - after_spaces.len();
        let is_quoted = after_spaces.starts_with('\'');
        let mut chars = after_spaces.char_indices().skip(is_quoted.into());
        let mut end = after_spaces.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                '\'' if is_quoted => {
                    end = at + 1;
                    break;
                }
                c if c.is_whitespace() && !is_quoted => {
                    end = at;
                    break;
                }
                c => value.push(c),
            }
        }
        let pair = &rest[..start + end];
        rest = rest[start + end..].trim_start();
        Some((key.trim().to_owned(), value, pair))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(url: &str) -> (String, Tls, SslMode) {
        let Taken { url, tls, mode } = take(url).unwrap();
        (url, tls, mode)
    }

    #[test]
    fn the_modes_are_those_of_libpq() {
        let file = || Roots::File("/etc/root.pem".into());
        let cases = [
            (
                "postgres://u@h/d",
                "postgres://u@h/d",
                Tls::Unchecked,
                SslMode::Prefer,
            ),
            (
                "postgres://u@h/d?sslmode=disable",
                "postgres://u@h/d",
                Tls::Off,
                SslMode::Disable,
            ),
            (
                "postgres://u@h/d?a=1&sslmode=require&b=2",
                "postgres://u@h/d?a=1&b=2",
                Tls::Unchecked,
                SslMode::Require,
            ),
            (
                "postgres://u@h/d?sslmode=verify-ca",
                "postgres://u@h/d",
                Tls::Chain(Roots::System),
                SslMode::Require,
            ),
            (
                "postgres://u@h/d?sslrootcert=%2Fetc/root.pem&sslmode=require",
                "postgres://u@h/d",
                Tls::Chain(file()),
                SslMode::Require,
            ),
            (
                "postgres://u@h/d?sslmode=verify-full&sslrootcert=system",
                "postgres://u@h/d",
                Tls::Full(Roots::System),
                SslMode::Require,
            ),
            (
                "host=h user=u sslmode=verify-full sslrootcert='/etc/root.pem'",
                "host=h user=u",
                Tls::Full(file()),
                SslMode::Require,
            ),
            (
                "sslmode = verify-full  host=h password='a b\\' c'",
                "host=h password='a b\\' c'",
                Tls::Full(Roots::System),
                SslMode::Require,
            ),
        ];
        for (url, left, tls, mode) in cases {
            assert_eq!(taken(url), (left.to_owned(), tls, mode), "{url}");
        }
        let error = take("postgres://u:secret@h/d?sslmode=strict").unwrap_err();
        assert!(
            error.contains("\"strict\"") && !error.contains("secret"),
            "{error}"
        );
    }
}
