//! Several principals with random policies write at once, and are killed and cut off meanwhile: what each has is what SQL says that
//! it may see, behind each receipt; and each key is written once.
//!
//! `PLANK_RANDOM_SEED` repeats one, `PLANK_RANDOM_WORLDS` makes it longer.

mod request;
mod rules;
mod watcher;

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::auth::{Secure, token};
use crate::support::{until, within};

use request::{Answer, Request};
use rules::{OPS, Rules};
use watcher::Watcher;

/// `v` names each state of a row, and `audit` says which transactions wrote for which key.
const TABLES: &str = "
    create sequence versions;
    create table docs (id int primary key, owner text not null, tenant int not null, body text not null, n int not null default 0,
      mark text, v bigint);
    create table audit (xid xid8, mark text, v bigint);
    create function stamp() returns trigger language plpgsql security definer set search_path = public as $$
      begin new.v := nextval('versions'); return new; end $$;
    create function note() returns trigger language plpgsql security definer set search_path = public as $$
      begin insert into audit values (pg_current_xact_id(), new.mark, new.v); return null; end $$;
    create trigger stamp before insert or update on docs for each row execute function stamp();
    create trigger note after insert or update on docs for each row execute function note();
    select plank.watch('docs')";

const KILL: &str = "select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'plank' and datname = current_database() and random() < 0.7";

/// Rounds between two changes of all policies.
const ROUNDS: usize = 6;
/// Requests of a principal in a round, at most.
const REQUESTS_MAX: usize = 3;

/// Says where the test was when it failed.
struct Told {
    seed: u64,
    world: i64,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, world } = self;
            eprintln!("PLANK_RANDOM_SEED={seed} PLANK_RANDOM_WORLDS={world} repeats it");
        }
    }
}

struct One {
    sub: &'static str,
    tenant: i64,
    role: &'static str,
    rules: Rules,
    watcher: Watcher,
    random: fastrand::Rng,
    /// What each key was answered.
    answers: HashMap<String, Answer>,
}

impl One {
    fn new(sub: &'static str, role: &'static str, tenant: i64) -> Self {
        Self {
            sub,
            tenant,
            role,
            rules: Rules::default(),
            watcher: Watcher::default(),
            random: fastrand::Rng::with_seed(0),
            answers: HashMap::new(),
        }
    }

    fn token(&self) -> String {
        token(json!({"sub": self.sub, "role": self.role, "tenant": self.tenant}))
    }

    fn allows(&self, op: &str, row: &Value) -> bool {
        self.rules.allows(op, self.sub, self.tenant, row)
    }

    /// What it may see, of all there is.
    async fn expected(&self, app: &Secure) -> Vec<Value> {
        let sql = "select row_to_json(d)::text from docs d order by id";
        let rows = app.sql.query(sql, &[]).await.unwrap();
        let rows = rows
            .iter()
            .map(|row| serde_json::from_str(row.get(0)).unwrap());
        rows.filter(|row| self.allows("select", row)).collect()
    }

    /// Behind this place its rows are those of the table.
    async fn is_exact(&mut self, app: &Secure, cursor: &str) {
        Box::pin(self.watcher.pass(app, cursor)).await;
        let (expected, rules) = (self.expected(app).await, &self.rules);
        let rows: Vec<&Value> = self.watcher.rows.values().collect();
        assert_eq!(
            rows,
            expected.iter().collect::<Vec<_>>(),
            "{} with {rules:?}",
            self.sub
        );
    }

    /// Sends some requests, one behind the other, each until it is known what became of it.
    async fn act(&mut self, app: &Secure, name: &str, is_rough: bool, is_alone: bool) {
        for i in 0..self.random.usize(1..=REQUESTS_MAX) {
            let key = format!("{name}-{}-{i}", self.sub);
            let request = Request::random(&mut self.random, &key);
            let snapshots = self.watcher.snapshots;
            let who = self.token();
            let cuts = if is_rough { self.random.usize(..3) } else { 0 };
            for _ in 0..cuts {
                Box::pin(request.cut_off(app, &who, self.random.u32(..800))).await;
            }
            let answer = Box::pin(request.answered(app, &who)).await;
            self.check(&request, &answer);
            if !answer.cursor.is_empty() {
                match is_alone {
                    true => Box::pin(self.is_exact(app, &answer.cursor)).await,
                    false => Box::pin(self.watcher.pass(app, &answer.cursor)).await,
                }
                if self.watcher.snapshots == snapshots {
                    for row in answer.written(&key) {
                        let v = row["v"].as_i64().unwrap();
                        assert!(self.watcher.seen.contains(&v), "{} {row}", self.sub);
                    }
                }
            }
            if self.random.bool() {
                let again = Box::pin(request.answered(app, &who)).await;
                assert_eq!(answer, again, "{request:?}");
            }
            self.answers.insert(key, answer);
        }
    }

    /// It tells of no row that may not be seen, and did nothing that is not allowed.
    fn check(&self, request: &Request, answer: &Answer) {
        let what = || format!("{} with {:?}: {request:?} {answer:?}", self.sub, self.rules);
        assert!(
            matches!(answer.status, 200 | 201 | 403 | 404 | 409),
            "{}",
            what()
        );
        for (at, row) in answer.rows() {
            assert!(self.allows("select", row), "{}", what());
            match request.op_at(at) {
                "upsert" => assert!(
                    self.allows("insert", row) || self.allows("update", row),
                    "{}",
                    what()
                ),
                op => assert!(self.allows(op, row), "{}", what()),
            }
        }
    }
}

/// New policies for every role, and for every principal a new socket under them.
async fn change(app: &Secure, all: &mut [One], random: &mut fastrand::Rng, world: i64) {
    let marker = format!("insert into docs values ({}, '', 0, '', 0, null)", -world);
    app.execute(&marker).await;
    let mut known: HashMap<&str, Rules> = HashMap::new();
    for one in all.iter_mut() {
        one.random = fastrand::Rng::with_seed(random.u64(..));
        if let Some(rules) = known.get(one.role) {
            one.rules = rules.clone();
            continue;
        }
        one.rules = Rules::random(random, world);
        known.insert(one.role, one.rules.clone());
        for op in OPS {
            app.execute(&one.rules.statement(one.role, op)).await;
        }
    }
    for one in all {
        one.watcher = Box::pin(Watcher::connect(app, &one.token())).await;
        let expected = one.expected(app).await;
        Box::pin(one.watcher.settle(app, &expected)).await;
    }
}

async fn round(app: &Secure, all: &mut [One], random: &mut fastrand::Rng, name: &str) {
    let is_rough = random.u8(..3) > 0;
    if random.u8(..3) == 0 {
        let which = random.usize(..all.len());
        Box::pin(all[which].act(app, name, is_rough, true)).await;
    } else {
        let kills = if is_rough { random.u32(..3) } else { 0 };
        let waits: Vec<u32> = (0..kills).map(|_| random.u32(..2_000)).collect();
        let kill = async {
            for wait in waits {
                for _ in 0..wait {
                    tokio::task::yield_now().await;
                }
                app.execute(KILL).await;
            }
        };
        let acts = all
            .iter_mut()
            .map(|one| Box::pin(one.act(app, name, is_rough, false)));
        tokio::join!(join_all(acts), kill);
    }
    let row = app.sql.query_one("select plank.cursor()", &[]).await;
    let cursor: String = row.unwrap().get(0);
    for one in all {
        Box::pin(one.is_exact(app, &cursor)).await;
    }
}

/// Each key has written in the one transaction that its answer names, or in none. How many have written.
async fn each_once(app: &Secure, all: &[One]) -> usize {
    let sql = "select mark, array_agg(distinct xid::text) from audit where mark is not null group by mark";
    let rows = app.sql.query(sql, &[]).await.unwrap();
    let written: HashMap<String, Vec<String>> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
    let none = Vec::new();
    for one in all {
        for (key, answer) in &one.answers {
            let xids = written.get(key).unwrap_or(&none);
            let has_rows = answer.written(key).next().is_some();
            match (answer.is_success(), has_rows) {
                (true, true) => {
                    assert_eq!(xids, std::slice::from_ref(&answer.xid), "{key} {answer:?}")
                }
                (true, false) => {
                    assert!(xids.iter().all(|xid| *xid == answer.xid), "{key} {xids:?}");
                }
                _ => assert_eq!(xids, &none, "{key} {answer:?}"),
            }
        }
    }
    written.len()
}

async fn run(seed: u64, worlds: i64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let app = Secure::start().await;
    app.execute(TABLES).await;
    let mut all = [
        One::new("ann", "a", 1),
        One::new("bob", "b", 2),
        // The same policies as another, with other claims.
        One::new("cid", "b", 3),
        One::new("dan", "c", 1),
    ];
    let mut written = 0;
    for world in 1..=worlds {
        let _told = Told { seed, world };
        Box::pin(change(&app, &mut all, &mut random, world)).await;
        for i in 0..ROUNDS {
            let name = format!("{world}-{i}");
            within(
                "a round",
                Box::pin(round(&app, &mut all, &mut random, &name)),
            )
            .await;
        }
        written = each_once(&app, &all).await;
    }
    // The policies of one may allow nothing.
    assert!(written > 0 || worlds < 4, "nothing was written");
    drop(all);
    until("it is healthy again", async || {
        app.request("GET", "/readyz", None).await.0 == 200
    })
    .await;
    app.app.stop().await.unwrap();
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

#[actix_rt::test]
async fn behind_each_receipt_each_has_what_it_may_see_and_each_key_is_written_once() {
    let worlds = from_env("PLANK_RANDOM_WORLDS").map_or(4, |n| i64::try_from(n).unwrap());
    let seeds = match from_env("PLANK_RANDOM_SEED") {
        Some(seed) => vec![seed],
        None => vec![1, fastrand::u64(..)],
    };
    for seed in seeds {
        Box::pin(run(seed, worlds)).await;
    }
}
