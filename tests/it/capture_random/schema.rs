//! Random schemas: tables of every kind that capture has to follow.

use fastrand::Rng;

/// How the rows of a table are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `id`
    Simple,
    /// `(k, id)`, and an index that includes other columns.
    Composite,
    /// `id`, checked at the end of the transaction.
    Deferrable,
    /// None at all.
    Missing,
}

/// How a table stores its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By itself.
    Plain,
    /// In partitions of two levels.
    Partitioned,
    /// In itself and in a child.
    Parent,
}

/// A table; all have the columns `id, k, v, r, t`.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub kind: Kind,
    pub key: Key,
    /// `v` is computed from others.
    pub is_generated: bool,
}

impl Table {
    /// What statements may name to change it: itself and its parts.
    pub fn targets(&self) -> Vec<String> {
        let name = &self.name;
        let mut targets = vec![name.clone(), name.clone()];
        match self.kind {
            Kind::Plain => {}
            Kind::Partitioned => targets.extend([
                format!("{name}_1"),
                format!("{name}_2"),
                format!("{name}_2a"),
            ]),
            Kind::Parent => targets.extend([format!("{name}_child"), format!("only {name}")]),
        }
        targets
    }

    /// Whether `on conflict` may name its key.
    pub fn arbiter(&self) -> Option<&'static str> {
        match (self.kind, self.key) {
            (Kind::Parent, _) | (_, Key::Deferrable | Key::Missing) => None,
            (Kind::Partitioned, _) | (_, Key::Composite) => Some("k, id"),
            (Kind::Plain, Key::Simple) => Some("id"),
        }
    }
}

fn one_of<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// Two to four tables, with what else may change their rows; and the statements that make them.
pub fn schema(rng: &mut Rng) -> (Vec<Table>, Vec<String>) {
    let (mut tables, mut setup) = (Vec::new(), Vec::new());
    for i in 0..rng.usize(2..5) {
        let name = format!("t{i}");
        let kind = match rng.u8(..6) {
            0 => Kind::Partitioned,
            1 => Kind::Parent,
            _ => Kind::Plain,
        };
        let key = match rng.u8(..9) {
            _ if kind == Kind::Parent => Key::Composite,
            0 | 1 if kind != Kind::Partitioned => Key::Composite,
            2 => Key::Deferrable,
            3 if kind == Kind::Plain => Key::Missing,
            _ => Key::Simple,
        };
        let is_generated = kind == Kind::Plain && rng.u8(..6) == 0;
        let table = Table {
            name,
            kind,
            key,
            is_generated,
        };
        setup.extend(create(rng, &table, &tables));
        tables.push(table);
    }
    for table in &tables {
        for target in [rng.bool(), rng.u8(..4) == 0] {
            if target {
                setup.extend(trigger(rng, table, &tables));
            }
        }
        if rng.u8(..12) == 0 && table.kind == Kind::Plain {
            setup.push(format!(
                "alter table {} enable row level security",
                table.name
            ));
        }
    }
    if rng.u8(..8) == 0 {
        let (from, to) = (&tables[0], &tables[1]);
        setup.push(format!(
            "create rule also as on insert to {} do also insert into {} (id, k, t) values (new.id + 1, 1, 'rule')",
            from.name, to.name
        ));
    }
    (tables, setup)
}

fn create(rng: &mut Rng, table: &Table, others: &[Table]) -> Vec<String> {
    let name = &table.name;
    let v = match table.is_generated {
        true => "v int generated always as (id * 10) stored",
        false => "v int default 7",
    };
    let columns =
        format!("id int not null, k int not null default 1, {v}, r int default 0, t text");
    let key = match (table.kind, table.key) {
        (Kind::Partitioned, Key::Deferrable) => {
            ", primary key (id, k) deferrable initially deferred"
        }
        (Kind::Partitioned, _) => ", primary key (k, id)",
        (_, Key::Simple) => ", primary key (id)",
        (_, Key::Composite) => ", primary key (k, id) include (t)",
        (_, Key::Deferrable) => one_of(
            rng,
            &[
                ", primary key (id) deferrable initially deferred",
                ", primary key (id) deferrable initially immediate",
            ],
        ),
        (_, Key::Missing) => "",
    };
    let mut setup = Vec::new();
    match table.kind {
        Kind::Plain => setup.push(format!("create table {name} ({columns}{key})")),
        // PostgreSQL keeps no key unique over a table and its children, so this does.
        Kind::Parent => {
            setup.push(format!(
                "create table {name} ({columns}{key}, check (k <> 3) no inherit)"
            ));
            setup.push(format!("create table {name}_child (extra text default 'x', primary key (id, k), check (k = 3)) inherits ({name})"));
        }
        Kind::Partitioned => {
            setup.push(format!(
                "create table {name} ({columns}{key}) partition by list (k)"
            ));
            setup.push(format!(
                "create table {name}_1 partition of {name} for values in (1)"
            ));
            setup.push(format!("create table {name}_2 partition of {name} for values in (2, 3) partition by range (id)"));
            setup.push(format!(
                "create table {name}_2a partition of {name}_2 for values from (minvalue) to (3)"
            ));
            setup.push(format!(
                "create table {name}_2b partition of {name}_2 default"
            ));
            if rng.u8(..3) == 0 {
                setup.push(format!(
                    "do $d$ begin create role other_owner; exception when duplicate_object then null; end $d$;
                     alter table {name}_1 owner to other_owner; alter table {name}_2a owner to other_owner"
                ));
            }
        }
    }
    // Foreign keys need a unique column to point to; one table may point to another twice, or to itself.
    let simple = |t: &&Table| t.kind == Kind::Plain && t.key == Key::Simple;
    let mut targets: Vec<&str> = others
        .iter()
        .filter(simple)
        .map(|t| t.name.as_str())
        .collect();
    if simple(&table) {
        targets.push(name);
    }
    let columns: &[&str] = match table.is_generated {
        true => &["r"],
        false => &["r", "v"],
    };
    for column in columns {
        if table.kind != Kind::Parent && !targets.is_empty() && rng.u8(..3) > 0 {
            let delete = one_of(
                rng,
                &["cascade", "set null", "set default", "no action", "cascade"],
            );
            let update = one_of(rng, &["cascade", "set null", "no action", "cascade"]);
            let late = one_of(rng, &["", "deferrable initially deferred"]);
            let target = one_of(rng, &targets);
            setup.push(format!(
                "alter table {name} alter {column} set default null; alter table {name} add foreign key ({column}) references {target} (id) \
                 on delete {delete} on update {update} {late}"
            ));
        }
    }
    setup
}

/// A trigger that changes, suppresses or repeats rows, or writes another table. It stops at the third level.
fn trigger(rng: &mut Rng, table: &Table, tables: &[Table]) -> Vec<String> {
    let name = &table.name;
    let other = &tables[rng.usize(..tables.len())].name;
    // PostgreSQL fires triggers in the order of their names, and plank's begin with a p.
    let trigger = format!("{}_{name}_{}", one_of(rng, &["a", "z"]), rng.u32(..));
    let (when, body) = match rng.u8(..8) {
        0 => ("before insert or update", "new.t := coalesce(new.t, '') || '!'; return new;".into()),
        1 => ("before insert or update or delete", "if coalesce(new.id, old.id) % 5 = 0 then return null; end if; return coalesce(new, old);".into()),
        2 => ("after insert or update", format!("update {name} set t = 'again' where id = new.id and t is distinct from 'again'; return null;")),
        3 => ("after update", format!("insert into {name} (id, k, t) values (old.id, old.k, 'back') on conflict do nothing; return null;")),
        4 => ("after delete", format!("insert into {name} (id, k, r, t) values (old.id, old.k, old.r, old.t) on conflict do nothing; return null;")),
        5 => ("after insert or update", format!("insert into {other} (id, k, t) values (new.id + 1, 1, 'made') on conflict do nothing; return null;")),
        6 => ("after insert", format!("delete from {other} where id = new.id; return null;")),
        _ => ("before update", format!("update {other} set id = id + 1 where id = new.id; return new;")),
    };
    vec![format!(
        "create function {trigger}() returns trigger language plpgsql as $f$ begin
           if pg_trigger_depth() > 2 then return case when tg_when = 'BEFORE' then coalesce(new, old) end; end if; {body} end $f$;
         create trigger {trigger} {when} on {name} for each row execute function {trigger}()"
    )]
}
