//! `rest`: requests to `/rest`, beside the server that a team would write by hand.
//!
//! Both serve the same table of the same database, which plank captures. The same 32 connections ask the one and then the
//! other. A receipt is what comes on top of that: how much later than the answer a subscriber sees the change.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::keep_alive::{KeepAlive, request};
use crate::support::node::Node;
use crate::support::proc::Proc;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{Latencies, median, median_ratio, ms};
use crate::support::{Effort, Outcome, SOON, table, within};

const TABLE: &str = "bench_rest";
const ROWS: usize = 100_000;
/// Connections that ask at once.
const CLIENTS: usize = 32;
const PAGE: usize = 100;

/// A row that is written.
const ROW: &str =
    r#"{"name":"a name","description":"a row as it occurs in practice","data":{"priority":3}}"#;

/// What plank's p99 may be above Node's, and its processor time for each request, of Node's.
const P99_MAX: f64 = 1.0;
const CPU_MAX: f64 = 0.5;
/// A subscriber sees a write so much later than its answer comes, at the 99th percentile.
const RECEIPT_MAX: Duration = Duration::from_millis(3);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Row,
    Page,
    Insert,
    Update,
}

impl Asked {
    const ALL: [Self; 4] = [Self::Row, Self::Page, Self::Insert, Self::Update];

    fn title(self) -> &'static str {
        match self {
            Self::Row => "one row by its key",
            Self::Page => "a page of 100 rows",
            Self::Insert => "insert",
            Self::Update => "update",
        }
    }

    /// How many times Node's rate plank has, at least.
    fn rate_min(self) -> f64 {
        match self {
            Self::Row | Self::Page => 3.0,
            Self::Insert | Self::Update => 1.5,
        }
    }

    fn of_plank(self) -> String {
        let id = fastrand::usize(1..=ROWS - PAGE);
        let back = "prefer: return=representation\r\n";
        match self {
            Self::Row => request("GET", &format!("/rest/{TABLE}?id=eq.{id}"), "", ""),
            Self::Page => {
                let target = format!("/rest/{TABLE}?id=gte.{id}&order=id.asc&limit={PAGE}");
                request("GET", &target, "", "")
            }
            Self::Insert => request("POST", &format!("/rest/{TABLE}"), back, ROW),
            Self::Update => {
                let target = format!("/rest/{TABLE}?id=eq.{id}");
                request("PATCH", &target, back, r#"{"status":"active"}"#)
            }
        }
    }

    fn of_node(self) -> String {
        let id = fastrand::usize(1..=ROWS - PAGE);
        match self {
            Self::Row => request("GET", &format!("/rows/{id}"), "", ""),
            Self::Page => request("GET", &format!("/rows?from={id}&limit={PAGE}"), "", ""),
            Self::Insert => request("POST", "/rows", "", ROW),
            Self::Update => request(
                "PATCH",
                &format!("/rows/{id}"),
                "",
                r#"{"status":"active"}"#,
            ),
        }
    }
}

/// A server that is measured.
#[derive(Clone, Copy)]
struct Server {
    address: SocketAddr,
    proc: Proc,
    is_plank: bool,
}

/// What was measured of one server and one kind of request, a figure a round.
#[derive(Default)]
struct Series {
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
    database_us: Vec<f64>,
    latencies: Vec<Duration>,
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rounds, seconds, receipts) = effort.of((5, 3, 500), (1, 1, 10));
    let bed = Bed::start().await?;
    let sql = bed.connect().await?;
    table::create(&sql, TABLE, ROWS).await?;
    let mut subscriber = table::watch(&sql, bed.plank.address, TABLE).await?;
    let open = format!("select plank.watch('{TABLE}', writable => true)");
    within(SOON, "plank.watch", sql.batch_execute(&open)).await?;
    within(
        SOON,
        "vacuum",
        sql.batch_execute(&format!("vacuum analyze {TABLE}")),
    )
    .await?;
    let node = Node::start(&bed.own_database(), TABLE, &bed.path("node.log")).await?;
    let servers = [
        Server {
            address: bed.plank.address,
            proc: bed.plank.proc(),
            is_plank: true,
        },
        Server {
            address: node.address,
            proc: node.proc(),
            is_plank: false,
        },
    ];
    let receipt = receipts_of(bed.plank.address, &mut subscriber, receipts).await?;
    drop(subscriber);
    let mut measured = Vec::new();
    for asked in Asked::ALL {
        let mut both = [Series::default(), Series::default()];
        for round in 1..=rounds {
            within(SOON, "a checkpoint", sql.batch_execute("checkpoint")).await?;
            for at in order() {
                let time = Duration::from_secs(seconds);
                load(&bed, servers[at], asked, time, &mut both[at]).await?;
            }
            let last = both
                .each_ref()
                .map(|s| s.per_second.last().copied().unwrap_or(0.0));
            eprintln!(
                "load: rest, {}, round {round} of {rounds}: plank {:.0}/s, Node {:.0}/s",
                asked.title(),
                last[0],
                last[1]
            );
        }
        measured.push((asked, both));
    }
    let facts = bed.database_facts().await?;
    drop(node);
    bed.stop().await?;
    Ok(report(rounds, seconds, measured, &receipt, facts))
}

/// Both, in a random order.
fn order() -> [usize; 2] {
    if fastrand::bool() { [0, 1] } else { [1, 0] }
}

/// All connections ask for some time.
async fn load(
    bed: &Bed,
    server: Server,
    asked: Asked,
    time: Duration,
    series: &mut Series,
) -> Outcome<()> {
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        let mut one = KeepAlive::connect(server.address).await?;
        // Its statements are prepared, and its caches are warm.
        one.send(&text(server, asked)).await?;
        connections.push(one);
    }
    let database = bed.postgres_proc();
    let (cpu, of_database) = (server.proc.cpu_us()?, database.family_cpu_us()?);
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for mut one in connections {
        clients.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < time {
                let request = text(server, asked);
                let sent = Instant::now();
                one.send(&request).await?;
                latencies.push(sent.elapsed());
            }
            Ok::<_, crate::support::Failure>(latencies)
        });
    }
    let before = series.latencies.len();
    while let Some(latencies) = clients.join_next().await {
        series.latencies.extend(latencies??);
    }
    let requests = (series.latencies.len() - before) as f64;
    let each = |us: u64| us as f64 / requests;
    series
        .per_second
        .push(requests / started.elapsed().as_secs_f64());
    series.cpu_us.push(each(server.proc.cpu_us()? - cpu));
    series
        .database_us
        .push(each(database.family_cpu_us()? - of_database));
    Ok(())
}

fn text(server: Server, asked: Asked) -> String {
    match server.is_plank {
        true => asked.of_plank(),
        false => asked.of_node(),
    }
}

/// Of one write after the other: when its answer is there, and when a subscriber has seen it.
struct Receipt {
    answered: Latencies,
    seen: Latencies,
}

async fn receipts_of(
    address: SocketAddr,
    subscriber: &mut Subscriber,
    times: usize,
) -> Outcome<Receipt> {
    let mut client = KeepAlive::connect(address).await?;
    let (mut answered, mut seen) = (Vec::new(), Vec::new());
    for number in 0..times {
        let name = format!("receipt {number} of it");
        let row = ROW.replace("a name", &name);
        let request = request("POST", &format!("/rest/{TABLE}"), "", &row);
        let sent = Instant::now();
        let write = async {
            client.send(&request).await?;
            Ok::<_, crate::support::Failure>(sent.elapsed())
        };
        let change = async {
            within(SOON, "the change", subscriber.find(&name)).await?;
            Ok(sent.elapsed())
        };
        let (write, change) = tokio::try_join!(write, change)?;
        answered.push(write);
        seen.push(change);
    }
    Ok(Receipt {
        answered: Latencies::new(answered),
        seen: Latencies::new(seen),
    })
}

fn report(
    rounds: u32,
    seconds: u64,
    measured: Vec<(Asked, [Series; 2])>,
    receipt: &Receipt,
    facts: Vec<(&'static str, String)>,
) -> Report {
    let head = [
        "",
        "plank/s",
        "Node/s",
        "plank/Node",
        "plank p99 ms",
        "Node p99 ms",
        "plank µs",
        "Node µs",
        "database µs (plank)",
        "database µs (Node)",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut verdicts = Vec::new();
    for (asked, [plank, node]) in measured {
        let ratio = median_ratio(&plank.per_second, &node.per_second);
        let cpu = median_ratio(&plank.cpu_us, &node.cpu_us);
        let (of_plank, of_node) = (
            Latencies::new(plank.latencies),
            Latencies::new(node.latencies),
        );
        let p99 = of_plank.ratio(&of_node, 99.0);
        table.push(vec![
            asked.title().to_owned(),
            format!("{:.0}", median(&plank.per_second)),
            format!("{:.0}", median(&node.per_second)),
            format!("{ratio:.2}"),
            ms(of_plank.percentile(99.0)),
            ms(of_node.percentile(99.0)),
            format!("{:.0}", median(&plank.cpu_us)),
            format!("{:.0}", median(&node.cpu_us)),
            format!("{:.0}", median(&plank.database_us)),
            format!("{:.0}", median(&node.database_us)),
        ]);
        let title = asked.title();
        let min = asked.rate_min();
        verdicts.push(Verdict {
            text: format!("{title}: {ratio:.2} times Node's requests per second (at least {min})"),
            is_within: ratio >= min,
        });
        verdicts.push(Verdict {
            text: format!("{title}: {p99:.2} times Node's p99 (at most {P99_MAX})"),
            is_within: p99 <= P99_MAX,
        });
        verdicts.push(Verdict {
            text: format!(
                "{title}: {cpu:.2} of Node's processor time for each request (at most {CPU_MAX})"
            ),
            is_within: cpu <= CPU_MAX,
        });
    }
    let (answered, seen) = (
        receipt.answered.percentile(99.0),
        receipt.seen.percentile(99.0),
    );
    let later = seen.saturating_sub(answered);
    verdicts.push(Verdict {
        text: format!(
            "receipts, {} writes one after the other: p99 {} ms until the answer and {} ms until a subscriber has seen the change, {} ms later (at most {})",
            receipt.seen.count(),
            ms(answered),
            ms(seen),
            ms(later),
            ms(RECEIPT_MAX),
        ),
        is_within: later <= RECEIPT_MAX,
    });
    Report {
        method: format!(
            "{CLIENTS} connections that are kept ask one after the other, {seconds} s for each figure, {rounds} rounds; plank and Node.js \
             directly after one another, in random order; medians of the figures, and of the ratios within a round. Both serve the same table \
             of {ROWS} rows in the shape of `items`, which plank captures. Node.js: `benches/node/server.mjs`, `node:http` with a pool of 16 \
             connections of `pg` and prepared statements, without policies, cursors or checks of what a client sends. µs: processor time of \
             the server for each request, and of all of PostgreSQL. The client, both servers and PostgreSQL share the processors."
        ),
        facts,
        table,
        plot: None,
        verdicts,
    }
}
