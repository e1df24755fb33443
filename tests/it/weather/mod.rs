//! Rough weather: clients of all transports behind nginx, writers, and every few seconds at random something that happens
//! to a server in the field. In the end every client has exactly the table, and plank has ended only when it was told to.
//!
//! A short one runs with the other tests. `make weather` is an hour with 500 clients (`PLANK_WEATHER_SECONDS`,
//! `PLANK_WEATHER_CLIENTS`, and `PLANK_WEATHER_SEED` to see the same again).

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::support::cluster::{Cluster, connect};
use crate::support::program::Dir;
use crate::support::proxy::PgProxy;
use crate::support::{until, until_within};

mod browsers;
mod clients;
mod copy;
mod disk;
mod events;
mod nginx;
mod writers;

use browsers::Browsers;
use clients::follow;
use copy::Shared;
use disk::Disk;
use events::{EVENTS, Event, Field};
use nginx::Nginx;
use writers::write;

/// Bytes that plank may write into its log, however long the weather lasts.
const LOG_BYTES_MAX: usize = 1_000_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
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
    let disk = Disk::under(&admin, &dir.0).await;
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
        browsers: None,
        disk,
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
    field.browsers = Browsers::start(port, (clients / 5).min(100)).await;
    // On threads of their own: what is between plank and its database must not wait for them.
    let crowd = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let copies: Vec<Shared> = (0..clients).map(|_| Shared::default()).collect();
    let followers: Vec<_> = copies
        .iter()
        .enumerate()
        .map(|(i, copy)| crowd.spawn(follow(port, i, copy.clone())))
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
    if let Some(browsers) = &mut field.browsers {
        until_within(
            "every plank.js has the table, on a WebSocket",
            Duration::from_secs(120),
            async || {
                let report = browsers.report().await;
                let wrong = report
                    .iter()
                    .find(|told| told.rows != table || told.transport != "ws");
                if let Some(told) = wrong {
                    println!("{} rows of {}: {}", told.rows.len(), table.len(), told.text);
                }
                wrong.is_none()
            },
        )
        .await;
    }
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
    crowd.shutdown_background();
    let plank = field.plank.take().unwrap();
    assert_eq!(plank.end(Signal::SIGTERM).await, Some(0));
}
