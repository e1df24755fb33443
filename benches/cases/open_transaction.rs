//! `open-transaction`: one change at a time on an idle system, while another transaction has written something and
//! stays open. A system that waits for the oldest transaction before it passes on newer ones would stand still.
//!
//! plank's listener does wait for it, but only before it sleeps: until then it polls, and hears the bell as well. So each
//! round begins with a burst that wakes the listener up, and what is measured is the state in which it can't fall asleep.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use crate::support::bed::Bed;
use crate::support::change::Target;
use crate::support::client::Subscriber;
use crate::support::receiver::Receiver;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{Latencies, ms};
use crate::support::{Effort, Outcome, SOON, bell, table, within};

/// Time of one state in one round. Six of them are more than a minute.
const ROUND: Duration = Duration::from_millis(10_500);
/// Below the rate at which plank polls for the load's sake.
const PAUSE_MS: std::ops::Range<u64> = 20..40;
/// Changes without a pause within which the listener has to wake up: many more than it hears in a second while it sleeps.
const BURST_MAX: usize = 2_000;
/// p99 with a transaction open, in times of that without.
const RATIO_MAX: f64 = 2.0;

const OTHER_DATABASE: &str = "bench_other";
const OTHER_TABLE: &str = "bench_other";

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 100.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    SameDatabase,
    OtherDatabase,
}

impl State {
    const ALL: [Self; 3] = [Self::Nothing, Self::SameDatabase, Self::OtherDatabase];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing open",
            Self::SameDatabase => "open in the same database",
            Self::OtherDatabase => "open in another database",
        })
    }
}

/// What is measured, and who is in the way.
struct Stage {
    target: Target,
    main: Client,
    same: Client,
    other: Client,
    samples: [Vec<Duration>; 3],
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rounds, duration) = effort.of((6, ROUND), (1, Duration::from_secs(2)));
    let bed = Bed::start().await?;
    let mut stage = Stage::new(&bed).await?;
    for round in 1..=rounds {
        let mut states = State::ALL;
        fastrand::shuffle(&mut states);
        for state in states {
            eprintln!("load: open-transaction, round {round} of {rounds}: {state}");
            stage.measure(state, duration).await?;
        }
    }
    let facts = bed.database_facts().await?;
    let Stage { samples, .. } = stage;
    bed.stop().await?;
    Ok(report(rounds, duration, samples.map(Latencies::new), facts))
}

impl Stage {
    async fn new(bed: &Bed) -> Outcome<Self> {
        let same = bed.connect().await?;
        let sql = format!("create database {OTHER_DATABASE}");
        within(SOON, "another database", same.batch_execute(&sql)).await?;
        let other = bed.connect_to(OTHER_DATABASE).await?;
        table::create(&other, OTHER_TABLE, 0).await?;
        let subscriber = Subscriber::connect(bed.plank.address, "items").await?;
        let subscriber = Receiver::Plank(subscriber);
        Ok(Self {
            target: Target::new(bed.connect().await?, "items", subscriber).await?,
            main: bed.connect().await?,
            same,
            other,
            samples: Default::default(),
        })
    }

    async fn measure(&mut self, state: State, duration: Duration) -> Outcome<()> {
        let Self {
            target,
            main,
            same,
            other,
            samples,
        } = self;
        let open = match state {
            State::Nothing => None,
            // In a watched table: the log has a row that nobody may see yet.
            State::SameDatabase => Some((same, "items")),
            State::OtherDatabase => Some((other, OTHER_TABLE)),
        };
        if let Some((client, table)) = &open {
            let begin = format!("begin; {}", table::insert(table, "'not yet'"));
            within(SOON, "a transaction", client.batch_execute(&begin)).await?;
        }
        burst(target, main).await?;
        bell::wait_armed(main).await?;
        let started = Instant::now();
        while started.elapsed() < duration {
            let latency = target.change_after(PAUSE_MS).await?;
            samples[state as usize].push(latency);
        }
        if let Some((client, _)) = &open {
            within(SOON, "a commit", client.batch_execute("commit")).await?;
        }
        Ok(())
    }
}

/// Writes until the listener polls.
async fn burst(target: &mut Target, main: &Client) -> Outcome<()> {
    for _ in 0..BURST_MAX {
        target.change().await?;
        if !bell::is_armed(main).await? {
            return Ok(());
        }
    }
    Err("plank sleeps through a burst of changes".into())
}

fn report(
    rounds: u32,
    duration: Duration,
    latencies: [Latencies; 3],
    facts: Vec<(&'static str, String)>,
) -> Report {
    let [nothing, ..] = &latencies;
    let row = |(state, latencies): (State, &Latencies)| {
        let figures = PERCENTILES.map(|percent| ms(latencies.percentile(percent)));
        let count = latencies.count().to_string();
        [&[state.to_string(), count], &figures[..]].concat()
    };
    let verdict = |(state, latencies): (State, &Latencies)| {
        let ratio = latencies.ratio(nothing, 99.0);
        Verdict {
            text: format!(
                "p99 with a transaction {state} is {ratio:.2} times that without (at most {RATIO_MAX:.0})"
            ),
            is_within: ratio <= RATIO_MAX,
        }
    };
    let states = || State::ALL.into_iter().zip(&latencies);
    let head = ["", "changes", "p50", "p90", "p99", "max"].map(str::to_owned);
    Report {
        method: format!(
            "As `latency`, of plank alone, with a pause of {} to {} ms between changes. In each of {rounds} rounds, in \
             random order, {:.1} s with no other transaction; with one open in the same database, which has inserted into a \
             watched table; and with one open in another database of the cluster, which has inserted as well. Before each, a \
             burst of changes wakes plank's listener up, which can't sleep again while the transaction is open. \
             Milliseconds. Takes about four minutes.",
            PAUSE_MS.start,
            PAUSE_MS.end,
            duration.as_secs_f64()
        ),
        facts,
        table: [vec![head.to_vec()], states().map(row).collect()].concat(),
        plot: None,
        verdicts: states().skip(1).map(verdict).collect(),
    }
}
