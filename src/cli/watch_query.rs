//! `plank watch-query`

use std::io::Read as _;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::watch::{text, with_watcher};
use crate::app::AppError;
use crate::config::DatabaseArgs;
use crate::store::watch::QuerySettings;

/// The settings of `plank watch-query`.
#[derive(Args, Debug)]
#[command(
    after_help = "The result is kept in the table plank_query.NAME, which clients follow like any other, as NAME. All tables that the \
    query reads have to be watched. It fails at once if the query does not fit, and says why. plank unwatch NAME ends it.\n\n\
    Examples:\n  plank watch-query stock --key id \"select id, name from articles where stock < minimum\"\n  \
    plank watch-query board --key id --scope orders=id --scope customers=id:customer_id - < board.sql"
)]
pub struct WatchQueryArgs {
    /// What clients call it: lower-case letters, digits and underscores
    name: String,

    /// One SELECT; - reads it from standard input
    query: String,

    /// The columns of the result that tell its rows apart
    #[arg(long, value_delimiter = ',', required = true, value_name = "COLUMNS")]
    key: Vec<String>,

    /// The least time between two refreshes, as 50ms, 200ms or 5s
    #[arg(long, default_value = "200ms", value_name = "TIME")]
    every: String,

    /// Which column of a changed row says which rows of the result are concerned: orders=id; or customers=id:customer_id where the
    /// column of the result has another name. May be repeated; other tables refresh the whole result
    #[arg(long, value_name = "TABLE=COLUMN")]
    scope: Vec<String>,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// Makes a live query.
pub fn run(args: WatchQueryArgs) -> Result<(), AppError> {
    let query = match args.query.as_str() {
        "-" => {
            let mut query = String::new();
            let read = std::io::stdin().read_to_string(&mut query);
            read.map_err(|e| AppError(format!("the query can't be read: {e}")))?;
            // A file ends with one, as people write it; two statements are still refused.
            let trimmed = query.trim_end();
            trimmed.strip_suffix(';').unwrap_or(trimmed).to_owned()
        }
        query => query.to_owned(),
    };
    let settings = QuerySettings {
        name: args.name,
        query,
        key: args.key.iter().map(|name| name.trim().to_owned()).collect(),
        every: every(&args.every)?,
        scope: scope(&args.scope)?,
    };
    let name = settings.name.clone();
    with_watcher(
        &args.database,
        &name,
        "plank watch-query",
        async |watcher, name| {
            watcher.watch_query(&settings).await.map_err(text)?;
            let key = settings.key.join(", ");
            Ok(format!("plank_query.{name} is live: key {key}"))
        },
    )
}

/// A time with a unit. Whether it is a sensible one `plank.watch_query` says.
fn every(text: &str) -> Result<Duration, AppError> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[number.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = number.parse::<u64>().ok();
    let ms = number
        .zip(unit_ms)
        .and_then(|(n, unit)| n.checked_mul(unit));
    let ms = ms.filter(|ms| (10..=86_400_000).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| {
        AppError(format!(
            "--every is {text:?}; write it as 50ms, 200ms, 5s or 1m, from 10ms to 24h"
        ))
    })
}

/// The scope as `plank.watch_query` takes it.
fn scope(parts: &[String]) -> Result<Option<Value>, AppError> {
    let mut made = Map::new();
    for part in parts {
        let (table, column) = part
            .split_once('=')
            .filter(|(table, column)| !table.trim().is_empty() && !column.trim().is_empty())
            .ok_or_else(|| {
                AppError(format!(
                    "--scope is {part:?}; it has to be TABLE=COLUMN, as orders=id"
                ))
            })?;
        let column = match column.split_once(':') {
            None => json!(column.trim()),
            Some((column, result)) => json!({ column.trim(): result.trim() }),
        };
        made.insert(table.trim().to_owned(), column);
    }
    Ok(Some(Value::Object(made)).filter(|_| !parts.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_is_a_number_with_a_unit() {
        for (text, ms) in [
            ("10ms", 10),
            ("200ms", 200),
            ("5s", 5_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(every(text).unwrap(), Duration::from_millis(ms));
        }
        for bad in [
            "",
            "5",
            "ms",
            "9ms",
            "25h",
            "-5s",
            "1.5s",
            "5 s",
            "99999999999999999999s",
            "5µs",
        ] {
            assert!(
                every(bad).unwrap_err().to_string().contains("--every is"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_scope_names_a_table_and_its_columns() {
        let parts = |parts: &[&str]| scope(&parts.iter().map(|p| (*p).into()).collect::<Vec<_>>());
        assert_eq!(parts(&[]).unwrap(), None);
        assert_eq!(
            parts(&["orders=id", "sales.customers = id:customer_id"]).unwrap(),
            Some(json!({"orders": "id", "sales.customers": {"id": "customer_id"}}))
        );
        for bad in ["orders", "=id", "orders="] {
            assert!(
                parts(&[bad])
                    .unwrap_err()
                    .to_string()
                    .contains("--scope is")
            );
        }
    }
}
