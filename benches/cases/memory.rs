//! `memory`: the resident memory of plank for each idle, subscribed WebSocket or event stream. What the kernel keeps for a socket is
//! not in it: that is the same for any server.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::support::bed::Bed;
use crate::support::report::Report;
use crate::support::{Effort, Outcome, client, client::DEFLATE, limits};

/// Connections before the first measurement, so that what is allocated once is not counted as theirs.
const WARM_UP: usize = 10;

/// Handshakes at the same time.
const AT_ONCE: usize = 32;

/// Memory is read when it has not changed for this long, and at the latest after [`SETTLE_MAX`].
const SETTLED_AFTER: Duration = Duration::from_secs(1);
const SETTLE_MAX: Duration = Duration::from_secs(5);

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
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    measure(Transport::WebSocket, sockets, &mut table).await?;
    let facts = measure(Transport::Stream, streams, &mut table).await?;
    Ok(Report {
        method: format!(
            "Resident memory of the process `plank` (`/proc/PID/status`), with connections over TCP loopback, each \
             subscribed through `/ws?table=items`, with permessage-deflate negotiated, or `/api/stream?table=items`, and idle; \
             each kind with a plank of its own; the baseline is plank with {WARM_UP} of them. Buffers of the kernel are not in \
             it."
        ),
        facts,
        table,
        verdicts: vec![],
    })
}

/// Connects more and more of one kind.
async fn measure(
    transport: Transport,
    steps: &[usize],
    table: &mut Vec<Vec<String>>,
) -> Outcome<Vec<(&'static str, String)>> {
    limits::need_open_files(steps.last().copied().unwrap_or_default() + WARM_UP)?;
    let bed = Bed::start().await?;
    let mut held = open(&bed, transport, 0, WARM_UP).await?;
    let baseline_kib = settled(&bed).await?;
    table.push(row(transport, 0, baseline_kib, baseline_kib));
    for count in steps {
        let more = open(&bed, transport, held.len(), count + WARM_UP - held.len()).await?;
        held.extend(more);
        table.push(row(transport, *count, settled(&bed).await?, baseline_kib));
    }
    let facts = bed.database_facts().await?;
    drop(held);
    bed.stop().await?;
    Ok(facts)
}

fn row(transport: Transport, count: usize, kib: u64, baseline_kib: u64) -> Vec<String> {
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
    vec![format!("{count} {name}"), mib(kib as f64), mib(above), each]
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
