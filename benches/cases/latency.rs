//! `latency`: one change at a time on an idle system, from the INSERT to the client.
//!
//! plank and the floor take turns, change by change, so that what the machine does meanwhile happens to both. Each change
//! is waited for before the next; a pause of random length lets everything fall asleep again.

use std::time::Duration;

use crate::support::bed::Bed;
use crate::support::change::Target;
use crate::support::client::Subscriber;
use crate::support::floor::{self, Listener};
use crate::support::receiver::Receiver;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{Latencies, ms};
use crate::support::{Effort, Outcome, table};

/// Changes of each before the first that counts, for caches and for prepared statements.
const WARM_UP: usize = 50;
/// Before each change. plank gets every second one: fewer than the 50 a second from which on it polls instead of sleeping,
/// which would be another measurement.
const PAUSE_MS: std::ops::Range<u64> = 10..20;
/// p99 of plank, in times of the floor's.
const RATIO_MAX: f64 = 3.0;
/// And above the floor's.
const ABOVE_MAX: Duration = Duration::from_millis(1);

const FLOOR_TABLE: &str = "bench_floor";

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 100.0];

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let changes = effort.of(2_000, 100);
    let bed = Bed::start().await?;
    let mut floor = floor_target(&bed).await?;
    let subscriber = Subscriber::connect(bed.plank.address, "items").await?;
    let subscriber = Receiver::Plank(subscriber);
    let mut plank = Target::new(bed.connect().await?, "items", subscriber).await?;
    let (mut of_floor, mut of_plank) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + changes {
        if number % 500 == WARM_UP {
            eprintln!("load: latency, {} of {changes} changes", number - WARM_UP);
        }
        let (floor, plank) = if fastrand::bool() {
            let floor = floor.change_after(PAUSE_MS).await?;
            (floor, plank.change_after(PAUSE_MS).await?)
        } else {
            let plank = plank.change_after(PAUSE_MS).await?;
            (floor.change_after(PAUSE_MS).await?, plank)
        };
        if number >= WARM_UP {
            of_floor.push(floor);
            of_plank.push(plank);
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    let (floor, plank) = (Latencies::new(of_floor), Latencies::new(of_plank));
    Ok(report(&floor, &plank, facts))
}

async fn floor_target(bed: &Bed) -> Outcome<Target> {
    let writer = floor::create(bed).await?;
    table::create(&writer, FLOOR_TABLE, 0).await?;
    floor::attach(&writer, FLOOR_TABLE).await?;
    let listener = Receiver::Bare(Listener::connect(bed).await?);
    Target::new(writer, FLOOR_TABLE, listener).await
}

fn report(floor: &Latencies, plank: &Latencies, facts: Vec<(&'static str, String)>) -> Report {
    let row = |name: &str, latencies: &Latencies| {
        let figures = PERCENTILES.map(|percent| ms(latencies.percentile(percent)));
        [&[name.to_owned()], &figures[..]].concat()
    };
    let ratios = PERCENTILES.map(|percent| format!("{:.2}", plank.ratio(floor, percent)));
    let ratio = plank.ratio(floor, 99.0);
    let above = plank
        .percentile(99.0)
        .saturating_sub(floor.percentile(99.0));
    Report {
        method: format!(
            "From just before the INSERT is sent until its row is in the client's hands, {} changes each, in turns, one at \
             a time after a pause of {} to {} ms. Floor: a row trigger with the row in `pg_notify`, and a bare \
             tokio-postgres client that listens, in a database of its own. plank: the release binary, and a WebSocket \
             client over TCP loopback. Milliseconds. Takes about a minute.",
            plank.count(),
            PAUSE_MS.start,
            PAUSE_MS.end
        ),
        facts,
        table: vec![
            ["", "p50", "p90", "p99", "max"].map(str::to_owned).to_vec(),
            row("bare client", floor),
            row("plank", plank),
            [&["ratio".to_owned()], &ratios[..]].concat(),
        ],
        plot: None,
        verdicts: vec![
            Verdict {
                text: format!(
                    "p99 of plank is {ratio:.2} times the bare client's (at most {RATIO_MAX:.0})"
                ),
                is_within: ratio <= RATIO_MAX,
            },
            Verdict {
                text: format!(
                    "p99 of plank is {} ms above the bare client's (at most {})",
                    ms(above),
                    ABOVE_MAX.as_millis()
                ),
                is_within: above <= ABOVE_MAX,
            },
        ],
    }
}
