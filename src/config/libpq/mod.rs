//! Where a database is, as libpq reads it: a URL or `key=value` pairs ([`text`]), a service file, the variables `PG...` and the
//! defaults ([`surroundings`]). What psql takes is taken, or refused by name ([`known`]).

use std::collections::BTreeMap;

mod known;
mod surroundings;
#[cfg(test)]
mod tests;
mod text;

use known::Treatment::{Only, Refused, Taken, Without};
use known::find;
pub(super) use surroundings::Surroundings;
pub(super) use text::decode;

/// The parameters of a connection by libpq's names, all of which are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<&'static str, String>);

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
