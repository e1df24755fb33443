//! Texts that people write into settings.

use std::str::FromStr;
use std::time::Duration;

use super::tls::{self, Taken};
use super::{ConfigError, Server};

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

pub(super) fn database_url(name: &str, url: &str) -> Result<Server, ConfigError> {
    unescaped(url).map_err(|why| ConfigError(format!("{name} {why}")))?;
    let Taken { url, tls, mode } =
        tls::take(url).map_err(|why| ConfigError(format!("{name}: {why}")))?;
    let mut config = tokio_postgres::Config::from_str(&url).map_err(|error| {
        // It names an option that it does not know: in a list of pairs that may be the end of a password with a blank.
        let cause = std::error::Error::source(&error)
            .filter(|_| !url.contains("password"))
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        ConfigError(format!(
            "{name} can't be read{cause}; write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ))
    })?;
    if config.get_hosts().is_empty() {
        config.host_path("/var/run/postgresql");
    }
    if config.get_user().is_none() {
        return Err(ConfigError(format!(
            "{name} names no user; write it as postgresql://USER@HOST/DATABASE"
        )));
    }
    config.ssl_mode(mode);
    Ok(Server { config, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let read = database_url("--database-url", url);
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
            assert!(database_url("--database-url", url).is_ok(), "{url}");
        }
    }
}
