//! `filters`: what a change costs plank that ten thousand subscriptions have told apart by a value, against ten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::future::try_join_all;
use tokio_postgres::Client;

use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::report::{Report, Verdict};
use crate::support::{Effort, Outcome, SOON, stats, within};

/// Subscriptions of one socket: as many as plank allows.
const EACH: usize = 100;

/// Few and many distinct filters.
const FEW: usize = 10;
const MANY: usize = 10_000;

/// The processor's time for a change among many may be so many times that among few.
const RATIO_MAX: f64 = 2.0;

/// Interleaved, so that whatever else the machine does meets both alike.
const ROUNDS: usize = 5;

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let changes = effort.of(20_000, 400);
    let bed = Bed::start().await?;
    let sql = bed.connect().await?;
    let mut beds = Vec::new();
    for filters in [FEW, MANY] {
        beds.push(Tenants::start(&bed, &sql, filters).await?);
    }
    let mut figures = vec![Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (tenants, figures) in beds.iter_mut().zip(&mut figures) {
            figures.push(tenants.measure(&bed, &sql, changes).await?);
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    let mut table = vec![
        ["distinct filters", "µs of processor for a change"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut medians = Vec::new();
    for (tenants, figures) in beds.iter().zip(&mut figures) {
        let median = stats::median(figures);
        table.push(vec![tenants.filters.to_string(), format!("{median:.1}")]);
        medians.push(median);
    }
    let ratio = medians[1] / medians[0];
    Ok(Report {
        method: format!(
            "Two tables; the one has {FEW} subscriptions with `tenant_id=eq.N`, the other {MANY}, all of them different, {EACH} on a \
             socket. {changes} times a row of some tenant is inserted, each in a transaction of its own and after the one before it; \
             one subscription gets it. Time of all threads of the process `plank` in user and kernel mode, median of {ROUNDS} \
             interleaved rounds."
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![Verdict {
            text: format!("{MANY} filters to {FEW}: {ratio:.2} times, at most {RATIO_MAX} times"),
            is_within: ratio <= RATIO_MAX,
        }],
    })
}

/// A table, and those who look at one tenant's rows of it each.
pub struct Tenants {
    table: String,
    /// How many tenants there are.
    pub filters: usize,
    /// How many of them get rows.
    pub concerned: usize,
    sockets: Vec<Subscriber>,
    written: usize,
    /// How many changes have come.
    seen: Arc<AtomicUsize>,
}

impl Tenants {
    /// A table without subscriptions yet, with this many tenants.
    ///
    /// # Errors
    /// If it can't be made.
    pub async fn empty(sql: &Client, name: &str, tenants: usize) -> Outcome<Self> {
        let table = format!("{name}_{tenants}");
        let create = format!(
            "create table {table} (id bigint generated always as identity primary key, tenant_id int, name text); select plank.watch('{table}')"
        );
        sql.batch_execute(&create).await?;
        Ok(Self {
            table,
            filters: tenants,
            concerned: tenants,
            sockets: Vec::new(),
            written: 0,
            seen: Arc::default(),
        })
    }

    /// The table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// One more socket, which is subscribed.
    pub fn push(&mut self, socket: Subscriber) {
        self.sockets.push(socket);
    }

    async fn start(bed: &Bed, sql: &Client, filters: usize) -> Outcome<Self> {
        let mut tenants = Self::empty(sql, "tenants", filters).await?;
        let table = tenants.table.clone();
        for first in (0..filters).step_by(EACH) {
            let mut socket = Subscriber::greeted(bed.plank.address).await?;
            for tenant in first..filters.min(first + EACH) {
                let subscribe = format!(
                    r#"{{"type":"subscribe","id":"{tenant}","table":"{table}","filter":"tenant_id=eq.{tenant}"}}"#
                );
                socket.send(&subscribe).await?;
                within(
                    SOON,
                    "a subscription",
                    socket.find(r#""type":"subscribed""#),
                )
                .await?;
            }
            tenants.push(socket);
        }
        Ok(tenants)
    }

    /// Microseconds of the processor for a change.
    ///
    /// # Errors
    /// If not all of them come.
    pub async fn measure(&mut self, bed: &Bed, sql: &Client, changes: usize) -> Outcome<f64> {
        let insert = format!(
            "insert into {} (tenant_id, name) values ($1, 'a name')",
            self.table
        );
        let insert = sql.prepare(&insert).await?;
        let wanted = self.written + changes;
        let before = bed.plank.proc().cpu_us()?;
        let (seen, concerned, first) = (self.seen.clone(), self.concerned, self.written);
        let write = async {
            for number in first..wanted {
                // A step that has no divisor in common with the number of tenants, so that all of them get some.
                let tenant = (number * 7_919 % concerned) as i32;
                sql.execute(&insert, &[&tenant]).await?;
            }
            Ok(())
        };
        let read = try_join_all(self.sockets.iter_mut().map(|socket| {
            let seen = seen.clone();
            async move {
                // A change is one message here, or several are in one.
                while seen.load(Relaxed) < wanted {
                    let message = tokio::time::timeout(
                        std::time::Duration::from_millis(200),
                        socket.find(r#""type":"changes""#),
                    )
                    .await;
                    if let Ok(message) = message {
                        seen.fetch_add(message?.matches(r#""op":"insert""#).count(), Relaxed);
                    }
                }
                Ok(())
            }
        }));
        let (write, read): (Outcome<()>, Outcome<Vec<()>>) =
            within(SOON * 12, "the changes", async {
                Ok::<_, crate::support::Failure>(tokio::join!(write, read))
            })
            .await?;
        write?;
        read?;
        self.written = wanted;
        let spent = bed.plank.proc().cpu_us()? - before;
        Ok(spent as f64 / changes as f64)
    }
}
