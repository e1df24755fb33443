//! `stalled`: what clients that have stopped reading are to the others, to plank's memory, and to themselves.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::support::bed::Bed;
use crate::support::fanout::crowd::Ask;
use crate::support::fanout::stalled::Stalled;
use crate::support::fanout::{self, Kind, Measured, Peer};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::{Effort, Outcome};

/// Clients that read, and those that don't.
const HEALTHY: usize = 450;
const STALLED: usize = 50;

const RATE: u32 = 500;

/// p99 of those that read, in times of that without the others.
const RATIO_MAX: f64 = 1.2;

/// MiB that plank may grow by: its buffers for those that lag, of two workers, and for those that come back.
const MIB_MAX: f64 = 3.0 * 64.0;

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let rounds = effort.of(3, 1);
    let time = effort.of(Duration::from_secs(60), Duration::from_secs(2));
    let ask = Ask::Paced { time, rate: RATE };
    let bed = Bed::start().await?;
    fanout::prepare(&bed).await?;
    let mut peer = Peer::start(&bed, Kind::Plank, HEALTHY).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut grown_mib, mut resumes) = (0.0_f64, 0);
    for round in 1..=rounds {
        eprintln!("load: stalled, round {round} of {rounds}");
        peer.touch().await?;
        without.push(peer.measure(&ask).await?);
        peer.touch().await?;
        let connect = (0..STALLED).map(|_| Stalled::connect(bed.plank.address));
        let mut stalled = try_join_all(connect).await?;
        let before_kib = peer.server.resident_kib()?;
        let measured = peer.measure(&ask).await?;
        let grown_kib = peer.server.peak_kib()?.saturating_sub(before_kib);
        grown_mib = grown_mib.max(grown_kib as f64 / 1024.0);
        let rows = u32::try_from(measured.figures.deliveries / HEALTHY as u64)?;
        try_join_all(stalled.iter_mut().map(|client| client.resume(rows))).await?;
        resumes += stalled.iter().filter(|client| client.resumes > 0).count();
        with.push(measured);
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    let ms = |all: &[Measured], figure: &dyn Fn(&Measured) -> Duration| -> Vec<f64> {
        all.iter()
            .map(|one| figure(one).as_secs_f64() * 1e3)
            .collect()
    };
    let row = |name: String, all: &[Measured]| {
        let cpu: Vec<f64> = all.iter().map(Measured::cpu_each).collect();
        vec![
            name,
            format!("{:.2}", median(&ms(all, &|one| one.figures.p50))),
            format!("{:.2}", median(&ms(all, &|one| one.figures.p99))),
            format!("{:.2}", median(&ms(all, &|one| one.figures.max))),
            format!("{:.2}", median(&cpu)),
        ]
    };
    let head = ["", "p50", "p99", "max", "server µs each"];
    let ratio = median_ratio(
        &ms(&with, &|one| one.figures.p99),
        &ms(&without, &|one| one.figures.p99),
    );
    Ok(Report {
        method: format!(
            "{RATE} rows in a second for {time:?}: {HEALTHY} clients that read, and then the same with {STALLED} more \
             that don't, whose kernels take hardly anything for them; {rounds} rounds. Milliseconds from just before a row is written until a \
             client that reads has it. Then the others read on, from what plank still has for them, or from their cursor if it has closed \
             them: each row has to come once and in order. Memory: the highest resident memory of plank above the one before, the \
             largest of all rounds. Takes about eight minutes."
        ),
        facts,
        table: vec![
            head.map(str::to_owned).to_vec(),
            row(format!("{HEALTHY} clients"), &without),
            row(format!("and {STALLED} that don't read"), &with),
        ],
        plot: None,
        verdicts: vec![
            Verdict {
                text: format!(
                    "p99 with clients that don't read is {ratio:.2} times that without (at most {RATIO_MAX})"
                ),
                is_within: ratio <= RATIO_MAX,
            },
            Verdict {
                text: format!("plank grows by {grown_mib:.1} MiB (at most {MIB_MAX:.0})"),
                is_within: grown_mib <= MIB_MAX,
            },
            Verdict {
                text: format!(
                    "All {} that had stalled have every row in the end, {resumes} of them with their cursor",
                    rounds * STALLED
                ),
                is_within: true,
            },
        ],
    })
}
