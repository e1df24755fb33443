//! `memory`: the resident memory of plank for each idle, subscribed WebSocket or event stream, how fast they connect, and how
//! long one change takes to all of them. What the kernel keeps for a socket is not in it: that is the same for any server.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::support::bed::Bed;
use crate::support::report::{Report, Verdict};
use crate::support::{Effort, Outcome, SOON, client, client::DEFLATE, limits, within};

/// Connections before the first measurement, so that what is allocated once is not counted as theirs.
const WARM_UP: usize = 10;

/// Handshakes at the same time.
const AT_ONCE: usize = 32;

/// Memory is read when it has not changed for this long, and at the latest after [`SETTLE_MAX`].
const SETTLED_AFTER: Duration = Duration::from_secs(1);
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// KiB of a WebSocket, from as many on.
const KIB_MAX: f64 = 2.0;
const MANY: usize = 10_000;

/// Changes to all clients, after which memory is looked at once more.
const CHANGES: u32 = 20;

/// A row that does not get small: what a client reads beyond this is it, and no heartbeat.
const CHANGE_BYTES: usize = 250;
const CHANGE: &str = "insert into items (name, description) select 'one change', string_agg(md5(random()::text), '') \
     from generate_series(1, 12)";

/// How a client is connected.
#[derive(Clone, Copy, Debug)]
enum Transport {
    WebSocket,
    Stream,
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    // Connections at which it is measured; the last is all that plank takes by default, but for the first few.
    let sockets: &[usize] = effort.of(&[1_000, 5_000, 10_000, 18_900], &[100, 500]);
    let streams: &[usize] = effort.of(&[1_000], &[100]);
    let head = [
        "connections",
        "RSS, MiB",
        "above the baseline, MiB",
        "KiB each",
        "connects/s",
        "one change to all, ms",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut verdicts = Vec::new();
    measure(Transport::WebSocket, sockets, &mut table, &mut verdicts).await?;
    let facts = measure(Transport::Stream, streams, &mut table, &mut vec![]).await?;
    Ok(Report {
        method: format!(
            "Resident memory of the process `plank` (`/proc/PID/status`), with connections over TCP loopback, each \
             subscribed through `/ws?table=items`, with permessage-deflate negotiated, or `/api/stream?table=items`, and idle; \
             each kind with a plank of its own; the baseline is plank with {WARM_UP} of them. Buffers of the kernel are not in \
             it. Connects: handshake and subscription, {AT_ONCE} at a time, of a client of one thread. One change: from \
             just before the INSERT until that client has read it from the last connection. Then {CHANGES} more."
        ),
        facts,
        table,
        plot: None,
        verdicts,
    })
}

/// Connects more and more of one kind.
async fn measure(
    transport: Transport,
    steps: &[usize],
    table: &mut Vec<Vec<String>>,
    verdicts: &mut Vec<Verdict>,
) -> Outcome<Vec<(&'static str, String)>> {
    limits::need_open_files(steps.last().copied().unwrap_or_default() + WARM_UP)?;
    let bed = Bed::start().await?;
    let mut held = open(&bed, transport, 0, WARM_UP).await?;
    let baseline_kib = settled(&bed).await?;
    table.push(row(transport, 0, baseline_kib, baseline_kib, None));
    let sql = bed.connect().await?;
    let each = |kib: u64, count: usize| kib.saturating_sub(baseline_kib) as f64 / count as f64;
    for count in steps {
        let (more, started) = (count + WARM_UP - held.len(), Instant::now());
        held.extend(open(&bed, transport, held.len(), more).await?);
        let per_second = more as f64 / started.elapsed().as_secs_f64();
        let idle_kib = settled(&bed).await?;
        let took = one_change(&sql, &held).await?;
        let speeds = Some((per_second, took));
        table.push(row(transport, *count, idle_kib, baseline_kib, speeds));
        if *count >= MANY {
            let kib = each(idle_kib, *count);
            verdicts.push(Verdict {
                text: format!("{count} WebSockets: {kib:.2} KiB each (at most {KIB_MAX})"),
                is_within: kib <= KIB_MAX,
            });
        }
    }
    for _ in 0..CHANGES {
        one_change(&sql, &held).await?;
    }
    let (count, kib) = (held.len() - WARM_UP, settled(&bed).await?);
    table.push(row(transport, count, kib, baseline_kib, None));
    if let Some(last) = table.last_mut() {
        last[0] += &format!(", {CHANGES} changes later");
    }
    if count >= MANY {
        let kib = each(kib, count);
        verdicts.push(Verdict {
            text: format!(
                "{count} WebSockets, {CHANGES} changes later: {kib:.2} KiB each (at most {KIB_MAX})"
            ),
            is_within: kib <= KIB_MAX,
        });
    }
    let facts = bed.database_facts().await?;
    drop(held);
    bed.stop().await?;
    Ok(facts)
}

/// How long a change takes from the INSERT to the last of these clients.
async fn one_change(sql: &tokio_postgres::Client, held: &[TcpStream]) -> Outcome<Duration> {
    let mut buffer = [0; 4096];
    let mut read = |stream: &TcpStream| match stream.try_read(&mut buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        done => done.map(Some),
    };
    for stream in held {
        while read(stream)?.is_some() {}
    }
    let started = Instant::now();
    sql.batch_execute(CHANGE).await?;
    within(SOON, "one change at all clients", async {
        for stream in held {
            let mut bytes = 0;
            while bytes < CHANGE_BYTES {
                match read(stream)? {
                    Some(more) => bytes += more,
                    None => stream.readable().await?,
                }
            }
        }
        Ok::<_, std::io::Error>(())
    })
    .await?;
    Ok(started.elapsed())
}

fn row(
    transport: Transport,
    count: usize,
    kib: u64,
    baseline_kib: u64,
    speeds: Option<(f64, Duration)>,
) -> Vec<String> {
    let above = kib.saturating_sub(baseline_kib) as f64;
    let each = match count {
        0 => "-".into(),
        _ => format!("{:.2}", above / count as f64),
    };
    let mib = |kib: f64| format!("{:.1}", kib / 1024.0);
    let name = match transport {
        Transport::WebSocket => "WebSockets",
        Transport::Stream => "event streams",
    };
    let (connects, change) = match speeds {
        Some((per_second, took)) => (
            format!("{per_second:.0}"),
            format!("{:.0}", took.as_secs_f64() * 1e3),
        ),
        None => ("-".into(), "-".into()),
    };
    let name = format!("{count} {name}");
    vec![name, mib(kib as f64), mib(above), each, connects, change]
}

async fn open(
    bed: &Bed,
    transport: Transport,
    first: usize,
    count: usize,
) -> Outcome<Vec<TcpStream>> {
    let address = bed.plank.address;
    stream::iter(first..first + count)
        .map(|number| async move {
            match transport {
                Transport::WebSocket => client::hold(address, number, "items", DEFLATE).await,
                Transport::Stream => client::hold_stream(address, number, "items").await,
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// The resident memory once it stands still.
async fn settled(bed: &Bed) -> Outcome<u64> {
    let started = Instant::now();
    let (mut last, mut since) = (bed.plank.proc().resident_kib()?, Instant::now());
    while since.elapsed() < SETTLED_AFTER && started.elapsed() < SETTLE_MAX {
        sleep(Duration::from_millis(100)).await;
        let now = bed.plank.proc().resident_kib()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
