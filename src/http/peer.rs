//! Whose request it is: the address of the socket, or, behind a proxy that is trusted, the one that the proxy names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use actix_http::header::{self, HeaderMap};

use crate::config::Network;

/// Whose address can't be read, behind a proxy on a Unix socket, which has none either: all of them are counted as one.
const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What is believed, and who is counted.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The proxies that may name the client of a request. A peer on a Unix socket may as well.
    pub trusted: Arc<[Network]>,
    /// Whether clients on this machine are counted like all others.
    pub limit_loopback: bool,
}

impl Rules {
    /// The address by which a request is counted, if it is. Who has named itself in a way that nobody can read is counted
    /// by the last address that could be read: its proxy's, or one that stands for all of those behind a Unix socket.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let values: Vec<&[u8]> = headers
            .get_all(header::X_FORWARDED_FOR)
            .map(|value| value.as_bytes())
            .collect();
        // The last one is the proxy's own word; what stands before it came from the client, which may say anything, in any
        // bytes.
        let mut named = values
            .iter()
            .rev()
            .flat_map(|value| value.rsplit(|byte| *byte == b','));
        let mut address = peer.map(|peer| peer.ip());
        while address.is_none_or(|address| self.is_trusted(address)) {
            match named.next().map(parse) {
                Some(Some(next)) => address = Some(next),
                Some(None) => {
                    // This machine's own clients are not counted, and this client is none of them.
                    address = address.filter(|a| !a.to_canonical().is_loopback());
                    address = address.or(Some(NOBODY));
                    break;
                }
                // One that is trusted, and names nobody, speaks for itself.
                None => break,
            }
        }
        self.counted(address)
    }

    /// The address by which a connection is counted before it has said anything, if it is.
    pub fn connection(&self, peer: Option<SocketAddr>) -> Option<IpAddr> {
        let address = peer.map(|peer| peer.ip());
        self.counted(address.filter(|address| !self.is_trusted(*address)))
    }

    /// Whether a request comes from a proxy that is believed.
    pub fn is_proxy(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_none_or(|peer| self.is_trusted(peer.ip()))
    }

    fn counted(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        address
            .map(|address| address.to_canonical())
            .filter(|address| self.limit_loopback || !address.is_loopback())
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// An address, with or without a port.
fn parse(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    address
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_proxy_is_believed_if_it_is_trusted() {
        let rules = Rules {
            trusted: ["10.0.0.0/8", "127.0.0.1"]
                .map(|text| Network::parse("x", text).unwrap())
                .into(),
            limit_loopback: false,
        };
        let client = |peer: Option<&str>, forwarded: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(
                    header::X_FORWARDED_FOR,
                    HeaderValue::from_bytes(value).unwrap(),
                );
            }
            let peer = peer.map(|ip| SocketAddr::new(ip.parse().unwrap(), 1_024));
            rules.client(peer, &headers).map(|ip| ip.to_string())
        };
        let is = |address: &str| Some(address.to_owned());
        let (near, proxy) = (Some("127.0.0.1"), Some("10.0.0.1"));
        for (peer, forwarded, expected) in [
            // Nobody else may say who it is.
            (
                Some("192.0.2.1"),
                &["198.51.100.9".as_bytes()][..],
                "192.0.2.1",
            ),
            (proxy, &[b"198.51.100.9"], "198.51.100.9"),
            (Some("::ffff:10.0.0.1"), &[b"198.51.100.9"], "198.51.100.9"),
            // What the client itself wrote stands before what the proxies did.
            (
                near,
                &[b"1.1.1.1, 2.2.2.2", b"198.51.100.9, 10.0.0.2"],
                "198.51.100.9",
            ),
            (None, &[b"[2001:db8::1]:443"], "2001:db8::1"),
            (None, &[b"198.51.100.9:443"], "198.51.100.9"),
            // Whatever its bytes are.
            (near, &[b"\xff, 198.51.100.9"], "198.51.100.9"),
            (None, &[b"\xff", b"198.51.100.9"], "198.51.100.9"),
            // What can't be read is counted by what could be.
            (proxy, &[b"\xff"], "10.0.0.1"),
            (proxy, &[b"unknown"], "10.0.0.1"),
            (proxy, &[b""], "10.0.0.1"),
            (proxy, &[b"\xff, 10.0.0.7"], "10.0.0.7"),
            (proxy, &[b"10.0.0.3"], "10.0.0.3"),
            (proxy, &[], "10.0.0.1"),
            (None, &[b"\xff"], "::"),
            (None, &[b"unknown"], "::"),
            (near, &[b"\xff"], "::"),
        ] {
            assert_eq!(client(peer, forwarded), is(expected), "{forwarded:?}");
        }
        for (peer, forwarded) in [
            (None, &[][..]),
            (Some("127.0.0.9"), &[]),
            (proxy, &[b"127.0.0.9".as_slice()]),
            (near, &[]),
        ] {
            assert_eq!(client(peer, forwarded), None, "loopback: {forwarded:?}");
        }
        let all = Rules {
            limit_loopback: true,
            ..Rules::default()
        };
        let loopback = Some("127.0.0.9:1".parse().unwrap());
        assert_eq!(
            all.connection(loopback).map(|ip| ip.to_string()),
            is("127.0.0.9")
        );
        assert_eq!(rules.connection(loopback), None);
    }
}
