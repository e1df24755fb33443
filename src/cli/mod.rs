//! The command line: one file per subcommand.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ServeArgs;
use crate::text::one_line;

mod command_line;
mod doctor;
mod gen_types;
mod generate;
mod log_format;
mod migrate;
mod policy;
mod ready;
mod serve;
mod tail;
mod token;
mod watch;
mod watch_query;

use log_format::LogFormat;

/// Makes PostgreSQL tables live: every committed change reaches every browser that looks at it.
#[derive(Debug, Parser)]
#[command(
    name = "plank",
    version,
    about,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the dashboard, the API and the WebSocket (the default)
    Serve(Box<ServeArgs>),
    /// Bring the schema of the database up to date, and end; or take it away
    Migrate(migrate::MigrateArgs),
    /// Make a table live, or change how it is watched
    Watch(watch::WatchArgs),
    /// Keep the result of a query, as live as a table
    WatchQuery(watch_query::WatchQueryArgs),
    /// Let a table go: its changes are not captured any more; or a live query, with its result
    Unwatch(watch::UnwatchArgs),
    /// Let a role see rows of a table, or write them
    Allow(policy::AllowArgs),
    /// Take that back
    Deny(policy::DenyArgs),
    /// List who may do what
    Policies(policy::PoliciesArgs),
    /// Say which rows a role sees, and why one row is seen or not
    Explain(policy::ExplainArgs),
    /// Take back the tokens of a subject
    Revoke(policy::RevokeArgs),
    /// Print the changes of a table as they happen, from a running plank
    Tail(tail::TailArgs),
    /// Write types of the tables for a programming language, completions for a shell, or the manual pages
    Gen(generate::GenArgs),
    /// Make a token with the secret of a server, or say what is wrong with one
    Token(token::TokenArgs),
    /// Say what is wrong with the database, its tables, this machine or the proxy, and what to do; exit status 1 if anything is
    Doctor(doctor::DoctorArgs),
    /// Say whether a running plank follows the changes; exit status 1 if it does not
    Ready(ready::ReadyArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = command_line::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve.into())) {
        Command::Serve(args) => serve::run(&args),
        Command::Migrate(args) => migrate::run(args),
        Command::Watch(args) => watch::watch(args),
        Command::WatchQuery(args) => watch_query::run(args),
        Command::Unwatch(args) => watch::unwatch(args),
        Command::Allow(args) => policy::allow(&args),
        Command::Deny(args) => policy::deny(&args),
        Command::Policies(args) => policy::policies(&args),
        Command::Explain(args) => policy::explain(&args),
        Command::Revoke(args) => policy::revoke(&args),
        Command::Tail(args) => tail::run(args),
        Command::Gen(args) => generate::run(args),
        Command::Token(args) => token::run(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Ready(args) => ready::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error is no reason to fail.
            let error = error.to_string();
            let lines: Vec<_> = error.lines().map(one_line).collect();
            let _ = writeln!(std::io::stderr(), "plank: {}", lines.join("\n"));
            ExitCode::FAILURE
        }
    }
}

/// For a subcommand that talks to a person.
fn start_logger(filter: &str) {
    log_format::start(filter, LogFormat::Text);
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_coherent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default() {
        assert!(Cli::parse_from(["plank"]).command.is_none());
        assert!(matches!(
            Cli::parse_from(["plank", "serve"]).command,
            Some(Command::Serve(_))
        ));
        assert!(Cli::try_parse_from(["plank", "nope"]).is_err());
    }
}
