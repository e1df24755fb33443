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

pub(super) fn database_url(name: &str, url: &str) -> Result<Server, ConfigError> {
    let Taken { url, tls, mode } =
        tls::take(url).map_err(|why| ConfigError(format!("{name}: {why}")))?;
    let mut config = tokio_postgres::Config::from_str(&url).map_err(|error| {
        let cause = std::error::Error::source(&error)
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
