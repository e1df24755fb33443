//! Random tables, writes and queries: after each transaction what a client has is what the query gives.

use std::fmt::Write as _;

use fastrand::Rng;

use serde_json::json;

use super::{Followed, truth, watch};
use crate::support::TestApp;
use crate::windows::follower::{Follower, select};

/// How many databases, each with some queries; `PLANK_RANDOM_QUERIES=n` for more.
fn rounds() -> u64 {
    let asked = std::env::var("PLANK_RANDOM_QUERIES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(2)
}

const TABLES: usize = 3;

/// Tables of one shape: `g` refers to the key of the table before it.
fn schema() -> String {
    let mut sql = String::new();
    for i in 0..TABLES {
        let _ = write!(
            sql,
            "create table t{i} (id int primary key, g int, n numeric, s text); select plank.watch('t{i}'); "
        );
    }
    sql
}

struct Generator {
    rng: Rng,
    views: usize,
}

impl Generator {
    fn table(&mut self) -> String {
        let i = self.rng.usize(..TABLES);
        format!("t{i}")
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.usize(..of.len())]
    }

    fn condition(&mut self, alias: &str) -> String {
        let number = self.rng.i32(..8);
        match self.rng.u8(..4) {
            0 => format!("{alias}.g < {number}"),
            1 => format!("{alias}.n is distinct from {number}"),
            2 => format!("{alias}.s like '%{}%'", self.pick(&["a", "b", "ab"])),
            _ => format!("{alias}.id % 3 <> {}", number % 3),
        }
    }

    /// A relation with the columns id (unique), g, n, s: a table, or a view of such a one.
    fn source(&mut self, sql: &mut String, depth: usize) -> String {
        if depth == 0 || self.rng.bool() {
            return self.table();
        }
        let beneath = self.source(sql, depth - 1);
        let name = format!("v{}", self.views);
        self.views += 1;
        let condition = self.condition("x");
        let _ = write!(
            sql,
            "create view {name} as select x.id, x.g, x.n + {} as n, x.s from {beneath} x where {condition}; ",
            self.rng.i32(..3)
        );
        name
    }

    /// A query and its key, and what can be said of its scope.
    fn query(&mut self, sql: &mut String) -> (String, &'static str, String) {
        let (a, b) = (self.source(sql, 2), self.source(sql, 2));
        let condition = self.condition("a");
        let by_row = |a: &str| match a.starts_with('t') {
            true => format!(", scope => '{{\"{a}\": \"id\"}}'"),
            false => String::new(),
        };
        match self.rng.u8(..8) {
            0 => (
                format!("select a.id, a.g, a.n, a.s from {a} a where {condition}"),
                "id",
                by_row(&a),
            ),
            1 => (
                format!(
                    "select a.id, b.s, b.n as other from {a} a left join {b} b on b.id = a.g where {condition}"
                ),
                "id",
                if a == b { String::new() } else { by_row(&a) },
            ),
            2 => (
                format!(
                    "select a.id as a, b.id as b, a.n + b.n as n from {a} a join {b} b on a.g = b.g and a.id < b.id"
                ),
                "a,b",
                String::new(),
            ),
            3 => (
                format!(
                    "select coalesce(a.g, -1) as g, count(*) as c, sum(a.n) as n, max(a.s) as s from {a} a where {condition} group by 1"
                ),
                "g",
                String::new(),
            ),
            4 => (
                format!(
                    "select a.id, a.s from {a} a where {} exists (select from {b} b where b.g = a.id)",
                    self.pick(&["", "not"])
                ),
                "id",
                if a == b { String::new() } else { by_row(&a) },
            ),
            5 => (
                format!(
                    "select a.id, row_number() over (partition by a.g order by a.n desc nulls last, a.id) as place, sum(a.n) over (order by a.id) as n from {a} a"
                ),
                "id",
                String::new(),
            ),
            6 => (
                format!(
                    "select a.id, a.n from {a} a where {condition} order by a.n desc nulls last, a.id limit 5"
                ),
                "id",
                String::new(),
            ),
            _ => (
                format!(
                    "select id, s, string_agg(w, ',' order by w) as w from (select id, s, 'a' as w from {a} union all select id, s, 'b' from {b}) u where s is not null group by id, s"
                ),
                "id,s",
                String::new(),
            ),
        }
    }

    fn value(&mut self) -> String {
        let (g, n) = (self.rng.i32(..6), self.rng.i32(..9));
        let g = if self.rng.u8(..5) == 0 {
            "null".into()
        } else {
            g.to_string()
        };
        let n = if self.rng.u8(..5) == 0 {
            "null".into()
        } else {
            format!("{n}.{}", self.rng.u8(..3))
        };
        let s = self.pick(&["null", "'a'", "'ab'", "'b'", "'a''b'"]);
        format!("{g}, {n}, {s}")
    }

    fn statement(&mut self) -> String {
        let t = self.table();
        let id = self.rng.i32(..30);
        match self.rng.u8(..10) {
            0..=3 => {
                let value = self.value();
                format!(
                    "insert into {t} values ({id}, {value}) on conflict (id) do update set (g, n, s) = (excluded.g, excluded.n, excluded.s)"
                )
            }
            4 | 5 => format!(
                "update {t} set g = {}, n = n + 1 where id % 4 = {}",
                self.rng.i32(..6),
                id % 4
            ),
            6 => format!("delete from {t} where id % 7 = {}", id % 7),
            7 => format!(
                "update {t} set id = id + 100 where id = {id} and not exists (select from {t} where id = {id} + 100)"
            ),
            8 => format!(
                "insert into {t} select i, i % 5, i, 'ab' from generate_series({id} + 200, {id} + 220) i on conflict do nothing"
            ),
            _ => match self.rng.u8(..6) {
                0 => format!("truncate {t}"),
                _ => format!(
                    "update {t} set s = s || 'a' where length(s) < 4 and g = {}",
                    id % 6
                ),
            },
        }
    }

    fn transaction(&mut self) -> String {
        let count = self.rng.usize(1..4);
        let statements: Vec<String> = (0..count).map(|_| self.statement()).collect();
        match self.rng.u8(..8) {
            0 => format!("begin; {}; rollback", statements.join("; ")),
            _ => format!("begin; {}; commit", statements.join("; ")),
        }
    }
}

#[actix_web::test]
async fn followed_results_equal_their_queries_whatever_is_written() {
    let seed = std::env::var("PLANK_RANDOM_SEED").ok();
    let seed = seed.and_then(|n| n.parse().ok()).unwrap_or(1_u64);
    for round in 0..rounds() {
        println!("PLANK_RANDOM_SEED={}", seed + round);
        follow(seed + round).await;
    }
}

async fn follow(seed: u64) {
    let mut generator = Generator {
        rng: Rng::with_seed(seed),
        views: 0,
    };
    let app = TestApp::start().await;
    app.execute(&schema()).await;
    let mut node = app.another_node().await;
    for _ in 0..20 {
        let transaction = generator.transaction();
        app.execute(&transaction).await;
    }
    let (mut queries, mut keys) = (Vec::new(), Vec::new());
    for i in 0..5 {
        let mut views = String::new();
        let (query, key, scope) = generator.query(&mut views);
        app.execute(&views).await;
        let (name, every) = (format!("q{i}"), 10 + 40 * generator.rng.u32(..2));
        watch(
            &app,
            &name,
            &query,
            key,
            &format!(", every => '{every}ms'{scope}"),
        )
        .await;
        queries.push((name, query));
        keys.push(key);
    }
    // A query of a query.
    let over = "select count(*) as rows, 1 as one from plank_query.q0";
    watch(&app, "over", over, "one", ", every => '10ms'").await;
    queries.push((
        "over".into(),
        over.replace("plank_query.q0", &format!("({}) q0", queries[0].1)),
    ));
    let mut followed = Vec::new();
    for (i, (name, _)) in queries.iter().enumerate() {
        let at = if i % 2 == 0 { &app } else { &node };
        followed.push(Followed::start(at, name).await);
    }
    // Windows of the results, and how many rows they have.
    let mut windows = [
        Follower::connect(&app).await,
        Follower::connect(&node).await,
    ];
    for (i, key) in keys.iter().enumerate() {
        let (name, window) = (format!("q{i}"), json!({"order": key, "limit": 3}));
        let follower = &mut windows[i % 2];
        follower.subscribe(&format!("w{i}"), &name, window).await;
        let counts = json!({"columns": ["count"]});
        follower.subscribe(&format!("n{i}"), &name, counts).await;
    }
    for step in 0..16 {
        let transaction = generator.transaction();
        app.execute(&transaction).await;
        match generator.rng.u8(..8) {
            // The refreshers lose their connections, in the middle of whatever they do.
            0 => {
                let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
                    where datname = current_database() and application_name = 'plank live queries'";
                app.execute(cut).await;
            }
            // Clients come back with their cursors, some on the other node.
            1 => {
                for (i, (name, _)) in queries.iter().enumerate() {
                    let at = if generator.rng.bool() { &app } else { &node };
                    followed[i] = Followed::start_at(at, name, Some(&followed[i])).await;
                }
            }
            // A node is gone, and another one comes.
            2 if step % 4 == 0 => {
                node.stop().await.unwrap();
                node = app.another_node().await;
                let before = std::mem::replace(&mut windows[1], Follower::connect(&node).await);
                for (id, held) in &before.held {
                    let i: usize = id[1..].parse().unwrap();
                    let mut wanted = match id.starts_with('w') {
                        true => json!({"order": keys[i], "limit": 3}),
                        false => json!({"columns": ["count"]}),
                    };
                    wanted["since"] = json!(held.cursor);
                    windows[1].ask(id, &format!("q{i}"), wanted).await;
                }
                for (i, (name, _)) in queries.iter().enumerate() {
                    followed[i] = Followed::start_at(&node, name, Some(&followed[i])).await;
                }
            }
            _ => {}
        }
        for (i, (name, query)) in queries.iter().enumerate() {
            followed[i].settle().await;
            assert_eq!(
                followed[i].rows(),
                truth(&app, query).await,
                "seed {seed}, step {step}, {name}: {query}\nafter {transaction}"
            );
        }
        for follower in &mut windows {
            follower.sync_all().await;
            for (id, held) in &follower.held {
                let i: usize = id[1..].parse().unwrap();
                let query = match id.starts_with('w') {
                    true => format!(
                        "select * from ({}) q order by {} limit 3",
                        queries[i].1, keys[i]
                    ),
                    false => format!(
                        "select count(*) from ({}) q having count(*) > 0",
                        queries[i].1
                    ),
                };
                assert_eq!(
                    held.rows,
                    select(&app.sql, &query).await,
                    "seed {seed}, step {step}, {id}: {query}\nafter {transaction}"
                );
            }
        }
    }
    node.stop().await.unwrap();
    app.stop().await.unwrap();
}
