//! `fanout`: rows to many sockets as fast as they go, against the plainest loop that does the same on this machine.

use std::time::Duration;

use crate::support::bed::{Bed, Setup};
use crate::support::fanout::crowd::Ask;
use crate::support::fanout::{self, Kind, Measured, Peer};
use crate::support::plot::{Bar, Plot};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::{Effort, Outcome, limits};

/// With one row under way everybody sends single frames. The bounds: deliveries, and time of the processor for each, in
/// times of the loop that does one write for each frame and socket.
const SINGLE_RATE_MIN: f64 = 0.95;
const SINGLE_CPU_MAX: f64 = 1.1;
/// Deliveries with many rows under way, in times of the loop that joins them.
const JOINED_RATE_MIN: f64 = 0.8;

/// Rows under way.
const MANY: u32 = 50;

/// What is measured in turns within a short time.
struct Cell {
    clients: usize,
    in_flight: u32,
    kinds: Vec<Kind>,
    /// By the place in `kinds`, one a round.
    measured: Vec<Vec<Measured>>,
}

impl Cell {
    fn new(clients: usize, in_flight: u32) -> Self {
        let kinds = match in_flight {
            1 => vec![Kind::Plank, Kind::Single],
            _ => vec![Kind::Plank, Kind::Joined, Kind::Single],
        };
        Self {
            clients,
            in_flight,
            measured: vec![Vec::new(); kinds.len()],
            kinds,
        }
    }

    fn figures(&self, at: usize, figure: impl Fn(&Measured) -> f64) -> Vec<f64> {
        self.measured[at].iter().map(figure).collect()
    }

    /// plank's, in times of that of the loop that it is compared with, which comes second.
    fn ratio(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median_ratio(&self.figures(0, &figure), &self.figures(1, &figure))
    }

    fn rows(&self) -> impl Iterator<Item = Vec<String>> {
        self.kinds.iter().enumerate().map(|(at, kind)| {
            let rates = self.figures(at, Measured::rate);
            vec![
                format!(
                    "{} clients, {} under way: {kind}",
                    self.clients, self.in_flight
                ),
                format!("{:.0}", median(&rates)),
                format!("{:.0}", median(&rates) / self.clients as f64),
                format!("{:.2}", median(&self.figures(at, Measured::cpu_each))),
                format!(
                    "{:.2}",
                    median_ratio(&rates, &self.figures(1, Measured::rate))
                ),
                format!(
                    "{:.2}",
                    median_ratio(
                        &self.figures(at, Measured::cpu_each),
                        &self.figures(1, Measured::cpu_each)
                    )
                ),
            ]
        })
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |(at, kind): (usize, &Kind)| {
            let rate = median(&self.figures(at, Measured::rate));
            Bar {
                label: format!("{}, {} under way: {kind}", self.clients, self.in_flight),
                value: rate,
                figure: format!("{:.0}k", rate / 1e3),
                is_plank: *kind == Kind::Plank,
            }
        };
        self.kinds.iter().enumerate().map(bar).collect()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let (rate, cpu) = (self.ratio(Measured::rate), self.ratio(Measured::cpu_each));
        let who = format!("{} clients, {} under way", self.clients, self.in_flight);
        let rate_min = match self.in_flight {
            1 => SINGLE_RATE_MIN,
            _ => JOINED_RATE_MIN,
        };
        let mut verdicts = vec![Verdict {
            text: format!(
                "{who}: {rate:.2} of the deliveries of the {} (at least {rate_min})",
                self.kinds[1]
            ),
            is_within: rate >= rate_min,
        }];
        if self.in_flight == 1 {
            verdicts.push(Verdict {
                text: format!(
                    "{who}: {cpu:.2} times the processor's time of the {} for a delivery (at most {SINGLE_CPU_MAX})",
                    self.kinds[1]
                ),
                is_within: cpu <= SINGLE_CPU_MAX,
            });
        }
        verdicts
    }
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    // With the rounds of each.
    let crowds = effort.of([(1_000, 5), (10_000, 3)], [(100, 1), (200, 1)]);
    let time = effort.of(Duration::from_secs(4), Duration::from_millis(500));
    limits::need_open_files(crowds[crowds.len() - 1].0)?;
    let bed = Bed::start_with(Setup {
        plank_args: &["--workers", "1"],
        ..Setup::default()
    })
    .await?;
    fanout::prepare(&bed).await?;
    let mut cells = Vec::new();
    for (clients, rounds) in crowds {
        let mut peers = Vec::new();
        for kind in [Kind::Plank, Kind::Joined, Kind::Single] {
            peers.push(Peer::start(&bed, kind, clients).await?);
        }
        let mut own = [1, MANY].map(|in_flight| Cell::new(clients, in_flight));
        for round in 1..=rounds {
            eprintln!("load: fanout, {clients} clients, round {round} of {rounds}");
            for cell in &mut own {
                let ask = Ask::Closed {
                    time,
                    in_flight: cell.in_flight,
                };
                let measured = fanout::in_turns(&mut peers, &cell.kinds, &ask).await?;
                for (all, one) in cell.measured.iter_mut().zip(measured) {
                    all.push(one);
                }
            }
        }
        cells.extend(own);
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(report(&cells, time, facts))
}

fn report(cells: &[Cell], time: Duration, facts: Vec<(&'static str, String)>) -> Report {
    let head = [
        "",
        "deliveries/s",
        "rows/s",
        "server µs each",
        "rate, ratio",
        "µs, ratio",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(cells.iter().flat_map(Cell::rows));
    Report {
        method: format!(
            "Rows are inserted, each in a transaction of its own, as long as fewer than so many are not yet in the hands of \
             all clients: {time:?} for each figure, {} rounds, the servers directly after one another in random order; \
             medians of the figures, and of the ratios within a round to the loop that plank is compared with. Loop: a \
             process of its own with one thread, which listens for the NOTIFY of a row trigger with the row in it, and writes it to \
             each WebSocket, every frame for itself, or what is pending in one write; in a database of its own. plank: the \
             release binary with one worker, for a loop has one thread as well: with two on two processors those who are served, a \
             thread in the same place, have to work on alone at the end of each row. Its messages are longer, for they have key, cursor, number and \
             time. Clients: the same process of one thread for every server, over TCP loopback, which looks for the \
             number of each row: each has to come once and in order. Server: time of all threads of its process \
             (`/proc/PID/stat`). Clients, servers and PostgreSQL share the processors. Takes about five minutes.",
            cells
                .iter()
                .map(|cell| cell.measured[0].len().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
        facts,
        table,
        plot: Some(Plot {
            title: "Deliveries per second, by number of clients and rows under way".into(),
            groups: cells.iter().map(Cell::bars).collect(),
        }),
        verdicts: cells.iter().flat_map(Cell::verdicts).collect(),
    }
}
