//! What a proxy does that only a second look from outside shows: how long it keeps a connection, and whether it says that a
//! client came over TLS.

use std::time::Duration;

use super::super::tail::{Address, Target};
use super::http::Answer;
use super::report::Report;

/// How long a connection is watched that rests between two requests. Whatever closes one earlier closes it while a client is
/// about to use it again.
const REST: Duration = Duration::from_secs(4);

/// What became of a connection that rested.
pub enum Rested {
    /// It is still there.
    Kept,
    /// It was closed behind the answer.
    Closed,
    /// It was closed while it rested, after so long; or the answer says that it will be.
    Cut(Duration),
    /// There was no answer, which others report.
    Unknown,
}

/// Asks once on a connection that may stay, and lets it rest.
pub async fn rest(address: &Address) -> Rested {
    let Ok(mut answer) = Answer::get(address, "/livez", "Connection: keep-alive\r\n").await else {
        return Rested::Unknown;
    };
    let has = |name: &str, part: &str| {
        let value = answer.header(name).unwrap_or_default();
        value.to_ascii_lowercase().contains(part)
    };
    if has("connection", "close") {
        return Rested::Closed;
    }
    let said = answer.header("keep-alive").and_then(|value| {
        let timeout = value.split("timeout=").nth(1)?;
        let digits: String = timeout.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().map(Duration::from_secs)
    });
    match answer.closes_within(REST).await {
        Some(after) => Rested::Cut(after),
        None => match said.filter(|said| *said <= REST) {
            Some(said) => Rested::Cut(said),
            None => Rested::Kept,
        },
    }
}

/// Says what became of it.
pub fn keep_alive(report: &mut Report, rested: Rested) {
    let why = "a request that a client sends while it is closed gets lost: browsers send GET again, and no POST";
    let remedy = "keep idle connections for longer than clients rest: nginx: keepalive_timeout 75s; HAProxy: timeout http-keep-alive 75s";
    match rested {
        Rested::Kept => report.ok(
            "keep-alive",
            format!("a connection rests for {} s and more", REST.as_secs()),
        ),
        Rested::Cut(after) => report.wrong(
            "keep-alive",
            format!(
                "the proxy closes a connection that rests for {:.1} s",
                after.as_secs_f64()
            ),
            why,
            remedy,
        ),
        Rested::Closed => report.note(
            "keep-alive",
            "each answer closes its connection",
            "each request has to connect anew, with TLS that takes some round trips",
            remedy,
        ),
        Rested::Unknown => report.skip("keep-alive", "plank does not answer"),
    }
}

/// Whether plank learns that clients came over TLS, and only from the proxy. It takes no page without TLS for its own then: a
/// handshake that names one is refused.
pub async fn forwarded(report: &mut Report, address: &Address, upgrade: &str) {
    let Target::Tcp(..) = &address.target else {
        return report.skip("forwarded", "a Unix socket has no proxy");
    };
    if !address.is_tls() {
        return report.skip("forwarded", "clients come without TLS");
    }
    let authority = address.request.authority().map_or("", |a| a.as_str());
    let plain = format!("{upgrade}Origin: http://{authority}\r\n");
    let claimed = format!("{plain}X-Forwarded-Proto: http\r\n");
    let remedy = "nginx: proxy_set_header X-Forwarded-Proto $scheme; (see nginx/plank.conf)";
    let why = "a page without TLS, which anybody on the way can make, is taken for one of plank's own, with the user's cookie; \
        cookies of sessions are not Secure";
    match (
        status(address, &plain).await,
        status(address, &claimed).await,
    ) {
        (Some(403), Some(403)) => {
            report.ok("forwarded", "the proxy says that clients come over TLS")
        }
        (Some(101), _) => report.wrong(
            "forwarded",
            "the proxy ends TLS and does not say so: no X-Forwarded-Proto: https reaches plank",
            why,
            remedy,
        ),
        (Some(403), Some(101)) => report.wrong(
            "forwarded",
            "the proxy passes on the X-Forwarded-Proto that a client sends",
            why,
            remedy,
        ),
        _ => report.skip("forwarded", "a WebSocket does not get through"),
    }
}

async fn status(address: &Address, headers: &str) -> Option<u16> {
    let answer = Answer::get(address, "/ws", headers).await;
    answer.ok().map(|answer| answer.status)
}
