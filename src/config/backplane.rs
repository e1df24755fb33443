//! The stream that many nodes follow instead of the log.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

use crate::limits::{BACKPLANE_AGE, BACKPLANE_BYTES};

use super::{ConfigError, libpq, parse};

/// The settings of the backplane.
#[derive(Args, Clone, Debug, Default)]
pub struct BackplaneArgs {
    /// A NATS server with JetStream, nats://HOST:4222 or tls://HOST:4222, which nodes follow instead of the log; may be repeated for the servers of a cluster
    #[arg(
        long = "backplane",
        env = "PLANK_BACKPLANE",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "URL"
    )]
    pub servers: Vec<String>,

    /// A credentials file of NATS, with a JWT and a seed
    #[arg(
        long = "backplane-credentials",
        env = "PLANK_BACKPLANE_CREDENTIALS",
        value_name = "FILE"
    )]
    pub credentials: Option<PathBuf>,

    /// The root certificate of the NATS servers, as PEM [default: those of the system]
    #[arg(long = "backplane-ca", env = "PLANK_BACKPLANE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// How long the stream keeps changes; for a stream that is made anew
    #[arg(
        long = "backplane-age",
        env = "PLANK_BACKPLANE_AGE",
        default_value = "15m",
        value_name = "TIME"
    )]
    pub age: String,

    /// How many bytes it keeps; for a stream that is made anew
    #[arg(
        long = "backplane-bytes",
        env = "PLANK_BACKPLANE_BYTES",
        default_value_t = BACKPLANE_BYTES,
        value_name = "BYTES"
    )]
    pub bytes: i64,

    /// auto or reader: reads the log for the backplane when no other node does; edge: never does
    #[arg(
        long,
        env = "PLANK_ROLE",
        default_value = "auto",
        value_parser = ["auto", "reader", "edge"],
        value_name = "auto|reader|edge"
    )]
    pub role: String,
}

/// The settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backplane {
    /// At least one, without a password.
    pub servers: Vec<String>,
    /// What stood in their URLs, if anything did.
    pub login: Option<Login>,
    /// See [`BackplaneArgs::credentials`].
    pub credentials: Option<PathBuf>,
    /// See [`BackplaneArgs::ca`].
    pub ca: Option<PathBuf>,
    /// How long a stream that this node makes keeps what it has.
    pub age: Duration,
    /// How many bytes it keeps.
    pub bytes: i64,
    /// Whether this node may be the reader.
    pub may_read: bool,
}

/// Who plank is to NATS.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user and a password.
    Password(String, String),
    /// A token.
    Token(String),
}

/// Without the secret, which must not get into a log.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Backplane {
    /// With the defaults.
    pub fn at(server: &str) -> Self {
        Self {
            servers: vec![server.to_owned()],
            login: None,
            credentials: None,
            ca: None,
            age: BACKPLANE_AGE,
            bytes: BACKPLANE_BYTES,
            may_read: true,
        }
    }
}

impl BackplaneArgs {
    /// The backplane, if there is to be one.
    ///
    /// # Errors
    /// Names the flag. The text does not repeat a URL: it may hold a password.
    pub fn resolve(&self) -> Result<Option<Backplane>, ConfigError> {
        let servers: Vec<String> = self
            .servers
            .iter()
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect();
        if servers.is_empty() {
            let idle = [
                ("--role reader", self.role == "reader"),
                ("--role edge", self.role == "edge"),
                ("--backplane-credentials", self.credentials.is_some()),
                ("--backplane-ca", self.ca.is_some()),
            ];
            return match idle.into_iter().find(|(_, is_given)| *is_given) {
                None => Ok(None),
                Some((flag, _)) => Err(ConfigError(format!(
                    "{flag} is given, but --backplane (PLANK_BACKPLANE) is not; name the NATS server, or leave both out"
                ))),
            };
        }
        let mut login = None;
        let read = servers.iter().map(|server| {
            let (server, own) = split(server)?;
            match (&login, own) {
                (_, None) => {}
                (None, own) => login = own,
                (Some(login), Some(own)) if *login == own => {}
                (Some(_), Some(_)) => {
                    return Err(refused(
                        "has several users or passwords; servers of one cluster have one",
                    ));
                }
            }
            Ok(server)
        });
        let servers = read.collect::<Result<Vec<_>, _>>()?;
        let files = [
            ("--backplane-credentials", &self.credentials),
            ("--backplane-ca", &self.ca),
        ];
        for (flag, file) in files {
            let Some(path) = file else { continue };
            std::fs::read(path).map_err(|e| {
                ConfigError(format!("{flag} {} can't be read: {e}", path.display()))
            })?;
        }
        if self.bytes < 1024 * 1024 {
            return Err(ConfigError(format!(
                "--backplane-bytes is {}; it has to be at least 1048576",
                self.bytes
            )));
        }
        Ok(Some(Backplane {
            servers,
            login,
            credentials: self.credentials.clone(),
            ca: self.ca.clone(),
            age: parse::duration("--backplane-age", &self.age)?,
            bytes: self.bytes,
            may_read: self.role != "edge",
        }))
    }
}

fn refused(why: &str) -> ConfigError {
    ConfigError(format!(
        "--backplane (PLANK_BACKPLANE) {why}; write it as nats://HOST:4222 or tls://HOST:4222"
    ))
}

/// Takes a URL apart: the server, and who plank is there.
fn split(server: &str) -> Result<(String, Option<Login>), ConfigError> {
    let mut url = Url::parse(server).map_err(|_| refused("is no URL"))?;
    if !matches!(url.scheme(), "nats" | "tls") {
        return Err(refused("has another scheme than nats or tls"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("names no host"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(refused(
            "has more than a host and a port; in the user and the password write @ as %40, / as %2F, ? as %3F, # as %23",
        ));
    }
    let decode = |text: &str, what: &str| libpq::decode(text, what).map_err(|why| refused(&why));
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) => {
            let user = decode(user, "user")?;
            Some(Login::Password(user, decode(password, "password")?))
        }
        (token, None) => Some(Login::Token(decode(token, "token")?)),
    };
    let stripped = url.set_username("").and_then(|()| url.set_password(None));
    stripped.map_err(|()| refused("names no host"))?;
    Ok((url.to_string(), login))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(servers: &[&str]) -> BackplaneArgs {
        BackplaneArgs {
            servers: servers.iter().map(|s| (*s).to_owned()).collect(),
            age: "15m".into(),
            bytes: BACKPLANE_BYTES,
            role: "auto".into(),
            ..BackplaneArgs::default()
        }
    }

    #[test]
    fn without_a_server_there_is_none() {
        assert_eq!(args(&[]).resolve(), Ok(None));
        assert_eq!(args(&["", " "]).resolve(), Ok(None));
        for (role, is_fine) in [("auto", true), ("reader", false), ("edge", false)] {
            let args = BackplaneArgs {
                role: role.into(),
                ..args(&[])
            };
            assert_eq!(args.resolve().is_ok(), is_fine, "{role}");
        }
    }

    #[test]
    fn servers_are_urls_of_nats() {
        let good = args(&["nats://a:4222", "tls://user:pass@b", "nats://[::1]:4222/"]);
        assert_eq!(good.resolve().unwrap().unwrap().servers.len(), 3);
        for bad in [
            "a:4222",
            "http://a",
            "nats://",
            "nats://a/b",
            "nats://user:se#cret@a",
            "nats://a?x=1",
        ] {
            let error = args(&[bad]).resolve().unwrap_err().to_string();
            assert!(
                error.starts_with("--backplane") && !error.contains("cret"),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn user_and_password_of_a_url_are_read_and_never_shown() {
        let of = |servers: &[&str]| args(servers).resolve();
        let password =
            |user: &str, password: &str| Some(Login::Password(user.into(), password.into()));
        for (server, login) in [
            ("nats://a:4222", None),
            ("tls://plank:s%40cret%2F@a", password("plank", "s@cret/")),
            ("nats://t%3Aoken@a", Some(Login::Token("t:oken".into()))),
        ] {
            let read = of(&[server]).unwrap().unwrap();
            assert_eq!(read.login, login, "{server}");
            let shown = format!("{read:?}");
            assert!(
                !shown.contains("cret") && !shown.contains("oken"),
                "{shown}"
            );
        }
        assert!(of(&["nats://u:cret@a", "nats://b", "nats://u:cret@c"]).is_ok());
        let error = of(&["nats://u:cret@a", "nats://u:other@b"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("several") && !error.contains("cret"),
            "{error}"
        );
        let error = of(&["nats://u:%zz@a"]).unwrap_err().to_string();
        assert!(error.contains("%25"), "{error}");
    }

    #[test]
    fn an_edge_never_reads() {
        for (role, may_read) in [("auto", true), ("reader", true), ("edge", false)] {
            let args = BackplaneArgs {
                role: role.into(),
                ..args(&["nats://a"])
            };
            assert_eq!(
                args.resolve().unwrap().unwrap().may_read,
                may_read,
                "{role}"
            );
        }
    }
}
