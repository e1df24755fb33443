//! `plank gen`: what is made of the tables, or of the command line.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use crate::app::AppError;

use super::command_line;
use super::gen_types::{self, TypesArgs};

/// The settings of `plank gen`.
#[derive(Args, Debug)]
pub struct GenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Types of the tables that are watched, for TypeScript, Python or JSON Schema
    Types(Box<TypesArgs>),
    /// What a shell needs to complete the command line of plank
    Completions(CompletionsArgs),
    /// The manual pages of plank
    Man(ManArgs),
}

/// The settings of `plank gen completions`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  plank gen completions bash > /etc/bash_completion.d/plank\n  \
    plank gen completions fish > ~/.config/fish/completions/plank.fish\n  \
    plank gen completions zsh > ~/.zfunc/_plank"
)]
struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The settings of `plank gen man`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  plank gen man --output ~/.local/share/man/man1")]
struct ManArgs {
    /// The directory in which the pages are written: plank.1, plank-serve.1 and so on
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs it.
pub fn run(args: GenArgs) -> Result<(), AppError> {
    match args.what {
        What::Types(args) => gen_types::run(*args),
        What::Completions(args) => {
            let mut text = Vec::new();
            clap_complete::generate(args.shell, &mut command_line::command(), "plank", &mut text);
            // A reader that has gone is no reason to fail: it is done.
            let _ = std::io::stdout().write_all(&text);
            Ok(())
        }
        What::Man(args) => {
            let failed =
                |e: std::io::Error| AppError(format!("can't write {}: {e}", args.output.display()));
            std::fs::create_dir_all(&args.output).map_err(failed)?;
            clap_mangen::generate_to(command_line::command(), &args.output).map_err(failed)
        }
    }
}
