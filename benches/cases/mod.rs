//! The benchmarks. Each starts what it needs, measures, and leaves nothing behind.

use futures_util::future::LocalBoxFuture;

use crate::support::report::Report;
use crate::support::{Effort, Outcome};

mod bulk;
mod burst;
mod compression;
mod fairness;
mod fanout;
mod filters;
mod history;
mod latency;
mod live_query;
mod memory;
mod open_transaction;
mod paced;
mod principals;
mod rest;
mod snapshot;
mod stalled;
mod windows;
mod writers;

/// One benchmark.
#[derive(Debug)]
pub struct Case {
    /// As on the command line.
    pub name: &'static str,
    /// In a few words, for `--help` and as a title.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(Effort) -> LocalBoxFuture<'static, Outcome<Report>>,
}

/// All of them, in the order in which they run and stand in docs/bench.md.
pub const CASES: &[Case] = &[
    Case {
        name: "latency",
        about: "from the INSERT to the client, on an idle system",
        run: |effort| Box::pin(latency::run(effort)),
    },
    Case {
        name: "open-transaction",
        about: "the same while another transaction stays open",
        run: |effort| Box::pin(open_transaction::run(effort)),
    },
    Case {
        name: "writers",
        about: "what many writers at once pay for being watched",
        run: |effort| Box::pin(writers::run(effort)),
    },
    Case {
        name: "bulk",
        about: "what a statement of many rows pays for being watched",
        run: |effort| Box::pin(bulk::run(effort)),
    },
    Case {
        name: "fanout",
        about: "rows to many clients, as fast as they go",
        run: |effort| Box::pin(fanout::run(effort)),
    },
    Case {
        name: "burst",
        about: "one INSERT of 10,000 rows to a hundred clients",
        run: |effort| Box::pin(burst::run(effort)),
    },
    Case {
        name: "paced",
        about: "a thousand clients at twenty changes a second",
        run: |effort| Box::pin(paced::run(effort)),
    },
    Case {
        name: "stalled",
        about: "clients that have stopped reading, and the others",
        run: |effort| Box::pin(stalled::run(effort)),
    },
    Case {
        name: "history",
        about: "a log of 10 million rows: reading it, and coming back to it",
        run: |effort| Box::pin(history::run(effort)),
    },
    Case {
        name: "filters",
        about: "ten thousand different filters against ten",
        run: |effort| Box::pin(filters::run(effort)),
    },
    Case {
        name: "windows",
        about: "a change that a thousand live windows are asked about",
        run: |effort| Box::pin(windows::run(effort)),
    },
    Case {
        name: "live-query",
        about: "a change through a live query of a join, and its writers",
        run: |effort| Box::pin(live_query::run(effort)),
    },
    Case {
        name: "principals",
        about: "a thousand principals on one table against one",
        run: |effort| Box::pin(principals::run(effort)),
    },
    Case {
        name: "fairness",
        about: "what one principal waits for beside 200 hostile readers of another",
        run: |effort| Box::pin(fairness::run(effort)),
    },
    Case {
        name: "rest",
        about: "requests to /rest, beside a server by hand in Node.js",
        run: |effort| Box::pin(rest::run(effort)),
    },
    Case {
        name: "compression",
        about: "one topic for a thousand clients, with permessage-deflate and without",
        run: |effort| Box::pin(compression::run(effort)),
    },
    Case {
        name: "snapshot",
        about: "a table of a million rows, all of it",
        run: |effort| Box::pin(snapshot::run(effort)),
    },
    Case {
        name: "memory",
        about: "what an idle client costs plank",
        run: |effort| Box::pin(memory::run(effort)),
    },
];
