//! `compression`: what permessage-deflate costs plank, and what it saves on the wire, for a topic that many share.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::bed::Bed;
use crate::support::client::{self, DEFLATE};
use crate::support::report::Report;
use crate::support::{Effort, Failure, Outcome, SOON, stats, within};

/// Rows of a batch, and how often it is sent in a round: fewer bytes than fill a socket that is read a little later.
const BATCHES: [(usize, usize); 4] = [(1, 100), (10, 100), (100, 20), (500, 4)];

/// Interleaved, so that whatever else the machine does meets both alike.
const ROUNDS: usize = 5;

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (clients, rounds) = effort.of((1_000, ROUNDS), (50, 1));
    let bed = Bed::start().await?;
    let sql = bed.connect().await?;
    let head = [
        "changes in a message",
        "bytes",
        "µs for a client",
        "compressed, bytes",
        "µs for a client",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for (rows, times) in BATCHES {
        let insert = format!(
            "insert into items (name, description, status) select 'order ' || g, 'call the supplier of ' || md5(g::text), \
             'open' from generate_series(1, {rows}) g"
        );
        let (mut bytes, mut cpu) = ([0, 0], [Vec::new(), Vec::new()]);
        for _ in 0..rounds {
            for (kind, headers) in ["", DEFLATE].into_iter().enumerate() {
                let mut held = Vec::new();
                for number in 0..clients {
                    held.push(client::hold(bed.plank.address, number, "items", headers).await?);
                }
                let before = bed.plank.proc().cpu_us()?;
                for _ in 0..times {
                    sql.batch_execute(&insert).await?;
                    for stream in &mut held {
                        bytes[kind] = within(SOON, "a message", changes(stream)).await?;
                    }
                }
                let spent = (bed.plank.proc().cpu_us()? - before) as f64;
                cpu[kind].push(spent / (times * clients) as f64);
            }
        }
        let mut row = vec![rows.to_string()];
        for (bytes, cpu) in bytes.iter().zip(&cpu) {
            row.extend([bytes.to_string(), format!("{:.1}", stats::median(cpu))]);
        }
        table.push(row);
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(Report {
        method: format!(
            "{clients} clients of one topic over TCP loopback, none or all of which have negotiated permessage-deflate. \
             Statements of so many rows are inserted one after the other, and each one's message is read by all before \
             the next. Bytes of the message with its header; time of all threads of the process `plank` in user and kernel \
             mode, by messages and clients, median of {rounds} interleaved rounds."
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![],
    })
}

/// Bytes of the next message with changes.
async fn changes(stream: &mut TcpStream) -> Outcome<usize> {
    loop {
        let first = stream.read_u8().await?;
        let (len, header) = match stream.read_u8().await? {
            126 => (usize::from(stream.read_u16().await?), 4),
            127 => (usize::try_from(stream.read_u64().await?)?, 10),
            len => (usize::from(len), 2),
        };
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).await?;
        // Heartbeats are too short to be compressed.
        match first {
            0xc1 => return Ok(header + len),
            0x81 if payload.starts_with(br#"{"type":"changes""#) => return Ok(header + len),
            0x81 | 0x89 => {}
            _ => return Err(Failure::from(format!("a frame that begins with {first:x}"))),
        }
    }
}
