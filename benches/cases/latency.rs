//! `latency`: one change at a time on an idle system, from the INSERT to the client.
//!
//! The floor is the simplest system there is: a row trigger that puts the row into a NOTIFY, and a client that listens.
//! It and plank take turns in one run, with the same writer, so that what the machine does meanwhile happens to both.
//! Each change is waited for before the next; a pause of random length lets everything fall asleep again.

use std::time::Duration;

use futures_util::future::{poll_fn, try_join};
use tokio::time::{Instant, sleep};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket, Statement};

use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{Latencies, ms};
use crate::support::{Failure, Outcome, SOON, within};

const ROUNDS: usize = 10;
const CHANGES_PER_ROUND: usize = 200;
/// Changes of each before the first round, for caches and for prepared statements; not counted.
const WARM_UP: usize = 50;
/// Between two changes, so that nothing is under way any more.
const PAUSE_US: std::ops::Range<u64> = 2_000..8_000;
/// p99 of plank, in times of the floor's.
const BOUND: f64 = 3.0;

const CHANNEL: &str = "bench_floor";

/// The same shape: `items` is what plank watches from the start.
const FLOOR: &str = "
    create table bench_floor (like items including all);
    create function bench_floor() returns trigger language plpgsql as $$
    begin
      perform pg_notify('bench_floor', json_build_object('op', tg_op, 'row', row_to_json(new))::text);
      return null;
    end $$;
    create trigger bench_floor after insert on bench_floor for each row execute function bench_floor();
";

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 100.0];

/// Runs it.
pub async fn run() -> Outcome<Report> {
    let bed = Bed::start().await?;
    let writer = bed.connect().await?;
    within(SOON, "the floor's table", writer.batch_execute(FLOOR)).await?;
    let mut floor = Target {
        insert: insert_into(&writer, "bench_floor").await?,
        receiver: Receiver::Bare(Listener::connect(&bed).await?),
        samples: vec![],
    };
    let mut plank = Target {
        insert: insert_into(&writer, "items").await?,
        receiver: Receiver::Plank(Subscriber::connect(bed.address, "items").await?),
        samples: vec![],
    };
    for target in [&mut floor, &mut plank] {
        target.round(&writer, WARM_UP).await?;
        target.samples.clear();
    }
    for round in 0..ROUNDS {
        let order = match round % 2 {
            0 => [&mut floor, &mut plank],
            _ => [&mut plank, &mut floor],
        };
        for target in order {
            target.round(&writer, CHANGES_PER_ROUND).await?;
        }
    }
    let facts = bed.database_facts().await?;
    let (floor, plank) = (Latencies::new(floor.samples), Latencies::new(plank.samples));
    bed.stop().await?;
    Ok(report(&floor, &plank, facts))
}

fn report(floor: &Latencies, plank: &Latencies, facts: Vec<(&'static str, String)>) -> Report {
    let row = |name: &str, latencies: &Latencies| {
        let figures = PERCENTILES.map(|percent| ms(latencies.percentile(percent)));
        [&[name.to_owned()], &figures[..]].concat()
    };
    let ratios = PERCENTILES.map(|percent| format!("{:.2}", plank.ratio(floor, percent)));
    let p99 = plank.ratio(floor, 99.0);
    Report {
        method: format!(
            "From just before the INSERT is sent until its row is in the client's hands, {} changes each, in {ROUNDS} \
             interleaved rounds, one at a time with a pause of {} to {} ms. Floor: a row trigger with the row in \
             `pg_notify`, and a bare tokio-postgres client that listens. plank: the release binary, and a WebSocket client \
             over TCP loopback. Milliseconds.",
            plank.count(),
            PAUSE_US.start / 1_000,
            PAUSE_US.end / 1_000
        ),
        facts,
        table: vec![
            ["", "p50", "p90", "p99", "max"].map(str::to_owned).to_vec(),
            row("bare client", floor),
            row("plank", plank),
            [&["ratio".to_owned()], &ratios[..]].concat(),
        ],
        verdicts: vec![Verdict {
            text: format!("p99 of plank is {p99:.2} times the bare client's (bound: {BOUND:.0})"),
            is_within: p99 <= BOUND,
        }],
    }
}

async fn insert_into(writer: &Client, table: &str) -> Outcome<Statement> {
    let sql = format!(
        "insert into {table} (name, description, data) values ($1, 'a row as it occurs in practice', '{{\"priority\": 3}}')"
    );
    within(SOON, "a statement", writer.prepare(&sql)).await
}

/// A table, and who waits for its changes.
struct Target {
    insert: Statement,
    receiver: Receiver,
    samples: Vec<Duration>,
}

impl Target {
    /// Measures `count` changes.
    async fn round(&mut self, writer: &Client, count: usize) -> Outcome<()> {
        self.receiver.begin().await?;
        for _ in 0..count {
            sleep(Duration::from_micros(fastrand::u64(PAUSE_US))).await;
            let name = format!("change {:016x}", fastrand::u64(..));
            let change = within(SOON, "a change", self.change(writer, &name)).await?;
            self.samples.push(change);
        }
        self.receiver.end().await
    }

    /// Both at once: the change may be here before the writer knows that it has committed.
    async fn change(&mut self, writer: &Client, name: &str) -> Outcome<Duration> {
        let started = Instant::now();
        let written = async { Ok::<_, Failure>(writer.execute(&self.insert, &[&name]).await?) };
        let received = async {
            self.receiver.find(name).await?;
            Ok(started.elapsed())
        };
        let (_, latency) = try_join(written, received).await?;
        Ok(latency)
    }
}

enum Receiver {
    Bare(Listener),
    Plank(Subscriber),
}

impl Receiver {
    async fn begin(&mut self) -> Outcome<()> {
        match self {
            Self::Bare(listener) => listener.run(&format!("listen {CHANNEL}")).await,
            Self::Plank(_) => Ok(()),
        }
    }

    /// PostgreSQL wakes every listener of a database, whatever its channel: one that has no turn would be in the way.
    async fn end(&mut self) -> Outcome<()> {
        match self {
            Self::Bare(listener) => listener.run(&format!("unlisten {CHANNEL}")).await,
            Self::Plank(_) => Ok(()),
        }
    }

    /// Waits until there is something with `name` in it.
    async fn find(&mut self, name: &str) -> Outcome<()> {
        match self {
            Self::Bare(listener) => listener.find(name).await,
            Self::Plank(subscriber) => subscriber.find(name).await.map(drop),
        }
    }
}

/// A connection that is polled by whoever waits for a notification: no task and no queue in between.
struct Listener {
    client: Client,
    connection: Connection<Socket, NoTlsStream>,
}

impl Listener {
    async fn connect(bed: &Bed) -> Outcome<Self> {
        let database = bed.database();
        let (client, connection) = within(SOON, "a listener", database.connect(NoTls)).await?;
        Ok(Self { client, connection })
    }

    async fn run(&mut self, sql: &str) -> Outcome<()> {
        let Self { client, connection } = self;
        let ran = async {
            tokio::select! {
                ran = client.batch_execute(sql) => Ok(ran?),
                ended = next(connection) => Err(format!("unexpected: {ended:?}").into()),
            }
        };
        within::<_, Failure>(SOON, sql, ran).await
    }

    async fn find(&mut self, name: &str) -> Outcome<()> {
        loop {
            match next(&mut self.connection).await? {
                AsyncMessage::Notification(n) if n.payload().contains(name) => return Ok(()),
                _ => {}
            }
        }
    }
}

async fn next(connection: &mut Connection<Socket, NoTlsStream>) -> Outcome<AsyncMessage> {
    match poll_fn(|cx| connection.poll_message(cx)).await {
        Some(message) => Ok(message?),
        None => Err("PostgreSQL closed the connection".into()),
    }
}
