//! What completes a connection string: a service file, the variables `PG...`, and the files in a home directory.

use std::fs;
use std::path::PathBuf;

use super::Parameters;
use super::known::{KNOWN, find};

/// What is around the program: its environment and its user.
pub struct Surroundings<'a> {
    /// A variable, if it is set.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The name of the user.
    pub user: Option<String>,
}

impl Parameters {
    /// From the service that is named, and from the environment.
    pub(super) fn complete(&mut self, around: &Surroundings<'_>) -> Result<(), String> {
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
}
