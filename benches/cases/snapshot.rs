//! `snapshot`: a table of a million rows, read through plank as NDJSON and over a WebSocket, against the same query read
//! by a bare client.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{median, median_ratio};
use crate::support::{Effort, Failure, Outcome, SOON, table, within};

const TABLE: &str = "snapshot";

/// What plank asks for as well.
const QUERY: &str = "select pg_catalog.row_to_json(x.*)::text from public.snapshot x";

/// For all rows to arrive.
const READ_MAX: Duration = Duration::from_secs(120);

/// Of the bare client's rate, in the median.
const RATIO_BOUND: f64 = 0.5;
/// What plank's memory may grow by, in MiB.
const GROWN_BOUND: f64 = 8.0;

/// One way to read the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Bare,
    Ndjson,
    WebSocket,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Bare, "bare client"),
    (Way::Ndjson, "NDJSON"),
    (Way::WebSocket, "WebSocket"),
];

/// The figures of one way, a round each.
#[derive(Debug, Default)]
struct Figures {
    rows_per_s: Vec<f64>,
    grown_mib: Vec<f64>,
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rows, rounds) = effort.of((1_000_000, 7), (50_000, 1));
    let bed = Bed::start().await?;
    let client = bed.connect().await?;
    table::create(&client, TABLE, rows).await?;
    let vacuum = format!("vacuum analyze {TABLE}; checkpoint");
    for statement in vacuum.split("; ") {
        within(READ_MAX, "a vacuum", client.batch_execute(statement)).await?;
    }
    drop(table::watch(&client, bed.plank.address, TABLE).await?);
    let mut figures: [Figures; 3] = Default::default();
    for number in 1..=rounds {
        let mut order = WAYS;
        fastrand::shuffle(&mut order);
        for (way, name) in order {
            let (elapsed, grown_kib) = Box::pin(read(&bed, way, rows)).await?;
            let rate = rows as f64 / elapsed.as_secs_f64();
            eprintln!("load: snapshot, {number} of {rounds}: {name}, {rate:.0} rows/s");
            let own = &mut figures[way as usize];
            own.rows_per_s.push(rate);
            own.grown_mib.push(grown_kib as f64 / 1024.0);
        }
    }
    let sql = format!("select sum(length(row_to_json(x)::text)) / count(*) from {TABLE} x");
    let bytes = within(READ_MAX, "the size", client.query_one(&sql, &[])).await?;
    let bytes: i64 = bytes.get(0);
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(report(rows, rounds, bytes, &figures, facts))
}

/// Reads the table once: how long that took, and what plank's memory has grown by at its highest.
async fn read(bed: &Bed, way: Way, rows: usize) -> Outcome<(Duration, u64)> {
    if way == Way::Bare {
        let client = bed.connect().await?;
        let started = Instant::now();
        let count = within(READ_MAX, "a bare read", bare(&client)).await?;
        return check(count, rows).map(|()| (started.elapsed(), 0));
    }
    let plank = bed.another_plank().await?;
    let before_kib = plank.proc().resident_kib()?;
    let address = plank.address;
    let started = Instant::now();
    let count = match way {
        Way::Ndjson => within(READ_MAX, "all lines", ndjson(address)).await?,
        _ => Box::pin(within(READ_MAX, "a snapshot", websocket(address))).await?,
    };
    let elapsed = started.elapsed();
    check(count, rows)?;
    let grown_kib = plank.proc().peak_kib()?.saturating_sub(before_kib);
    plank.stop().await?;
    Ok((elapsed, grown_kib))
}

fn check(count: usize, rows: usize) -> Outcome<()> {
    match count == rows {
        true => Ok(()),
        false => Err(format!("{count} rows came instead of {rows}").into()),
    }
}

async fn bare(client: &tokio_postgres::Client) -> Outcome<usize> {
    let no_params: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(QUERY, no_params).await?);
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next().await {
        bytes += row?.try_get::<_, &str>(0)?.len();
        count += 1;
    }
    match bytes {
        0 => Err("the rows were empty".into()),
        _ => Ok(count),
    }
}

async fn ndjson(address: SocketAddr) -> Outcome<usize> {
    let url = format!("http://{address}/api/tables/{TABLE}/rows");
    let client = reqwest::Client::builder().connect_timeout(SOON).build()?;
    let request = client.get(url).header("accept", "application/x-ndjson");
    let mut answer = request.send().await?.error_for_status()?;
    let mut count = 0;
    while let Some(piece) = answer.chunk().await? {
        count += piece.iter().filter(|byte| **byte == b'\n').count();
    }
    Ok(count)
}

async fn websocket(address: SocketAddr) -> Outcome<usize> {
    let mut subscriber = Subscriber::greeted(address).await?;
    let subscribe = format!(r#"{{"type":"subscribe","id":"a","table":"{TABLE}","snapshot":true}}"#);
    subscriber.send(&subscribe).await?;
    let mut count = 0;
    loop {
        let message = subscriber.find(r#""type":"snapshot""#).await?;
        count += message.matches(r#"{"id":"#).count();
        if message.ends_with(r#""more":false}"#) {
            return Ok::<_, Failure>(count);
        }
    }
}

fn report(
    rows: usize,
    rounds: usize,
    bytes: i64,
    figures: &[Figures; 3],
    facts: Vec<(&'static str, String)>,
) -> Report {
    let bare = &figures[Way::Bare as usize].rows_per_s;
    let head = ["", "rows/s", "MiB/s", "ratio", "memory of plank, MiB more"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut verdicts = Vec::new();
    for ((way, name), own) in WAYS.into_iter().zip(figures) {
        let rate = median(&own.rows_per_s);
        let ratio = median_ratio(&own.rows_per_s, bare);
        let grown = own.grown_mib.iter().copied().fold(0.0, f64::max);
        let is_plank = way != Way::Bare;
        table.push(vec![
            name.into(),
            format!("{rate:.0}"),
            format!("{:.0}", rate * bytes as f64 / f64::from(1 << 20)),
            format!("{ratio:.2}"),
            if is_plank {
                format!("{grown:.1}")
            } else {
                "-".into()
            },
        ]);
        if is_plank {
            verdicts.push(Verdict {
                text: format!(
                    "{name} brings {ratio:.2} of the bare client's rows in a second (at least {RATIO_BOUND})"
                ),
                is_within: ratio >= RATIO_BOUND,
            });
            verdicts.push(Verdict {
                text: format!(
                    "{name} makes plank {grown:.1} MiB larger at the most (at most {GROWN_BOUND})"
                ),
                is_within: grown <= GROWN_BOUND,
            });
        }
    }
    Report {
        method: format!(
            "A table of {rows} rows in the shape of `items`, {bytes} bytes of JSON each, read {rounds} times in each way, in \
             random order within a round; medians of the figures, and of the ratios within a round. Bare client: \
             tokio-postgres with the same `select row_to_json` over the Unix socket. NDJSON: `GET /api/tables/{{table}}/rows` \
             with reqwest, lines counted. WebSocket: `subscribe` with `snapshot`, rows counted. Both over TCP loopback, each \
             time from a plank that has just been started, from before the connection to the last row. Memory: the highest \
             resident memory of that plank above the one before, the largest of all rounds. Client, plank and PostgreSQL \
             share the processors. Takes about two minutes."
        ),
        facts,
        table,
        plot: None,
        verdicts,
    }
}
