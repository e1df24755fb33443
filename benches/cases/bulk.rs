//! `bulk`: what a statement of many rows pays for being watched. The log gets as many rows, and no doorbell helps there.

use std::fmt;
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

/// The rate of statements of 1,000 rows that compress as rows usually do, as a part of the unwatched table's: at least.
const INSERT_RATE_MIN: f64 = 0.6;
const UPDATE_RATE_MIN: f64 = 0.5;

/// What the texts of the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// The same in each row.
    Usual,
    /// Such that compression gains nothing.
    Random,
}

/// What is measured in turns within a short time.
struct Cell {
    write: Write,
    rows: usize,
    text: Text,
    rounds: u32,
    /// By [`Variant::index`], one figure a round.
    ms: [Vec<f64>; Variant::COUNT],
}

impl Cell {
    fn of(&self, variant: Variant) -> &[f64] {
        &self.ms[variant.index()]
    }

    /// plank's time in times of another one's.
    fn ratio_to(&self, variant: Variant) -> f64 {
        median_ratio(self.of(Variant::Plank), self.of(variant))
    }

    fn head() -> Vec<String> {
        let measured = Variant::measured();
        let others = measured.iter().filter(|v| **v != Variant::Plank);
        let times = measured.iter().map(|v| v.title().to_owned());
        let ratios = others.map(|v| format!("plank/{}", v.title()));
        let first = ["".to_owned(), "rounds".to_owned()];
        first.into_iter().chain(times).chain(ratios).collect()
    }

    fn row(&self) -> Vec<String> {
        let measured = Variant::measured();
        let others = measured.iter().filter(|v| **v != Variant::Plank);
        let times = measured
            .iter()
            .map(|v| format!("{:.1}", median(self.of(*v))));
        let ratios = others.map(|v| format!("{:.2}", self.ratio_to(*v)));
        let name = [self.to_string(), self.rounds.to_string()];
        name.into_iter().chain(times).chain(ratios).collect()
    }

    fn verdict(&self) -> Option<Verdict> {
        let time = self.ratio_to(Variant::Unwatched);
        let rate_min = match self.write {
            Write::Insert => INSERT_RATE_MIN,
            Write::Update => UPDATE_RATE_MIN,
        };
        match (self.rows, self.text, self.write) {
            (ROWS, _, Write::Insert) => Some(Verdict {
                text: format!(
                    "{self} takes {time:.2} times as long as without plank (at most {RATIO_MAX})"
                ),
                is_within: time <= RATIO_MAX,
            }),
            (ROWS, ..) | (_, Text::Random, _) => None,
            _ => Some(Verdict {
                text: format!(
                    "{self}: {:.2} of the unwatched table's rate (at least {rate_min})",
                    1.0 / time
                ),
                is_within: 1.0 / time >= rate_min,
            }),
        }
    }

    /// The statement changes as many rows as it says.
    fn statement(&self, variant: Variant) -> String {
        let table = Variants::table(variant, self.write);
        let first = fastrand::usize(1..=ROWS - self.rows + 1);
        let condition = format!("id between {first} and {}", first + self.rows - 1);
        match (self.write, self.text) {
            (Write::Insert, Text::Usual) => table::insert_rows(&table, self.rows),
            (Write::Insert, Text::Random) => table::insert_random_rows(&table, self.rows),
            (Write::Update, Text::Usual) => table::update(&table, &condition),
            (Write::Update, Text::Random) => table::update_randomly(&table, &condition),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.text {
            Text::Usual => "",
            Text::Random => " that don't compress",
        };
        write!(f, "{} of {} rows{text}", self.write, self.rows)
    }
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let rounds = effort.of([15, 7], [2, 1]);
    let bed = Bed::start().await?;
    let mut variants = Variants::create(&bed).await?;
    let mut cells = Vec::new();
    let sizes = [
        (SIZES[0], Text::Usual, rounds[0]),
        (SIZES[0], Text::Random, rounds[0]),
        (SIZES[1], Text::Usual, rounds[1]),
    ];
    for (rows, text, rounds) in sizes {
        cells.extend(Write::ALL.map(|write| Cell {
            write,
            rows,
            text,
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
    let rows = cells.iter().map(Cell::row);
    Report {
        method: "Milliseconds of one statement with its commit; the variants directly after one another, in random \
            order; medians of the figures, and of the ratios within a round. Tables, variants, and what is done before each \
            figure are those of `writers`. Rows that don't compress have 64 random characters each. Takes about six minutes."
            .into(),
        facts,
        table: [vec![Cell::head()], rows.collect()].concat(),
        plot: None,
        verdicts: cells.iter().filter_map(Cell::verdict).collect(),
    }
}
