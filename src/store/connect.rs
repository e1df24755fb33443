//! Connections to PostgreSQL, and what it means when one can't be had: wait and try again, or tell the operator.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Server;
use crate::limits::{CONNECT_MAX, PING_INTERVAL, PING_MAX};

use super::dial;
use super::session::Session;
use super::sqlstate::{self, Outlook};
use super::tls;

/// A connection, with TLS or without; it has to be polled.
pub type Connection =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// The oldest server that plank works with, as `server_version_num`.
pub const VERSION_MIN: i32 = 140_000;

/// Why there is no connection. The text is for people and has no secret in it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It may work later: try again.
    #[error("{0}")]
    Away(String),
    /// It will not work until something is changed. At its very first start plank ends with it; later it waits.
    #[error("{0}")]
    Fatal(String),
    /// The database can't make anything of a value that it was given: the same again gets the same answer.
    #[error("{0}")]
    Data(String),
    /// A part of plank itself is dead.
    #[error("{0}")]
    Broken(String),
}

impl ConnectError {
    /// What an error means that came up while talking to the server of `config`.
    pub fn of(error: &tokio_postgres::Error, config: &Config) -> Self {
        match error.as_db_error() {
            Some(db) => Self::of_server(db, config),
            None => Self::of_link(error, config),
        }
    }

    /// The server has said something. What it means stands in [`sqlstate::TABLE`].
    fn of_server(db: &DbError, config: &Config) -> Self {
        let (place, user) = (place(config), user(config));
        let database = database(config);
        let said = db.message();
        let text = match *db.code() {
            SqlState::INVALID_PASSWORD => format!(
                "PostgreSQL at {place} refused the password of user {user:?} for database {database:?}: {said}; correct the password in PLANK_DATABASE_URL"
            ),
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => format!(
                "PostgreSQL at {place} does not let user {user:?} into database {database:?}: {said}; create the role, or allow it in pg_hba.conf"
            ),
            SqlState::INVALID_CATALOG_NAME => format!(
                "there is no database {database:?} at {place}; create it (createdb {}), or correct PLANK_DATABASE_URL",
                shell(database)
            ),
            SqlState::INSUFFICIENT_PRIVILEGE if said.contains("set parameter") => format!(
                "user {user:?} in database {database:?} at {place} has a setting that plank needs to change and may not: {said}; \
                 take it from the role or the database (alter role {} reset all), or grant set on that parameter",
                quoted(user)
            ),
            SqlState::INSUFFICIENT_PRIVILEGE => format!(
                "user {user:?} lacks a right in database {database:?} at {place}: {said}; plank has to own the database, or: \
                 grant create on database {d} to {u}; grant create on schema public to {u}",
                d = quoted(database),
                u = quoted(user)
            ),
            SqlState::READ_ONLY_SQL_TRANSACTION => format!(
                "the database {database:?} at {place} is read only: {said}; is it a standby, or is a failover under way?"
            ),
            SqlState::DUPLICATE_PSTATEMENT | SqlState::INVALID_SQL_STATEMENT_NAME => format!(
                "{said}: a pooler (pgbouncer in transaction or statement mode) at {place} seems to lend out one session to \
                 several; point --listen-database-url (PLANK_LISTEN_DATABASE_URL) at PostgreSQL itself"
            ),
            // plank's own functions say what is the matter.
            _ if said.starts_with("plank: ") => {
                format!(
                    "database {database:?} at {place}: {}",
                    &said["plank: ".len()..]
                )
            }
            _ => format!(
                "PostgreSQL at {place} said in database {database:?}: {said} (SQLSTATE {})",
                db.code().code()
            ),
        };
        match sqlstate::meaning(db.code()).outlook {
            _ if sqlstate::is_data(db.code()) => Self::Data(text),
            Outlook::Passing => Self::Away(text),
            Outlook::Lasting => Self::Fatal(text),
        }
    }

    /// The server has said nothing: the way to it, TLS, or the settings.
    fn of_link(error: &tokio_postgres::Error, config: &Config) -> Self {
        let (place, text) = (place(config), chain(error));
        if let Some(why) = tls::unusable(error) {
            return Self::Fatal(why);
        }
        if let Some(why) = tls::refused(error) {
            return Self::Fatal(format!(
                "PostgreSQL at {place} has a certificate that is not to be trusted: {why}; name the file of its root \
                 with sslrootcert, mend the certificate, or ask less with sslmode"
            ));
        }
        // tokio-postgres has no kind for these: the configuration itself is wrong.
        match text.contains("invalid configuration")
            || text.contains("password missing")
            || text.contains("does not support TLS")
        {
            true => Self::Fatal(format!(
                "can't connect to {place}: {text}; correct PLANK_DATABASE_URL"
            )),
            false => Self::Away(format!(
                "PostgreSQL at {place} is out of reach: {text}; is it running, and is the address right?"
            )),
        }
    }
}

/// Who plank is there.
fn user(config: &Config) -> &str {
    config.get_user().unwrap_or("(the system user)")
}

/// Which database.
fn database(config: &Config) -> &str {
    config.get_dbname().unwrap_or_else(|| user(config))
}

/// A name as it is written in SQL, so that it can be pasted.
pub fn quoted(name: &str) -> String {
    let is_plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    match is_plain && !RESERVED.contains(&name) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Words that PostgreSQL takes for something else, of those that people call a role or a database.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "authorization",
    "both",
    "case",
    "check",
    "column",
    "create",
    "current_role",
    "current_user",
    "default",
    "do",
    "end",
    "for",
    "from",
    "grant",
    "group",
    "in",
    "into",
    "limit",
    "none",
    "not",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "primary",
    "public",
    "references",
    "select",
    "session_user",
    "some",
    "table",
    "then",
    "to",
    "trailing",
    "union",
    "unique",
    "user",
    "using",
    "when",
    "where",
    "window",
    "with",
];

/// A name as it is written for a shell.
fn shell(name: &str) -> String {
    let is_plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    match is_plain {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Where the server is, for people.
pub fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(i, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(i)),
            Host::Unix(dir) => format!("{}/.s.PGSQL.{}", dir.display(), port(i)),
        });
    hosts.collect::<Vec<_>>().join(", ")
}

/// The settings that make a dead link show: keepalives, and an end for bytes that nobody acknowledges.
pub fn harden(mut server: Server, application: &str) -> Server {
    let config = &mut server.config;
    if config.get_application_name().is_none() {
        config.application_name(application);
    }
    let given = config.get_connect_timeout().copied().unwrap_or(CONNECT_MAX);
    config
        .connect_timeout(given.min(CONNECT_MAX))
        .keepalives(true)
        .keepalives_idle(PING_INTERVAL)
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(2)
        .tcp_user_timeout(PING_INTERVAL + PING_MAX);
    server
}

/// Connects. The connection has to be polled for the client to work.
///
/// # Errors
/// Says whether it makes sense to try again.
pub async fn connect(server: &Server) -> Result<(Client, Connection), ConnectError> {
    let config = &server.config;
    let hosts = config.get_hosts().len().max(1) as u32;
    match timeout(
        CONNECT_MAX * hosts + Duration::from_secs(1),
        // Boxed: with a handshake in it it is large.
        Box::pin(dial::dial(server)),
    )
    .await
    {
        Ok(connected) => connected.map_err(|e| ConnectError::of(&e, config)),
        Err(_) => Err(ConnectError::Away(format!(
            "PostgreSQL at {} does not answer; is a firewall in the way, or the server overloaded?",
            place(config)
        ))),
    }
}

/// Runs a step of connecting under a deadline.
///
/// # Errors
/// Those of the step, or that the server does not answer.
pub async fn soon<T>(
    step: &str,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match timeout(CONNECT_MAX, work).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Away(format!(
            "PostgreSQL does not answer while plank connects (step {step})"
        ))),
    }
}

/// Sets up a session that has no limits of its own.
///
/// # Errors
/// See [`ConnectError`].
pub async fn settle(client: &Client, config: &Config) -> Result<(), ConnectError> {
    let settled = Session::UNLIMITED.settle(client).await;
    settled.map_err(|e| ConnectError::of(&e, config))
}

/// Checks that this is a server that plank can work with: new enough, and a primary.
///
/// # Errors
/// Fatal if it is too old. A standby may be promoted, so it is waited for.
pub async fn check(client: &Client, config: &Config) -> Result<(), ConnectError> {
    let sql = "select current_setting('server_version_num')::int, current_setting('server_version'), \
        pg_is_in_recovery(), current_setting('server_encoding')";
    let row = client
        .query_one(sql, &[])
        .await
        .map_err(|e| ConnectError::of(&e, config))?;
    let (number, name, is_standby): (i32, &str, bool) = (row.get(0), row.get(1), row.get(2));
    let encoding: &str = row.get(3);
    if number < VERSION_MIN {
        return Err(ConnectError::Fatal(format!(
            "PostgreSQL at {} is version {name}; plank needs {} or newer",
            place(config),
            VERSION_MIN / 10_000
        )));
    }
    if encoding == "SQL_ASCII" {
        // It takes any bytes for text; a single row that is no UTF-8 could never be read.
        return Err(ConnectError::Fatal(format!(
            "the database {:?} has the encoding SQL_ASCII; plank sends JSON, which is UTF-8: use a database with encoding UTF8",
            config.get_dbname().unwrap_or_default()
        )));
    }
    if is_standby {
        return Err(ConnectError::Away(format!(
            "PostgreSQL at {} is a standby, where LISTEN does not work; point plank at the primary \
             (a list of hosts with target_session_attrs=read-write finds it)",
            place(config)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_pasted() {
        for (name, sql, sh) in [
            ("orders", "orders", "orders"),
            ("Order Lines", "\"Order Lines\"", "'Order Lines'"),
            ("user", "\"user\"", "user"),
            ("a\"b'c", "\"a\"\"b'c\"", "'a\"b'\\''c'"),
            ("7up", "\"7up\"", "7up"),
            ("", "\"\"", "''"),
        ] {
            assert_eq!((quoted(name), shell(name)), (sql.into(), sh.into()));
        }
    }

    #[test]
    fn a_place_names_every_host() {
        let config: Config = "host=a,/run/pg port=1,2 user=u".parse().unwrap();
        assert_eq!(place(&config), "a:1, /run/pg/.s.PGSQL.2");
        let config: Config = "host=a,b port=7 user=u".parse().unwrap();
        assert_eq!(place(&config), "a:7, b:7");
    }
}
