//! Whose request it is: the address of the socket, or, behind a proxy that is trusted, the one that the proxy names.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_http::header::{self, HeaderMap};

use crate::config::Network;

/// What is believed, and who is counted.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Those who may say whose request they pass on. Whoever connects over a Unix socket may as well.
    pub trusted: Arc<[Network]>,
    /// Whether clients on this machine are counted like all others.
    pub limit_loopback: bool,
}

impl Rules {
    /// The address by which a request is counted, if it is.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let values = headers.get_all(header::X_FORWARDED_FOR);
        let values: Vec<&str> = values.filter_map(|v| v.to_str().ok()).collect();
        // The last one is the proxy's own word; what stands before it came from the client, who may say anything.
        let mut named = values.iter().rev().flat_map(|v| v.rsplit(','));
        let mut address = peer.map(|peer| peer.ip());
        while address.is_none_or(|address| self.is_trusted(address)) {
            // One that is trusted, and names nobody, speaks for itself.
            address = Some(parse(named.next()?)?);
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
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
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
        let client = |peer: Option<&str>, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(
                    header::X_FORWARDED_FOR,
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            let peer = peer.map(|ip| SocketAddr::new(ip.parse().unwrap(), 1_024));
            rules.client(peer, &headers).map(|ip| ip.to_string())
        };
        let is = |address: &str| Some(address.to_owned());
        // Nobody else may say who he is.
        assert_eq!(
            client(Some("192.0.2.1"), &["198.51.100.9"]),
            is("192.0.2.1")
        );
        assert_eq!(
            client(Some("10.0.0.1"), &["198.51.100.9"]),
            is("198.51.100.9")
        );
        assert_eq!(
            client(Some("::ffff:10.0.0.1"), &["198.51.100.9"]),
            is("198.51.100.9")
        );
        // What the client itself wrote stands before what the proxies did.
        let chain = ["1.1.1.1, 2.2.2.2", "198.51.100.9, 10.0.0.2"];
        assert_eq!(client(Some("127.0.0.1"), &chain), is("198.51.100.9"));
        assert_eq!(client(None, &["[2001:db8::1]:443"]), is("2001:db8::1"));
        assert_eq!(client(None, &["198.51.100.9:443"]), is("198.51.100.9"));
        for nobody in [&[][..], &["unknown"], &["10.0.0.3"], &[""], &["127.0.0.9"]] {
            assert_eq!(client(None, nobody), None, "{nobody:?}");
            assert_eq!(client(Some("10.0.0.1"), nobody), None, "{nobody:?}");
        }
        assert_eq!(client(Some("127.0.0.9"), &[]), None, "loopback");
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
