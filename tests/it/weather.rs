//! Rough weather: clients of all transports behind nginx, writers, and every few seconds at random something that happens
//! to a server in the field. In the end every client has exactly the table, and plank has ended only when it was told to.
//!
//! A short one runs with the other tests. `make weather` is an hour with 500 clients (`PLANK_WEATHER_SECONDS`,
//! `PLANK_WEATHER_CLIENTS`, and `PLANK_WEATHER_SEED` to see the same again).

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::support::cluster::{Cluster, connect};
use crate::support::program::{Dir, Program};
use crate::support::proxy::PgProxy;
use crate::support::{until, until_within};

/// Bytes that plank may write into its log, however long the weather lasts.
const LOG_BYTES_MAX: usize = 1_000_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// nginx in front of plank. Ends with this value.
struct Nginx {
    process: Child,
    port: u16,
}

impl Nginx {
    /// None when it is not installed, which is a failure in CI.
    async fn start(dir: &Path, upstream: &str) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = dir.display();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .collect();
        let config = format!(
            "daemon off; user root; pid {at}/nginx.pid; error_log {at}/error.log; events {{ worker_connections 4096; }} \
             http {{ {temp} access_log off; map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }} \
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{upstream}; proxy_http_version 1.1; \
             proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; \
             proxy_set_header Connection $connection_upgrade; proxy_buffering off; proxy_read_timeout 75s; }} }} }}"
        );
        let config = match nix::unistd::getuid().is_root() {
            true => config,
            false => config.replace("user root; ", ""),
        };
        let file = dir.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let path = format!(
            "{}:/usr/sbin:/sbin",
            std::env::var("PATH").unwrap_or_default()
        );
        let started = Command::new("nginx")
            .env("PATH", path)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = started else {
            assert!(std::env::var_os("CI").is_none(), "nginx is missing");
            println!("skipped: rough weather: nginx is missing");
            return None;
        };
        until("nginx listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        Some(Self { process, port })
    }

    fn reload(&self) {
        let pid = self.process.id().unwrap() as i32;
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    }
}

/// What a client has of the table: the version of each row.
#[derive(Default)]
struct Copy {
    rows: HashMap<i64, i64>,
    /// Of a snapshot or a batch that has not ended.
    pending: Vec<Value>,
    cursor: Option<String>,
    /// How often what it had was void.
    resets: usize,
}

type Shared = Arc<Mutex<Copy>>;

impl Copy {
    /// What has come of something unfinished is void when a connection ends.
    fn cut(&mut self) {
        self.pending.clear();
    }

    fn take(&mut self, message: &Value) {
        let id = |of: &Value| of["id"].as_i64().unwrap();
        match message["type"].as_str().unwrap_or_default() {
            "snapshot" => {
                self.pending
                    .extend(message["rows"].as_array().unwrap().iter().cloned());
                if message["more"] == false {
                    let rows = self.pending.drain(..);
                    self.rows = rows
                        .map(|row| (id(&row), row["version"].as_i64().unwrap()))
                        .collect();
                    self.cursor = message["cursor"].as_str().map(str::to_owned);
                }
            }
            "changes" => {
                self.pending
                    .extend(message["changes"].as_array().unwrap().iter().cloned());
                if message["last"] == true {
                    let changes: Vec<Value> = self.pending.drain(..).collect();
                    changes.iter().for_each(|change| self.apply(change));
                    self.cursor = message["cursor"].as_str().map(str::to_owned);
                }
            }
            "subscribed" | "heartbeat" if self.pending.is_empty() => {
                if let Some(cursor) = message["cursor"].as_str() {
                    self.cursor = Some(cursor.to_owned());
                }
            }
            "reset" => {
                self.resets += 1;
                self.pending.clear();
                self.cursor = None;
            }
            _ => {}
        }
    }

    fn apply(&mut self, change: &Value) {
        let key = change["key"]["id"].as_i64();
        match (change["op"].as_str().unwrap(), key) {
            ("delete", Some(key)) => drop(self.rows.remove(&key)),
            ("truncate", _) => self.rows.clear(),
            (_, Some(key)) => {
                let version = change["row"]["version"].as_i64().unwrap();
                let before = self.rows.insert(key, version);
                // Nothing twice, and nothing out of order.
                assert!(
                    before.is_none_or(|before| before < version),
                    "{change} after {before:?}"
                );
            }
            _ => {}
        }
    }

    fn since(&self) -> String {
        self.cursor
            .as_ref()
            .map(|cursor| format!("&since={cursor}"))
            .unwrap_or_default()
    }
}

/// Comes back for ever, as a client of plank does.
async fn follow(port: u16, kind: usize, copy: Shared) {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(120))
        .build()
        .unwrap();
    loop {
        match kind % 3 {
            0 => by_socket(port, &copy).await,
            1 => by_stream(port, &http, &copy).await,
            _ => by_poll(port, &http, &copy).await,
        }
        copy.lock().unwrap().cut();
        sleep(Duration::from_millis(200 + fastrand::u64(..600))).await;
    }
}

async fn by_socket(port: u16, copy: &Shared) {
    let since = copy.lock().unwrap().since();
    let url = format!("ws://127.0.0.1:{port}/ws?table=items&snapshot=1{since}");
    let opened = timeout(
        Duration::from_secs(10),
        tokio_tungstenite::connect_async(url),
    )
    .await;
    let Ok(Ok((mut socket, _))) = opened else {
        return;
    };
    // Two heartbeats that do not come are a dead link.
    while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(60), socket.next()).await {
        if let tungstenite::Message::Text(text) = message {
            copy.lock()
                .unwrap()
                .take(&serde_json::from_str(&text).unwrap());
        }
    }
}

async fn by_stream(port: u16, http: &reqwest::Client, copy: &Shared) {
    let since = copy.lock().unwrap().since();
    let url = format!("http://127.0.0.1:{port}/api/stream?table=items&snapshot=1{since}");
    let opened = timeout(Duration::from_secs(10), http.get(url).send()).await;
    let Ok(Ok(mut answer)) = opened else { return };
    if answer.status() != 200 {
        return;
    }
    let mut text = Vec::new();
    while let Ok(Ok(Some(bytes))) = timeout(Duration::from_secs(60), answer.chunk()).await {
        text.extend_from_slice(&bytes);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let event = String::from_utf8(event).unwrap();
            let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
            for data in data {
                copy.lock()
                    .unwrap()
                    .take(&serde_json::from_str(data).unwrap());
            }
        }
    }
}

async fn by_poll(port: u16, http: &reqwest::Client, copy: &Shared) {
    let get = async |path: String| {
        let answer = http
            .get(format!("http://127.0.0.1:{port}{path}"))
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.ok()?;
        Some((status, body))
    };
    if copy.lock().unwrap().cursor.is_none() {
        // All in one page, and so of one moment.
        let path = "/api/tables/items/rows?limit=10000".to_owned();
        let Some((200, page)) = get(path).await else {
            return;
        };
        let rows = page["rows"].as_array().unwrap();
        assert!(page["next"].is_null(), "more rows than were meant");
        let mut copy = copy.lock().unwrap();
        copy.rows = rows
            .iter()
            .map(|row| {
                (
                    row["id"].as_i64().unwrap(),
                    row["version"].as_i64().unwrap(),
                )
            })
            .collect();
        copy.cursor = page["cursor"].as_str().map(str::to_owned);
        return;
    }
    loop {
        let since = copy.lock().unwrap().since();
        match get(format!("/api/changes?table=items&wait=20{since}")).await {
            Some((200, answer)) => {
                let mut copy = copy.lock().unwrap();
                for change in answer["changes"].as_array().unwrap() {
                    copy.apply(change);
                }
                copy.cursor = answer["cursor"].as_str().map(str::to_owned);
            }
            Some((410, _)) => {
                let mut copy = copy.lock().unwrap();
                copy.resets += 1;
                copy.cursor = None;
                return;
            }
            _ => return,
        }
    }
}

/// Writes past plank, and through it. What fails is tried again, or not.
async fn write(
    config: tokio_postgres::Config,
    port: u16,
    stop: watch::Receiver<bool>,
    odd: Arc<Mutex<Vec<String>>>,
) {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut sql: Option<Client> = None;
    for round in 0_u64.. {
        if *stop.borrow() {
            return;
        }
        if sql.as_ref().is_none_or(Client::is_closed) {
            sql = match config.connect(tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    Some(client)
                }
                Err(_) => None,
            };
        }
        if let Some(sql) = &sql {
            let statement = match round % 8 {
                0..=3 => {
                    "update items set description = 'again' where id in (select id from items order by random() limit 3)"
                }
                4 | 5 => "insert into items (name) select 'n' || i from generate_series(1, 3) i",
                6 => {
                    {
                        // About as many as there are in the end, however long it lasts.
                        "delete from items where id in (select id from items order by id \
                     limit (select greatest(1, count(*) - 500) from items))"
                    }
                }
                _ => "begin; update items set status = 'done' where id = 1; rollback",
            };
            let _ = timeout(Duration::from_secs(30), sql.batch_execute(statement)).await;
        }
        let posted = http
            .post(format!("http://127.0.0.1:{port}/api/items"))
            .json(&json!({"name": format!("r{round}")}))
            .send()
            .await;
        if let Ok(answer) = posted {
            let status = answer.status().as_u16();
            // Of nginx 502 and 504 while plank is away; of plank what it says of its database.
            if !matches!(status, 201 | 409 | 502 | 503 | 504) {
                let said = answer.text().await.unwrap_or_default();
                odd.lock().unwrap().push(format!("{status}: {said}"));
            }
        }
        sleep(Duration::from_millis(30)).await;
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    DatabaseRestarts,
    ReadOnly,
    Password,
    Timeouts,
    Isolation,
    Terminated,
    Locked,
    Silent,
    ProxyReloads,
    PlankRestarts,
    PlankIsKilled,
    FewDescriptors,
}

const EVENTS: &[Event] = &[
    Event::DatabaseRestarts,
    Event::ReadOnly,
    Event::Password,
    Event::Timeouts,
    Event::Isolation,
    Event::Terminated,
    Event::Locked,
    Event::Silent,
    Event::ProxyReloads,
    Event::PlankRestarts,
    Event::PlankIsKilled,
    Event::FewDescriptors,
];

const TERMINATE: &str =
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'weather'";

struct Field {
    cluster: Cluster,
    proxy: PgProxy,
    nginx: Nginx,
    plank: Option<Program>,
    args: Vec<String>,
    log: Vec<Arc<AtomicUsize>>,
    /// For how long what happens lasts.
    lasts: Duration,
}

impl Field {
    async fn admin(&self) -> Client {
        connect(&self.cluster.config("plank")).await
    }

    async fn sql(&self, sql: &str) {
        let admin = self.admin().await;
        // One by one: ALTER SYSTEM takes no company.
        for statement in sql.split(';') {
            let done = admin.batch_execute(statement).await;
            done.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
        }
    }

    /// Sets something, for those who connect from now on, and takes it back.
    async fn meanwhile(&self, set: &str, back: &str) {
        self.sql(set).await;
        self.sql(TERMINATE).await;
        sleep(self.lasts).await;
        self.sql(back).await;
        // Sessions of the time keep what they began with.
        self.sql(TERMINATE).await;
    }

    async fn start(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let plank = Program::serve(&args).await;
        self.log.push(plank.log_bytes.clone());
        self.plank = Some(plank);
    }

    fn pid(&self) -> Pid {
        self.plank.as_ref().unwrap().pid()
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::DatabaseRestarts => self.cluster.restart().await,
            Event::ReadOnly => {
                self.meanwhile(
                    "alter system set default_transaction_read_only = on; select pg_reload_conf()",
                    "set default_transaction_read_only = off; alter system reset default_transaction_read_only; select pg_reload_conf()",
                )
                .await;
            }
            Event::Password => {
                self.meanwhile(
                    "alter role weather password 'other'",
                    "alter role weather password 'right'",
                )
                .await;
            }
            Event::Timeouts => {
                self.meanwhile(
                    "alter role weather set statement_timeout = '30ms'; alter role weather set lock_timeout = '5ms'; \
                     alter role weather set idle_session_timeout = '100ms'",
                    "alter role weather reset all",
                )
                .await;
            }
            Event::Isolation => {
                self.meanwhile(
                    "alter role weather set default_transaction_isolation = 'serializable'",
                    "alter role weather reset all",
                )
                .await;
            }
            Event::Terminated => self.sql(TERMINATE).await,
            Event::Locked => {
                let admin = self.admin().await;
                let lock = "begin; lock table plank.meta in access exclusive mode; lock table items in access exclusive mode";
                // Not for ever: readers of the log may be in the way.
                let _ = timeout(Duration::from_secs(2), admin.batch_execute(lock)).await;
                sleep(self.lasts).await;
            }
            Event::Silent => {
                self.proxy.swallow(true);
                sleep(self.lasts * 4).await;
                self.proxy.swallow(false);
            }
            Event::ProxyReloads => self.nginx.reload(),
            Event::PlankRestarts => {
                let plank = self.plank.take().unwrap();
                assert_eq!(plank.end(Signal::SIGTERM).await, Some(0), "an orderly end");
                self.start().await;
            }
            Event::PlankIsKilled => {
                let plank = self.plank.take().unwrap();
                assert_eq!(plank.end(Signal::SIGKILL).await, None);
                self.start().await;
            }
            Event::FewDescriptors => {
                let limit = |soft: &str| {
                    let pid = self.pid().to_string();
                    let mut prlimit = std::process::Command::new("prlimit");
                    prlimit
                        .args(["--pid", &pid, &format!("--nofile={soft}:")])
                        .status()
                };
                let limits =
                    std::fs::read_to_string(format!("/proc/{}/limits", self.pid())).unwrap();
                let line = limits
                    .lines()
                    .find_map(|line| line.strip_prefix("Max open files"));
                let before = line
                    .and_then(|line| line.split_whitespace().next())
                    .unwrap()
                    .to_owned();
                let used = std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
                    .unwrap()
                    .count();
                let _ = limit(&(used + 2).to_string());
                sleep(self.lasts).await;
                let restored = limit(&before).is_ok_and(|status| status.success());
                assert!(restored || self.plank.as_mut().unwrap().has_ended());
            }
        }
    }
}

#[actix_web::test]
async fn after_rough_weather_every_client_has_the_table() {
    let seconds = setting("PLANK_WEATHER_SECONDS", 30);
    let clients = setting("PLANK_WEATHER_CLIENTS", 45) as usize;
    let seed = setting("PLANK_WEATHER_SEED", u64::from(std::process::id()));
    println!("rough weather of {seconds} s, {clients} clients, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = Dir::new("weather");
    let upstream = dir.0.join("plank.sock").display().to_string();
    let Some(nginx) = Nginx::start(&dir.0, &upstream).await else {
        return;
    };
    let port = nginx.port;
    let cluster = Cluster::start();
    let admin = connect(&cluster.config("postgres")).await;
    admin
        .batch_execute(
            "create role weather login password 'right'; \
             alter database plank owner to weather",
        )
        .await
        .unwrap();
    drop(admin);
    let proxy = PgProxy::start(&cluster.config("plank")).await;
    let url = format!("postgresql://weather:right@{}/plank", proxy.address());
    let args = [
        "--listen",
        &format!("unix:{upstream}"),
        "--database-url",
        &url,
        "--workers",
        "2",
        "--canary",
        "1s",
    ];
    let mut field = Field {
        cluster,
        proxy,
        nginx,
        plank: None,
        args: args.map(str::to_owned).to_vec(),
        log: Vec::new(),
        lasts: if seconds > 300 {
            Duration::from_secs(5)
        } else {
            Duration::from_millis(1_500)
        },
    };
    field.start().await;
    let copies: Vec<Shared> = (0..clients).map(|_| Shared::default()).collect();
    let followers: Vec<_> = copies
        .iter()
        .enumerate()
        .map(|(i, copy)| tokio::spawn(follow(port, i, copy.clone())))
        .collect();
    let (stop, stopped) = watch::channel(false);
    let odd = Arc::<Mutex<Vec<String>>>::default();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(write(
                field.cluster.config("plank"),
                port,
                stopped.clone(),
                odd.clone(),
            ))
        })
        .collect();

    let since = Instant::now();
    let mut order: Vec<Event> = Vec::new();
    while since.elapsed() < Duration::from_secs(seconds) {
        if order.is_empty() {
            order = EVENTS.to_vec();
            random.shuffle(&mut order);
        }
        let event = order.pop().unwrap();
        println!("{:4} s: {event:?}", since.elapsed().as_secs());
        field.happen(event).await;
        sleep(Duration::from_millis(random.u64(200..2_000))).await;
        assert!(
            !field.plank.as_mut().unwrap().has_ended(),
            "plank ended by itself after {event:?}"
        );
    }
    stop.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    // Unfinished work of the weather ends first.
    until("plank is ready", async || {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let admin = field.admin().await;
    let rows = admin
        .query("select id, version from items", &[])
        .await
        .unwrap();
    let table: HashMap<i64, i64> = rows
        .iter()
        .map(|row| (row.get(0), i64::from(row.get::<_, i32>(1))))
        .collect();
    until_within(
        "every client has the table",
        Duration::from_secs(120),
        async || {
            assert!(
                !followers.iter().any(tokio::task::JoinHandle::is_finished),
                "a client saw something wrong"
            );
            copies.iter().all(|copy| copy.lock().unwrap().rows == table)
        },
    )
    .await;
    let resets: usize = copies.iter().map(|copy| copy.lock().unwrap().resets).sum();
    let log: usize = field
        .log
        .iter()
        .map(|bytes| bytes.load(Ordering::Relaxed))
        .sum();
    println!("{} rows, {resets} resets, {log} bytes of log", table.len());
    assert_eq!(
        *odd.lock().unwrap(),
        Vec::<String>::new(),
        "answers that say something else than the truth"
    );
    assert!(log < LOG_BYTES_MAX, "{log} bytes of log");
    followers.iter().for_each(tokio::task::JoinHandle::abort);
    let plank = field.plank.take().unwrap();
    assert_eq!(plank.end(Signal::SIGTERM).await, Some(0));
}
