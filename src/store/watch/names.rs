//! Which tables a person means: patterns, whole schemas, and the nearest to a name that is not there.

use super::{WatchError, Watcher};
use crate::store::connect::ConnectError;

/// Every table that could be watched, with its schema. Partitions are watched with their roots.
const TABLES: &str = "select n.nspname::text, format('%I.%I', n.nspname, c.relname), c.relname::text \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't' \
      and n.nspname <> 'plank' and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%' order by 1, 3";

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Everything.
    pub all: bool,
    /// All of these schemas.
    pub schemas: Vec<String>,
    /// These, and `schema.*` for all of a schema.
    pub tables: Vec<String>,
}

impl Watcher {
    /// The tables that are meant, each once, as PostgreSQL reads their names.
    ///
    /// # Errors
    /// If a schema has none.
    pub async fn tables(&self, asked: &Asked) -> Result<Vec<String>, WatchError> {
        let mut names: Vec<String> = Vec::new();
        let mut schemas = asked.schemas.clone();
        for table in &asked.tables {
            match table.strip_suffix(".*") {
                Some(schema) => schemas.push(schema.trim_matches('"').to_owned()),
                None if names.contains(table) => {}
                None => names.push(table.clone()),
            }
        }
        if !asked.all && schemas.is_empty() {
            return Ok(names);
        }
        let known = self.known().await?;
        for schema in &schemas {
            if !known.iter().any(|(own, ..)| own == schema) {
                let why = format!("the schema {schema:?} has no table that can be watched");
                return Err(WatchError::Refused(why));
            }
        }
        for (schema, quoted, _) in known {
            if (asked.all || schemas.contains(&schema)) && !names.contains(&quoted) {
                names.push(quoted);
            }
        }
        match names.is_empty() {
            true => Err(WatchError::Refused(
                "there is no table that can be watched".into(),
            )),
            false => Ok(names),
        }
    }

    /// The table whose name is nearest to one that is not there.
    pub(super) async fn nearest(&self, table: &str) -> Result<Option<String>, WatchError> {
        let wanted = table
            .rsplit('.')
            .next()
            .unwrap_or(table)
            .trim_matches('"')
            .to_lowercase();
        let most = wanted.chars().count().div_ceil(3).min(4);
        let near = self
            .known()
            .await?
            .into_iter()
            .filter_map(|(_, quoted, name)| {
                let far = strsim::osa_distance(&wanted, &name.to_lowercase());
                (far <= most).then_some((far, quoted))
            });
        Ok(near.min().map(|(_, quoted)| quoted))
    }

    async fn known(&self) -> Result<Vec<(String, String, String)>, WatchError> {
        let rows = self.soon(self.client.query(TABLES, &[])).await?;
        let rows = rows.map_err(|e| ConnectError::of(&e, &self.config))?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect())
    }
}
