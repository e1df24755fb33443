//! Which names plank answers to while nobody has to log in. A page can make a name of its own point to this machine (DNS
//! rebinding); then a browser takes plank for that page's server, and only `Host` still has the page's name.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_http::header::{self, HeaderMap};
use actix_web::http::StatusCode;

use crate::config::ListenAddress;

use super::problem::Problem;

/// The names that a request may be for.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Besides those of this machine, in lower case; `None` where any name is taken.
    allowed: Option<Arc<[String]>>,
}

impl Hosts {
    /// The check is on where nobody has to log in and plank can only be reached from this machine, and wherever names are
    /// given. A plank that other machines reach has names that it can't know.
    pub fn new(has_auth: bool, addresses: &[ListenAddress], allowed: Vec<String>) -> Self {
        let is_local = addresses.iter().all(ListenAddress::is_local);
        let is_checked = !has_auth && (is_local || !allowed.is_empty());
        Self {
            allowed: is_checked.then(|| allowed.into()),
        }
    }

    /// Whether a request is for plank. A request over a Unix socket always is: no page can send one there.
    ///
    /// # Errors
    /// 421. The text names the flag.
    pub fn check(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(allowed) = self.allowed.as_ref().filter(|_| peer.is_some()) else {
            return Ok(());
        };
        // Browsers always send one; a program that sends none is no page.
        let mut hosts = headers.get_all(header::HOST);
        let is_own = hosts.all(|host| {
            let name = host.to_str().ok().map(name_of);
            name.is_some_and(|name| {
                is_loopback(name) || allowed.iter().any(|own| own.eq_ignore_ascii_case(name))
            })
        });
        match is_own {
            true => Ok(()),
            false => Err(foreign_host()),
        }
    }
}

/// 421.
pub(super) fn foreign_host() -> Problem {
    let detail = "nobody has to log in here, so plank only answers to the names of this machine (localhost, 127.0.0.1); \
        to use another name, give it to plank with --allowed-host";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host", detail)
}

/// Whether the host that a request is for is this machine by its own name or address.
pub fn is_for_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    host.is_some_and(|host| is_loopback(name_of(host)))
}

/// The name or address in a `Host`, without its port and the dot of a full name.
fn name_of(host: &str) -> &str {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.strip_suffix('.').unwrap_or(name)
}

/// `localhost`, a name below it (RFC 6761, 6.3), or an address of the loopback interface.
fn is_loopback(name: &str) -> bool {
    let address = name.parse::<std::net::IpAddr>();
    let lower = name.to_ascii_lowercase();
    lower == "localhost"
        || lower.ends_with(".localhost")
        || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_http::header::HeaderValue;

    use super::*;

    const HERE: &str = "127.0.0.1:8080";

    fn headers(hosts: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        headers
    }

    #[test]
    fn a_loopback_name_is_known_in_each_form() {
        for (host, expected) in [
            ("localhost:8080", true),
            ("LocalHost", true),
            ("localhost.", true),
            ("plank.localhost", true),
            ("127.0.0.9", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("plank.example.org", false),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("192.0.2.1", false),
            ("", false),
        ] {
            assert_eq!(is_for_loopback(&headers(&[host])), expected, "{host}");
        }
    }

    #[test]
    fn only_own_names_are_answered_to_while_nobody_has_to_log_in() {
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
        let peer = Some("127.0.0.1:4711".parse().unwrap());
        let list = vec!["plank.example.org".to_owned()];
        let here = Hosts::new(false, &[tcp(HERE)], list.clone());
        for (hosts, expected) in [
            (&["localhost:8080"][..], true),
            (&["Plank.Example.org:443"], true),
            (&[], true),
            (&["evil.example:8080"], false),
            (&["localhost", "evil.example"], false),
        ] {
            let headers = headers(hosts);
            assert_eq!(here.check(peer, &headers).is_ok(), expected, "{hosts:?}");
            assert!(here.check(None, &headers).is_ok(), "a Unix socket");
        }
        let foreign = headers(&["evil.example"]);
        let public = tcp("0.0.0.0:80");
        for (has_auth, address, list, is_checked) in [
            (true, tcp(HERE), vec![], false),
            (true, tcp(HERE), list.clone(), false),
            (false, tcp(HERE), vec![], true),
            (false, public.clone(), vec![], false),
            (false, public, list, true),
        ] {
            let hosts = Hosts::new(has_auth, std::slice::from_ref(&address), list);
            let refused = hosts.check(peer, &foreign).map_err(|p| p.status().as_u16());
            assert_eq!(refused.err(), is_checked.then_some(421), "{address}");
        }
    }
}
