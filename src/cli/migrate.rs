//! `plank migrate`

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use crate::app::{self, AppError};
use crate::config::{Config, DatabaseArgs, Server};
use crate::store::{ConnectError, connect, migrate};

/// The settings of `plank migrate`.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub database: DatabaseArgs,

    /// Take plank out of the database again: its triggers, its schema and the change log. Asks first
    #[arg(long)]
    pub uninstall: bool,

    /// Don't ask
    #[arg(long, requires = "uninstall")]
    pub yes: bool,
}

/// Brings the schema up to date, or takes it away.
pub fn run(args: MigrateArgs) -> Result<(), AppError> {
    super::start_logger("warn");
    let config = Config::for_database(&args.database).map_err(|e| AppError(e.to_string()))?;
    actix_rt::System::new().block_on(async {
        let database = app::database_beside(&config)?;
        let result = match args.uninstall {
            true => uninstall(&database.listen, args.yes).await,
            false => app::prepare(&database).await.map(|done| match done {
                done if done.is_empty() => println!("the schema is up to date"),
                done => done.iter().for_each(|name| println!("applied {name}")),
            }),
        };
        result.map_err(|e| AppError(e.to_string()))
    })
}

async fn uninstall(server: &Server, yes: bool) -> Result<(), ConnectError> {
    let server = connect::harden(server.clone(), "plank migrate");
    let (client, connection) = connect::connect(&server).await?;
    let config = &server.config;
    let driver = actix_rt::spawn(connection);
    connect::settle(&client, config).await?;
    let tables = migrate::watched(&client, config).await?;
    println!(
        "This takes plank out of the database {:?} at {}: the change log, and the triggers on {}.\n\
         Rows of these tables stay. Clients that come back later can't resume.",
        config.get_dbname().unwrap_or_default(),
        connect::place(config),
        match tables.len() {
            0 => "no table".into(),
            _ => tables.join(", "),
        }
    );
    if !yes && !is_agreed() {
        return Err(ConnectError::Fatal(
            "nothing was changed; answer yes, or say --yes".into(),
        ));
    }
    migrate::uninstall(&client, config).await?;
    drop(client);
    driver.abort();
    println!("plank is gone from this database");
    Ok(())
}

fn is_agreed() -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    print!("Go on? [yes/no] ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && answer.trim() == "yes"
}
