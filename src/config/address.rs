//! Where to listen.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::ConfigError;

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Reads `HOST:PORT` or `unix:/PATH`. A name stands for the first address that it has.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(ConfigError(format!(
                    "--listen {text}: a Unix socket needs an absolute path, as in unix:/run/plank.sock"
                ))),
            };
        }
        let resolved = text.to_socket_addrs().map_err(|e| {
            ConfigError(format!("--listen {text}: {e}; write it as HOST:PORT, for example 127.0.0.1:8080, or as unix:/PATH"))
        });
        let first = resolved?.next();
        first
            .map(Self::Tcp)
            .ok_or_else(|| ConfigError(format!("--listen {text}: this name has no address")))
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => match address.ip() {
                IpAddr::V6(ip) => ip
                    .to_ipv4_mapped()
                    .map_or(ip.is_loopback(), |v4| v4.is_loopback()),
                IpAddr::V4(ip) => ip.is_loopback(),
            },
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
