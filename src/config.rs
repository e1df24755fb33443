//! The settings: flag, else environment, else default. Checked as a whole before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::limits::{
    BODY_BYTES_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_IP_MAX, CONNECTIONS_PER_PRINCIPAL_MAX,
    HANDSHAKES_PER_SECOND, KEEP_ALIVE, LIVE_QUERY_ROWS_MAX, MESSAGE_BYTES_MAX, MESSAGES_PER_SECOND,
    REQUESTS_PER_SECOND, RETENTION, RETENTION_ROWS_MAX,
};

mod address;
mod auth;
mod backplane;
mod database;
mod libpq;
mod login;
mod network;
mod origin;
mod otlp;
mod parse;
mod rates;
#[cfg(test)]
mod tests;
mod tls;

pub use address::ListenAddress;
pub use auth::{Auth, AuthArgs, JwksUrl};
pub use backplane::{Backplane, BackplaneArgs, Login};
pub use database::{Database, DatabaseArgs, Server, Target};
pub use login::LoginUrl;
pub use network::Network;
pub use otlp::OtlpEndpoint;
pub use parse::duration;
pub use rates::Rates;
pub use tls::{Check, Identity, Roots, Tls};

/// The settings of `plank serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    #[command(flatten, next_help_heading = "Database")]
    #[allow(missing_docs)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub backplane: BackplaneArgs,

    /// Where to listen: HOST:PORT, or unix:/PATH; may be repeated
    #[arg(
        long,
        env = "PLANK_LISTEN",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS",
        help_heading = "Network"
    )]
    pub listen: Vec<String>,

    /// Worker threads [default: one per core]
    #[arg(
        long,
        env = "PLANK_WORKERS",
        value_name = "N",
        help_heading = "Process"
    )]
    pub workers: Option<usize>,

    #[command(flatten, next_help_heading = "Who may ask")]
    #[allow(missing_docs)]
    pub auth: AuthArgs,

    /// An origin, besides plank's own, whose pages may open a WebSocket, as https://HOST; may be repeated
    #[arg(
        long = "allowed-origin",
        env = "PLANK_ALLOWED_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGIN",
        help_heading = "Who may ask"
    )]
    pub allowed_origins: Vec<String>,

    /// A name, besides those of this machine, that requests may be for while nobody has to log in; may be repeated
    #[arg(
        long = "allowed-host",
        env = "PLANK_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Who may ask"
    )]
    pub allowed_hosts: Vec<String>,

    /// WebSockets, streams and long polls at once, over all workers; one more is answered with 503
    #[arg(long, env = "PLANK_MAX_CONNECTIONS", default_value_t = CONNECTIONS_MAX, value_name = "N", help_heading = "Limits")]
    pub max_connections: usize,

    /// The same for one address, or one /64 of IPv6; one more is answered with 429. Loopback is exempt
    #[arg(long, env = "PLANK_MAX_CONNECTIONS_PER_IP", default_value_t = CONNECTIONS_PER_IP_MAX, value_name = "N", help_heading = "Limits")]
    pub max_connections_per_ip: usize,

    /// The same for one principal, from all addresses together; one more is answered with 429, or closed with 4003
    #[arg(long, env = "PLANK_MAX_CONNECTIONS_PER_PRINCIPAL", default_value_t = CONNECTIONS_PER_PRINCIPAL_MAX, value_name = "N", help_heading = "Limits")]
    pub max_connections_per_principal: usize,

    /// Requests in a second of one address, and of one principal; five seconds' worth may come at once. More are answered with 429
    #[arg(long, env = "PLANK_MAX_REQUESTS_PER_SECOND", default_value_t = REQUESTS_PER_SECOND, value_name = "N", help_heading = "Limits")]
    pub max_requests_per_second: u32,

    /// The same for handshakes of WebSockets of one address
    #[arg(long, env = "PLANK_MAX_HANDSHAKES_PER_SECOND", default_value_t = HANDSHAKES_PER_SECOND, value_name = "N", help_heading = "Limits")]
    pub max_handshakes_per_second: u32,

    /// The same for messages on one WebSocket; one that sends more is closed with 4003
    #[arg(long, env = "PLANK_MAX_MESSAGES_PER_SECOND", default_value_t = MESSAGES_PER_SECOND, value_name = "N", help_heading = "Limits")]
    pub max_messages_per_second: u32,

    /// A proxy whose X-Forwarded-For is believed, as an address or 10.0.0.0/8; may be repeated. One on a Unix socket always is
    #[arg(
        long = "trusted-proxy",
        env = "PLANK_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_name = "NETWORK",
        help_heading = "Network"
    )]
    pub trusted_proxies: Vec<String>,

    /// Limit clients on this machine as well
    #[arg(long, env = "PLANK_LIMIT_LOOPBACK", help_heading = "Limits")]
    pub limit_loopback: bool,

    /// Bytes of one inbound WebSocket message; a longer one is closed with 1009
    #[arg(long, env = "PLANK_MAX_MESSAGE_BYTES", default_value_t = MESSAGE_BYTES_MAX, value_name = "BYTES", help_heading = "Limits")]
    pub max_message_bytes: usize,

    /// Whether WebSockets may negotiate permessage-deflate; off where every byte is cheap, or lengths must tell nothing
    #[arg(
        long,
        env = "PLANK_COMPRESSION",
        default_value = "on",
        value_parser = ["on", "off"],
        value_name = "on|off",
        help_heading = "Network"
    )]
    pub compression: String,

    /// Write bigint and numeric as strings, for readers that take all numbers for floating-point ones. The same on all nodes
    #[arg(long, env = "PLANK_STRINGIFY_WIDE_NUMBERS", help_heading = "Changes")]
    pub stringify_wide_numbers: bool,

    /// Bytes of a request body; a longer one is answered with 413
    #[arg(long, env = "PLANK_MAX_BODY_BYTES", default_value_t = BODY_BYTES_MAX, value_name = "BYTES", help_heading = "Limits")]
    pub max_body_bytes: usize,

    /// How long an HTTP connection may rest between two requests. Set it above the same setting of the proxy in front
    #[arg(
        long,
        env = "PLANK_KEEP_ALIVE",
        default_value = "75s",
        value_name = "TIME",
        help_heading = "Network"
    )]
    pub keep_alive: String,

    /// How long changes are kept for clients that are away, as 90s, 30m, 24h or 7d
    #[arg(
        long,
        env = "PLANK_RETENTION",
        default_value = "24h",
        value_name = "TIME",
        help_heading = "Changes"
    )]
    pub retention: String,

    /// How many changes are kept at most
    #[arg(
        long,
        env = "PLANK_RETENTION_ROWS",
        default_value_t = 10_000_000,
        value_name = "N",
        help_heading = "Changes"
    )]
    pub retention_rows: u64,

    /// How many rows the result of a live query may have
    #[arg(
        long,
        env = "PLANK_LIVE_QUERY_ROWS_MAX",
        default_value_t = 100_000,
        value_name = "N",
        help_heading = "Changes"
    )]
    pub live_query_rows_max: u64,

    /// Serve the demo: the table public.items, which plank makes, and /api/items [default: on with the private PostgreSQL, else off]
    #[arg(
        long,
        env = "PLANK_DEMO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "on|off",
        help_heading = "Process"
    )]
    pub demo: Option<bool>,

    /// off: never sleep until a NOTIFY, poll the log; for databases that use PREPARE TRANSACTION, which refuses one
    #[arg(
        long,
        env = "PLANK_DOORBELL",
        default_value = "on",
        value_parser = ["on", "off"],
        value_name = "on|off",
        help_heading = "Changes"
    )]
    pub doorbell: String,

    /// How often plank writes a row of its own, to measure the way of a change (plank_canary_seconds); off: never
    #[arg(
        long,
        env = "PLANK_CANARY",
        default_value = "15s",
        value_name = "TIME|off",
        help_heading = "Changes"
    )]
    pub canary: String,

    /// A collector of OpenTelemetry that gets a span for each write with a traceparent: OTLP over HTTP, as http://127.0.0.1:4318 [default: none]
    #[arg(
        long,
        env = "PLANK_OTLP_ENDPOINT",
        value_name = "URL",
        help_heading = "Process"
    )]
    pub otlp_endpoint: Option<String>,

    /// Allow an address beyond loopback although nobody has to log in
    #[arg(long, env = "PLANK_INSECURE", help_heading = "Who may ask")]
    pub insecure: bool,

    /// What to log: error, warn, info, debug, or per module, as env_logger reads it
    #[arg(
        long = "log",
        env = "RUST_LOG",
        default_value = "info",
        value_name = "FILTER",
        help_heading = "Process"
    )]
    pub log: String,

    /// How the log is written: text, logfmt, or json, an object a line
    #[arg(
        long,
        env = "PLANK_LOG_FORMAT",
        default_value = "text",
        value_parser = ["text", "logfmt", "json"],
        hide_possible_values = true,
        value_name = "text|logfmt|json",
        help_heading = "Process"
    )]
    pub log_format: String,
}

/// Why the settings can't be used. The text names the flag and says what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At least this long, and about two sevenths longer at most; less when `rows_max` is reached before.
    pub keep: Duration,
    /// At most this many changes, and what is written between two looks.
    pub rows_max: i64,
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// See [`Database`].
    pub database: Option<Database>,
    /// A replica of it, for reading; see [`DatabaseArgs::read_database_url`].
    pub read_database: Option<Server>,
    /// The stream that nodes follow; none: each reads the log.
    pub backplane: Option<Backplane>,
    /// For the private PostgreSQL; none when it is not known where.
    pub data_dir: Option<PathBuf>,
    /// At least one.
    pub listen: Vec<ListenAddress>,
    /// At least one.
    pub workers: usize,
    /// How people say who they are; none if they don't have to.
    pub auth: Option<Auth>,
    /// As a browser writes them: in lower case, names in ASCII, without a default port or a slash at the end.
    pub allowed_origins: Vec<String>,
    /// See [`ServeArgs::allowed_hosts`]. Without ports.
    pub allowed_hosts: Vec<String>,
    /// See [`ServeArgs::max_connections`].
    pub connections_max: usize,
    /// See [`ServeArgs::max_connections_per_ip`].
    pub connections_per_ip_max: usize,
    /// See [`ServeArgs::max_connections_per_principal`].
    pub connections_per_principal_max: usize,
    /// How many requests a second a client may send.
    pub rates: Rates,
    /// See [`ServeArgs::trusted_proxies`].
    pub trusted_proxies: Vec<Network>,
    /// See [`ServeArgs::limit_loopback`].
    pub limit_loopback: bool,
    /// See [`ServeArgs::max_message_bytes`].
    pub message_bytes_max: usize,
    /// Whether a WebSocket may negotiate permessage-deflate.
    pub compression: bool,
    /// Whether `bigint` and `numeric` leave as strings.
    pub stringify_wide_numbers: bool,
    /// See [`ServeArgs::max_body_bytes`].
    pub body_bytes_max: usize,
    /// See [`ServeArgs::keep_alive`].
    pub keep_alive: Duration,
    /// See [`Retention`].
    pub retention: Retention,
    /// See [`ServeArgs::live_query_rows_max`].
    pub live_query_rows_max: i64,
    /// Whether the listener may sleep until the doorbell rings.
    pub doorbell: bool,
    /// How often the canary beats; none: never.
    pub canary: Option<Duration>,
    /// Whether the demo's table is made and served.
    pub demo: bool,
    /// Who gets spans; none: no collector.
    pub otlp_endpoint: Option<OtlpEndpoint>,
}

impl Config {
    /// For a subcommand that only needs the database.
    ///
    /// # Errors
    /// See [`DatabaseArgs::resolve`].
    pub fn for_database(args: &DatabaseArgs) -> Result<Self, ConfigError> {
        let database = args.resolve()?;
        Ok(Self {
            read_database: args.resolve_read(database.as_ref())?,
            database,
            backplane: None,
            data_dir: args.data_dir.clone(),
            listen: Vec::new(),
            workers: 1,
            auth: None,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            connections_max: CONNECTIONS_MAX,
            connections_per_ip_max: CONNECTIONS_PER_IP_MAX,
            connections_per_principal_max: CONNECTIONS_PER_PRINCIPAL_MAX,
            rates: Rates::default(),
            trusted_proxies: Vec::new(),
            limit_loopback: false,
            message_bytes_max: MESSAGE_BYTES_MAX,
            compression: true,
            stringify_wide_numbers: false,
            body_bytes_max: BODY_BYTES_MAX,
            keep_alive: KEEP_ALIVE,
            retention: Retention {
                keep: RETENTION,
                rows_max: RETENTION_ROWS_MAX,
            },
            live_query_rows_max: LIVE_QUERY_ROWS_MAX,
            doorbell: true,
            canary: None,
            demo: false,
            otlp_endpoint: None,
        })
    }
}

impl ServeArgs {
    /// Whether plank may be served on these addresses; `what` says whose they are.
    ///
    /// # Errors
    /// If one can be reached from other machines, and nobody has to log in.
    pub fn allow_addresses(
        &self,
        what: &str,
        addresses: &[ListenAddress],
    ) -> Result<(), ConfigError> {
        let mut addresses = addresses.iter();
        let is_open = |address: &&ListenAddress| !address.is_local();
        let is_allowed = self.insecure || self.auth.auth == "on";
        match addresses.find(is_open).filter(|_| !is_allowed) {
            None => Ok(()),
            Some(open) => Err(ConfigError(format!(
                "{what}{open} can be reached from other machines, and nobody has to log in; say --auth on, listen on 127.0.0.1 \
                 behind a proxy that asks who is there, or say --insecure"
            ))),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first that can't be used.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        let listen = self
            .listen
            .iter()
            .map(|text| ListenAddress::parse(text.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        let auth = self.auth.resolve()?;
        self.allow_addresses("--listen ", &listen)?;
        for (name, value) in [
            ("--workers", self.workers.unwrap_or(1)),
            ("--max-connections", self.max_connections),
            ("--max-connections-per-ip", self.max_connections_per_ip),
            (
                "--max-connections-per-principal",
                self.max_connections_per_principal,
            ),
            ("--max-message-bytes", self.max_message_bytes),
            ("--max-body-bytes", self.max_body_bytes),
        ] {
            if value == 0 {
                return Err(ConfigError(format!("{name} is 0; it has to be at least 1")));
            }
        }
        let retention_rows = i64::try_from(self.retention_rows).ok().filter(|n| *n > 0);
        let retention_rows = retention_rows.ok_or_else(|| {
            ConfigError(format!(
                "--retention-rows is {}; it has to be from 1 to {}",
                self.retention_rows,
                i64::MAX
            ))
        })?;
        let query_rows = i64::try_from(self.live_query_rows_max).ok();
        let query_rows = query_rows
            .filter(|n| (1..i64::MAX).contains(n))
            .ok_or_else(|| {
                ConfigError(format!(
                    "--live-query-rows-max is {}; it has to be at least 1",
                    self.live_query_rows_max
                ))
            })?;
        let database = self.database.resolve()?;
        Ok(Config {
            demo: self.demo.unwrap_or(database.is_none()),
            read_database: self.database.resolve_read(database.as_ref())?,
            database,
            backplane: self.backplane.resolve()?,
            data_dir: self.database.data_dir.clone(),
            listen,
            workers: self
                .workers
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            auth,
            allowed_origins: self
                .allowed_origins
                .iter()
                .filter(|o| !o.trim().is_empty())
                .map(|text| origin::normal(text.trim()))
                .collect::<Result<_, _>>()?,
            allowed_hosts: (self.allowed_hosts.iter())
                .map(|text| text.trim())
                .filter(|text| !text.is_empty())
                .map(parse::host_name)
                .collect::<Result<_, _>>()?,
            connections_max: self.max_connections,
            connections_per_ip_max: self.max_connections_per_ip,
            connections_per_principal_max: self.max_connections_per_principal,
            rates: Rates::new(self)?,
            trusted_proxies: (self.trusted_proxies.iter())
                .map(|text| text.trim())
                .filter(|text| !text.is_empty())
                .map(|text| Network::parse("--trusted-proxy", text))
                .collect::<Result<_, _>>()?,
            limit_loopback: self.limit_loopback,
            message_bytes_max: self.max_message_bytes,
            compression: self.compression == "on",
            stringify_wide_numbers: self.stringify_wide_numbers,
            body_bytes_max: self.max_body_bytes,
            keep_alive: parse::duration("--keep-alive", &self.keep_alive)?,
            retention: Retention {
                keep: parse::duration("--retention", &self.retention)?,
                rows_max: retention_rows,
            },
            live_query_rows_max: query_rows,
            doorbell: self.doorbell == "on",
            canary: match self.canary.trim() {
                "off" => None,
                time => Some(parse::duration("--canary", time)?),
            },
            otlp_endpoint: (self.otlp_endpoint.as_deref())
                .filter(|text| !text.trim().is_empty())
                .map(OtlpEndpoint::parse)
                .transpose()?,
        })
    }
}
