//! Random tables, windows, counts and writes: after each transaction and a `ping` what a client has is the query. On two nodes, with
//! connections that are cut, and clients that come back. `PLANK_RANDOM_WINDOWS` makes it longer, `PLANK_RANDOM_SEED` repeats one.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::follower::{Follower, select};
use crate::support::TestApp;

/// Transactions for each table.
const TRANSACTIONS: usize = 25;

/// Columns that there may be, with their types and random values.
const COLUMNS: [(&str, &str, &[&str]); 9] = [
    ("a", "int", &["null", "0", "1", "2", "-3", "40"]),
    (
        "b",
        "numeric",
        &["null", "1.0", "1.00", "-2.5", "'NaN'", "1e20"],
    ),
    (
        "c",
        "text collate \"C\"",
        &["null", "''", "'a'", "'B'", "'b'", "'é'", "'a\"\\'"],
    ),
    ("d", "text", &["null", "'a'", "'B'", "'b'", "'Z'"]),
    (
        "e",
        "timestamptz",
        &[
            "null",
            "'2026-01-01Z'",
            "'2025-06-01T12:00:00.5Z'",
            "'infinity'",
        ],
    ),
    (
        "f",
        "float8",
        &["null", "0", "'-0'", "1.5", "'-Infinity'", "'NaN'"],
    ),
    ("g", "bool", &["null", "true", "false"]),
    (
        "h",
        "uuid",
        &[
            "null",
            "'00000000-0000-4000-8000-000000000001'",
            "'f0000000-0000-4000-8000-000000000001'",
        ],
    ),
    (
        "i",
        "interval",
        &["null", "'1 day'", "'24 hours'", "'2 hours'"],
    ),
];

/// Which columns may be in a filter, and conditions on them, for clients and for PostgreSQL.
const FILTERS: [(&str, &str, &str); 5] = [
    ("a", "a=gte.1", "a >= 1"),
    ("a", "or=(a.is.null,a.lt.0)", "(a is null or a < 0)"),
    ("c", "c=like.*a*", "c like '%a%'"),
    ("d", "d=in.(a,B)", "d in ('a', 'B')"),
    ("g", "g=not.is.true", "g is not true"),
];

struct Table {
    name: String,
    key: Vec<&'static str>,
    columns: Vec<(&'static str, &'static str, &'static [&'static str])>,
}

/// A subscription, and the query that it is.
struct Followed {
    subscribe: Value,
    query: String,
    has_order: bool,
}

fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.usize(..list.len())]
}

impl Table {
    fn new(rng: &mut Rng, name: String) -> Self {
        let mut columns = COLUMNS.to_vec();
        rng.shuffle(&mut columns);
        columns.truncate(rng.usize(3..=columns.len()));
        let key = pick(rng, &[vec!["id"], vec!["k", "id"], vec!["id", "k"]]).clone();
        Self { name, key, columns }
    }

    fn create(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind, _)| format!("{name} {kind}"))
            .collect();
        format!(
            "create table {} (id int not null, {}, k text collate \"C\" not null default 'x', primary key ({}))",
            self.name,
            columns.join(", "),
            self.key.join(", ")
        )
    }

    fn values(&self, rng: &mut Rng) -> String {
        let values: Vec<&str> = self
            .columns
            .iter()
            .map(|(_, _, values)| *pick(rng, values))
            .collect();
        values.join(", ")
    }

    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, ..)| *name).collect()
    }

    fn statement(&self, rng: &mut Rng) -> String {
        let name = &self.name;
        let columns = self.names().join(", ");
        let few = format!(
            "id between {0} and {0} + {1}",
            rng.i32(0..60),
            rng.i32(0..8)
        );
        match rng.u32(0..20) {
            0..7 => {
                let values = self.values(rng);
                format!(
                    "insert into {name} (id, {columns}) select id, {values} from generate_series({0}, {0} + {1}) id on conflict do nothing",
                    rng.i32(0..60),
                    rng.i32(0..6)
                )
            }
            7..13 => {
                let (column, _, values) = pick(rng, &self.columns);
                format!(
                    "update {name} set {column} = {} where {few}",
                    pick(rng, values)
                )
            }
            13..16 => format!("delete from {name} where {few}"),
            16 => format!(
                "update {name} set id = id + 100 where {few} and not exists (select from {name} o where o.id = {name}.id + 100)"
            ),
            17 => format!("update {name} set k = 'y' where {few}"),
            18 => format!("delete from {name} where id > 90"),
            _ if rng.u32(0..4) == 0 => format!("truncate {name}"),
            _ => {
                let values = self.values(rng);
                format!(
                    "insert into {name} (id, {columns}) select id, {values} from generate_series(200, 400) id on conflict do nothing"
                )
            }
        }
    }

    fn filter(&self, rng: &mut Rng) -> (&'static str, &'static str) {
        let names = self.names();
        let filters: Vec<_> = FILTERS
            .iter()
            .filter(|(column, ..)| names.contains(column))
            .collect();
        match filters.is_empty() || rng.bool() {
            true => ("", "true"),
            false => {
                let (_, said, sql) = pick(rng, &filters);
                (said, sql)
            }
        }
    }

    fn window(&self, rng: &mut Rng) -> Followed {
        let mut names = self.names();
        names.extend(["id", "k"]);
        rng.shuffle(&mut names);
        names.truncate(rng.usize(1..=3));
        let (mut said, mut sql) = (Vec::new(), Vec::new());
        for name in &names {
            let (word, order) = pick(
                rng,
                &[
                    ("", ""),
                    (".asc", ""),
                    (".desc", " desc"),
                    (".desc.nullslast", " desc nulls last"),
                    (".nullsfirst", " nulls first"),
                ],
            );
            said.push(format!("{name}{word}"));
            sql.push(format!("{name}{order}"));
        }
        sql.extend(
            self.key
                .iter()
                .filter(|name| !names.contains(name))
                .map(|name| (*name).to_owned()),
        );
        let limit = *pick(rng, &[1, 2, 5, 20, 100]);
        let (filter, condition) = self.filter(rng);
        let mut subscribe = json!({"order": said.join(","), "limit": limit, "filter": filter});
        let mut shown = String::from("*");
        if rng.u32(0..3) == 0 {
            let column = *pick(rng, &self.names());
            subscribe["columns"] = json!([column]);
            shown = format!("id, k, {column}");
            if self.key.len() == 1 {
                shown = format!("id, {column}");
            }
        }
        let query = format!(
            "select {shown} from {} where {condition} order by {} limit {limit}",
            self.name,
            sql.join(", ")
        );
        Followed {
            subscribe,
            query,
            has_order: true,
        }
    }

    fn counts(&self, rng: &mut Rng) -> Followed {
        let mut names = self.names();
        // What is equal only PostgreSQL knows.
        names.retain(|name| *name != "i");
        rng.shuffle(&mut names);
        names.truncate(rng.usize(0..=2));
        let (filter, condition) = self.filter(rng);
        let shown: Vec<&str> = names.iter().copied().chain(["count"]).collect();
        let select: Vec<&str> = names.iter().copied().chain(["count(*)"]).collect();
        let by = match names.is_empty() {
            true => String::new(),
            false => format!("group by {}", names.join(", ")),
        };
        Followed {
            subscribe: json!({"columns": shown, "filter": filter}),
            query: format!(
                "select {} from {} where {condition} {by} having count(*) > 0",
                select.join(", "),
                self.name
            ),
            has_order: false,
        }
    }
}

/// Equal numbers are written in the same way.
fn plain(rows: Vec<Value>) -> Vec<Value> {
    let plain = |value: Value| match value.as_f64() {
        Some(number) => json!(number + 0.0),
        None => value,
    };
    let row = |row: Value| -> Value {
        let members: serde_json::Map<String, Value> = serde_json::from_value(row).unwrap();
        members
            .into_iter()
            .map(|(name, value)| (name, plain(value)))
            .collect()
    };
    rows.into_iter().map(row).collect()
}

async fn compare(
    app: &TestApp,
    follower: &mut Follower,
    followed: &BTreeMap<String, Followed>,
) -> Result<(), String> {
    follower.sync_all().await;
    for (id, followed) in followed {
        let mut held = plain(follower.held[id].rows.clone());
        let mut expected = plain(select(&app.sql, &followed.query).await);
        if !followed.has_order {
            held.sort_by_key(Value::to_string);
            expected.sort_by_key(Value::to_string);
        }
        if held != expected {
            return Err(format!(
                "{}\n{}\nheld     {}\nexpected {}",
                followed.subscribe,
                followed.query,
                json!(held),
                json!(expected)
            ));
        }
    }
    Ok(())
}

/// One table, its subscriptions on two nodes.
async fn run(nodes: &[TestApp; 2], seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let table = Table::new(&mut rng, format!("t{}", seed % 100_000));
    let sql = &nodes[0].sql;
    let mut script = table.create();
    sql.batch_execute("set timezone = 'UTC'").await.unwrap();
    sql.batch_execute(&script).await.unwrap();
    let watch = format!("select plank.watch('{}')", table.name);
    sql.batch_execute(&watch).await.unwrap();
    let mut followed = BTreeMap::new();
    for n in 0..6 {
        followed.insert(format!("w{n}"), table.window(&mut rng));
    }
    for n in 0..3 {
        followed.insert(format!("n{n}"), table.counts(&mut rng));
    }
    let mut followers = Vec::new();
    for node in nodes {
        let mut follower = Follower::connect(node).await;
        for (id, followed) in &followed {
            follower
                .subscribe(id, &table.name, followed.subscribe.clone())
                .await;
        }
        followers.push(follower);
    }
    for n in 0..TRANSACTIONS {
        let statements: Vec<String> = (0..rng.usize(1..4))
            .map(|_| table.statement(&mut rng))
            .collect();
        let transaction = match statements.len() {
            1 => statements[0].clone(),
            _ => format!("begin; {}; commit", statements.join("; ")),
        };
        script += &format!(";\n{transaction}");
        let done = sql.batch_execute(&transaction).await;
        if done.is_err() {
            // A key that is there already.
            sql.batch_execute("rollback").await.unwrap();
        }
        let which = rng.usize(0..2);
        match rng.u32(0..12) {
            0 => drop(nodes[which].cut_listener().await),
            1 => {
                // It comes back, with or without its cursors.
                let before = std::mem::replace(
                    &mut followers[which],
                    Follower::connect(&nodes[which]).await,
                );
                for (id, followed) in &followed {
                    let mut subscribe = followed.subscribe.clone();
                    if rng.bool() {
                        subscribe["since"] = json!(before.held[id].cursor);
                    }
                    followers[which].ask(id, &table.name, subscribe).await;
                }
            }
            _ => {}
        }
        for (node, follower) in nodes.iter().zip(&mut followers) {
            let compared = compare(node, follower, &followed).await;
            compared.map_err(|why| format!("seed {seed}, transaction {n}: {why}\n{script}"))?;
        }
    }
    Ok(())
}

#[actix_web::test]
async fn window_and_counts_are_the_query_after_each_transaction() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let app = TestApp::start().await;
    let nodes = [app.another_node().await, app];
    let seeds: Vec<u64> = match number("PLANK_RANDOM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("PLANK_RANDOM_WINDOWS").unwrap_or(6))
            .map(|_| fastrand::u64(..))
            .collect(),
    };
    for seed in seeds {
        if let Err(why) = run(&nodes, seed).await {
            panic!("{why}");
        }
    }
}
