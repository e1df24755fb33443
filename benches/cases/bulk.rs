//! `bulk`: what a statement of many rows pays for being watched. The log gets as many rows, and no doorbell helps there.

use std::time::{Duration, Instant};

use crate::support::bed::Bed;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::variants::{ROWS, Variant, Variants, Write};
use crate::support::{Effort, Outcome, table, within};

const SIZES: [usize; 2] = [1_000, ROWS];

/// For one statement.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// Time of the largest INSERT, in times of the unwatched one's.
const RATIO_MAX: f64 = 3.5;

/// What is measured in turns within a short time.
struct Cell {
    write: Write,
    rows: usize,
    rounds: u32,
    /// By [`Variant::index`], one figure a round.
    ms: [Vec<f64>; 3],
}

impl Cell {
    fn of(&self, variant: Variant) -> &[f64] {
        &self.ms[variant.index()]
    }

    /// plank's time in times of another one's.
    fn ratio_to(&self, variant: Variant) -> f64 {
        median_ratio(self.of(Variant::Plank), self.of(variant))
    }

    fn row(&self) -> Vec<String> {
        let name = format!("{} of {} rows", self.write, self.rows);
        let times = Variant::ALL.map(|variant| format!("{:.1}", median(self.of(variant))));
        let ratios = [Variant::Unwatched, Variant::Notify]
            .map(|variant| format!("{:.2}", self.ratio_to(variant)));
        [&[name, self.rounds.to_string()], &times[..], &ratios[..]].concat()
    }

    /// The statement changes as many rows as it says.
    fn statement(&self, variant: Variant) -> String {
        let table = Variants::table(variant, self.write);
        match self.write {
            Write::Insert => table::insert_rows(&table, self.rows),
            Write::Update => {
                let first = fastrand::usize(1..=ROWS - self.rows + 1);
                let last = first + self.rows - 1;
                table::update(&table, &format!("id between {first} and {last}"))
            }
        }
    }
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let rounds = effort.of([15, 7], [2, 1]);
    let bed = Bed::start().await?;
    let mut variants = Variants::create(&bed).await?;
    let mut cells = Vec::new();
    for (rows, rounds) in SIZES.into_iter().zip(rounds) {
        cells.extend(Write::ALL.map(|write| Cell {
            write,
            rows,
            rounds,
            ms: Default::default(),
        }));
    }
    for round in 1..=rounds[0] {
        for cell in cells.iter_mut().filter(|cell| round <= cell.rounds) {
            measure(&mut variants, cell).await?;
        }
        eprintln!("load: bulk, round {round} of {}", rounds[0]);
    }
    drop(variants);
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(report(&cells, facts))
}

async fn measure(variants: &mut Variants, cell: &mut Cell) -> Outcome<()> {
    for variant in Variant::shuffled() {
        variants.tidy(variant, cell.write).await?;
        let sql = cell.statement(variant);
        let client = variants.client(variant);
        let started = Instant::now();
        let changed = within(STATEMENT_MAX, "a statement", client.execute(&sql, &[])).await?;
        cell.ms[variant.index()].push(started.elapsed().as_secs_f64() * 1e3);
        if changed != cell.rows as u64 {
            return Err(format!("{changed} rows instead of {}: {sql}", cell.rows).into());
        }
    }
    Ok(())
}

fn report(cells: &[Cell], facts: Vec<(&'static str, String)>) -> Report {
    let head = [
        "",
        "rounds",
        "unwatched",
        "plank",
        "NOTIFY",
        "plank/unwatched",
        "plank/NOTIFY",
    ];
    let rows = cells.iter().map(Cell::row);
    let judged = cells
        .iter()
        .filter(|cell| cell.rows == ROWS && cell.write == Write::Insert);
    let verdict = |cell: &Cell| {
        let ratio = cell.ratio_to(Variant::Unwatched);
        Verdict {
            text: format!(
                "An INSERT of {} rows takes {ratio:.2} times as long as without plank (at most {RATIO_MAX})",
                cell.rows
            ),
            is_within: ratio <= RATIO_MAX,
        }
    };
    Report {
        method: "Milliseconds of one statement with its commit; the three variants directly after one another, in random \
            order; medians of the figures, and of the ratios within a round. Tables, variants, and what is done before each \
            figure are those of `writers`. Takes about three minutes."
            .into(),
        facts,
        table: [vec![head.map(str::to_owned).to_vec()], rows.collect()].concat(),
        plot: None,
        verdicts: judged.map(verdict).collect(),
    }
}
