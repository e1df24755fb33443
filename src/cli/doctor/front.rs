//! A running plank, as its clients reach it: does what stands in front of it let WebSockets and streams through?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::tail::{Address, Target};
use super::http::Answer;
use super::proxy;
use super::report::{Report, time};

/// For the first event of a stream. It comes with the head, unless a proxy keeps it.
const EVENT_MAX: Duration = Duration::from_secs(4);

/// By how much a clock may differ; the header has whole seconds.
const SKEW_MAX_S: i64 = 3;

/// The handshake of RFC 6455, section 1.3.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Looks; how many descriptors the plank behind it may have, if it tells.
pub async fn look(report: &mut Report, address: &Address) -> Option<usize> {
    if !reach(report, address).await {
        report.skip("upgrade", "plank was not reached");
        report.skip("stream", "plank was not reached");
        report.skip("tags", "plank was not reached");
        report.skip("forwarded", "plank was not reached");
        report.skip("keep-alive", "plank was not reached");
        return None;
    }
    // Takes its time, and the others go on.
    let resting = address.clone();
    let rested = actix_rt::spawn(async move { proxy::rest(&resting).await });
    upgrade(report, address).await;
    stream(report, address).await;
    tags(report, address).await;
    proxy::forwarded(report, address, UPGRADE).await;
    proxy::keep_alive(report, rested.await.unwrap_or(proxy::Rested::Unknown));
    metrics(report, address).await
}

async fn reach(report: &mut Report, address: &Address) -> bool {
    let shown = &address.shown;
    let answer = match Answer::get(address, "/livez", "Connection: close\r\n").await {
        Ok(answer) => answer,
        Err(why) => {
            report.wrong(
                "front",
                format!("{shown} is not reached: {why}"),
                "nor do clients reach it from here",
                "is the proxy running, does the name lead to it, is its certificate one that this machine trusts?",
            );
            return false;
        }
    };
    let (status, date) = (answer.status, answer.header("date").and_then(seconds));
    let body = answer.text().await;
    if status == 502 || status == 504 {
        report.wrong(
            "front",
            format!("{shown} answers {status}: the proxy is there, and does not reach plank"),
            "clients get nothing",
            "does plank run (systemctl status plank), and does the proxy's upstream have its address?",
        );
        return false;
    }
    if status == 421 {
        report.wrong(
            "front",
            format!("plank at {shown} does not answer to this name (421)"),
            "nobody has to log in there, so it takes requests for a name that it does not know for those of a strange page",
            "tell plank the name: --allowed-host NAME (PLANK_ALLOWED_HOSTS); or let people log in: --auth on",
        );
        return false;
    }
    if !(body.contains("\"alive\"") || body.contains("urn:plank") || body.contains("\"stuck\"")) {
        report.wrong(
            "front",
            format!("{shown} answers {status} to /livez, and that is not plank"),
            "clients that are given this address get nothing",
            "correct the address (a path in front of plank belongs to it), or the proxy's location",
        );
        return false;
    }
    if status != 200 {
        report.wrong(
            "front",
            format!("plank at {shown} says that a part of it is stuck"),
            "it ends by itself soon, and is started again if a supervisor does that",
            "look at its log",
        );
        return true;
    }
    match Answer::get(address, "/readyz", "Connection: close\r\n").await {
        Ok(ready) if ready.status == 200 => report.ok("front", format!("plank at {shown} is ready")),
        Ok(ready) => report.wrong(
            "front",
            format!("plank at {shown} answers {} to /readyz: it does not follow the changes", ready.status),
            "clients stay connected and hear nothing",
            "its log says why; what is wrong with the database is said above, if it is the same one",
        ),
        Err(why) => report.wrong(
            "front",
            format!("{shown}/readyz: {why}"),
            "load balancers that ask there take plank for gone",
            "let the proxy pass it on",
        ),
    }
    clock(report, date);
    true
}

fn clock(report: &mut Report, date: Option<i64>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    if let Some(ahead) = date.map(|date| date - now.as_secs() as i64)
        && ahead.abs() > SKEW_MAX_S
    {
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        report.wrong(
            "clock",
            format!(
                "the clock of the server at that address is {} {which} this machine's",
                time(ahead.unsigned_abs() as f64)
            ),
            "certificates, tokens and logs are dated by it",
            "let both machines follow a time server: timedatectl set-ntp true",
        );
    }
}

/// As a browser asks, with the site's own origin: a proxy that changes Host makes it a stranger's.
async fn upgrade(report: &mut Report, address: &Address) {
    let origin = match &address.target {
        Target::Tcp(..) => {
            let scheme = if address.is_tls() { "https" } else { "http" };
            let authority = address.request.authority().map_or("", |a| a.as_str());
            format!("Origin: {scheme}://{authority}\r\n")
        }
        Target::Unix(_) => String::new(),
    };
    let why = "browsers get no WebSocket, and see no change";
    let asked = format!("{UPGRADE}{origin}");
    match Answer::get(address, "/ws", &asked).await {
        Ok(answer) if answer.status == 101 && answer.header("sec-websocket-accept") == Some(ACCEPT) => {
            report.ok("upgrade", "a WebSocket gets through");
        }
        Ok(answer) if answer.status == 403 => report.wrong(
            "upgrade",
            "a WebSocket with the site's own Origin is refused (403)",
            why,
            "the proxy has to pass the Host on as it came: proxy_set_header Host $http_host; other sites are named with --allowed-origin",
        ),
        Ok(answer) => {
            let status = answer.status;
            let said = said(&answer.text().await);
            report.wrong(
                "upgrade",
                format!("a WebSocket does not get through: the answer is {status}, not 101{said}"),
                why,
                "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\" (see nginx/plank.conf)",
            );
        }
        Err(error) => report.wrong("upgrade", format!("a WebSocket does not get through: {error}"), why, "see nginx/plank.conf"),
    }
}

/// What a problem of plank's says, behind what is said already.
fn said(body: &str) -> String {
    let problem = body.find('{').map(|start| &body[start..]);
    let problem = problem.and_then(|text| {
        let mut all = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
        all.next()?.ok()
    });
    let detail = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str());
    detail.map_or_else(String::new, |detail| format!(" ({detail})"))
}

/// Whether entity tags come as they are. A proxy that compresses makes them weak, and then no write can be bound to one.
async fn tags(report: &mut Report, address: &Address) {
    let json = "Accept: application/json\r\nConnection: close\r\n";
    let items = match Answer::get(address, "/api/items?limit=1", json).await {
        Ok(answer) if answer.status == 200 => answer.text().await,
        _ => return report.skip("tags", "there is no item to look at"),
    };
    let id = items.split_once("\"id\":").map(|(_, rest)| {
        let digits = rest.chars().take_while(char::is_ascii_digit);
        digits.collect::<String>()
    });
    let Some(id) = id else {
        return report.skip("tags", "there is no item to look at");
    };
    let asked = format!("{json}Accept-Encoding: gzip, br\r\n");
    let answer = Answer::get(address, &format!("/api/items/{id}"), &asked).await;
    match answer.as_ref().map(|answer| answer.header("etag")) {
        Ok(Some(tag)) if tag.starts_with("W/") => report.wrong(
            "tags",
            format!("the entity tag of an item is made weak on its way ({tag}): the proxy compresses answers"),
            "a write with If-Match: W/... is refused with 412, whatever the version",
            "nginx: gzip off for /api/; or let clients send the `version` of the item in quotes",
        ),
        Ok(Some(_)) => report.ok("tags", "entity tags come as they are"),
        _ => report.skip("tags", "there is no item to look at"),
    }
}

/// Whether the first event comes when it is sent, and not when some buffer is full.
async fn stream(report: &mut Report, address: &Address) {
    let why = "events come late, many at once, or when the stream ends; the proxy ends it after a minute of silence";
    let asked = "Accept: text/event-stream\r\nAccept-Encoding: gzip\r\n";
    let mut answer = match Answer::get(address, "/api/stream?table=items", asked).await {
        Ok(answer) => answer,
        Err(error) => {
            return report.wrong(
                "stream",
                format!("a stream does not begin: {error}"),
                why,
                "nginx: proxy_buffering off for /api/stream, and no proxy_ignore_headers X-Accel-Buffering (see nginx/plank.conf)",
            );
        }
    };
    match answer.status {
        200 => {}
        401 | 403 => return report.skip("stream", "a client has to log in to see one"),
        404 => return report.skip("stream", "the table items is not watched"),
        status => {
            return report.wrong(
                "stream",
                format!("a stream is answered with {status}"),
                why,
                "see the log of plank and of the proxy",
            );
        }
    }
    if let Some(encoding) = answer.header("content-encoding") {
        let what = format!("the stream is compressed on its way ({encoding})");
        return report.wrong("stream", what, why, "nginx: gzip off for /api/stream");
    }
    match answer.has("event: ", EVENT_MAX).await {
        true => report.ok("stream", "events come as they happen"),
        false => report.wrong(
            "stream",
            format!("the first event of a stream has not come after {} s: a proxy buffers it", EVENT_MAX.as_secs()),
            why,
            "nginx: proxy_buffering off for /api/stream, and no proxy_ignore_headers X-Accel-Buffering (see nginx/plank.conf)",
        ),
    }
}

/// Whether everybody may read them; the limit of descriptors that they show.
async fn metrics(report: &mut Report, address: &Address) -> Option<usize> {
    let answer = Answer::get(address, "/metrics", "Connection: close\r\n")
        .await
        .ok()?;
    if answer.status != 200 {
        report.ok("metrics", "closed to this machine");
        return None;
    }
    let is_here = match &address.target {
        Target::Tcp(host, _) => {
            host == "localhost"
                || host
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Target::Unix(_) => true,
    };
    if !is_here {
        report.note(
            "metrics",
            "/metrics is open to this machine",
            "it names tables and tells how much is written; clients outside need neither",
            "let the proxy close it, as nginx/plank.conf does, unless this machine is the one that collects them",
        );
    }
    let text = answer.text().await;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("process_max_fds ")?.trim().parse().ok())
}

/// A date as HTTP writes it (RFC 9110, section 5.6.7), in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut parts = date.split_once(", ")?.1.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let month = MONTHS.find(parts.next()?)? / 3 + 1;
    let year: i32 = parts.next()?.parse().ok()?;
    let clock: Vec<i64> = parts
        .next()?
        .split(':')
        .filter_map(|n| n.parse().ok())
        .collect();
    let &[hour, minute, second] = clock.as_slice() else {
        return None;
    };
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = time::Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    let days = i64::from(date.to_julian_day()) - 2_440_588;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("Sun, 99 Nov 1994 08:49:37 GMT"), None);
    }
}
