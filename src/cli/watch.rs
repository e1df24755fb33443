//! `plank watch` and `plank unwatch`

use std::io::Write as _;

use clap::Args;

use crate::app::{self, AppError};
use crate::config::{Config, DatabaseArgs};
use crate::feed::Table;
use crate::store::watch::{Settings, Watcher};
use crate::text::one_line;

/// The settings of `plank watch`.
#[derive(Args, Debug)]
#[command(
    after_help = "Calling it again changes the settings. It waits for transactions that have written to the table, \
    and a running plank follows at once. The role of the database URL has to own the table, or be a superuser.\n\n\
    Examples:\n  plank watch orders\n  plank watch 'sales.\"Order Lines\"' --columns id,total"
)]
pub struct WatchArgs {
    /// The table, as PostgreSQL reads a name: orders, sales.orders, 'sales."Order Lines"'; without a schema it is one of public
    table: String,

    /// What clients may see, as id,total; the key columns are always among them [default: all columns, later ones too]
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    columns: Option<Vec<String>>,

    /// Show clients no row as it was before a change. The table then takes no filter and no policy
    #[arg(long)]
    no_old_rows: bool,

    /// How changes are captured. auto chooses what is exact: row for partitions, inheritance, deferrable keys and subscriptions
    #[arg(long, default_value = "auto", value_parser = ["auto", "statement", "row"], hide_possible_values = true, value_name = "auto|statement|row")]
    level: String,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// The settings of `plank unwatch`.
#[derive(Args, Debug)]
#[command(
    after_help = "Its triggers go, its rows stay. Clients get what was committed before, and then \"unsubscribed\"."
)]
pub struct UnwatchArgs {
    /// The table, as PostgreSQL reads a name
    table: String,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// Makes a table live.
pub fn watch(args: WatchArgs) -> Result<(), AppError> {
    let settings = Settings {
        columns: args.columns.map(|names| {
            let names = names.iter().map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect()
        }),
        old_rows: !args.no_old_rows,
        level: args.level,
    };
    with_watcher(
        &args.database,
        &args.table,
        "plank watch",
        async |watcher, table| {
            let watched = watcher.watch(table, &settings).await;
            watched.map(|watched| line(&watched)).map_err(text)
        },
    )
}

/// Lets a table go.
pub fn unwatch(args: UnwatchArgs) -> Result<(), AppError> {
    with_watcher(
        &args.database,
        &args.table,
        "plank unwatch",
        async |watcher, table| {
            let name = watcher.unwatch(table).await.map_err(text)?;
            Ok(format!("{} is not watched any more", one_line(&name)))
        },
    )
}

pub(super) fn text(error: impl std::fmt::Display) -> AppError {
    AppError(error.to_string())
}

/// Connects, brings the schema up to date, and prints what `work` has done.
pub(super) fn with_watcher(
    database: &DatabaseArgs,
    table: &str,
    application: &str,
    work: impl AsyncFnOnce(&Watcher, &str) -> Result<String, AppError>,
) -> Result<(), AppError> {
    super::start_logger("warn");
    let config = Config::for_database(database).map_err(text)?;
    actix_rt::System::new().block_on(async {
        let (database, postgres) = app::database_beside(&config).await?;
        let result = async {
            let watcher = Watcher::open(&database.listen, application)
                .await
                .map_err(text)?;
            app::prepare(&database).await.map_err(text)?;
            work(&watcher, table).await
        };
        let result = result.await;
        if let Some(postgres) = postgres {
            postgres.stop().await.map_err(text)?;
        }
        // Somebody who does not read it is no reason to fail: it is done.
        result.map(|line| drop(writeln!(std::io::stdout(), "{line}")))
    })
}

/// What there is to know about a table that has become live.
fn line(watched: &Table) -> String {
    let quoted = one_line(&watched.quoted);
    let mut line = format!("{quoted} is live: ");
    if !watched.key.is_empty() {
        line.push_str(&format!("key {}, ", one_line(&watched.key.join(", "))));
    }
    let names: Vec<&str> = watched.columns.iter().map(|c| c.name.as_str()).collect();
    line.push_str(&match watched.narrowed {
        true => format!("columns {}", one_line(&names.join(", "))),
        false => "all columns".into(),
    });
    if watched.key.is_empty() {
        line.push_str(&format!(
            "\n{quoted} has no primary key: its changes carry no key"
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_line_says_what_clients_will_see() {
        let table = |key: &[&str], narrowed: bool| {
            let columns = ["id", "total"].map(|name| json!({"name": name, "type": "integer"}));
            serde_json::from_value(json!({
                "rel": 1, "schema": "sales", "name": "Order Lines", "quoted": "sales.\"Order Lines\"",
                "since": 1, "key": key, "old_rows": true, "narrowed": narrowed, "columns": columns,
            }))
            .unwrap()
        };
        assert_eq!(
            line(&table(&["id"], true)),
            "sales.\"Order Lines\" is live: key id, columns id, total"
        );
        assert_eq!(
            line(&table(&["a", "b"], false)),
            "sales.\"Order Lines\" is live: key a, b, all columns"
        );
        assert!(line(&table(&[], false)).ends_with("has no primary key: its changes carry no key"));
    }
}
