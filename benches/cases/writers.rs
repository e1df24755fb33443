//! `writers`: what many writers at once pay for being watched.
//!
//! The same table several times: nothing follows it; plank does, by statements or row by row, with a client that is connected;
//! a row trigger puts each row into a NOTIFY, with a client that listens; and an earlier plank, where there is one. NOTIFY
//! makes commits wait for each other, each for the flush of the one before. So a slow disk is measured as well.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::bed::{Bed, Setup};
use crate::support::fsync::{Fsync, SLOW_BY};
use crate::support::pgbench::{self, Load, Pgbench};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::variants::{ROWS, Variant, Variants, Write};
use crate::support::{Effort, Outcome, table};

const CLIENTS: [usize; 4] = [1, 8, 32, 64];
/// Where there are bounds.
const JUDGED_CLIENTS: usize = 32;

/// What plank leaves of the unwatched table's rate, and how many times NOTIFY's rate it has: at least.
struct Bounds {
    of_unwatched: f64,
    of_notify: f64,
}

impl Bounds {
    fn of(fsync: Fsync) -> Self {
        match fsync {
            // Here plank's own work is all that there is to see.
            Fsync::AsItIs => Self {
                of_unwatched: 0.55,
                of_notify: 2.5,
            },
            Fsync::Slow => Self {
                of_unwatched: 0.85,
                of_notify: 10.0,
            },
        }
    }
}

/// What is measured in turns within a short time.
struct Cell {
    fsync: Fsync,
    write: Write,
    clients: usize,
    /// By [`Variant::index`], one figure a round.
    tps: [Vec<f64>; Variant::COUNT],
    /// The same of PostgreSQL's processor time for each transaction, in microseconds.
    cpu_us: [Vec<f64>; Variant::COUNT],
}

impl Cell {
    fn of(&self, variant: Variant) -> &[f64] {
        &self.tps[variant.index()]
    }

    /// plank's rate in times of another one's.
    fn ratio_to(&self, variant: Variant) -> f64 {
        median_ratio(self.of(Variant::Plank), self.of(variant))
    }

    fn head() -> Vec<String> {
        let measured = Variant::measured();
        let others = measured.iter().filter(|v| **v != Variant::Plank);
        let rates = measured.iter().map(|v| v.title().to_owned());
        let cpu = measured.iter().map(|v| format!("{} µs", v.title()));
        let ratios = others.map(|v| format!("plank/{}", v.title()));
        let first = ["".to_owned(), "clients".to_owned()];
        first
            .into_iter()
            .chain(rates)
            .chain(ratios)
            .chain(cpu)
            .collect()
    }

    fn row(&self) -> Vec<String> {
        let measured = Variant::measured();
        let others = measured.iter().filter(|v| **v != Variant::Plank);
        let rates = measured
            .iter()
            .map(|v| format!("{:.0}", median(self.of(*v))));
        let cpu = measured
            .iter()
            .map(|v| format!("{:.1}", median(&self.cpu_us[v.index()])));
        let ratios = others.map(|v| format!("{:.2}", self.ratio_to(*v)));
        let name = [self.to_string(), self.clients.to_string()];
        name.into_iter()
            .chain(rates)
            .chain(ratios)
            .chain(cpu)
            .collect()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let bounds = Bounds::of(self.fsync);
        let of = [
            (
                Variant::Unwatched,
                "of the unwatched table's rate",
                bounds.of_unwatched,
            ),
            (
                Variant::Notify,
                "times the rate with NOTIFY",
                bounds.of_notify,
            ),
        ];
        let verdict = |(variant, what, min): (Variant, &str, f64)| {
            let ratio = self.ratio_to(variant);
            Verdict {
                text: format!(
                    "{self}, {} clients: {ratio:.2} {what} (at least {min})",
                    self.clients
                ),
                is_within: ratio >= min,
            }
        };
        of.map(verdict).into()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = match self.fsync {
            Fsync::AsItIs => "disk as it is",
            Fsync::Slow => "slow disk",
        };
        write!(f, "{}, {disk}", self.write)
    }
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rounds, seconds) = effort.of((3, 3), (1, 1));
    let (mut cells, mut facts) = (Vec::new(), Vec::new());
    // The slow one first: what it needs of the system is missed before minutes have passed.
    for fsync in [Fsync::Slow, Fsync::AsItIs] {
        let setup = Setup {
            fsync,
            ..Setup::default()
        };
        let bed = Bed::start_with(setup).await?;
        cells.extend(measure(&bed, fsync, rounds, Duration::from_secs(seconds)).await?);
        if fsync == Fsync::AsItIs {
            facts = bed.database_facts().await?;
        }
        bed.stop().await?;
    }
    Ok(report(rounds, seconds, &cells, facts))
}

async fn measure(bed: &Bed, fsync: Fsync, rounds: u32, duration: Duration) -> Outcome<Vec<Cell>> {
    let pgbench = Pgbench::find(&bed.bin_dir().await?)?;
    let mut variants = Variants::create(bed).await?;
    let mut cells = Vec::new();
    for write in Write::ALL {
        cells.extend(CLIENTS.map(|clients| Cell {
            fsync,
            write,
            clients,
            tps: Default::default(),
            cpu_us: Default::default(),
        }));
    }
    for round in 1..=rounds {
        let mut order: Vec<usize> = (0..cells.len()).collect();
        fastrand::shuffle(&mut order);
        for at in order {
            let cell = &mut cells[at];
            let load = Load {
                clients: cell.clients,
                duration,
            };
            for variant in Variant::shuffled() {
                let script = script(bed, variant, cell.write)?;
                let database = url(bed, &variants, variant).await?;
                variants.tidy(variant, cell.write).await?;
                let cpu_us = bed.postgres_proc().family_cpu_us()?;
                let tps = pgbench.tps(&database, &script, load).await?;
                let cpu_us = bed.postgres_proc().family_cpu_us()? - cpu_us;
                cell.tps[variant.index()].push(tps);
                cell.cpu_us[variant.index()]
                    .push(cpu_us as f64 / (tps * load.duration.as_secs_f64()));
            }
            let last = |v: &Variant| {
                let tps = cell.of(*v).last().copied().unwrap_or_default();
                format!("{} {tps:.0}", v.title())
            };
            let last: Vec<String> = Variant::measured().iter().map(last).collect();
            eprintln!(
                "load: writers, round {round} of {rounds}, {cell}, {} clients: {} transactions/s",
                cell.clients,
                last.join(", ")
            );
        }
    }
    Ok(cells)
}

async fn url(bed: &Bed, variants: &Variants, variant: Variant) -> Outcome<String> {
    let sql = "select current_database()::text";
    let row = variants.client(variant).query_one(sql, &[]).await?;
    Ok(bed.url(row.get(0)))
}

/// One transaction for pgbench, of one statement.
fn script(bed: &Bed, variant: Variant, write: Write) -> Outcome<PathBuf> {
    let table = Variants::table(variant, write);
    let sql = match write {
        Write::Insert => table::insert(&table, "'a name'"),
        Write::Update => format!(
            "\\set id random(1, {ROWS})\n{}",
            table::update(&table, "id = :id")
        ),
    };
    pgbench::script(bed.path(&format!("{table}.sql")), &format!("{sql};\n"))
}

fn report(rounds: u32, seconds: u64, cells: &[Cell], facts: Vec<(&'static str, String)>) -> Report {
    let rows = cells.iter().map(Cell::row);
    let judged = cells.iter().filter(|cell| cell.clients == JUDGED_CLIENTS);
    Report {
        method: format!(
            "Transactions per second of one-row statements, each its own transaction: `pgbench -M prepared`, {seconds} s for \
             each figure, {rounds} rounds; the variants directly after one another, in random order; medians of the \
             figures, and of the ratios within a round. µs: processor time of all of PostgreSQL for each transaction. Each variant has tables of its own, with the columns of `items` and \
             no index but the primary key; UPDATEs take one of {ROWS} rows at random. plank: the release binary, with a \
             WebSocket client that gets every change. Row level: the same, with `level => 'row'`, as partitioned tables need it. \
             Before (where `PLANK_BENCH_BEFORE` names a program): an earlier plank, in a database of its own. NOTIFY: a row trigger with the row in `pg_notify`, and a client that \
             listens. Before each figure everybody has caught up, plank sleeps, the table is emptied (INSERT) or vacuumed \
             (UPDATE), and a checkpoint is made. pgbench, the clients and plank share the processors with PostgreSQL. Slow \
             disk: each `fdatasync` takes {:.1} ms longer. Takes about twenty minutes.",
            SLOW_BY.as_secs_f64() * 1e3
        ),
        facts,
        table: [vec![Cell::head()], rows.collect()].concat(),
        plot: None,
        verdicts: judged.flat_map(Cell::verdicts).collect(),
    }
}
