//! The benchmarks. Each starts what it needs, measures, and leaves nothing behind.

use futures_util::future::LocalBoxFuture;

use crate::support::Outcome;
use crate::support::report::Report;

mod latency;
mod memory;

/// One benchmark.
#[derive(Debug)]
pub struct Case {
    /// As on the command line.
    pub name: &'static str,
    /// In a few words, for `--help` and as a title.
    pub about: &'static str,
    /// Runs it.
    pub run: fn() -> LocalBoxFuture<'static, Outcome<Report>>,
}

/// All of them, in the order in which they run and stand in docs/bench.md.
pub const CASES: &[Case] = &[
    Case {
        name: "latency",
        about: "from the INSERT to the client, on an idle system",
        run: || Box::pin(latency::run()),
    },
    Case {
        name: "memory",
        about: "what an idle WebSocket costs plank",
        run: || Box::pin(memory::run()),
    },
];
