//! `paced`: many clients at a rate that leaves everybody time, and how long a row takes to each of them.

use std::time::Duration;

use crate::support::bed::Bed;
use crate::support::fanout::crowd::Ask;
use crate::support::fanout::{self, Kind, Measured, Peer};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::{Effort, Outcome};

/// Rows in a second: fewer than those at which plank begins to poll.
const RATE: u32 = 20;

/// p99 in times of the loop's.
const RATIO_MAX: f64 = 1.2;

/// The loop that plank is compared with comes second.
const KINDS: [Kind; 2] = [Kind::Plank, Kind::Single];

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let clients = effort.of(1_000, 100);
    let rounds = effort.of(5, 1);
    let time = effort.of(Duration::from_secs(10), Duration::from_secs(1));
    let bed = Bed::start().await?;
    fanout::prepare(&bed).await?;
    let mut peers = Vec::new();
    for kind in KINDS {
        peers.push(Peer::start(&bed, kind, clients).await?);
    }
    let mut measured = KINDS.map(|_| Vec::new());
    for round in 1..=rounds {
        eprintln!("load: paced, round {round} of {rounds}");
        let ask = Ask::Paced { time, rate: RATE };
        let figures = fanout::in_turns(&mut peers, &KINDS, &ask).await?;
        for (all, one) in measured.iter_mut().zip(figures) {
            all.push(one);
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    let head = ["", "p50", "p99", "max", "server µs each", "p99, ratio"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let p99 = |one: &Measured| ms(one.figures.p99);
    let of = |all: &[Measured], figure: &dyn Fn(&Measured) -> f64| -> Vec<f64> {
        all.iter().map(figure).collect()
    };
    let ratio = |all: &[Measured]| median_ratio(&of(all, &p99), &of(&measured[1], &p99));
    for (kind, all) in KINDS.iter().zip(&measured) {
        table.push(vec![
            kind.to_string(),
            format!("{:.2}", median(&of(all, &|one| ms(one.figures.p50)))),
            format!("{:.2}", median(&of(all, &p99))),
            format!("{:.2}", median(&of(all, &|one| ms(one.figures.max)))),
            format!("{:.2}", median(&of(all, &Measured::cpu_each))),
            format!("{:.2}", ratio(all)),
        ]);
    }
    let ratio = ratio(&measured[0]);
    Ok(Report {
        method: format!(
            "{RATE} rows in a second for {clients} clients, from just before a row is written until a client has it; milliseconds; {time:?} \
             for each figure, {rounds} rounds. Servers, clients and turns are those of `fanout`. Takes about two minutes."
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![Verdict {
            text: format!("p99 of plank is {ratio:.2} times the loop's (at most {RATIO_MAX})"),
            is_within: ratio <= RATIO_MAX,
        }],
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
