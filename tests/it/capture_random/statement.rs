//! Random statements: every way in which PostgreSQL changes rows.

use fastrand::Rng;

use super::schema::{Key, Kind, Table};

/// One transaction: its statements, of which each may fail by itself, or all of them in one string.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub statements: Vec<String>,
    pub is_one_string: bool,
    /// Whether it alters tables, so that clients may be reset.
    pub alters: bool,
}

/// One that changes rows, or seldom one that alters a table.
pub fn transaction(rng: &mut Rng, tables: &[Table], has_merge: bool) -> Transaction {
    if rng.u8(..25) == 0 {
        let table = &tables[rng.usize(..tables.len())];
        let statements = vec![alter(rng, table)];
        return Transaction {
            statements,
            is_one_string: true,
            alters: true,
        };
    }
    let mut statements = Vec::new();
    // As a replica PostgreSQL does not check deferrable keys at all, so a table may have one twice.
    if rng.u8(..12) == 0 && tables.iter().all(|table| table.key != Key::Deferrable) {
        statements.push("set local session_replication_role = replica".into());
    }
    if rng.u8(..6) == 0 {
        statements.push("set constraints all deferred".into());
    }
    for _ in 0..rng.usize(1..5) {
        statements.push(statement(rng, tables, has_merge));
    }
    if rng.u8(..6) == 0 {
        let body: Vec<String> = (0..3).map(|_| statement(rng, tables, has_merge)).collect();
        statements.push(format!("do $d$ begin {}; end $d$", body.join("; ")));
    }
    if rng.u8(..8) == 0 {
        statements.push(format!(
            "savepoint s; {}; rollback to s",
            statement(rng, tables, has_merge)
        ));
    }
    if rng.u8(..8) == 0 {
        statements.push("set constraints all immediate".into());
        statements.push(statement(rng, tables, has_merge));
    }
    Transaction {
        statements,
        is_one_string: rng.u8(..3) == 0,
        alters: false,
    }
}

fn condition(rng: &mut Rng) -> String {
    let n = rng.u8(..7);
    match rng.u8(..8) {
        0 => format!("id = {n}"),
        1 => format!("id < {n}"),
        2 => format!("k = {}", rng.u8(1..4)),
        3 => format!("r = {n}"),
        4 => format!("id in ({n}, {}, {})", rng.u8(..7), rng.u8(..7)),
        5 => format!("id % 2 = {}", rng.u8(..2)),
        6 => "true".into(),
        _ => format!("id between {n} and {}", n + 2),
    }
}

fn assignment(rng: &mut Rng, table: &Table) -> String {
    let n = rng.u8(..7);
    match rng.u8(..9) {
        0 => "id = id + 1".into(),
        1 => "id = 7 - id".into(),
        2 => format!("k = {}", rng.u8(1..4)),
        3 => format!("r = {n}"),
        4 => "r = null".into(),
        5 if !table.is_generated => format!("v = {n}"),
        6 => "id = id + 1, k = k % 3 + 1".into(),
        7 => format!("id = {n}, t = 'moved'"),
        _ => format!("t = 't{n}'"),
    }
}

fn row(rng: &mut Rng) -> String {
    let r = match rng.u8(..3) {
        0 => "null".into(),
        _ => rng.u8(..7).to_string(),
    };
    format!(
        "({}, {}, {r}, 't{}')",
        rng.u8(..7),
        rng.u8(1..4),
        rng.u8(..4)
    )
}

fn statement(rng: &mut Rng, tables: &[Table], has_merge: bool) -> String {
    let table = &tables[rng.usize(..tables.len())];
    let other = &tables[rng.usize(..tables.len())];
    let targets = table.targets();
    let target = &targets[rng.usize(..targets.len())];
    let into = target.trim_start_matches("only ");
    let from = &other.name;
    let rows = |rng: &mut Rng| {
        (0..rng.usize(1..4))
            .map(|_| row(rng))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match rng.u8(..21) {
        0..=3 => format!("insert into {into} (id, k, r, t) values {} on conflict do nothing", rows(rng)),
        4 => format!("insert into {into} (id, k, r, t) values {}", rows(rng)),
        5 => match table.arbiter() {
            Some(key) => format!("insert into {} (id, k, r, t) values {} on conflict ({key}) do update set {}", table.name, row(rng), assignment(rng, table)),
            None => format!("insert into {into} (id, k, r, t) values {}", row(rng)),
        },
        6 => format!("insert into {into} (id, k, t) select i, 1 + i % 3, 'many' from generate_series({}, 30) i on conflict do nothing", rng.u8(1..20)),
        7..=10 => format!("update {target} set {} where {}", assignment(rng, table), condition(rng)),
        11 => format!("update {target} x set t = 'from' || o.id from {from} o where o.id = x.id and x.{}", condition(rng).replace("true", "id > 0")),
        12 | 13 => format!("delete from {target} where {}", condition(rng)),
        14 => format!("delete from {target} x using {from} o where o.id = x.id and o.k = {}", rng.u8(1..4)),
        15 if has_merge && table.kind != Kind::Parent => merge(rng, table, from),
        16 => match rng.u8(..3) {
            0 => format!("truncate {} cascade", target.trim_start_matches("only ")),
            1 if table.kind == Kind::Parent => format!("truncate only {}", table.name),
            _ => format!("truncate {into}"),
        },
        17 => format!(
            "with d as (delete from {target} where {} returning *), i as (insert into {from} (id, k, r, t) select id + {}, k, r, t from d on conflict do nothing returning 1)
             select count(*) from i",
            condition(rng), rng.u8(..2)
        ),
        18 => format!(
            "with u as (update {target} set {} where {} returning 1) insert into {} (id, k, r, t) values {} on conflict do nothing",
            assignment(rng, table), condition(rng), table.name, rows(rng)
        ),
        19 => copy(rng, into),
        _ => format!("update {} set id = id + 1 where k = {}; update {} set id = id - 1 where k = {}", table.name, 1, table.name, 1),
    }
}

/// COPY, of a few rows or of more than capture logs one by one. The server runs the program.
fn copy(rng: &mut Rng, into: &str) -> String {
    let (first, count) = (rng.u8(..10), one_of_two(rng, 2, 12));
    let rows = (first..first + count)
        .map(|id| format!(r"{id}\t{}\tcopied\n", 1 + id % 3))
        .collect::<String>();
    format!("copy {into} (id, k, t) from program 'printf \"{rows}\"'")
}

fn one_of_two(rng: &mut Rng, one: u8, other: u8) -> u8 {
    if rng.bool() { one } else { other }
}

fn merge(rng: &mut Rng, table: &Table, from: &str) -> String {
    let matched = match rng.u8(..3) {
        0 => "delete".into(),
        _ => format!("update set {}", assignment(rng, table)),
    };
    let more = match rng.u8(..3) {
        0 => "when not matched then insert (id, k, t) values (o.id, o.k, 'merged')",
        1 => "when not matched then do nothing",
        _ => "",
    };
    format!(
        "merge into {} x using (select distinct on (id) * from {from} order by id) o on x.id = o.id \
         when matched and x.id % 2 = {} then {matched} {more}",
        table.name,
        rng.u8(..2)
    )
}

fn alter(rng: &mut Rng, table: &Table) -> String {
    let name = &table.name;
    match (table.kind, rng.u8(..6)) {
        (Kind::Partitioned, 0) => format!("alter table {name} detach partition {name}_1"),
        (Kind::Partitioned, 1) => {
            format!("alter table {name} attach partition {name}_1 for values in (1)")
        }
        (Kind::Partitioned, 2) => format!(
            "create table {name}_4 partition of {name} for values in (4); insert into {name} (id, k) values (1, 4); truncate {name}_4"
        ),
        (Kind::Partitioned, 3) => format!("drop table {name}_4"),
        (Kind::Parent, 0) => format!("alter table {name}_child no inherit {name}"),
        (Kind::Parent, 1) => format!("alter table {name}_child inherit {name}"),
        (_, 2) => format!("alter table {name} add column c{} int", rng.u32(..1000)),
        (_, 3) => format!("alter table {name} alter t type text using upper(t)"),
        (_, 4) => format!("alter table {name} alter r type bigint"),
        _ => format!("alter table {name} rename to renamed; alter table renamed rename to {name}"),
    }
}
