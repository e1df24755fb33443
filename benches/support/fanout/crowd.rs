//! Many clients in one process and on one thread, and the writer whose rows they wait for: the same for every server.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{interval, sleep_until};
use tokio_postgres::{Client, NoTls, Statement};

use super::super::stats::Latencies;
use super::super::{Outcome, SOON, client, table, within};
use super::TABLE;
use super::child::Answer;
use super::member::{Account, DIGITS, MARKER, Member};

/// Handshakes at the same time.
const AT_ONCE: usize = 32;

/// For what was written to arrive everywhere.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// How often everybody shows to be alive while rows are written for long: plank closes who says nothing for a minute.
const TOUCH_EVERY: Duration = Duration::from_secs(20);

/// Which crowd.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Where the rows are written.
    pub database: String,
    /// Of the server.
    pub address: SocketAddr,
    /// How many.
    pub clients: usize,
}

/// What it is to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Show the server that everybody is alive.
    Touch,
    /// Write one row a statement, as fast as they arrive.
    Closed {
        /// For how long.
        time: Duration,
        /// Rows that are not everywhere yet, at most.
        in_flight: u32,
    },
    /// Write one row a statement, at a steady rate, and measure how long each takes to each client.
    Paced {
        /// For how long.
        time: Duration,
        /// Rows in a second.
        rate: u32,
    },
    /// Write rows in one statement.
    Burst {
        /// How many.
        rows: u32,
    },
}

impl Ask {
    /// How long the answer may take.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Touch | Self::Burst { .. } => ARRIVAL_MAX,
            Self::Closed { time, .. } | Self::Paced { time, .. } => *time + ARRIVAL_MAX,
        }
    }
}

/// What it has seen.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Rows, in all clients.
    pub deliveries: u64,
    /// From the first write until the last row was everywhere.
    pub elapsed: Duration,
    /// From just before a row was written until a client had it.
    pub p50: Duration,
    /// See `p50`.
    pub p99: Duration,
    /// See `p50`.
    pub max: Duration,
}

struct Crowd {
    members: Vec<Rc<Member>>,
    account: Rc<Account>,
    sql: Rc<Client>,
    insert: Statement,
    /// The number of the next row.
    next: u32,
}

/// Connects everybody, says so, and does what it is told on standard input until that ends.
///
/// # Errors
/// If it can't connect.
pub async fn run(settings: Settings) -> Outcome<()> {
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut crowd = Crowd::connect(&settings).await?;
            println!("connected");
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Some(line) = lines.next_line().await? {
                let answer = match crowd.answer(&serde_json::from_str(&line)?).await {
                    Ok(figures) => Answer::Done(figures),
                    Err(error) => Answer::Failed(error.to_string()),
                };
                println!("{}", serde_json::to_string(&answer)?);
            }
            Ok(())
        })
        .await
}

impl Crowd {
    async fn connect(settings: &Settings) -> Outcome<Self> {
        let connect = tokio_postgres::connect(&settings.database, NoTls);
        let (sql, connection) = within(SOON, "a writer", connect).await?;
        tokio::spawn(connection);
        let insert = table::insert(TABLE, "$1");
        let insert = within(SOON, "the INSERT", sql.prepare(&insert)).await?;
        let account = Rc::new(Account::new(settings.clients));
        let streams: Vec<_> = stream::iter(0..settings.clients)
            .map(|number| client::hold(settings.address, number, TABLE, ""))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let members: Vec<_> = streams
            .into_iter()
            .map(|stream| Rc::new(Member::new(stream, account.clone())))
            .collect();
        for member in &members {
            let member = member.clone();
            spawn_local(async move { member.read().await });
        }
        Ok(Self {
            members,
            account,
            sql: Rc::new(sql),
            insert,
            next: 0,
        })
    }

    async fn answer(&mut self, ask: &Ask) -> Outcome<Figures> {
        if let Ask::Touch = ask {
            self.touch()?;
            return Ok(Figures::default());
        }
        let (first, began) = (self.next, Instant::now());
        match *ask {
            Ask::Touch => {}
            Ask::Closed { time, in_flight } => self.write_closed(time, in_flight).await?,
            Ask::Paced { time, rate } => self.write_paced(time, rate).await?,
            Ask::Burst { rows } => self.write_burst(rows).await?,
        }
        within(ARRIVAL_MAX, "what was written", self.arrive()).await?;
        let elapsed = began.elapsed();
        let figures = Figures {
            deliveries: u64::from(self.next - first) * self.members.len() as u64,
            elapsed,
            ..Figures::default()
        };
        self.account.timed_from.set(u32::MAX);
        self.account.written.take();
        let latencies = self.account.latencies_us.take().into_iter();
        let latencies: Vec<_> = latencies
            .map(|us| Duration::from_micros(us.into()))
            .collect();
        if latencies.is_empty() {
            return Ok(figures);
        }
        let latencies = Latencies::new(latencies);
        Ok(Figures {
            p50: latencies.percentile(50.0),
            p99: latencies.percentile(99.0),
            max: latencies.percentile(100.0),
            ..figures
        })
    }

    fn touch(&self) -> Outcome<()> {
        self.members.iter().try_for_each(|member| member.touch())
    }

    /// Until everybody has everything.
    async fn arrive(&self) -> Outcome<()> {
        loop {
            if let Some(why) = self.account.wrong.borrow().clone() {
                return Err(why.into());
            }
            if self.account.complete.get() == self.next {
                return Ok(());
            }
            self.account.changed.notified().await;
        }
    }

    /// The next row. PostgreSQL gets the statements one behind the other on one connection, each a transaction of its
    /// own, so they are committed in the order of their numbers.
    fn write(&mut self) -> impl Future<Output = Outcome<()>> + use<> {
        let name = format!("{MARKER}{:0DIGITS$}", self.next);
        self.next += 1;
        self.account.expect(self.next);
        let (sql, insert) = (self.sql.clone(), self.insert.clone());
        async move {
            let done = sql.execute(&insert, &[&name]).await;
            Ok(done.map(drop)?)
        }
    }

    async fn write_closed(&mut self, time: Duration, in_flight: u32) -> Outcome<()> {
        let end = Instant::now() + time;
        let account = self.account.clone();
        let mut writes = FuturesUnordered::new();
        while account.wrong.borrow().is_none() {
            let is_over = Instant::now() >= end;
            while !is_over && self.next - account.complete.get() < in_flight {
                writes.push(self.write());
            }
            if is_over && writes.is_empty() {
                break;
            }
            tokio::select! {
                Some(written) = writes.next() => written?,
                () = account.changed.notified() => {}
            }
        }
        Ok(())
    }

    async fn write_paced(&mut self, time: Duration, rate: u32) -> Outcome<()> {
        self.account.timed_from.set(self.next);
        let end = Instant::now() + time;
        let mut clock = interval(Duration::from_secs(1) / rate);
        let mut alive = interval(TOUCH_EVERY);
        let mut writes = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = clock.tick() => {
                    self.account.written.borrow_mut().push(Instant::now());
                    writes.push(self.write());
                }
                _ = alive.tick() => self.touch()?,
                Some(written) = writes.next() => written?,
                () = sleep_until(end.into()) => break,
            }
        }
        while let Some(written) = writes.next().await {
            written?;
        }
        Ok(())
    }

    async fn write_burst(&mut self, rows: u32) -> Outcome<()> {
        let first = self.next;
        self.next += rows;
        self.account.expect(self.next);
        let name = format!("'{MARKER}' || lpad(i::text, {DIGITS}, '0')");
        let sql = table::insert_select(
            TABLE,
            &name,
            &format!("generate_series({first}, {}) i", self.next - 1),
        );
        within(ARRIVAL_MAX, "the INSERT", self.sql.batch_execute(&sql)).await
    }
}
