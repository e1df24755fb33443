//! The command line as a person reads it: `plank --help` in groups, with the few settings that a start needs, and tips for what
//! people try. What there is to say stands at the settings and subcommands themselves.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;

/// The subcommands in the groups of `plank --help`. A test sees to it that each is in one.
const GROUPS: &[(&str, &[&str])] = &[
    ("Serve", &["serve"]),
    (
        "Tables",
        &["watch", "unwatch", "watch-query", "tail", "gen"],
    ),
    (
        "Rights",
        &["allow", "deny", "policies", "explain", "token", "revoke"],
    ),
    ("Operation", &["migrate", "doctor", "ready"]),
];

/// The settings of `plank serve` that `plank --help` shows.
const FIRST_SETTINGS: &[&str] = &[
    "database_url",
    "listen",
    "auth",
    "jwt_secret_file",
    "demo",
    "log",
];

const FIRST_STEPS: &str = "  plank                                       with a PostgreSQL of its own, on http://127.0.0.1:8080
  plank --database-url postgresql://HOST/DB   with the database that you have
  plank watch orders                          makes a table live
  plank tail orders                           prints its changes
  plank COMMAND --help                        says all of a command, with examples";

/// What people try that is something else here: the flags, and what to do.
const MISTAKES: &[(&[&str], &str)] = &[
    (
        &["--port", "-p", "-P"],
        "the port is a part of the address: --listen 127.0.0.1:PORT",
    ),
    (
        &[
            "--host",
            "--bind",
            "--address",
            "--addr",
            "--ip",
            "--interface",
            "--socket",
            "-b",
            "-H",
        ],
        "the address is said with --listen HOST:PORT, or --listen unix:/PATH",
    ),
    (
        &[
            "--db",
            "--database",
            "--db-url",
            "--db-uri",
            "--dsn",
            "--pg",
            "--postgres",
            "--postgresql",
            "--connection",
            "--conn",
            "-d",
        ],
        "the database is said with --database-url URL, or in PLANK_DATABASE_URL",
    ),
    (
        &["--user", "--username", "--password", "-U", "-W"],
        "the user is a part of --database-url; a password may be in it, in PGPASSWORD or in ~/.pgpass",
    ),
    (
        &["--token", "--api-key", "--apikey"],
        "a token is never a flag, which all users of the machine can read: PLANK_TOKEN, or --token-file FILE",
    ),
    (
        &["--secret", "--jwt-secret", "--jwt"],
        "a secret is never a flag, which all users of the machine can read: --jwt-secret-file FILE",
    ),
    (
        &[
            "--cors",
            "--origin",
            "--origins",
            "--allow-origin",
            "--cors-origin",
        ],
        "pages of another origin are let in with --allowed-origin https://HOST",
    ),
    (
        &[
            "--tls",
            "--ssl",
            "--cert",
            "--cert-file",
            "--tls-cert",
            "--tls-key",
            "--https",
        ],
        "plank has no TLS towards clients: put a proxy in front, as nginx/plank.conf shows",
    ),
    (
        &["--config", "--config-file", "--settings", "-c", "-f"],
        "there is no file of settings: each is a flag and a variable PLANK_...; plank serve --help has all",
    ),
    (
        &["--verbose", "--debug", "-v", "-vv"],
        "more is logged with --log debug",
    ),
    (
        &["--quiet", "--silent", "-q"],
        "less is logged with --log error",
    ),
    (
        &["--daemon", "--background", "--detach", "-D"],
        "a service manager keeps plank running: systemd/plank.service",
    ),
    (
        &["--threads", "-j"],
        "the threads are said with --workers N",
    ),
];

/// What people try as subcommands.
const WRONG_COMMANDS: &[(&[&str], &str)] = &[
    (
        &["start", "run", "server", "up", "listen", "daemon"],
        "plank serve, or plank alone, starts the server",
    ),
    (
        &["follow", "subscribe", "changes", "stream"],
        "plank tail TABLE prints changes",
    ),
    (
        &["types", "typegen", "generate", "codegen"],
        "plank gen types writes types",
    ),
    (
        &["check", "diagnose", "status", "health", "healthcheck"],
        "plank doctor says what is wrong, plank ready whether a server follows the changes",
    ),
    (
        &["init", "install", "setup", "upgrade"],
        "plank serve makes the schema itself; plank migrate does only that",
    ),
    (
        &["grant", "policy"],
        "plank allow, deny and policies are what roles may do",
    ),
    (
        &["completion", "completions"],
        "plank gen completions SHELL writes them",
    ),
    (
        &["uninstall", "remove"],
        "plank migrate --uninstall takes the schema away",
    ),
];

/// All of it.
pub(super) fn command() -> Command {
    let command =
        Cli::command().mut_args(
            |arg| match FIRST_SETTINGS.contains(&arg.get_id().as_str()) {
                true => arg.hide_env(true),
                false => hide(arg),
            },
        );
    let template = template(&command);
    command.help_template(template)
}

/// Settings of the command line. Ends the process where there are none: help, a version, a mistake.
pub(super) fn parse() -> Cli {
    let parsed = command().try_get_matches().map_err(with_tip);
    let matches: ArgMatches = parsed.unwrap_or_else(|error| error.exit());
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// `--help` and `--version` stay.
fn hide(arg: Arg) -> Arg {
    let is_own = matches!(arg.get_id().as_str(), "help" | "version");
    arg.hide(!is_own)
}

fn template(command: &Command) -> StyledStr {
    let header = command.get_styles().get_header();
    let literal = command.get_styles().get_literal();
    let mut text = StyledStr::new();
    let _ = writeln!(text, "{{about}}\n\n{{usage-heading}} {{usage}}");
    for (name, members) in GROUPS {
        let _ = writeln!(text, "\n{header}{name}:{header:#}");
        for member in *members {
            let about = command.find_subcommand(member).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {literal}{member:<12}{literal:#} {about}");
        }
    }
    let _ = writeln!(
        text,
        "\n{header}Settings of plank serve, and of plank alone{header:#} (plank serve --help has all):\n{{options}}"
    );
    let _ = write!(text, "\n{header}First steps:{header:#}\n{FIRST_STEPS}");
    text
}

/// A mistake that is a known one says what to do instead.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let (kind, table) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, MISTAKES),
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, WRONG_COMMANDS),
        _ => return error,
    };
    let Some(ContextValue::String(tried)) = error.get(kind) else {
        return error;
    };
    if let Some(tip) = tip(tried, table) {
        // Otherwise both are said, and clap's is a guess.
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::SuggestedSubcommand);
        let tip = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

fn tip(tried: &str, table: &[(&[&str], &'static str)]) -> Option<&'static str> {
    if tried.starts_with("postgres://") || tried.starts_with("postgresql://") {
        return Some("a database is said with --database-url URL");
    }
    let name = tried.split('=').next().unwrap_or(tried);
    let mut known = table.iter();
    let known = known.find(|(names, _)| names.contains(&name));
    known.map(|(_, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subcommand_is_in_one_group_of_the_help() {
        let grouped = GROUPS.iter().flat_map(|(_, members)| *members);
        let mut grouped: Vec<_> = grouped.copied().collect();
        grouped.sort_unstable();
        let command = Cli::command();
        let all = command.get_subcommands().filter(|c| !c.is_hide_set());
        let mut all: Vec<_> = all.map(Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn help_fits_a_screen_and_shows_settings_that_exist() {
        let help = command().render_help().to_string();
        for id in FIRST_SETTINGS {
            let flag = format!("--{}", id.replace('_', "-"));
            assert!(help.contains(&flag), "{flag}\n{help}");
        }
        assert!(!help.contains("--max-body-bytes"), "{help}");
        assert!(help.lines().count() <= 50, "{help}");
    }

    #[test]
    fn serve_has_its_settings_in_groups() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        for arg in serve.get_arguments() {
            let has_group = arg.get_help_heading().is_some();
            assert!(has_group, "{} is in no group", arg.get_id());
        }
    }

    #[test]
    fn no_tip_is_for_a_flag_or_a_subcommand_that_exists() {
        let mut command = Cli::command();
        command.build();
        let serve = command.find_subcommand("serve").unwrap();
        for (names, tip) in MISTAKES {
            for name in *names {
                let is_known = serve.get_arguments().any(|arg| {
                    let long = arg.get_long().map(|long| format!("--{long}"));
                    let short = arg.get_short().map(|short| format!("-{short}"));
                    [long, short].contains(&Some((*name).to_owned()))
                });
                assert!(!is_known, "{name}: {tip}");
            }
        }
        for name in WRONG_COMMANDS.iter().flat_map(|(names, _)| *names) {
            assert!(command.find_subcommand(name).is_none(), "{name}");
        }
    }

    #[test]
    fn likely_mistakes_get_a_tip() {
        for (line, tip) in [
            ("plank --port 8000", "--listen 127.0.0.1:PORT"),
            ("plank serve --port=8000", "--listen 127.0.0.1:PORT"),
            ("plank -p 8000", "--listen 127.0.0.1:PORT"),
            ("plank --host 0.0.0.0", "--listen HOST:PORT"),
            ("plank --database x", "--database-url URL"),
            ("plank watch orders --db x", "--database-url URL"),
            ("plank tail orders --token x", "PLANK_TOKEN"),
            ("plank --cert x", "nginx/plank.conf"),
            ("plank postgresql://a/b", "--database-url URL"),
            ("plank start", "plank serve"),
            ("plank wach orders", "'watch'"),
            ("plank --databse-url x", "'--database-url'"),
        ] {
            let error = command().try_get_matches_from(line.split(' '));
            let text = with_tip(error.unwrap_err()).to_string();
            assert!(
                text.contains("tip: ") && text.contains(tip),
                "{line}\n{text}"
            );
            assert_eq!(text.matches("tip: ").count(), 1, "{line}\n{text}");
        }
    }
}
