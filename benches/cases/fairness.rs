//! `fairness`: what one principal waits for while 200 readers of another one take all that they can get.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use plank::limits::WINDOW_BYTES_MAX;
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::report::{Report, Verdict};
use crate::support::stats::{Latencies, ms};
use crate::support::{Effort, Failure, Outcome, SOON, auth, table, within};

/// Of the hostile principal: many rows.
const BIG: &str = "big";
/// Of the other one.
const OWN: &str = "own";
const OWN_ROWS: usize = 1_000;

/// How many times as long a thing may take beside the hostile readers, in the median.
const RATIO_MAX: f64 = 3.0;
/// What plank's memory may grow by, beside its window.
const GROWN_MAX_MIB: usize = 64;

/// For one thing of the honest principal.
const ONE_MAX: Duration = Duration::from_secs(120);
/// For the hostile readers to take their places.
const WARM_UP: Duration = Duration::from_secs(3);
/// How fast a slow reader reads, so that it keeps what it has.
const SLOW_BYTES: usize = 16 * 1024;
const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// What both principals do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Snapshot,
    History,
    Page,
    Subscription,
    Write,
    /// What the database and its disk do without plank.
    Bare,
}

const THINGS: [(Thing, &str); 6] = [
    (Thing::Snapshot, "snapshot of 1,000 rows"),
    (Thing::History, "history, 500 changes"),
    (Thing::Page, "page of 50 rows"),
    (Thing::Subscription, "subscription"),
    (Thing::Write, "write of a row"),
    (Thing::Bare, "the same INSERT without plank"),
];

/// One principal at one plank.
struct Honest {
    address: SocketAddr,
    token: String,
    http: reqwest::Client,
    sql: Client,
    since: String,
}

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let (rows, readers, times) = effort.of((300_000, 200, 30), (20_000, 20, 3));
    let (bed, _secret) = auth::bed().await?;
    let honest = prepare(&bed, rows).await?;
    let mut quiet = Box::pin(honest.measure(times)).await?;
    let before_kib = bed.plank.proc().resident_kib()?;
    let crowd = Crowd::start(bed.plank.address, readers)?;
    sleep(WARM_UP).await;
    let crowded = Box::pin(honest.measure(times)).await?;
    let answers = crowd.stop().await;
    let grown_mib = bed.plank.proc().peak_kib()?.saturating_sub(before_kib) / 1024;
    // Before and after: what the machine did meanwhile is in both.
    for (before, after) in quiet.iter_mut().zip(Box::pin(honest.measure(times)).await?) {
        before.extend(after);
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    Ok(report(
        rows, readers, &quiet, &crowded, grown_mib, &answers, facts,
    ))
}

/// Makes the tables and what is in their log.
async fn prepare(bed: &Bed, rows: usize) -> Outcome<Honest> {
    let sql = bed.connect().await?;
    table::create(&sql, BIG, rows).await?;
    table::create(&sql, OWN, OWN_ROWS).await?;
    for name in [BIG, OWN] {
        let allow = format!(
            "vacuum analyze {name}; select plank.watch('{name}'); select plank.allow('{name}', '{name}', null, '{{select,insert}}')"
        );
        for statement in allow.split("; ") {
            within(ONE_MAX, "a table", sql.batch_execute(statement)).await?;
        }
    }
    let honest = Honest::new(bed.plank.address, bed.connect().await?)?;
    honest.until_watched().await?;
    let since: String = sql.query_one("select plank.cursor()", &[]).await?.get(0);
    for _ in 0..5 {
        let change = format!("update {OWN} set version = version + 1 where id <= 100");
        within(SOON, "changes", sql.batch_execute(&change)).await?;
    }
    // The hostile principal's history is long.
    let change = format!("update {BIG} set version = version + 1 where id <= 20000");
    within(ONE_MAX, "changes", sql.batch_execute(&change)).await?;
    // What has been written so far must not reach the disk while it is measured.
    within(ONE_MAX, "a checkpoint", sql.batch_execute("checkpoint")).await?;
    Ok(Honest { since, ..honest })
}

impl Honest {
    fn new(address: SocketAddr, sql: Client) -> Outcome<Self> {
        Ok(Self {
            address,
            token: auth::token(OWN, OWN, Map::new())?,
            sql,
            http: reqwest::Client::builder().connect_timeout(SOON).build()?,
            since: String::new(),
        })
    }

    async fn until_watched(&self) -> Outcome<()> {
        let url = format!("http://{}/rest/{OWN}?limit=1", self.address);
        within(SOON, "the table", async {
            loop {
                let answer = self.http.get(&url).bearer_auth(&self.token).send().await?;
                if answer.status().is_success() {
                    return Ok::<_, Failure>(());
                }
                sleep(SLOW_PAUSE).await;
            }
        })
        .await
    }

    /// All things in turn, each so many times.
    async fn measure(&self, times: usize) -> Outcome<[Vec<Duration>; 6]> {
        let mut samples: [Vec<Duration>; 6] = Default::default();
        for number in 1..=times {
            for (thing, name) in THINGS {
                let started = Instant::now();
                within(ONE_MAX, name, Box::pin(self.once(thing))).await?;
                samples[thing as usize].push(started.elapsed());
            }
            eprintln!("load: fairness, {number} of {times}");
        }
        Ok(samples)
    }

    async fn once(&self, thing: Thing) -> Outcome<()> {
        let base = format!("http://{}", self.address);
        match thing {
            Thing::Snapshot => {
                let mut client = Subscriber::authenticated(self.address, &self.token).await?;
                client
                    .send(&format!(
                        r#"{{"type":"subscribe","id":"a","table":"{OWN}","snapshot":true}}"#
                    ))
                    .await?;
                client.find(r#""more":false}"#).await.map(drop)
            }
            Thing::Subscription => Subscriber::logged_in(self.address, OWN, &self.token)
                .await
                .map(drop),
            Thing::History => {
                let url = format!(
                    "{base}/api/changes?table={OWN}&since={}&limit=500",
                    self.since
                );
                let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
                let text = answer.error_for_status()?.text().await?;
                let answer: Value = serde_json::from_str(&text)?;
                match answer["changes"].as_array().map_or(0, Vec::len) {
                    0 => Err(format!("no changes came: {text}").into()),
                    _ => Ok(()),
                }
            }
            Thing::Page => {
                let url = format!("{base}/rest/{OWN}?order=id.desc&limit=50");
                let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
                answer
                    .error_for_status()?
                    .text()
                    .await
                    .map(drop)
                    .map_err(Into::into)
            }
            Thing::Write => {
                let write = self
                    .http
                    .post(format!("{base}/rest/{OWN}"))
                    .bearer_auth(&self.token);
                let write = write
                    .header("content-type", "application/json")
                    .body(r#"{"name":"new"}"#);
                write.send().await?.error_for_status()?;
                Ok(())
            }
            Thing::Bare => {
                let insert = format!("insert into {OWN} (name) values ('new')");
                Ok(self.sql.batch_execute(&insert).await?)
            }
        }
    }
}

/// The hostile readers.
struct Crowd {
    tasks: JoinSet<[u64; 2]>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Crowd {
    /// Two fifths read a snapshot slowly, as many read pages with 90 patterns, and a fifth reads the history slowly; each again and
    /// again, from addresses of its own.
    fn start(address: SocketAddr, readers: usize) -> Outcome<Self> {
        let token = auth::token(BIG, BIG, Map::new())?;
        let patterns: Vec<String> = (0..90)
            .map(|i| format!("description.ilike.*q{i}*"))
            .collect();
        let page = format!("/rest/{BIG}?or=({})", patterns.join(","));
        let history = format!("/api/changes?table={BIG}&limit=10000");
        let rows = format!("/api/tables/{BIG}/rows");
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut tasks = JoinSet::new();
        for number in 0..readers {
            let path = match number % 5 {
                0 | 1 => &rows,
                2 | 3 => &page,
                _ => &history,
            };
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: {}\r\nconnection: close\r\n\r\n",
                if *path == rows {
                    "application/x-ndjson"
                } else {
                    "application/json"
                }
            );
            let mut stopped = stopped.clone();
            tasks.spawn(async move {
                let mut answers = [0; 2];
                loop {
                    let one = slow_read(address, number, &request);
                    let outcome = tokio::select! {
                        one = one => one,
                        _ = stopped.changed() => return answers,
                    };
                    answers[usize::from(!matches!(outcome, Ok(true)))] += 1;
                    if outcome.is_err() {
                        sleep(SLOW_PAUSE).await;
                    }
                }
            });
        }
        Ok(Self { tasks, stop })
    }

    /// Answers that were read to their end, and what was refused or cut.
    async fn stop(mut self) -> [u64; 2] {
        self.stop.send_replace(true);
        let mut sum = [0; 2];
        while let Ok(Some(Ok(answers))) = timeout(SOON, self.tasks.join_next()).await {
            for (sum, answers) in sum.iter_mut().zip(answers) {
                *sum += answers;
            }
        }
        sum
    }
}

/// One answer, read slowly; whether it was given.
async fn slow_read(address: SocketAddr, number: usize, request: &str) -> Outcome<bool> {
    let socket = TcpSocket::new_v4()?;
    let host = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1 + (number % 250) as u8));
    socket.bind(SocketAddr::new(host, 0))?;
    socket.set_recv_buffer_size(SLOW_BYTES as u32)?;
    let mut stream: TcpStream = within(SOON, "a connection", socket.connect(address)).await?;
    stream.write_all(request.as_bytes()).await?;
    let (mut buffer, mut is_good) = (vec![0; SLOW_BYTES], None);
    loop {
        let read = within(ONE_MAX, "an answer", stream.read(&mut buffer)).await?;
        if read == 0 {
            return Ok(is_good.unwrap_or_default());
        }
        is_good.get_or_insert(
            buffer.starts_with(b"HTTP/1.1 200") || buffer.starts_with(b"HTTP/1.1 206"),
        );
        sleep(SLOW_PAUSE).await;
    }
}

fn report(
    rows: usize,
    readers: usize,
    quiet: &[Vec<Duration>; 6],
    crowded: &[Vec<Duration>; 6],
    grown_mib: u64,
    answers: &[u64; 2],
    mut facts: Vec<(&'static str, String)>,
) -> Report {
    let head = [
        "",
        "alone, median ms",
        "crowded, median ms",
        "ratio",
        "alone, p90 ms",
        "crowded, p90 ms",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut verdicts = Vec::new();
    for (thing, name) in THINGS {
        let [alone, beside] = [quiet, crowded].map(|s| Latencies::new(s[thing as usize].clone()));
        let ratio = beside.ratio(&alone, 50.0);
        table.push(vec![
            name.into(),
            ms(alone.percentile(50.0)),
            ms(beside.percentile(50.0)),
            format!("{ratio:.2}"),
            ms(alone.percentile(90.0)),
            ms(beside.percentile(90.0)),
        ]);
        if thing == Thing::Bare {
            continue;
        }
        verdicts.push(Verdict {
            text: format!("{name}: {ratio:.2} times beside the crowd, at most {RATIO_MAX} times"),
            is_within: ratio <= RATIO_MAX,
        });
    }
    let bound = WINDOW_BYTES_MAX / (1 << 20) + GROWN_MAX_MIB;
    verdicts.push(Verdict {
        text: format!("plank grows by {grown_mib} MiB, at most {bound} MiB: the window and {GROWN_MAX_MIB} MiB"),
        is_within: grown_mib <= bound as u64,
    });
    facts.push((
        "crowd",
        format!(
            "{} answers read to their end, {} refused or cut",
            answers[0], answers[1]
        ),
    ));
    let times = crowded[0].len();
    Report {
        method: format!(
            "plank with `--auth on`. {readers} readers with one token, from 200 addresses: two fifths read a table of {rows} rows as NDJSON, \
             as many a page of it with 90 `ilike` conditions that match nothing, a fifth its history; each reads {SLOW_BYTES} bytes \
             every {} ms and begins again at the end. Another principal meanwhile takes a snapshot and a page of its own table of \
             {OWN_ROWS} rows, reads its history, subscribes and writes, one after the other, {times} times; alone it does so before \
             and after. Client, crowd, plank and PostgreSQL share the processors.",
            SLOW_PAUSE.as_millis()
        ),
        facts,
        table,
        plot: None,
        verdicts,
    }
}
