//! Texts that people write into settings.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts};

use super::libpq::{Parameters, Surroundings};
use super::{ConfigError, Server, Target, Tls};

/// Ten years.
const RETENTION_SECONDS_MAX: u64 = 3_650 * 86_400;

/// Reads a number with a unit: `90s`, `30m`, `24h`, `7d`.
///
/// # Errors
/// Names the flag, and says how it is written.
pub fn duration(name: &str, text: &str) -> Result<Duration, ConfigError> {
    let text = text.trim();
    let split = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let time = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(seconds))
        .filter(|s| (1..=RETENTION_SECONDS_MAX).contains(s));
    time.map(Duration::from_secs).ok_or_else(|| {
        ConfigError(format!(
            "{name} is {text:?}; write it as 90s, 30m, 24h or 7d, from 1s to 3650d"
        ))
    })
}

/// Reads the name of a host, without a port.
pub(super) fn host_name(text: &str) -> Result<String, ConfigError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name = text.strip_suffix('.').unwrap_or(text);
    match !name.is_empty() && name.chars().all(is_name) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(ConfigError(format!(
            "--allowed-host {text} is no name of a host; write it as plank.example.org, without http:// and without a port"
        ))),
    }
}

/// What of a database URL has to be escaped and is not. Read in another way than it was meant, a part of the password would
/// be taken for the host, the user or an option, and be shown in errors and in the log. The text repeats nothing of it.
fn unescaped(url: &str) -> Result<(), &'static str> {
    const ESCAPE: &str = "has a character that a URL needs escaped: in the user and the password write @ as %40, : as %3A, / as %2F, \
        ? as %3F, # as %23; in a value behind the ? write @ as %40";
    let Some((_, rest)) = url.split_once("://") else {
        return Ok(());
    };
    let (user, place) = rest.split_once('@').unwrap_or(("", rest));
    let is_user = user.matches(':').count() <= 1 && !user.contains(['/', '?']);
    let hosts = place.split(['/', '?']).next().unwrap_or_default();
    let is_host = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | ',' | '[' | ']' | '%')
    };
    let is_read = is_user
        && !place.contains('@')
        && !rest.contains('#')
        && !rest.contains(char::is_whitespace)
        && hosts.chars().all(is_host);
    is_read.then_some(()).ok_or(ESCAPE)
}

/// The server of a URL, or of `key=value` pairs.
pub(super) fn database_url(
    name: &str,
    url: &str,
    around: &Surroundings<'_>,
) -> Result<Server, ConfigError> {
    unescaped(url).map_err(|why| ConfigError(format!("{name} {why}")))?;
    let read = Parameters::read(url.trim(), around);
    let read = read.and_then(|parameters| server(&parameters));
    read.map_err(|why| {
        // In a list of pairs what is not understood may be the end of a password with a blank.
        let is_secret = !url.contains("://") && url.contains("password");
        let why = match is_secret {
            true => "can't be read; write values with blanks in quotes, as in password='two words'",
            false => &why,
        };
        ConfigError(format!("{name} {why}"))
    })
}

/// The server of libpq's variables alone.
pub(super) fn database_of_variables(around: &Surroundings<'_>) -> Result<Server, ConfigError> {
    let read = Parameters::of_environment(around);
    read.and_then(|parameters| server(&parameters))
        .map_err(|why| ConfigError(format!("the database of the variables PG... {why}")))
}

/// Where PostgreSQL puts its socket on Debian, and where libpq looks for it there.
const SOCKET_DIR: &str = "/var/run/postgresql";

fn server(parameters: &Parameters) -> Result<Server, String> {
    let get = |name| parameters.get(name);
    let user = get("user").ok_or("names no user; write it as postgresql://USER@HOST/DATABASE")?;
    let mut config = Config::new();
    config.user(user).dbname(get("dbname").unwrap_or(user));
    let (hosts, addresses) = (parameters.list("host"), parameters.list("hostaddr"));
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(format!(
            "has {} hosts and {} values of hostaddr; there has to be one for each",
            hosts.len(),
            addresses.len()
        ));
    }
    let places = hosts.len().max(addresses.len()).max(1);
    for at in 0..places {
        let address = addresses
            .get(at)
            .copied()
            .filter(|address| !address.is_empty());
        let host = hosts.get(at).copied().filter(|host| !host.is_empty());
        match host.or(address).unwrap_or(SOCKET_DIR) {
            host if host.starts_with('/') => config.host_path(host),
            host if host.starts_with('@') => {
                return Err(format!(
                    "has the host {host:?}, an abstract socket, which plank does not take; use a directory"
                ));
            }
            host => config.host(host),
        };
        if !addresses.is_empty() {
            let address = address.or(host).unwrap_or_default();
            let address = address
                .parse::<IpAddr>()
                .map_err(|_| format!("has hostaddr={address:?}, which is no address"))?;
            config.hostaddr(address);
        }
    }
    let ports = parameters.list("port");
    if !matches!(ports.len(), 0 | 1) && ports.len() != places {
        return Err(format!(
            "has {places} hosts and {} ports; there has to be one port, or one for each",
            ports.len()
        ));
    }
    for port in ports {
        let number = match port {
            "" => Some(5432),
            port => port.parse::<u16>().ok().filter(|port| *port > 0),
        };
        config.port(number.ok_or_else(|| {
            format!("has the port {port:?}; it has to be a number from 1 to 65535")
        })?);
    }
    for (name, set) in [
        (
            "password",
            Config::password as fn(&mut Config, String) -> &mut Config,
        ),
        (
            "options",
            Config::options as fn(&mut Config, String) -> &mut Config,
        ),
    ] {
        if let Some(value) = get(name) {
            set(&mut config, value.to_owned());
        }
    }
    if let Some(name) = get("application_name").or(get("fallback_application_name")) {
        config.application_name(name);
    }
    if let Some(text) = get("connect_timeout") {
        let seconds: i64 = text.parse().map_err(|_| {
            format!("has connect_timeout={text:?}; it has to be a number of seconds")
        })?;
        // As libpq: none at all is asked for with 0, and 1 counts as 2.
        if let Ok(seconds @ 1..) = u64::try_from(seconds) {
            config.connect_timeout(Duration::from_secs(seconds.max(2)));
        }
    }
    config.channel_binding(match get("channel_binding") {
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        _ => ChannelBinding::Prefer,
    });
    if get("load_balance_hosts") == Some("random") {
        config.load_balance_hosts(LoadBalanceHosts::Random);
    }
    let target = match get("target_session_attrs") {
        Some("read-write") => Target::Writable,
        Some("primary") => Target::Primary,
        _ => Target::Any,
    };
    let (tls, mode, negotiation) = Tls::of(parameters)?;
    config.ssl_mode(mode).ssl_negotiation(negotiation);
    Ok(Server {
        config,
        tls,
        passfile: get("passfile").map(PathBuf::from),
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Surroundings<'_> = Surroundings {
        variable: &|_| None,
        home: None,
        user: None,
    };

    #[test]
    fn no_part_of_a_password_is_taken_for_something_else() {
        const SECRET: [&str; 2] = ["geheim", "wort"];
        for url in [
            "postgresql://u:geheim@wort@h/d",
            "postgresql://u:geheim#wort@h/d",
            "postgresql://u:geheim/wort@h/d",
            "postgresql://u:geheim?wort@h/d",
            "postgresql://u:geheim:wort@h/d",
            "postgresql://u:geheim@wort#x@h/d",
            "postgresql://u:geheim wort@h/d",
            "postgresql://u:geheim?sslmode=wort@h/d",
            "postgresql://h/d?user=u&password=geheim@wort",
            "postgresql://h/d?user=u&password=geheim#wort",
            "postgresql://u:geheim%40@wort@h",
            "host=h user=u password=geheim wort",
            "host=h user=u password=geheim wort=x",
            "host=h user=u password='geheim' wort' x",
        ] {
            let read = database_url("--database-url", url, &NOWHERE);
            let text = match read {
                Err(error) => error.to_string(),
                // What the log says of a connection.
                Ok(server) => format!(
                    "{:?} {:?} {:?}",
                    server.config.get_hosts(),
                    server.config.get_user(),
                    server.config.get_dbname()
                ),
            };
            for part in SECRET {
                assert!(!text.contains(part), "{url}: {text}");
            }
        }
        for url in [
            "postgresql://u:geheim%40wort@h:5432/d",
            "postgresql://u@[::1]:5432,h2:5433/d?target_session_attrs=read-write",
            "postgresql://u@%2Fvar%2Frun/d",
            "postgres:///d?user=u&password=geheim&host=/run/postgresql",
            "host=h user=u password='ge heim@#'",
        ] {
            assert!(
                database_url("--database-url", url, &NOWHERE).is_ok(),
                "{url}"
            );
        }
    }
}
