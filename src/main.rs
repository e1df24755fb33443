//! The program: reads the command line and dispatches.

use std::process::ExitCode;

fn main() -> ExitCode {
    plank::cli::main()
}
