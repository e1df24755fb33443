//! `plank gen types`: the tables of a database as types of a programming language.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::app::AppError;
use crate::config::DatabaseArgs;
use crate::store::shapes::Shapes;

mod json_schema;
mod names;
mod python;
mod source;
mod typescript;
mod zod;

/// The settings of `plank gen types`.
#[derive(Args, Debug)]
#[command(
    after_help = "The types are those of the JSON that clients get and send: a timestamp is a text, a bigint is a number unless \
    --stringify-wide-numbers says otherwise.\n\n\
    Examples:\n  plank gen types > src/database.ts\n  plank gen types --lang python --output app/tables.py\n  \
    plank gen types --check src/database.ts\n  \
    plank gen types --url https://plank.example"
)]
pub struct TypesArgs {
    /// The language
    #[arg(long, value_enum, default_value_t = Language::Typescript)]
    lang: Language,

    /// TypeScript: checks for zod as well
    #[arg(long)]
    zod: bool,

    /// Every table, and not only those that are watched. Of a watched one only the columns that clients may see
    #[arg(long)]
    all: bool,

    /// As the server runs: bigint and numeric are texts
    #[arg(long, env = "PLANK_STRINGIFY_WIDE_NUMBERS")]
    stringify_wide_numbers: bool,

    /// Write a file [default: standard output]
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,

    /// Write nothing; exit status 1 if the file is not what would be written
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Ask a running plank instead of the database: http://HOST:PORT, https://HOST, or unix:/PATH. The types are of what the token
    /// may see, and as that server writes them
    #[arg(long, value_name = "URL", conflicts_with = "all")]
    url: Option<String>,

    /// With --url: a file with a token, where people have to log in. The variable PLANK_TOKEN has the token itself
    #[arg(long, env = "PLANK_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Typescript,
    Python,
    JsonSchema,
}

/// How the types are written.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// `bigint` and `numeric` are texts.
    stringifies: bool,
}

/// Runs it.
pub fn run(mut args: TypesArgs) -> Result<(), AppError> {
    if args.zod && args.lang != Language::Typescript {
        return Err(AppError("--zod goes with --lang typescript only".into()));
    }
    super::start_logger("warn");
    let shapes = actix_rt::System::new().block_on(async {
        match &args.url {
            None => source::database(&args.database, args.all).await,
            Some(url) => {
                let (shapes, stringifies) = source::server(url, args.token_file.clone()).await?;
                args.stringify_wide_numbers |= stringifies;
                Ok(shapes)
            }
        }
    })?;
    if shapes.tables.is_empty() {
        let why = match args.all {
            true => "the database has no table",
            false if args.url.is_some() => {
                "the server shows no table: none is watched, or the token may see none"
            }
            false => {
                "no table is watched: plank watch TABLE makes one live, and --all takes every table"
            }
        };
        return Err(AppError(why.into()));
    }
    let written = write(&shapes, &args);
    let failed = |what: &str, path: &PathBuf, error: &std::io::Error| {
        AppError(format!("{what} {}: {error}", path.display()))
    };
    match (&args.check, &args.output) {
        (Some(path), _) => {
            let known = fs::read_to_string(path).map_err(|e| failed("can't read", path, &e))?;
            match known == written {
                true => Ok(()),
                false => Err(AppError(format!(
                    "{} is not what the database says{}; run plank gen types again with --output",
                    path.display(),
                    first_difference(&known, &written)
                ))),
            }
        }
        (None, Some(path)) => fs::write(path, written).map_err(|e| failed("can't write", path, &e)),
        // A reader that has gone is no reason to fail: it is done.
        (None, None) => {
            let _ = std::io::stdout().write_all(written.as_bytes());
            Ok(())
        }
    }
}

fn write(shapes: &Shapes, args: &TypesArgs) -> String {
    let style = Style {
        stringifies: args.stringify_wide_numbers,
    };
    match args.lang {
        Language::Typescript if args.zod => {
            typescript::write(shapes, style) + "\n" + &zod::write(shapes, style)
        }
        Language::Typescript => typescript::write(shapes, style),
        Language::Python => python::write(shapes, style),
        Language::JsonSchema => json_schema::write(shapes, style),
    }
}

fn first_difference(known: &str, written: &str) -> String {
    let mut lines = known.lines().zip(written.lines());
    let place = lines.position(|(known, written)| known != written);
    let shorter = known.lines().count().min(written.lines().count());
    format!(" (line {})", place.unwrap_or(shorter) + 1)
}
