//! `plank watch` and `plank unwatch`

use std::io::Write as _;

use clap::Args;

use crate::app::{self, AppError};
use crate::config::{Config, DatabaseArgs};
use crate::feed::Table;
use crate::store::watch::{Asked, Settings, Watcher};
use crate::text::one_line;

/// The settings of `plank watch`.
#[derive(Args, Debug)]
#[command(
    after_help = "Calling it again changes the settings. It waits for transactions that have written to the table, \
    and a running plank follows at once. The role of the database URL has to own the table, or be a superuser.\n\n\
    Examples:\n  plank watch orders lines 'sales.*'\n  plank watch 'sales.\"Order Lines\"' --columns id,total"
)]
pub struct WatchArgs {
    /// Tables, as PostgreSQL reads a name: orders, sales.orders, 'sales."Order Lines"'; without a schema it is one of public. sales.* is
    /// every table of a schema
    #[arg(required_unless_present_any = ["all", "schema"], value_name = "TABLE")]
    tables: Vec<String>,

    /// Every table of every schema that is not PostgreSQL's or plank's own
    #[arg(long, conflicts_with_all = ["tables", "schema"])]
    all: bool,

    /// Every table of a schema; may be repeated
    #[arg(long, value_name = "SCHEMA")]
    schema: Vec<String>,

    /// What clients may see, as id,total; the key columns are always among them [default: all columns, later ones too]
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    columns: Option<Vec<String>>,

    /// Show clients no row as it was before a change. The table then takes no filter and no policy
    #[arg(long)]
    no_old_rows: bool,

    /// Let everybody write it over HTTP while the server runs with --auth off. With --auth on it is for plank allow to say
    #[arg(long)]
    writable: bool,

    /// How changes are captured. auto chooses what is exact: row for partitions, inheritance, deferrable keys and subscriptions
    #[arg(long, default_value = "auto", value_parser = ["auto", "statement", "row"], hide_possible_values = true, value_name = "auto|statement|row")]
    level: String,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// The settings of `plank unwatch`.
#[derive(Args, Debug)]
#[command(
    after_help = "The triggers of a table go, its rows stay; the result of a live query goes. Clients get what was committed before, and then \"unsubscribed\"."
)]
pub struct UnwatchArgs {
    /// The table, as PostgreSQL reads a name; or the name of a live query
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
        writable: args.writable,
    };
    let asked = Asked {
        all: args.all,
        schemas: args.schema,
        tables: args.tables,
    };
    with_watcher(&args.database, "", "plank watch", async |watcher, _| {
        let mut lines = Vec::new();
        for table in watcher.tables(&asked).await.map_err(text)? {
            let watched = watcher.watch(&table, &settings).await;
            match watched {
                Ok(watched) => lines.push(line(&watched)),
                // What has been done before stays, and is said.
                Err(error) if lines.is_empty() => return Err(text(error)),
                Err(error) => return Err(AppError(format!("{error}\n{}", lines.join("\n")))),
            }
        }
        Ok(lines.join("\n"))
    })
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
        let database = app::database_beside(&config)?;
        let watcher = Watcher::open(&database.listen, application)
            .await
            .map_err(text)?;
        app::prepare(&database).await.map_err(text)?;
        let result = work(&watcher, table).await;
        // A reader that has gone is no reason to fail: it is done.
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
    if watched.writable {
        line.push_str(", writable");
    }
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
