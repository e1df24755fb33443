//! One way to a server: which of several hosts, with which password, with TLS or without, as libpq does it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};

use crate::config::{Server, Target};

use super::connect::Connection;
use super::tls::Maker;

/// Directories of sockets for which a file of passwords says `localhost`.
const SOCKET_DIRS: &[&str] = &["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Connects to the first host that will do, without a deadline for all of it.
///
/// # Errors
/// That of the last host.
pub(super) async fn dial(server: &Server) -> Result<(Client, Connection), Error> {
    let mut hosts: Vec<usize> = (0..server.config.get_hosts().len().max(1)).collect();
    if server.config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        fastrand::shuffle(&mut hosts);
    }
    let last = hosts.last().copied();
    let mut error = None;
    let mut standby = None;
    for at in hosts {
        match to_one(server, at).await {
            Ok((client, mut connection)) => {
                // The last one is not asked: what it is is said by the check that follows.
                let is_choice = server.target == Target::Primary && Some(at) != last;
                if is_choice && is_standby(&client, &mut connection).await {
                    standby = Some((client, connection));
                    continue;
                }
                return Ok((client, connection));
            }
            Err(why) => error = Some(why),
        }
    }
    match (standby, error) {
        (Some(standby), _) => Ok(standby),
        (None, Some(error)) => Err(error),
        // There is at least one host, and so an answer.
        (None, None) => Err(Error::__private_api_timeout()),
    }
}

async fn to_one(server: &Server, at: usize) -> Result<(Client, Connection), Error> {
    let mut config = one(&server.config, at);
    if server.target == Target::Writable {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_password().is_none()
        && let Some(password) = server
            .passfile
            .as_deref()
            .and_then(|file| password(file, &config))
    {
        config.password(password);
    }
    let is_socket = matches!(config.get_hosts(), [Host::Unix(_)]);
    if is_socket {
        // libpq has no TLS there.
        config.ssl_mode(SslMode::Disable);
    }
    let with = config.connect(Maker(&server.tls)).await;
    match with {
        // The server's TLS is of no use, or it wants none: `prefer` does without, as in libpq.
        Err(error) if config.get_ssl_mode() == SslMode::Prefer && is_of_tls(&error) => {
            config.ssl_mode(SslMode::Disable);
            config.connect(Maker(&server.tls)).await.map_err(|_| error)
        }
        other => other,
    }
}

fn is_of_tls(error: &Error) -> bool {
    error.to_string().contains("TLS")
        || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// The same for one of the hosts.
fn one(all: &Config, at: usize) -> Config {
    let mut one = Config::new();
    match all.get_hosts().get(at) {
        Some(Host::Tcp(name)) => one.host(name),
        Some(Host::Unix(dir)) => one.host_path(dir),
        None => &mut one,
    };
    if let Some(address) = all.get_hostaddrs().get(at) {
        one.hostaddr(*address);
    }
    let ports = all.get_ports();
    if let Some(port) = ports.get(at).or(ports.first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(name) = all.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    if let Some(timeout) = all.get_connect_timeout() {
        one.connect_timeout(*timeout);
    }
    if let Some(timeout) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = all.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .target_session_attrs(all.get_target_session_attrs());
    one
}

/// Whether the server follows another one. One that does not say it is none.
async fn is_standby(client: &Client, connection: &mut Connection) -> bool {
    let asked = client.simple_query("select pg_catalog.pg_is_in_recovery()");
    tokio::select! {
        answer = asked => answer.is_ok_and(|messages| messages.iter().any(|message| {
            matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))
        })),
        _ = connection => false,
    }
}

/// The password that a file has for this host, port, database and user. It is read each time, for passwords change.
fn password(file: &Path, config: &Config) -> Option<String> {
    let about = fs::metadata(file).ok()?;
    if about.mode() & 0o077 != 0 {
        log::warn!(
            "file of passwords ignored, others can read it path={} do=\"chmod 600\"",
            file.display()
        );
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let host = match config.get_hosts() {
        [Host::Tcp(name)] => name.clone(),
        [Host::Unix(dir)] => {
            let dir = dir.to_string_lossy().into_owned();
            match SOCKET_DIRS.contains(&dir.as_str()) {
                true => "localhost".into(),
                false => dir,
            }
        }
        _ => config.get_hostaddrs().first()?.to_string(),
    };
    let port = config
        .get_ports()
        .first()
        .copied()
        .unwrap_or(5432)
        .to_string();
    let user = config.get_user()?;
    let database = config.get_dbname().unwrap_or(user);
    entry(&text, [&host, &port, database, user])
}

/// The first line that fits: `host:port:database:user:password`, each but the last perhaps `*`, with backslashes before
/// colons and backslashes.
fn entry(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut rest = line;
            for wanted in wanted {
                let (field, left, is_plain) = field(rest)?;
                if field != wanted && !(is_plain && field == "*") {
                    return None;
                }
                rest = left;
            }
            let mut password = String::new();
            let mut chars = rest.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => password.extend(chars.next()),
                    c => password.push(c),
                }
            }
            (!password.is_empty()).then_some(password)
        })
}

/// A field, what follows its colon, and whether it was written without backslashes.
fn field(text: &str) -> Option<(String, &str, bool)> {
    let (mut value, mut is_plain) = (String::new(), true);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return Some((value, &text[at + 1..], is_plain)),
            '\\' => {
                is_plain = false;
                value.extend(chars.next().map(|(_, c)| c));
            }
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let file = "# comment\nh:5432:d:other:no\nh:5432:*:u:first\n*:*:*:*:second\n";
        assert_eq!(entry(file, ["h", "5432", "d", "u"]).unwrap(), "first");
        assert_eq!(entry(file, ["x", "1", "d", "u"]).unwrap(), "second");
        let odd = "\\:\\:1:5432:d:u:a\\:b\\\\c:d";
        assert_eq!(entry(odd, ["::1", "5432", "d", "u"]).unwrap(), "a:b\\c:d");
        assert_eq!(entry(odd, ["other", "5432", "d", "u"]), None);
        assert_eq!(entry("h:1:d:u:", ["h", "1", "d", "u"]), None);
        assert_eq!(entry("no line of it", ["h", "1", "d", "u"]), None);
    }
}
