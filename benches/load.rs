//! Load benchmarks: a real plank, a real PostgreSQL and real sockets, against the floor of the machine in the same run.
//!
//! ```text
//! cargo bench --bench load                       all of them
//! cargo bench --bench load -- latency            one
//! cargo bench --bench load -- latency --check    exit code 1 when it is not within its bounds
//! cargo bench --bench load -- --quick            in short, to see that everything works
//! cargo bench --bench load -- --save             keeps the results in docs/bench.md
//! ```
//!
//! A new benchmark is a file in `cases/` and a line in its list; what benchmarks share is in `support/`.

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use cases::{CASES, Case};
use support::fanout::Role;
use support::report::{self, Report};
use support::{Effort, Outcome, limits, machine::Machine};

mod cases;
mod support;

/// Measures plank, and prints the results as Markdown.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    /// Which benchmarks to run [default: all]
    #[arg(value_name = "NAME", value_parser = names())]
    names: Vec<String>,

    /// Exit with 1 when a result is not within its bounds
    #[arg(long)]
    check: bool,

    /// Keep the results in docs/bench.md
    #[arg(long, conflicts_with = "quick")]
    save: bool,

    /// Measure a little of everything; the figures mean nothing
    #[arg(long)]
    quick: bool,

    /// What this process is for the one that has started it
    #[arg(long, hide = true)]
    role: Option<String>,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn names() -> clap::builder::PossibleValuesParser {
    let names = CASES
        .iter()
        .map(|case| clap::builder::PossibleValue::new(case.name).help(case.about));
    clap::builder::PossibleValuesParser::new(names)
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if args.check => ExitCode::FAILURE,
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs what was asked for; whether all of it was within its bounds.
fn run(args: &Args) -> Outcome<bool> {
    limits::raise_open_files()?;
    if let Some(role) = &args.role {
        let role: Role = serde_json::from_str(role)?;
        runtime()?.block_on(role.play())?;
        return Ok(true);
    }
    let machine = Machine::of_this_run()?;
    let wanted =
        |case: &&Case| args.names.is_empty() || args.names.iter().any(|name| name == case.name);
    let effort = match args.quick {
        true => Effort::Quick,
        false => Effort::Full,
    };
    let mut is_within = true;
    for case in CASES.iter().filter(wanted) {
        eprintln!("load: {} ({})", case.name, case.about);
        let report = measure(case, effort)?;
        let text = report.section(case.name, case.about, &machine);
        println!("{text}");
        if args.save {
            report::save(case.name, &text)?;
            if let Some(plot) = &report.plot {
                plot.save(case.name)?;
            }
        }
        is_within &= report.is_within_bounds();
    }
    Ok(is_within)
}

/// One thread, so that the client of the floor and the one of plank are scheduled alike.
fn runtime() -> Outcome<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// A signal ends the measurement in such a way that its processes and its files go with it.
fn measure(case: &Case, effort: Effort) -> Outcome<Report> {
    runtime()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            report = (case.run)(effort) => report,
            _ = interrupt.recv() => Err("interrupted".into()),
            _ = terminate.recv() => Err("terminated".into()),
        }
    })
}
