//! `live-query`: how late a client sees a change through a live query of a join, and what those pay for it that write its tables.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::Client;

use crate::support::bed::{Bed, DATABASE};
use crate::support::client::Subscriber;
use crate::support::pgbench::{self, Load, Pgbench};
use crate::support::report::{Report, Verdict};
use crate::support::stats::{self, Latencies, ms};
use crate::support::{Effort, Outcome, SOON, within};

/// The least time between two refreshes.
const EVERY: Duration = Duration::from_millis(200);

/// At the 99th percentile a change may come so much later than that.
const ABOVE_MAX: Duration = Duration::from_millis(20);

/// What writers keep of their rate: at least.
const RATE_MIN: f64 = 0.95;

/// Connections that write.
const WRITERS: usize = 8;

/// Changes before the first that counts.
const WARM_UP: usize = 5;

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 100.0];

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rows, changes) = effort.of((100_000, 500), (5_000, 20));
    let (rounds, seconds) = effort.of((5, 10), (1, 1));
    let bed = Bed::start().await?;
    let sql = bed.connect().await?;
    create(&sql, rows).await?;
    let latencies = follow(&bed, &sql, rows, changes).await?;
    let pgbench = Pgbench::find(&bed.bin_dir().await?)?;
    let write = format!(
        "\\set id random(1, {rows})\nupdate orders set total = total + 1 where id = :id;\n"
    );
    let write = pgbench::script(bed.path("write.sql"), &write)?;
    let mut rates = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        // The one that comes first is another one in each round.
        for turn in 0..2 {
            let with = (round + turn) % 2 == 0;
            let load = Load {
                clients: WRITERS,
                duration: Duration::from_secs(seconds),
            };
            let rate = rate(&bed, &sql, &pgbench, &write, load, with).await?;
            rates[usize::from(with)].push(rate);
            eprintln!(
                "load: live-query, round {round} of {rounds}, {} the query: {rate:.0} updates/s",
                if with { "with" } else { "without" }
            );
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(report(
        (rows, changes, rounds, seconds),
        &latencies,
        &rates,
        facts,
    ))
}

async fn create(sql: &Client, rows: usize) -> Outcome<()> {
    let customers = rows / 10;
    let create = format!(
        "create table customers (id int primary key, name text not null); \
         create table orders (id int primary key, customer_id int not null references customers, total bigint not null, status text not null); \
         create index on orders (customer_id); \
         insert into customers select i, 'customer ' || i from generate_series(1, {customers}) i; \
         insert into orders select i, 1 + i % {customers}, i, 'open' from generate_series(1, {rows}) i; \
         analyze customers, orders; select plank.watch('customers'), plank.watch('orders')"
    );
    sql.batch_execute(&create).await?;
    watch(sql).await
}

async fn watch(sql: &Client) -> Outcome<()> {
    let watch = format!(
        "select plank.watch_query('board', \
           'select o.id, o.total, o.status, c.id as customer_id, c.name from orders o join customers c on c.id = o.customer_id', \
           '{{id}}', every => '{} ms', scope => '{{\"orders\": \"id\", \"customers\": {{\"id\": \"customer_id\"}}}}')",
        EVERY.as_millis()
    );
    sql.batch_execute(&watch).await?;
    Ok(())
}

/// From just before a row is changed until a client has it, each change after the one before, at any time of an interval.
async fn follow(bed: &Bed, sql: &Client, rows: usize, changes: usize) -> Outcome<Latencies> {
    let mut client = Subscriber::connect(bed.plank.address, "board").await?;
    let update = "update orders set total = $1 where id = $2";
    let update = sql.prepare(update).await?;
    let mut samples = Vec::new();
    for number in 0..WARM_UP + changes {
        let pause = fastrand::u64(0..2 * EVERY.as_millis() as u64);
        sleep(Duration::from_millis(pause)).await;
        // No other row has it.
        let total = (10 * rows + number) as i64;
        let id = fastrand::i32(1..=rows as i32);
        let begun = Instant::now();
        sql.execute(&update, &[&total, &id]).await?;
        let part = format!(r#""total":{total},"#);
        within(SOON, "a change", client.find(&part)).await?;
        if number >= WARM_UP {
            samples.push(begun.elapsed());
        }
    }
    Ok(Latencies::new(samples))
}

/// Updates in a second, with the live query or without it.
async fn rate(
    bed: &Bed,
    sql: &Client,
    pgbench: &Pgbench,
    write: &Path,
    load: Load,
    with: bool,
) -> Outcome<f64> {
    let is_there = "select exists (select from plank.live_query)";
    let is_there: bool = sql.query_one(is_there, &[]).await?.get(0);
    match (with, is_there) {
        (true, false) => watch(sql).await?,
        (false, true) => sql.batch_execute("select plank.unwatch('board')").await?,
        _ => {}
    }
    sql.batch_execute("vacuum orders").await?;
    sql.batch_execute("checkpoint").await?;
    // A client follows it, or else the orders.
    let table = if with { "board" } else { "orders" };
    let mut client = Subscriber::connect(bed.plank.address, table).await?;
    let (ended, mut end) = tokio::sync::oneshot::channel::<()>();
    let url = bed.url(DATABASE);
    let warm_up = Load {
        duration: load.duration / 3,
        ..load
    };
    let write = async {
        // Until the pauses between refreshes are those of a query that always has something to do.
        pgbench.tps(&url, write, warm_up).await?;
        let tps = pgbench.tps(&url, write, load).await;
        drop(ended);
        tps
    };
    let read = async {
        loop {
            tokio::select! {
                _ = &mut end => return Ok(()),
                message = client.find(r#""type":"changes""#) => { message?; }
            }
        }
    };
    let (tps, read): (Outcome<f64>, Outcome<()>) = tokio::join!(write, read);
    read?;
    tps
}

fn report(
    (rows, changes, rounds, seconds): (usize, usize, usize, u64),
    latencies: &Latencies,
    rates: &[Vec<f64>; 2],
    facts: Vec<(&'static str, String)>,
) -> Report {
    let [without, with] = rates;
    let p99 = latencies.percentile(99.0);
    let ratio = stats::median_ratio(with, without);
    let most = EVERY + ABOVE_MAX;
    let line = |cells: [String; 2]| cells.to_vec();
    let mut table = vec![line(["".into(), "figure".into()])];
    for percent in PERCENTILES {
        let figure = ms(latencies.percentile(percent));
        table.push(line([
            format!("change to client, p{percent:.0}, ms"),
            figure,
        ]));
    }
    for (name, rates) in [("without", without), ("with", with)] {
        let figure = format!("{:.0}", stats::median(rates));
        table.push(line([format!("updates/s {name} the query"), figure]));
    }
    Report {
        method: format!(
            "A join of {rows} orders with their customers, `every` {} ms, with a scope for both tables. {changes} times an order is \
             updated, after a pause of up to twice `every`, and the time taken from just before the UPDATE until a WebSocket client has \
             the row of the result. Then `pgbench -M prepared`, {WRITERS} connections that update one order each time, {seconds} s after a \
             third of that as a warm-up, with the live query and a client of it, and without the query and a client of the orders, in turns, {rounds} rounds; medians of \
             the figures, and of the ratios within a round. All of them share the processors.",
            EVERY.as_millis()
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![
            Verdict {
                text: format!(
                    "change to client: {} ms at p99, at most {} ms",
                    ms(p99),
                    most.as_millis()
                ),
                is_within: p99 <= most,
            },
            Verdict {
                text: format!("writers keep {ratio:.3} of their rate, at least {RATE_MIN}"),
                is_within: ratio >= RATE_MIN,
            },
        ],
    }
}
