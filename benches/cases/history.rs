//! `history`: a log of 10 million rows. What reading it costs when there is nothing new, and what a client gets that comes
//! back after 10,000 changes, or after a million.

use std::time::Duration;

use plank::store::log::LogReader;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::support::bed::{Bed, Setup};
use crate::support::client::Subscriber;
use crate::support::fsync::Fsync;
use crate::support::log_fill::{Fill, TRANSACTION_ROWS};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{Latencies, median, ms};
use crate::support::{Effort, Failure, Outcome, SOON, within};

/// plank has to keep all of it; so many that the log needs six of its eight leaves.
const SETUP: Setup = Setup {
    fsync: Fsync::AsItIs,
    plank_args: &["--retention-rows", "12000000"],
};

/// For all changes of a resume to arrive.
const RESUME_MAX: Duration = Duration::from_secs(120);

/// For all idle reads together, but for the first few: where one takes seconds, that is known soon.
const READS_MAX: Duration = Duration::from_secs(20);
const READS_MIN: usize = 10;
/// Between two of them.
const PAUSE_US: std::ops::Range<u64> = 1_000..3_000;

/// p99 of an idle read.
const READ_BOUND: Duration = Duration::from_millis(1);
/// For the first message of the shorter resume, in the median.
const FIRST_BOUND: Duration = Duration::from_millis(100);

/// How much.
struct Size {
    rows: usize,
    reads: usize,
    /// Changes that are missed, and how often that is measured.
    resumes: [(usize, usize); 2],
}

/// A place in the log.
struct Place {
    cursor: String,
    /// Changes behind it.
    missed: usize,
}

/// What a client saw that came back.
struct Resume {
    first: Duration,
    last: Duration,
    /// What plank's memory grew by, at its highest.
    grown_kib: u64,
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let size = effort.of(
        Size {
            rows: 10_000_000,
            reads: 2_000,
            resumes: [(10_000, 7), (1_000_000, 3)],
        },
        Size {
            rows: 200_000,
            reads: 100,
            resumes: [(10_000, 1), (50_000, 1)],
        },
    );
    let bed = Bed::start_with(SETUP).await?;
    let started = Instant::now();
    let (places, last) = fill(&bed, &size).await?;
    let filled = started.elapsed();
    let reads = idle_reads(&bed, size.reads).await?;
    let mut resumes = [Vec::new(), Vec::new()];
    for (which, place) in places.iter().enumerate() {
        let (_, count) = size.resumes[which];
        for number in 1..=count {
            let resume = resume(&bed, place, &last).await?;
            eprintln!(
                "load: history, resume of {} changes, {number} of {count}: first {} ms, last {} ms",
                place.missed,
                ms(resume.first),
                ms(resume.last)
            );
            resumes[which].push(resume);
        }
    }
    let mut facts = bed.database_facts().await?;
    facts.push(("log", log_facts(&bed, filled).await?));
    bed.stop().await?;
    Ok(report(&size, &reads, &resumes, facts))
}

/// Fills the log. Gives the places from which the last changes are missed, and what the very last one has in it.
async fn fill(bed: &Bed, size: &Size) -> Outcome<([Place; 2], String)> {
    let [(short, _), (long, _)] = size.resumes;
    let mut fill = Fill::start(bed).await?;
    fill.up_to(size.rows - long, size.rows).await?;
    let long_from = (fill.cursor().await?, fill.logged());
    fill.up_to(size.rows - short, size.rows).await?;
    let short_from = (fill.cursor().await?, fill.logged());
    let last = fill.up_to(size.rows, size.rows).await?;
    let place = |(cursor, logged)| Place {
        cursor,
        missed: fill.logged() - logged,
    };
    Ok(([place(short_from), place(long_from)], last))
}

/// The listener's own statement, on a connection with its settings, when there is nothing to read.
async fn idle_reads(bed: &Bed, count: usize) -> Outcome<Latencies> {
    /// For plans and caches; not counted.
    const WARM_UP: usize = 10;
    let database = bed.own_database();
    let reads = async {
        let mut reader = LogReader::connect(&database.clone().into(), false).await?;
        let cursor = reader.now().await?;
        let mut samples = Vec::with_capacity(count);
        let begun = Instant::now();
        for number in 0..WARM_UP + count {
            if samples.len() >= READS_MIN && begun.elapsed() >= READS_MAX {
                break;
            }
            sleep(Duration::from_micros(fastrand::u64(PAUSE_US))).await;
            let started = Instant::now();
            let mut reading = reader.read(&cursor.snapshot, None, SOON).await?;
            let row = reading.next().await?;
            let elapsed = started.elapsed();
            if row.is_some() {
                return Err("an idle read has found something".into());
            }
            if number >= WARM_UP {
                samples.push(elapsed);
            }
        }
        Ok(Latencies::new(samples))
    };
    // plank drives the reader's connection with a task of the thread's own, as its actors do.
    LocalSet::new().run_until(reads).await
}

/// Comes back to a plank that has just started: it has nothing in memory, and has to read the log.
async fn resume(bed: &Bed, place: &Place, last: &str) -> Outcome<Resume> {
    let plank = bed.another_plank().await?;
    let before_kib = plank.proc().resident_kib()?;
    let mut subscriber = Subscriber::greeted(plank.address).await?;
    let cursor = &place.cursor;
    let subscribe =
        format!(r#"{{"type":"subscribe","id":"a","table":"items","since":"{cursor}"}}"#);
    let started = Instant::now();
    subscriber.send(&subscribe).await?;
    let all = async {
        let (mut first, mut changes) = (None, 0);
        loop {
            let message = subscriber.find(r#""type":"changes""#).await?;
            first.get_or_insert_with(|| started.elapsed());
            changes += message.matches(r#","xid":""#).count();
            if message.contains(last) {
                let first = first.unwrap_or_default();
                return Ok::<_, Failure>((first, started.elapsed(), changes));
            }
        }
    };
    let (first, last, changes) = within(RESUME_MAX, "a resume", all).await?;
    if changes != place.missed {
        return Err(format!("{changes} changes came instead of {}", place.missed).into());
    }
    let grown_kib = plank.proc().peak_kib()?.saturating_sub(before_kib);
    drop(subscriber);
    plank.stop().await?;
    Ok(Resume {
        first,
        last,
        grown_kib,
    })
}

async fn log_facts(bed: &Bed, filled: Duration) -> Outcome<String> {
    let client = bed.connect().await?;
    let sql = "select rows_estimated, bytes, (select count(*) from plank.leaf where opened is not null), \
        (select count(*) from plank.mark) from plank.log_size()";
    let row = within(SOON, "the size of the log", client.query_one(sql, &[])).await?;
    let (rows, bytes): (i64, i64) = (row.get(0), row.get(1));
    let (leaves, marks): (i64, i64) = (row.get(2), row.get(3));
    Ok(format!(
        "{rows} rows in {leaves} leaves, {:.1} GiB with indexes, {marks} marks; filled in {} s while plank followed",
        bytes as f64 / f64::from(1 << 30),
        filled.as_secs()
    ))
}

fn report(
    size: &Size,
    reads: &Latencies,
    resumes: &[Vec<Resume>; 2],
    facts: Vec<(&'static str, String)>,
) -> Report {
    let (read, read_p99) = (reads.percentile(50.0), reads.percentile(99.0));
    let firsts = |which: usize| Latencies::new(resumes[which].iter().map(|r| r.first).collect());
    let lasts = |which: usize| Latencies::new(resumes[which].iter().map(|r| r.last).collect());
    let row = |name: String, latencies: &Latencies, percent: f64| {
        let count = latencies.count().to_string();
        let figures = [50.0, percent].map(|percent| ms(latencies.percentile(percent)));
        [&[name, count], &figures[..]].concat()
    };
    let head = ["", "times", "median", "p99; of the few: max"];
    let mut table = vec![
        head.map(str::to_owned).to_vec(),
        row("read with nothing new, ms".into(), reads, 99.0),
    ];
    for (which, (changes, count)) in size.resumes.into_iter().enumerate() {
        let name = format!("resume of {changes} changes");
        table.push(row(
            format!("{name}, first message, ms"),
            &firsts(which),
            100.0,
        ));
        table.push(row(
            format!("{name}, last message, ms"),
            &lasts(which),
            100.0,
        ));
        let grown: Vec<f64> = resumes[which]
            .iter()
            .map(|r| r.grown_kib as f64 / 1024.0)
            .collect();
        let max = grown.iter().copied().fold(0.0, f64::max);
        let figures = [median(&grown), max].map(|mib| format!("{mib:.1}"));
        let name = [
            format!("{name}, memory of plank, MiB more"),
            count.to_string(),
        ];
        table.push([&name[..], &figures[..]].concat());
    }
    let first = firsts(0).percentile(50.0);
    let changes = size.resumes[0].0;
    Report {
        method: format!(
            "A log of {} rows, each about 240 bytes of JSON, in committed transactions of {TRANSACTION_ROWS} rows; plank \
             followed while it was filled. Read: the listener's own statement from its own library, on a connection with \
             its settings, one at a time, from the call to the end of the result. Resume: from sending `subscribe` with \
             `since` to a plank that has just been started, so that it has nothing in memory, until the first and the last \
             `changes` message have been read; all changes are counted, and each time it is another plank. Memory: the \
             highest resident memory of that plank above the one before `subscribe`. Takes about a minute and 6 GB of disk.",
            size.rows
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![
            Verdict {
                text: format!(
                    "A read with nothing new takes {} ms in the median, {} at p99 (at most {})",
                    ms(read),
                    ms(read_p99),
                    READ_BOUND.as_millis()
                ),
                is_within: read_p99 <= READ_BOUND,
            },
            Verdict {
                text: format!(
                    "The first message after {changes} missed changes comes after {} ms in the median (at most {})",
                    ms(first),
                    FIRST_BOUND.as_millis()
                ),
                is_within: first <= FIRST_BOUND,
            },
        ],
    }
}
