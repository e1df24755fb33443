//! `memory`: the resident memory of plank for each idle, subscribed WebSocket. What the kernel keeps for a socket is
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

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    // Connections at which it is measured.
    let steps = effort.of([1_000, 5_000], [100, 500]);
    limits::need_open_files(steps[steps.len() - 1] + WARM_UP)?;
    let bed = Bed::start().await?;
    let mut held = open(&bed, 0, WARM_UP).await?;
    let baseline_kib = settled(&bed).await?;
    let head = [
        "connections",
        "RSS, MiB",
        "above the baseline, MiB",
        "KiB each",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.push(row(0, baseline_kib, baseline_kib));
    for count in steps {
        let more = open(&bed, held.len(), count + WARM_UP - held.len()).await?;
        held.extend(more);
        table.push(row(count, settled(&bed).await?, baseline_kib));
    }
    let facts = bed.database_facts().await?;
    drop(held);
    bed.stop().await?;
    Ok(Report {
        method: format!(
            "Resident memory of the process `plank` (`/proc/PID/status`), with connections over TCP loopback, each \
             subscribed through `/ws?table=items` and idle, with permessage-deflate negotiated; the baseline is plank with {WARM_UP} of them. Buffers of the \
             kernel are not in it."
        ),
        facts,
        table,
        verdicts: vec![],
    })
}

fn row(count: usize, kib: u64, baseline_kib: u64) -> Vec<String> {
    let above = kib.saturating_sub(baseline_kib) as f64;
    let each = match count {
        0 => "-".into(),
        _ => format!("{:.2}", above / count as f64),
    };
    let mib = |kib: f64| format!("{:.1}", kib / 1024.0);
    vec![count.to_string(), mib(kib as f64), mib(above), each]
}

async fn open(bed: &Bed, first: usize, count: usize) -> Outcome<Vec<TcpStream>> {
    stream::iter(first..first + count)
        .map(|number| client::hold(bed.plank.address, number, "items", DEFLATE))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// The resident memory once it stands still.
async fn settled(bed: &Bed) -> Outcome<u64> {
    let started = Instant::now();
    let (mut last, mut since) = (bed.plank.resident_kib()?, Instant::now());
    while since.elapsed() < SETTLED_AFTER && started.elapsed() < SETTLE_MAX {
        sleep(Duration::from_millis(100)).await;
        let now = bed.plank.resident_kib()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
