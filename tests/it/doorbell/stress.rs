//! The doorbell under stress: listeners that fall asleep as often as they can, beside writers of every kind. The
//! criterion is exact and knows no time: whatever becomes visible to a listener after it has fallen asleep must have seen
//! an armed bell.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use plank::feed::bell::Phase;
use plank::feed::{Bell, Cursor};
use plank::store::log::LogReader;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config};

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

/// In `make test`; PLANK_STRESS_TRANSACTIONS says how many there are in a longer run.
const TRANSACTIONS: usize = 15_000;
const WRITERS: u64 = 16;
const HOT_KEYS: u32 = 200;

/// Each row of the log notes the bell as it was behind the transaction's id, as the capture function sees it.
const SCHEMA: &str = "
    create table hot (id bigint primary key, ver int not null);
    insert into hot select i, 0 from generate_series(1, 200) i;
    create sequence fresh start 1000;
    select plank.watch('hot');
    create function note_bell() returns trigger language plpgsql as $$
    begin
      new.row := (new.row::jsonb || jsonb_build_object('bell', (select last_value from plank.bell)))::json;
      return new;
    end $$;
    create trigger note_bell before insert on plank.log for each row when (new.op in ('I', 'U')) execute function note_bell();
";

#[derive(Debug, Default)]
struct Account {
    seen: HashSet<i64>,
    versions: HashMap<i64, i64>,
    sleeps: usize,
    woken: usize,
    restarts: usize,
}

/// One listener: sleeps, wakes, polls for a moment, and now and then begins again from its cursor.
async fn listen(config: Config, from: Cursor, seed: u64, is_over: Rc<Cell<bool>>) -> Account {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut account = Account::default();
    let mut at = from;
    let mut reader = LogReader::connect(&config.clone().into(), true)
        .await
        .unwrap();
    let mut bell = Bell::new(true, Instant::now());
    while !is_over.get() {
        let fence = reader.arm().await.unwrap();
        bell.armed(fence);
        while let Phase::Drowsy(_) = bell.phase() {
            read(&reader, &mut at, &mut bell, &mut account, false).await;
            let _ = timeout(Duration::from_micros(random.u64(..2_000)), reader.bell()).await;
        }
        account.sleeps += 1;
        // Asleep: the bell alone, or a moment in which others come and go.
        if random.bool() {
            let heard = timeout(Duration::from_millis(500), reader.bell()).await;
            account.woken += usize::from(heard.is_ok());
        } else {
            sleep(Duration::from_micros(random.u64(..4_000))).await;
        }
        read(&reader, &mut at, &mut bell, &mut account, true).await;
        let is_off = reader.disarm().await.unwrap();
        bell.disarmed(is_off, Instant::now());
        for _ in 0..random.usize(..4) {
            sleep(Duration::from_micros(random.u64(..4_000))).await;
            read(&reader, &mut at, &mut bell, &mut account, false).await;
        }
        if random.u8(..100) == 0 {
            drop(reader);
            sleep(Duration::from_micros(random.u64(..50_000))).await;
            reader = LogReader::connect(&config.clone().into(), true)
                .await
                .unwrap();
            bell = Bell::new(true, Instant::now());
            account.restarts += 1;
        }
    }
    read(&reader, &mut at, &mut bell, &mut account, false).await;
    account
}

async fn read(
    reader: &LogReader,
    at: &mut Cursor,
    bell: &mut Bell,
    account: &mut Account,
    is_asleep: bool,
) {
    let mut reading = reader
        .read(&at.snapshot, None, Duration::from_secs(20))
        .await
        .unwrap();
    let mut transactions = HashMap::new();
    while let Some(row) = reading.next().await.unwrap() {
        transactions.insert(row.xid, row.at_us);
        assert!(account.seen.insert(row.number()), "twice: {row:?}");
        let Some(text) = &row.row else { continue };
        let json: Value = serde_json::from_str(text).unwrap();
        assert!(
            !is_asleep || json["bell"] == 1,
            "it was asleep, and this one did not ring: {row:?}"
        );
        let (id, version) = (json["id"].as_i64().unwrap(), json["ver"].as_i64().unwrap());
        let before = account.versions.insert(id, version).unwrap_or(0);
        assert_eq!(version, before + 1, "out of order: {row:?}");
    }
    *at = (**reading.end()).clone();
    let ages = transactions.values().map(|at_us| reading.age(*at_us));
    bell.read(ages, reading.xmin(), Instant::now());
}

/// Of every kind: quick, slow to commit, with a snapshot from long ago, with a savepoint, in vain.
async fn write(sql: Client, seed: u64, left: Rc<Cell<usize>>) {
    let mut random = fastrand::Rng::with_seed(seed + 1_000);
    while left.get() > 0 {
        left.set(left.get() - 1);
        let hot = format!(
            "update hot set ver = ver + 1 where id = {}",
            random.u32(1..=HOT_KEYS)
        );
        let fresh = "insert into hot values (nextval('fresh'), 1)";
        let pause = format!("select pg_sleep(0.0{:02})", random.u8(..30));
        let statement = match random.u8(..12) {
            0 => format!("begin; {hot}; {pause}; commit"),
            1 => format!(
                "begin isolation level repeatable read; select count(*) from plank.meta; {pause}; {fresh}; {pause}; commit"
            ),
            2 => format!(
                "begin isolation level serializable; select count(*) from plank.meta; {pause}; {fresh}; commit"
            ),
            3 => format!("begin; {fresh}; savepoint s; {fresh}; rollback to s; {hot}; commit"),
            4 => format!("begin; {hot}; {pause}; rollback"),
            5 => format!("begin; {fresh}; {fresh}; commit"),
            6..=8 => fresh.to_owned(),
            _ => hot,
        };
        // A serialization failure is no transaction of ours.
        if sql.batch_execute(&statement).await.is_err() {
            sql.batch_execute("rollback").await.unwrap();
        }
    }
}

#[actix_web::test]
async fn no_bell_is_missed_whoever_writes_and_whoever_sleeps() {
    let app = TestApp::start().await;
    app.execute(SCHEMA).await;
    let config = Cluster::shared().config(&app.database);
    let sql = app.stop_keeping_sql().await;
    let count = std::env::var("PLANK_STRESS_TRANSACTIONS")
        .ok()
        .and_then(|n| n.parse().ok());
    let left = Rc::new(Cell::new(count.unwrap_or(TRANSACTIONS)));
    let is_over = Rc::new(Cell::new(false));
    let from = LogReader::connect(&config.clone().into(), true)
        .await
        .unwrap()
        .now()
        .await
        .unwrap();
    let first: i64 = sql
        .query_one("select last_value from plank.seq", &[])
        .await
        .unwrap()
        .get(0);
    let listeners: Vec<_> = (0..2)
        .map(|seed| actix_rt::spawn(listen(config.clone(), from.clone(), seed, is_over.clone())))
        .collect();
    let mut writers = Vec::new();
    for seed in 0..WRITERS {
        writers.push(actix_rt::spawn(write(
            connect(&config).await,
            seed,
            left.clone(),
        )));
    }
    for writer in writers {
        // As long as it takes: PLANK_STRESS_TRANSACTIONS may be large.
        writer.await.unwrap();
    }
    is_over.set(true);
    let truth = sql
        .query("select seq from plank.log where seq > $1", &[&first])
        .await
        .unwrap();
    let truth: HashSet<i64> = truth.iter().map(|row| row.get(0)).collect();
    for listener in listeners {
        let account = listener.await.unwrap();
        println!(
            "doorbell: {} rows, {} sleeps, {} times woken, {} restarts",
            account.seen.len(),
            account.sleeps,
            account.woken,
            account.restarts
        );
        assert_eq!(account.seen, truth, "everything was read");
        assert!(account.sleeps > 50, "only {} sleeps", account.sleeps);
    }
}
