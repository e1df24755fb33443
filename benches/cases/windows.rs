//! `windows`: what a change costs plank that a thousand live windows of a large table are asked about, against a thousand filters.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::Client;

use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::report::{Report, Verdict};
use crate::support::{Effort, Failure, Outcome, SOON, stats, within};

/// Subscriptions of one socket: as many as plank allows.
const EACH: usize = 100;

/// Distinct filters, and distinct windows.
const SUBSCRIPTIONS: usize = 1_000;

/// Rows of a window.
const ROWS: usize = 50;

/// Changes in a second.
const RATE: usize = 200;

/// The processor's time for a change with windows may be so many times that with filters.
const RATIO_MAX: f64 = 3.0;

/// Interleaved, so that whatever else the machine does meets both alike.
const ROUNDS: usize = 5;

/// Between two looks at whether all changes have come.
const LOOK: Duration = Duration::from_millis(200);

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rows, changes) = (effort.of(1_000_000, 50_000), effort.of(2_000, 200));
    let bed = Bed::start().await?;
    let sql = bed.connect().await?;
    let mut tables = Vec::new();
    for (name, window) in [
        ("filters", String::new()),
        ("windows", format!(r#","order":"rank.desc","limit":{ROWS}"#)),
    ] {
        tables.push(Followed::start(&bed, &sql, name, rows, &window).await?);
    }
    let mut figures = vec![Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (table, figures) in tables.iter_mut().zip(&mut figures) {
            figures.push(table.measure(&bed, &sql, changes).await?);
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    let mut report = vec![
        ["1,000 distinct", "µs of processor for a change"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut medians = Vec::new();
    for (table, figures) in tables.iter().zip(&figures) {
        let median = stats::median(figures);
        report.push(vec![table.name.to_owned(), format!("{median:.1}")]);
        medians.push(median);
    }
    let ratio = medians[1] / medians[0];
    Ok(Report {
        method: format!(
            "Two tables of {rows} rows; the one has {SUBSCRIPTIONS} subscriptions with `tenant_id=eq.N`, the other as many with the same \
             filters and `order=rank.desc&limit={ROWS}`, {EACH} on a socket. {changes} times, {RATE} in a second, a row of some tenant \
             is inserted that comes first in its window; one subscription gets it. Time of all threads of the process `plank` in user and \
             kernel mode, median of {ROUNDS} interleaved rounds."
        ),
        facts,
        table: report,
        plot: None,
        verdicts: vec![Verdict {
            text: format!("windows to filters: {ratio:.2} times, at most {RATIO_MAX} times"),
            is_within: ratio <= RATIO_MAX,
        }],
    })
}

/// A table, and those who follow one tenant's rows of it each.
struct Followed {
    name: &'static str,
    sockets: Vec<Subscriber>,
    /// Rows that were there at the beginning, and have been inserted since.
    rows: usize,
}

impl Followed {
    async fn start(
        bed: &Bed,
        sql: &Client,
        name: &'static str,
        rows: usize,
        window: &str,
    ) -> Outcome<Self> {
        let create = format!(
            "create table {name} (id bigint generated always as identity primary key, tenant_id int, rank bigint, note text); \
             insert into {name} (tenant_id, rank, note) select n % {SUBSCRIPTIONS}, n, 'a note' from generate_series(1, {rows}) n; \
             create index on {name} (tenant_id, rank desc, id); analyze {name}; select plank.watch('{name}')"
        );
        sql.batch_execute(&create).await?;
        let mut sockets = Vec::new();
        for first in (0..SUBSCRIPTIONS).step_by(EACH) {
            let mut socket = Subscriber::greeted(bed.plank.address).await?;
            for tenant in first..first + EACH {
                let subscribe = format!(
                    r#"{{"type":"subscribe","id":"{tenant}","table":"{name}","filter":"tenant_id=eq.{tenant}"{window}}}"#
                );
                socket.send(&subscribe).await?;
                let subscribed = socket.find(r#""type":"subscribed""#);
                within(SOON, "a subscription", subscribed).await?;
            }
            sockets.push(socket);
        }
        Ok(Self {
            name,
            sockets,
            rows,
        })
    }

    /// Microseconds of the processor for a change.
    async fn measure(&mut self, bed: &Bed, sql: &Client, changes: usize) -> Outcome<f64> {
        let insert = format!(
            "insert into {} (tenant_id, rank, note) values ($1, $2, 'a note')",
            self.name
        );
        let insert = sql.prepare(&insert).await?;
        let first = self.rows + 1;
        self.rows += changes;
        let before = bed.plank.proc().cpu_us()?;
        let write = async {
            let mut pace = interval(Duration::from_secs(1) / RATE as u32);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in first..first + changes {
                pace.tick().await;
                // A step that has no divisor in common with the number of tenants, so that all of them get some.
                let tenant = (number * 7_919 % SUBSCRIPTIONS) as i32;
                sql.execute(&insert, &[&tenant, &(number as i64)]).await?;
            }
            Ok(())
        };
        let seen = std::cell::Cell::new(0);
        let read = try_join_all(self.sockets.iter_mut().map(|socket| {
            let seen = &seen;
            async move {
                // A change is one message here, or several are in one.
                while seen.get() < changes {
                    let message = timeout(LOOK, socket.find(r#""type":"changes""#)).await;
                    if let Ok(message) = message {
                        seen.set(seen.get() + message?.matches(r#""op":"insert""#).count());
                    }
                }
                Ok(())
            }
        }));
        let (write, read): (Outcome<()>, Outcome<Vec<()>>) =
            within(SOON * 12, "the changes", async {
                Ok::<_, Failure>(tokio::join!(write, read))
            })
            .await?;
        write?;
        read?;
        let spent = bed.plank.proc().cpu_us()? - before;
        Ok(spent as f64 / changes as f64)
    }
}
