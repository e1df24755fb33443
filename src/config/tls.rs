//! How a connection to PostgreSQL is kept from others: what libpq's parameters of TLS ask for.

use std::path::PathBuf;

use tokio_postgres::config::{SslMode, SslNegotiation};

use super::libpq::Parameters;

/// Whom a certificate has to be from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// One of those that the system trusts.
    System,
    /// One of those in this file, in PEM.
    File(PathBuf),
}

/// What is asked of a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Nothing: it keeps out those who listen, and nobody who stands in between.
    #[default]
    Nothing,
    /// A trusted issuer signed it, whatever name is in it.
    Chain(Roots),
    /// And it is of the host that was asked for.
    Full(Roots),
}

/// What plank shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A certificate, and those between it and its root, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// How TLS is spoken, where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// See [`Check`].
    pub check: Check,
    /// None: no certificate.
    pub identity: Option<Identity>,
    /// Whether the host's name is sent in the clear, for proxies (`sslsni`).
    pub sends_name: bool,
    /// TLS 1.3 or newer.
    pub at_least_13: bool,
    /// TLS 1.2 or older.
    pub at_most_12: bool,
    /// The connection begins with TLS, which PostgreSQL 17 and newer understand.
    pub is_direct: bool,
}

impl Tls {
    /// What the parameters ask for, and whether there may be a connection without.
    ///
    /// # Errors
    /// What does not go together.
    pub(super) fn of(parameters: &Parameters) -> Result<(Self, SslMode, SslNegotiation), String> {
        let get = |name| parameters.get(name);
        let mode = get("sslmode").unwrap_or("prefer");
        let roots = get("sslrootcert").map(|root| match root {
            "system" => Roots::System,
            file => Roots::File(file.into()),
        });
        let (check, ssl) = match (mode, roots) {
            ("disable", _) => (Check::Nothing, SslMode::Disable),
            ("allow" | "prefer", _) => (Check::Nothing, SslMode::Prefer),
            // libpq takes this file for a wish to have it checked, and refuses less than that.
            (_, Some(Roots::System)) if mode != "verify-full" => {
                return Err(format!(
                    "has sslrootcert=system with sslmode={mode}; anybody can have a certificate of those, so it has to be sslmode=verify-full"
                ));
            }
            // As libpq: who names a root wants it to be looked at.
            ("require", None) => (Check::Nothing, SslMode::Require),
            ("require", Some(roots)) => (Check::Chain(roots), SslMode::Require),
            ("verify-ca", roots) => (
                Check::Chain(roots.unwrap_or(Roots::System)),
                SslMode::Require,
            ),
            (_, roots) => (
                Check::Full(roots.unwrap_or(Roots::System)),
                SslMode::Require,
            ),
        };
        let is_direct = get("sslnegotiation") == Some("direct");
        if is_direct && ssl != SslMode::Require {
            return Err(format!(
                "has sslnegotiation=direct with sslmode={mode}; it has to be require, verify-ca or verify-full"
            ));
        }
        let shows = get("sslcertmode") != Some("disable") && ssl != SslMode::Disable;
        let identity = match (get("sslcert"), get("sslkey")) {
            (Some(certificate), Some(key)) if shows => Some(Identity {
                certificate: certificate.into(),
                key: key.into(),
            }),
            (Some(certificate), None) if shows => {
                return Err(format!(
                    "has sslcert={certificate} without sslkey; name the file with its key"
                ));
            }
            _ => None,
        };
        let tls = Self {
            check,
            identity,
            sends_name: get("sslsni") != Some("0"),
            at_least_13: get("ssl_min_protocol_version") == Some("TLSv1.3"),
            at_most_12: get("ssl_max_protocol_version") == Some("TLSv1.2"),
            is_direct,
        };
        if tls.at_least_13 && tls.at_most_12 {
            return Err("has ssl_min_protocol_version above ssl_max_protocol_version".into());
        }
        let negotiation = match is_direct {
            true => SslNegotiation::Direct,
            false => SslNegotiation::Postgres,
        };
        Ok((tls, ssl, negotiation))
    }
}
