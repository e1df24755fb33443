//! Which database.

use std::env;
use std::path::PathBuf;

use clap::Args;
use nix::unistd::{User, geteuid};
use tokio_postgres::config::SslMode;

use super::libpq::Surroundings;
use super::{ConfigError, Tls, parse};

/// Which database. Shared by all subcommands that need one.
#[derive(Args, Clone, Debug, Default)]
pub struct DatabaseArgs {
    /// The database, as a URL or "key=value ..." [else: DATABASE_URL, PGHOST or PGSERVICE; none: plank runs a private PostgreSQL]
    #[arg(
        long,
        env = "PLANK_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: Option<String>,

    /// The same database, not through a pooler: LISTEN needs a session of its own [default: the database URL]
    #[arg(
        long,
        env = "PLANK_LISTEN_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub listen_database_url: Option<String>,

    /// A streaming replica of that database, for reading tables and the log; the primary serves what it can't [default: none]
    #[arg(
        long,
        env = "PLANK_READ_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub read_database_url: Option<String>,

    /// Where the private PostgreSQL keeps its data [default: $XDG_DATA_HOME/plank; as root /var/lib/plank]
    #[arg(long, env = "PLANK_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// A server and a database on it, who plank is there, and how the connection is kept from others.
#[derive(Clone, Debug)]
pub struct Server {
    /// Without the other members it is not enough to connect.
    pub config: tokio_postgres::Config,
    /// How TLS is spoken.
    pub tls: Tls,
    /// Where passwords are that the settings do not have, as in `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// Which of several hosts will do.
    pub target: Target,
}

/// Which of several hosts will do (`target_session_attrs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The first that lets plank in.
    #[default]
    Any,
    /// One whose sessions may write.
    Writable,
    /// One that is no standby.
    Primary,
}

/// One of this machine, over a socket that is nobody else's.
impl From<tokio_postgres::Config> for Server {
    fn from(mut config: tokio_postgres::Config) -> Self {
        config.ssl_mode(SslMode::Disable);
        Self {
            config,
            tls: Tls::default(),
            passfile: None,
            target: Target::Any,
        }
    }
}

/// The databases that were configured; none: a private PostgreSQL.
#[derive(Clone, Debug)]
pub struct Database {
    /// For requests.
    pub requests: Server,
    /// For LISTEN and the log.
    pub listen: Server,
}

impl DatabaseArgs {
    /// The databases, if any is configured.
    ///
    /// # Errors
    /// If a URL can't be read. The text does not repeat it: it may hold a password.
    pub fn resolve(&self) -> Result<Option<Database>, ConfigError> {
        if self
            .database_url
            .as_ref()
            .is_some_and(|url| url.trim().is_empty())
        {
            return Err(ConfigError("--database-url (PLANK_DATABASE_URL) is set and empty; write a URL, or unset it for a private PostgreSQL".into()));
        }
        let variable = |name: &str| env::var(name).ok();
        let around = around(&variable);
        let fallback = || env::var("DATABASE_URL").ok();
        let given = self
            .database_url
            .clone()
            .or_else(fallback)
            .filter(|url| !url.trim().is_empty());
        let listen = self
            .listen_database_url
            .clone()
            .filter(|url| !url.trim().is_empty());
        // libpq's own variables that say where: a place for the private PostgreSQL counts more.
        let is_in_variables = given.is_none()
            && self.data_dir.is_none()
            && ["PGHOST", "PGHOSTADDR", "PGSERVICE"]
                .into_iter()
                .any(|name| variable(name).is_some_and(|value| !value.is_empty()));
        let of_variables = is_in_variables
            .then(|| parse::database_of_variables(&around))
            .transpose()?;
        let Some(requests) = given
            .map(|url| parse::database_url("--database-url (PLANK_DATABASE_URL)", &url, &around))
            .transpose()?
            .or(of_variables)
        else {
            return match listen {
                None => Ok(None),
                Some(_) => Err(ConfigError("--listen-database-url is set, but --database-url is not; set both, or only the latter".into())),
            };
        };
        let listen = listen
            .map(|url| {
                let name = "--listen-database-url (PLANK_LISTEN_DATABASE_URL)";
                parse::database_url(name, &url, &around)
            })
            .transpose()?;
        Ok(Some(Database {
            listen: listen.unwrap_or_else(|| requests.clone()),
            requests,
        }))
    }

    /// The replica, if one is configured beside a database.
    ///
    /// # Errors
    /// If its URL can't be read, or there is no database that it could be a replica of.
    pub fn resolve_read(&self, database: Option<&Database>) -> Result<Option<Server>, ConfigError> {
        let given = self.read_database_url.as_ref();
        let Some(url) = given.filter(|url| !url.trim().is_empty()) else {
            return Ok(None);
        };
        if database.is_none() {
            return Err(ConfigError(
                "--read-database-url is set, but --database-url is not; set both, or only the latter".into(),
            ));
        }
        let variable = |name: &str| env::var(name).ok();
        let name = "--read-database-url (PLANK_READ_DATABASE_URL)";
        parse::database_url(name, url, &around(&variable)).map(Some)
    }
}

/// What libpq looks at besides the URL.
fn around(variable: &dyn Fn(&str) -> Option<String>) -> Surroundings<'_> {
    Surroundings {
        variable,
        home: env::var_os("HOME").map(PathBuf::from),
        user: User::from_uid(geteuid())
            .ok()
            .flatten()
            .map(|user| user.name),
    }
}
