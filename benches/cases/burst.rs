//! `burst`: one statement of many rows, until the last client has the last of them.

use crate::support::bed::Bed;
use crate::support::fanout::crowd::Ask;
use crate::support::fanout::{self, Kind, Measured, Peer};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::{Effort, Outcome};

const CLIENTS: usize = 100;

/// Time until the last client has everything, in times of the loop that joins frames.
const RATIO_MAX: f64 = 1.5;

/// The loop that plank is compared with comes second.
const KINDS: [Kind; 3] = [Kind::Plank, Kind::Joined, Kind::Single];

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let rows = effort.of(10_000, 100);
    let rounds = effort.of(7, 1);
    let bed = Bed::start().await?;
    fanout::prepare(&bed).await?;
    let mut peers = Vec::new();
    for kind in KINDS {
        peers.push(Peer::start(&bed, kind, CLIENTS).await?);
    }
    let mut measured = KINDS.map(|_| Vec::new());
    for round in 1..=rounds {
        eprintln!("load: burst, round {round} of {rounds}");
        let figures = fanout::in_turns(&mut peers, &KINDS, &Ask::Burst { rows }).await?;
        for (all, one) in measured.iter_mut().zip(figures) {
            all.push(one);
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(report(&measured, rows, rounds, facts))
}

fn report(
    measured: &[Vec<Measured>; 3],
    rows: u32,
    rounds: usize,
    facts: Vec<(&'static str, String)>,
) -> Report {
    let times = |all: &[Measured]| -> Vec<f64> {
        let each = all.iter();
        each.map(|one| one.figures.elapsed.as_secs_f64() * 1e3)
            .collect()
    };
    let joined = times(&measured[1]);
    let row = |(kind, all): (&Kind, &Vec<Measured>)| {
        let cpu: Vec<f64> = all.iter().map(Measured::cpu_each).collect();
        vec![
            kind.to_string(),
            format!("{:.1}", median(&times(all))),
            format!("{:.2}", median(&cpu)),
            format!("{:.2}", median_ratio(&times(all), &joined)),
        ]
    };
    let head = ["", "last client, ms", "server µs each", "ratio"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(KINDS.iter().zip(measured).map(row));
    let ratio = median_ratio(&times(&measured[0]), &joined);
    Report {
        method: format!(
            "One INSERT of {rows} rows, from just before it is sent until the last of {CLIENTS} clients has the last row; \
             {rounds} rounds. Servers, clients and turns are those of `fanout`. Takes about a minute and a half."
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![Verdict {
            text: format!(
                "The last client has the last row after {ratio:.2} times as long as with the {} (at most {RATIO_MAX})",
                Kind::Joined
            ),
            is_within: ratio <= RATIO_MAX,
        }],
    }
}
