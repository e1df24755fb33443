//! Where a database is, as libpq reads it: a URL or `key=value` pairs, a service file, the variables `PG...`, and the
//! defaults. What psql takes is taken, or refused by name. docs/CONFIGURATION.md has the list.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// What is around the program: its environment and its user.
pub(super) struct Surroundings<'a> {
    /// A variable, if it is set.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The name of the user.
    pub user: Option<String>,
}

/// The parameters of a connection by libpq's names, all of which are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<&'static str, String>);

/// How a parameter is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It has its effect.
    Taken,
    /// It has no effect, and none is missed: the reason.
    Without(&'static str),
    /// Taken with these values only; the reason for the others.
    Only(&'static [&'static str], &'static str),
    /// Refused, with the reason and what to do.
    Refused(&'static str),
}

use Treatment::{Only, Refused, Taken, Without};

/// A parameter of libpq: its name, its variable, and how it is treated.
pub(super) struct Known {
    pub name: &'static str,
    pub variable: Option<&'static str>,
    pub treatment: Treatment,
}

const fn known(name: &'static str, variable: &'static str, treatment: Treatment) -> Known {
    Known {
        name,
        variable: Some(variable),
        treatment,
    }
}

const fn bare(name: &'static str, treatment: Treatment) -> Known {
    Known {
        name,
        variable: None,
        treatment,
    }
}

const NO_GSS: &str = "plank has no GSSAPI: use a password or a client certificate";
const NO_CRL: &str =
    "plank does not read certificate revocation lists: replace the root certificate instead";
const NO_PASSWORD: &str = "plank asks for no password of a key: write the key without one (openssl pkey -in KEY -out KEY2)";
const NO_OAUTH: &str = "plank has no OAuth: use a password or a client certificate";
const OWN_LIVENESS: &str = "plank notices dead connections by settings of its own";

/// All parameters of libpq 18.
pub(super) const KNOWN: &[Known] = &[
    known("service", "PGSERVICE", Taken),
    known("servicefile", "PGSERVICEFILE", Taken),
    known("host", "PGHOST", Taken),
    known("hostaddr", "PGHOSTADDR", Taken),
    known("port", "PGPORT", Taken),
    known("dbname", "PGDATABASE", Taken),
    known("user", "PGUSER", Taken),
    known("password", "PGPASSWORD", Taken),
    known("passfile", "PGPASSFILE", Taken),
    known("options", "PGOPTIONS", Taken),
    known("application_name", "PGAPPNAME", Taken),
    bare("fallback_application_name", Taken),
    known("connect_timeout", "PGCONNECT_TIMEOUT", Taken),
    known(
        "target_session_attrs",
        "PGTARGETSESSIONATTRS",
        Only(
            &["any", "read-write", "primary"],
            "plank writes, and LISTEN works on a primary only",
        ),
    ),
    known(
        "load_balance_hosts",
        "PGLOADBALANCEHOSTS",
        Only(&["disable", "random"], "libpq has no other values"),
    ),
    known(
        "sslmode",
        "PGSSLMODE",
        Only(
            &[
                "disable",
                "allow",
                "prefer",
                "require",
                "verify-ca",
                "verify-full",
            ],
            "libpq has no other values",
        ),
    ),
    bare("requiressl", Only(&["0", "1"], "libpq has no other values")),
    known("sslrootcert", "PGSSLROOTCERT", Taken),
    known("sslcert", "PGSSLCERT", Taken),
    known("sslkey", "PGSSLKEY", Taken),
    known(
        "sslcertmode",
        "PGSSLCERTMODE",
        Only(
            &["disable", "allow"],
            "plank can't see whether a server has asked for a certificate",
        ),
    ),
    known(
        "sslsni",
        "PGSSLSNI",
        Only(&["0", "1"], "libpq has no other values"),
    ),
    known(
        "sslnegotiation",
        "PGSSLNEGOTIATION",
        Only(&["postgres", "direct"], "libpq has no other values"),
    ),
    known(
        "channel_binding",
        "PGCHANNELBINDING",
        Only(
            &["disable", "prefer", "require"],
            "libpq has no other values",
        ),
    ),
    known(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Only(
            &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
            "libpq has no other values",
        ),
    ),
    known(
        "ssl_max_protocol_version",
        "PGSSLMAXPROTOCOLVERSION",
        Only(&["TLSv1.2", "TLSv1.3"], "plank has no TLS below 1.2"),
    ),
    known(
        "client_encoding",
        "PGCLIENTENCODING",
        Only(
            &["UTF8", "utf8", "UTF-8", "utf-8", "auto"],
            "plank sends JSON, which is UTF-8",
        ),
    ),
    known(
        "gssencmode",
        "PGGSSENCMODE",
        Only(&["disable", "prefer"], NO_GSS),
    ),
    known(
        "krbsrvname",
        "PGKRBSRVNAME",
        Without("it is for GSSAPI, which plank has not"),
    ),
    known(
        "gsslib",
        "PGGSSLIB",
        Without("it is for GSSAPI, which plank has not"),
    ),
    known("gssdelegation", "PGGSSDELEGATION", Only(&["0"], NO_GSS)),
    known(
        "sslcompression",
        "PGSSLCOMPRESSION",
        Only(&["0"], "TLS has no compression any more"),
    ),
    bare("keepalives", Without(OWN_LIVENESS)),
    bare("keepalives_idle", Without(OWN_LIVENESS)),
    bare("keepalives_interval", Without(OWN_LIVENESS)),
    bare("keepalives_count", Without(OWN_LIVENESS)),
    bare("tcp_user_timeout", Without(OWN_LIVENESS)),
    known(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        Only(&["3.0"], "plank speaks version 3.0"),
    ),
    known(
        "max_protocol_version",
        "PGMAXPROTOCOLVERSION",
        Only(&["3.0", "3.2", "latest"], "libpq has no other values"),
    ),
    known("sslcrl", "PGSSLCRL", Refused(NO_CRL)),
    known("sslcrldir", "PGSSLCRLDIR", Refused(NO_CRL)),
    bare("sslpassword", Refused(NO_PASSWORD)),
    bare(
        "sslkeylogfile",
        Refused("plank writes no keys of a connection anywhere"),
    ),
    known(
        "requirepeer",
        "PGREQUIREPEER",
        Refused("plank does not look who owns the socket: put it where only PostgreSQL may write"),
    ),
    known(
        "require_auth",
        "PGREQUIREAUTH",
        Refused(
            "plank does not choose: it takes a password, SCRAM with it, or a client certificate; pg_hba.conf says which",
        ),
    ),
    bare(
        "replication",
        Refused("plank reads a table and needs no replication"),
    ),
    bare(
        "scram_client_key",
        Refused("plank needs the password itself"),
    ),
    bare(
        "scram_server_key",
        Refused("plank needs the password itself"),
    ),
    bare("oauth_issuer", Refused(NO_OAUTH)),
    bare("oauth_client_id", Refused(NO_OAUTH)),
    bare("oauth_client_secret", Refused(NO_OAUTH)),
    bare("oauth_scope", Refused(NO_OAUTH)),
];

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

impl Parameters {
    /// Those of a URL or of `key=value` pairs, completed from the service that they name and from the environment. What
    /// is said first in that order counts.
    ///
    /// # Errors
    /// The first that is wrong, without a value that might be a secret.
    pub fn read(text: &str, around: &Surroundings<'_>) -> Result<Self, String> {
        let mut all = Self::default();
        let is_url = text.starts_with("postgresql://") || text.starts_with("postgres://");
        match text.split_once("://") {
            Some((_, rest)) if is_url => all.read_url(rest)?,
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                return Err(
                    "is no URL of a database; write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE".into(),
                );
            }
            _ => all.read_pairs(text)?,
        }
        all.complete(around)?;
        all.check()?;
        Ok(all)
    }

    /// Those of the environment alone.
    ///
    /// # Errors
    /// See [`Self::read`].
    pub fn of_environment(around: &Surroundings<'_>) -> Result<Self, String> {
        let mut all = Self::default();
        all.complete(around)?;
        all.check()?;
        Ok(all)
    }

    /// A parameter; an empty one counts as not set, as in libpq.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The parts of a list. Every one counts, also an empty one.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.get(name)
            .map_or_else(Vec::new, |value| value.split(',').map(str::trim).collect())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        // libpq's own older words.
        let (name, value) = match (name, value.as_str()) {
            ("ssl", "true") => ("sslmode", "require".to_owned()),
            _ => (name, value),
        };
        let known = find(name).ok_or_else(|| {
            format!(
                "has the unknown parameter {name:?}; those of libpq are in docs/CONFIGURATION.md"
            )
        })?;
        self.0.insert(known.name, value);
        Ok(())
    }

    /// `[user[:password]@][host[:port][,...]][/dbname][?name=value[&...]]`, each part percent-encoded.
    fn read_url(&mut self, rest: &str) -> Result<(), String> {
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (login, rest) = match rest.split_once('@') {
            Some((login, rest)) if !login.contains('/') => (Some(login), rest),
            _ => (None, rest),
        };
        if let Some(login) = login {
            let (user, password) = match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            };
            self.set("user", decode(user, "user")?)?;
            if let Some(password) = password {
                self.set("password", decode(password, "password")?)?;
            }
        }
        let (hosts, database) = match rest.split_once('/') {
            Some((hosts, database)) => (hosts, Some(database)),
            None => (rest, None),
        };
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
                Some((address, port)) => (address, port.strip_prefix(':')),
                None if host.starts_with('[') => {
                    return Err("has an address in brackets that are not closed".into());
                }
                None => match host.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (host, None),
                },
            };
            names.push(decode(name, "host")?);
            ports.push(port.unwrap_or_default().to_owned());
        }
        if names.iter().any(|name| !name.is_empty()) {
            self.set("host", names.join(","))?;
        }
        if ports.iter().any(|port| !port.is_empty()) {
            self.set("port", ports.join(","))?;
        }
        if let Some(database) = database.filter(|name| !name.is_empty()) {
            self.set("dbname", decode(database, "database")?)?;
        }
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair
                .split_once('=')
                .ok_or("has a parameter without a value behind the question mark")?;
            let name = decode(name, "name of a parameter")?;
            let value = decode(value, &name)?;
            self.set(&name, value)?;
        }
        Ok(())
    }

    /// `name = value` pairs, values in single quotes where they have blanks.
    fn read_pairs(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest
                .split_once('=')
                .ok_or("has a word without a value; write it as name=value, or as postgresql://USER@HOST/DATABASE")?;
            let (value, left) = pair_value(after.trim_start())?;
            self.set(name.trim(), value)?;
            rest = left.trim_start();
        }
        Ok(())
    }

    /// From the service that is named, and from the environment.
    fn complete(&mut self, around: &Surroundings<'_>) -> Result<(), String> {
        let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
        for name in ["service", "servicefile"] {
            if let (None, Some(value)) = (
                self.get(name),
                find(name).and_then(|known| variable(known.variable?)),
            ) {
                self.set(name, value)?;
            }
        }
        if let Some(service) = self.get("service").map(str::to_owned) {
            for (name, value) in self.service(&service, around)? {
                if self.get(&name).is_none() {
                    self.set(&name, value)
                        .map_err(|why| format!("service {service:?} {why}"))?;
                }
            }
        }
        // A host of the URL does not go with an address or a port of the environment that are made for another one.
        let has_place = self.get("host").is_some() || self.get("hostaddr").is_some();
        for known in KNOWN {
            let is_of_place = matches!(known.name, "host" | "hostaddr");
            if self.get(known.name).is_none()
                && !(has_place && is_of_place)
                && let Some(value) = known.variable.and_then(variable)
            {
                self.0.insert(known.name, value);
            }
        }
        if let (None, Some("1")) = (self.get("sslmode"), self.get("requiressl")) {
            self.set("sslmode", "require".into())?;
        }
        let home = |file: &str| around.home.as_ref().map(|home| home.join(file));
        // Where libpq looks by default.
        for (name, file) in [
            ("passfile", ".pgpass"),
            ("sslrootcert", ".postgresql/root.crt"),
            ("sslcert", ".postgresql/postgresql.crt"),
            ("sslkey", ".postgresql/postgresql.key"),
        ] {
            let there = home(file).filter(|path| self.get(name).is_none() && path.is_file());
            if let Some(path) = there.and_then(|path| path.into_os_string().into_string().ok()) {
                self.set(name, path)?;
            }
        }
        if self.get("user").is_none()
            && let Some(user) = &around.user
        {
            self.set("user", user.clone())?;
        }
        Ok(())
    }

    /// The section of a service file.
    fn service(
        &self,
        service: &str,
        around: &Surroundings<'_>,
    ) -> Result<Vec<(String, String)>, String> {
        let own = self.get("servicefile").map(PathBuf::from);
        let own = own.or_else(|| {
            around
                .home
                .as_ref()
                .map(|home| home.join(".pg_service.conf"))
        });
        let system = (around.variable)("PGSYSCONFDIR")
            .map_or_else(|| PathBuf::from("/etc/postgresql-common"), PathBuf::from)
            .join("pg_service.conf");
        for path in own.into_iter().chain([system.clone()]) {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let lines = text.lines().map(str::trim);
            let header = format!("[{service}]");
            let mut section = lines.skip_while(|line| *line != header);
            if section.next().is_none() {
                continue;
            }
            let section = section.take_while(|line| !line.starts_with('['));
            let section = section.filter(|line| !line.is_empty() && !line.starts_with('#'));
            return section
                .map(|line| {
                    let (name, value) = line.split_once('=').ok_or_else(|| {
                        format!("names the service {service:?}, and {} has a line in it that is no name=value", path.display())
                    })?;
                    Ok((name.trim().to_owned(), value.trim().to_owned()))
                })
                .collect();
        }
        Err(format!(
            "names the service {service:?}, which is in no service file; libpq reads PGSERVICEFILE, ~/.pg_service.conf and {}",
            system.display()
        ))
    }

    /// That everything can be done.
    fn check(&self) -> Result<(), String> {
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(known) = find(name) else { continue };
            match known.treatment {
                Taken | Without(_) => {}
                Only(values, _) if values.contains(&value.as_str()) => {}
                Only(values, why) => {
                    return Err(format!(
                        "has {name}={value:?}, which plank does not take: {why}; it has to be {}",
                        values.join(", ")
                    ));
                }
                Refused(why) => {
                    return Err(format!("has {name}, which plank does not take: {why}"));
                }
            }
        }
        Ok(())
    }
}

/// The value at the beginning of the text, and what follows it.
fn pair_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let is_quoted = text.starts_with('\'');
    let mut chars = text.char_indices().skip(is_quoted.into());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if is_quoted => return Ok((value, &text[at + 1..])),
            c if c.is_whitespace() && !is_quoted => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    match is_quoted {
        true => Err("has a quote that is not closed".into()),
        false => Ok((value, "")),
    }
}

/// Percent-encoding. A plus is a plus, as in libpq.
fn decode(text: &str, what: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => {
                return Err(format!(
                    "has a percent sign in the {what} that begins no code; write it as %25"
                ));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("has a {what} that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Surroundings<'_> = Surroundings {
        variable: &|_| None,
        home: None,
        user: None,
    };

    fn read(text: &str) -> Result<Parameters, String> {
        Parameters::read(text, &NOWHERE)
    }

    /// The table of docs/CONFIGURATION.md: parameter, variable, what plank does.
    fn document() -> Vec<[String; 3]> {
        let text = include_str!("../../docs/CONFIGURATION.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.filter_map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let plain = |cell: &str| cell.replace('`', "");
            (cells.len() >= 3).then(|| [plain(cells[0]), plain(cells[1]), plain(cells[2])])
        });
        rows.collect()
    }

    #[test]
    fn the_document_says_of_each_parameter_what_is_done_with_it() {
        let document = document();
        let names: Vec<&str> = document.iter().map(|row| row[0].as_str()).collect();
        let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        let mut sorted = (names.clone(), known);
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1);
        for [name, variable, treatment] in &document {
            let known = find(name).unwrap();
            assert_eq!(variable, known.variable.unwrap_or_default(), "{name}");
            let (word, good, bad) = match known.treatment {
                Taken => ("taken", vec!["1"], vec![]),
                Without(_) => ("no effect", vec!["1"], vec![]),
                Only(values, _) => ("only", values.to_vec(), vec!["nonsense"]),
                Refused(_) => ("refused", vec![], vec!["1"]),
            };
            assert!(treatment.starts_with(word), "{name}: {treatment}");
            if name.starts_with("service") {
                continue;
            }
            for value in good {
                assert!(
                    treatment.contains(value) || word != "only",
                    "{name}: {value} is not in {treatment}"
                );
                let read = read(&format!("user=u {name}={value}")).unwrap();
                assert_eq!(read.get(name), Some(value));
            }
            for value in bad {
                let refused =
                    read(&format!("postgresql://u:secret@h/d?{name}={value}")).unwrap_err();
                assert!(
                    refused.contains(name.as_str()) && !refused.contains(":secret"),
                    "{refused}"
                );
            }
        }
    }

    #[test]
    fn a_url_and_pairs_say_the_same() {
        for (url, pairs) in [
            (
                "postgresql://u:p%40w@h:1/d",
                "host=h port=1 user=u password='p@w' dbname=d",
            ),
            ("postgres://h", "host=h"),
            ("postgresql://a:1,b:2/d", "host=a,b port=1,2 dbname=d"),
            (
                "postgresql://u@[::1]:5/d",
                "host=::1 port=5 user=u dbname=d",
            ),
            ("postgresql://%2Frun%2Fpg/d", "host=/run/pg dbname=d"),
            (
                "postgresql:///d?host=/run/pg&user=u",
                "host = /run/pg  dbname = d user=u",
            ),
            ("postgresql://h?password=a+b%20c", "host=h password='a+b c'"),
            (
                "postgresql://h?password=a%27b%5C",
                "host=h password='a\\'b\\\\'",
            ),
            (
                "postgresql://h?options=-c%20work_mem%3D1MB",
                "host=h options='-c work_mem=1MB'",
            ),
        ] {
            assert_eq!(read(url), read(pairs), "{url}");
            assert!(read(url).is_ok(), "{url}");
        }
        for wrong in [
            "mysql://h/d",
            "postgresql://h?x",
            "postgresql://h?nonsense=1",
            "postgresql://h%zz",
            "postgresql://[::1",
            "host",
            "host='a",
            "=",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_said_first_counts() {
        let dir = tempfile::tempdir().unwrap();
        let services = dir.path().join("services");
        fs::write(
            &services,
            "[s]\n# comment\nport = 7\nuser=of-service\nhost=of-service\n[t]\nport=8\n",
        )
        .unwrap();
        let services = services.display().to_string();
        let variable = |name: &str| match name {
            "PGSERVICEFILE" => Some(services.clone()),
            "PGUSER" | "PGDATABASE" | "PGHOST" | "PGHOSTADDR" => Some("of-variable".to_owned()),
            _ => None,
        };
        let around = Surroundings {
            variable: &variable,
            home: None,
            user: Some("of-system".into()),
        };
        let read = Parameters::read("host=of-text service=s", &around).unwrap();
        let got = ["host", "hostaddr", "port", "user", "dbname"].map(|name| read.get(name));
        assert_eq!(
            got,
            [
                Some("of-text"),
                None,
                Some("7"),
                Some("of-service"),
                Some("of-variable")
            ]
        );
        assert!(
            Parameters::read("service=none", &around)
                .unwrap_err()
                .contains("\"none\"")
        );
        let read = Parameters::read(
            "host=h",
            &Surroundings {
                variable: &|_| None,
                ..around
            },
        )
        .unwrap();
        assert_eq!(read.get("user"), Some("of-system"));
    }

    #[test]
    fn a_home_has_files_where_libpq_looks() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".postgresql")).unwrap();
        for file in [
            ".pgpass",
            ".postgresql/root.crt",
            ".postgresql/postgresql.crt",
            ".postgresql/postgresql.key",
        ] {
            fs::write(home.path().join(file), "").unwrap();
        }
        let around = Surroundings {
            home: Some(home.path().to_owned()),
            ..NOWHERE
        };
        let read = Parameters::read("host=h user=u", &around).unwrap();
        for name in ["passfile", "sslrootcert", "sslcert", "sslkey"] {
            assert!(
                read.get(name)
                    .unwrap()
                    .starts_with(home.path().to_str().unwrap()),
                "{name}"
            );
        }
    }
}
