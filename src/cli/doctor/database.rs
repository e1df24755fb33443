//! The database: facts in, findings out. No I/O.

use crate::feed::catalog::parse_name;
use crate::store::connect::VERSION_MIN;
use crate::store::inspect::{
    LinkFacts, LogFacts, OpenTransaction, SchemaFacts, ServerFacts, SettingFacts, TableFacts,
};
use crate::store::migrate::no_roles;
use crate::text::{is_unseen, sql_name, sql_text};

use super::report::{Report, size, time};

/// Connections that one plank takes at most: for requests, for clients that come back, for the log, for live queries, and while it
/// connects.
const CONNECTIONS_OF_ONE: i64 = 43;

/// Seconds by which clocks may differ.
const SKEW_MAX_S: f64 = 2.0;

/// A retention below which a reloaded page, or a plank that is restarted, may be too late.
const KEEP_MIN_S: f64 = 300.0;

/// The server and what plank may do on it; whether it makes sense to look further.
pub fn server(report: &mut Report, facts: &ServerFacts, schema: Option<&SchemaFacts>) -> bool {
    let version = format!(
        "PostgreSQL {} (database {:?} as {:?})",
        facts.version, facts.database, facts.user
    );
    if facts.version_num < VERSION_MIN {
        report.wrong(
            "version",
            version,
            "the statements that capture changes need a newer server, so plank refuses to start",
            format!("upgrade PostgreSQL to {} or newer", VERSION_MIN / 10_000),
        );
        return false;
    }
    report.ok("version", version);
    match facts.encoding.as_str() {
        "SQL_ASCII" => report.wrong(
            "encoding",
            "the database has the encoding SQL_ASCII",
            "it takes any bytes for text, and plank sends JSON, which is UTF-8: plank refuses to start",
            "use a database with encoding UTF8: createdb --encoding UTF8 --template template0 NAME",
        ),
        "UTF8" => report.ok("encoding", "UTF8"),
        other => report.note(
            "encoding",
            format!("the database has the encoding {other}"),
            "plank does not get past a row with bytes that have no equivalent in UTF-8",
            "a database with encoding UTF8 has no such rows",
        ),
    }
    if facts.is_standby {
        report.wrong(
            "primary",
            "the server is a standby",
            "LISTEN and triggers work on a primary only: plank waits, and clients hear nothing",
            "point plank at the primary: a list of hosts with target_session_attrs=read-write finds it, also after a failover",
        );
        return false;
    }
    report.ok("primary", "the server is a primary");
    if !facts.fsync {
        report.note(
            "fsync",
            "fsync is off",
            "a crash of the machine can take back what clients have seen, or damage the cluster",
            "alter system set fsync = on; then reload",
        );
    }
    rights(report, facts, schema);
    let room = i64::from(facts.connections_max) - facts.connections;
    // This program has two of them.
    match room + 2 >= CONNECTIONS_OF_ONE {
        true => report.ok(
            "connections",
            format!("{} of {}", facts.connections, facts.connections_max),
        ),
        false => report.note(
            "connections",
            format!(
                "{} of {} connections are taken",
                facts.connections, facts.connections_max
            ),
            "one plank takes up to 43 when it has much to do; one that gets none answers 503",
            "raise max_connections, or put the requests through a pooler (--database-url), but never --listen-database-url",
        ),
    }
    true
}

fn rights(report: &mut Report, facts: &ServerFacts, schema: Option<&SchemaFacts>) {
    let (user, database) = (&facts.user, &facts.database);
    match schema {
        None if facts.may_create && facts.may_create_in_public => report.note(
            "schema",
            "plank is not installed in this database yet",
            "",
            "plank serve installs it when it starts; plank migrate does only that",
        ),
        None => report.wrong(
            "rights",
            format!("{user:?} may not install plank in database {database:?}"),
            "plank makes a schema of its own and the table public.items; without these rights it ends at start",
            format!(
                "as the owner of the database: grant create on database {} to {1}; grant create on schema public to {1}",
                sql_name(database),
                sql_name(user)
            ),
        ),
        Some(schema) if !schema.is_usable => report.wrong(
            "rights",
            format!("the schema plank belongs to {:?}, and {user:?} is no member of it", schema.owner),
            "plank can neither read its log nor prune it, and ends at start",
            format!(
                "use the role that installed plank, or: grant {} to {}",
                sql_name(&schema.owner),
                sql_name(user)
            ),
        ),
        Some(schema) => {
            migrations(report, schema);
            match schema.owner_logs_in {
                false => report.ok("rights", format!("capture runs as {:?}, which can't log in", schema.owner)),
                true => report.note(
                    "rights",
                    format!("the schema plank belongs to {:?}, which can log in", schema.owner),
                    "capture runs with its rights inside of everybody's transactions: an owner of a watched table could reach what is that role's",
                    no_roles(&sql_name(user), &sql_name(database)),
                ),
            }
        }
    }
}

fn migrations(report: &mut Report, schema: &SchemaFacts) {
    let missing = schema.known.iter().filter(|v| !schema.applied.contains(v));
    let missing: Vec<String> = missing.map(|v| format!("V{v}")).collect();
    let foreign = schema.applied.iter().filter(|v| !schema.known.contains(v));
    let foreign: Vec<String> = foreign.map(|v| format!("V{v}")).collect();
    if !foreign.is_empty() {
        report.wrong(
            "schema",
            format!(
                "the schema is of a newer plank: {} ran already",
                foreign.join(", ")
            ),
            "this plank does not know what they changed, and refuses to start",
            "use the newer plank, or restore a backup from before",
        );
    } else if !missing.is_empty() {
        report.note(
            "schema",
            format!("migrations that have not run: {}", missing.join(", ")),
            "",
            "plank serve runs them when it starts (take a backup first: there is no way back)",
        );
    } else {
        report.ok(
            "schema",
            format!("up to date, {} migrations", schema.applied.len()),
        );
    }
}

/// Days before its end at which a certificate is spoken of.
const CERTIFICATE_DAYS_MIN: f64 = 21.0;

/// What others have set for all sessions. plank's own do not take it, so it is only worth knowing.
pub fn settings(report: &mut Report, server: &ServerFacts, settings: &[SettingFacts]) {
    let before = report.notes();
    for SettingFacts { name, value, scope } in settings {
        let why = match (name.as_str(), value.as_str()) {
            ("default_transaction_isolation", "read committed")
            | ("default_transaction_read_only" | "default_transaction_deferrable", "off")
            | ("session_replication_role", "origin")
            | ("row_security", "on") => continue,
            ("synchronous_commit", "off") => {
                "what other programs write is answered and delivered before it is on disk: a crash takes back what clients have seen"
            }
            ("synchronous_commit", _) | (_, "0") => continue,
            ("default_transaction_isolation", _) => {
                "plank's sessions do not take it; plank.prune() called from psql needs read committed"
            }
            ("default_transaction_read_only", _) => {
                "plank's sessions do not take it, and write all the same; other programs can't write"
            }
            ("session_replication_role", _) => {
                "plank's sessions set it back where they may; its triggers fire for all writers, those of others may not"
            }
            (name, _) if name.ends_with("_timeout") => {
                "plank's sessions do not take it, and have times of their own"
            }
            _ => "plank's sessions do not take it",
        };
        let (user, database) = (sql_name(&server.user), sql_name(&server.database));
        let (whose, undo) = match scope {
            (true, true) => (
                "the role in this database",
                format!("alter role {user} in database {database} reset {name}"),
            ),
            (true, false) => (
                "the database",
                format!("alter database {database} reset {name}"),
            ),
            (false, true) => ("the role", format!("alter role {user} reset {name}")),
            (false, false) => (
                "the server",
                format!("alter system reset {name}; select pg_reload_conf()"),
            ),
        };
        report.note(
            "settings",
            format!("{name} is {value} for {whose}"),
            why,
            format!("if nobody wants it: {undo}"),
        );
    }
    if report.notes() == before {
        report.ok("settings", "no default of the database stands out");
    }
}

/// The connection, and the files of certificates.
pub fn link(report: &mut Report, facts: &LinkFacts) {
    for (file, days) in &facts.files {
        match days {
            None => report.wrong(
                "certificates",
                format!("{file} can't be read as certificates in PEM"),
                "the next connection fails",
                "put the certificate there again; it is read anew for each connection",
            ),
            Some(days) if *days < 0.0 => report.wrong(
                "certificates",
                format!("a certificate in {file} expired {:.0} days ago", -days),
                "the next connection that needs it fails",
                "replace it; it is read anew for each connection",
            ),
            Some(days) if *days < CERTIFICATE_DAYS_MIN => report.note(
                "certificates",
                format!("a certificate in {file} expires in {days:.0} days"),
                "connections fail from then on",
                "replace it; it is read anew for each connection",
            ),
            Some(days) => report.ok("certificates", format!("{file} is good for {days:.0} days")),
        }
    }
    match (facts.is_encrypted, facts.is_verified, facts.is_remote) {
        (_, _, false) => report.ok("tls", "the connection does not leave this machine"),
        (true, true, true) => report.ok("tls", format!("{}, the server's certificate is checked", facts.version)),
        (true, false, true) => report.note(
            "tls",
            format!("{}, the server's name is not checked", facts.version),
            "an attacker between plank and the database can pretend to be the database",
            "say sslmode=verify-full in PLANK_DATABASE_URL, with sslrootcert=FILE where the root is your own",
        ),
        (false, _, true) => report.note(
            "tls",
            "the connection crosses a network without TLS",
            "an attacker on the way can read all rows, and the cursors",
            "set ssl = on in the server, and say sslmode=verify-full in PLANK_DATABASE_URL",
        ),
    }
}

/// The clock of the server against that of this machine.
pub fn clock(report: &mut Report, ahead_s: f64, error_s: f64) {
    if ahead_s.abs() <= SKEW_MAX_S + error_s {
        return report.ok(
            "clock",
            format!(
                "within {} of the database's",
                time(ahead_s.abs().max(error_s))
            ),
        );
    }
    let which = if ahead_s > 0.0 { "ahead of" } else { "behind" };
    report.wrong(
        "clock",
        format!("the database's clock is {} {which} this machine's", time(ahead_s.abs())),
        "the time of a change is the database's: lag and delivery metrics are off by that much, tokens seem expired or not valid yet",
        "let both machines follow a time server: timedatectl set-ntp true",
    );
}

/// The log: how large, how far back.
pub fn log(report: &mut Report, facts: &LogFacts) {
    match facts.listeners {
        0 => report.note(
            "listeners",
            "no plank follows this database now",
            "nobody prunes the log: it grows to twice --retention-rows, then changes are not kept any more",
            "start plank, or plank migrate --uninstall if it is not wanted any more",
        ),
        n => report.ok("listeners", format!("{n} plank {}", if n == 1 { "follows" } else { "follow" })),
    }
    if !facts.is_of_here {
        report.note(
            "log",
            "the log came with a dump or a copy of another database",
            "its transaction ids mean nothing here",
            "the next start of plank begins it anew, and clients get `reset` with reason `epoch`",
        );
    }
    let held = format!("{} rows, {}", facts.rows, size(facts.bytes));
    // Eight leaves of a seventh each, and what is written between two looks.
    let too_many = facts.rows
        > facts
            .rows_max
            .saturating_add(facts.rows_max / 3)
            .saturating_add(50_000);
    let too_old = facts.oldest_s > facts.keep_s * 1.5 + 120.0;
    if facts.is_closed {
        report.wrong(
            "log",
            format!("the log is full and closed ({held})"),
            "changes are not kept: clients that are away miss them, and all clients will be told to begin anew",
            "start plank, which opens it again; if one runs, its log says what keeps it from pruning (`log not pruned`)",
        );
    } else if too_many || too_old {
        report.wrong(
            "log",
            format!(
                "the log has {held}, back to {} ago; the retention is {} or {} rows",
                time(facts.oldest_s),
                time(facts.keep_s),
                facts.rows_max
            ),
            "nobody prunes it, or something keeps its oldest part open: the disk fills",
            "start plank; or end what reads plank.log for long (pg_dump, an open transaction): select * from pg_locks where relation::regclass::text like 'plank.log%'",
        );
    } else {
        report.ok(
            "log",
            format!("{held}, back to {} ago", time(facts.oldest_s)),
        );
    }
    retention(report, facts);
}

fn retention(report: &mut Report, facts: &LogFacts) {
    if facts.keep_s < KEEP_MIN_S {
        report.wrong(
            "retention",
            format!("changes are kept for {} only", time(facts.keep_s)),
            "a client that is away for longer, be it for a restart of plank, gets `reset` instead of what it missed",
            "give --retention (PLANK_RETENTION) a time above the longest absence that should cost nothing, as 24h",
        );
    } else if facts.was_pruned
        && facts.oldest_s < facts.keep_s * 0.8
        && facts.rows > facts.rows_max * 5 / 7
    {
        report.wrong(
            "retention",
            format!(
                "the log reaches back {} only, not {}: {} rows are all that it may keep",
                time(facts.oldest_s),
                time(facts.keep_s),
                facts.rows_max
            ),
            "a client that is away for longer than that gets `reset` instead of what it missed",
            "raise --retention-rows (PLANK_RETENTION_ROWS), at the cost of disk, or say with --retention what is true",
        );
    } else {
        report.ok(
            "retention",
            format!("{} or {} rows", time(facts.keep_s), facts.rows_max),
        );
    }
}

/// The watched tables.
pub fn tables(report: &mut Report, tables: &[TableFacts]) {
    let before = report.wrongs();
    for table in tables {
        if table.is_there {
            self::table(report, table);
        }
    }
    let roots = tables.iter().filter(|t| t.is_root && t.is_there).count();
    if report.wrongs() == before {
        match roots {
            0 => report.note("tables", "no table is watched", "", "plank watch TABLE"),
            n => report.ok(
                "tables",
                format!("{n} watched, all their triggers in place"),
            ),
        }
    }
}

/// The functions of the triggers that `plank.attach` makes.
fn expected_triggers(table: &TableFacts) -> Vec<&'static str> {
    let mut names = match table.level.as_str() {
        "row" => vec!["capture_row"],
        _ => vec!["capture_insert", "capture_update", "capture_delete"],
    };
    match (table.is_root, table.kind.as_str()) {
        (true, "p") => names.extend(["capture_truncate", "capture_truncate_begin"]),
        (true, _) if table.is_alone => names.push("capture_truncate"),
        (_, "r") => names.push("capture_truncate_part"),
        _ => {}
    }
    names
}

/// A name that PostgreSQL has quoted, for SQL that a person pastes from a screen: what can't be seen is written out.
fn pasted(name: &str) -> String {
    match (name.contains(is_unseen), parse_name(name)) {
        (true, Some((Some(schema), name))) => format!("{}.{}", sql_name(&schema), sql_name(&name)),
        _ => name.to_owned(),
    }
}

fn table(report: &mut Report, table: &TableFacts) {
    let name = &table.name;
    let (in_sql, as_text) = (pasted(name), sql_text(name));
    let again = format!(
        "select plank.watch({as_text}) puts them back, and resets clients, who may have missed something"
    );
    let has = |wanted: &&str| table.triggers.iter().any(|(name, _)| name == wanted);
    let missing: Vec<_> = expected_triggers(table)
        .into_iter()
        .filter(|t| !has(t))
        .collect();
    if !missing.is_empty() {
        report.wrong(
            "triggers",
            format!("{name} lacks {}", missing.join(", ")),
            "these changes are not captured: nobody sees them, and no cursor brings them back",
            again.clone(),
        );
    }
    let off = table.triggers.iter().filter(|(_, state)| state == "D");
    let off: Vec<&str> = off.map(|(name, _)| name.as_str()).collect();
    if !off.is_empty() {
        report.wrong(
            "triggers",
            format!("{name}: {} disabled", off.join(", ")),
            "these changes are not captured: nobody sees them, and no cursor brings them back",
            again.clone(),
        );
    }
    let some = table
        .triggers
        .iter()
        .filter(|(_, state)| state == "O" || state == "R");
    let some: Vec<&str> = some.map(|(name, _)| name.as_str()).collect();
    if !some.is_empty() {
        report.wrong(
            "triggers",
            format!("{name}: {} not enabled for every writer", some.join(", ")),
            "they fire or not by session_replication_role: a restore, or a replication tool, changes rows that nobody sees",
            format!("select plank.watch({as_text})"),
        );
    }
    if !table.problem.is_empty() {
        report.wrong(
            "following",
            format!("{name} can't be followed: {}", table.problem),
            "clients may miss changes of it, and get no reset",
            format!("mend that; then, as its owner: select plank.watch({as_text})"),
        );
    }
    if !table.unwatched.is_empty() {
        report.wrong(
            "partitions",
            format!("{name}: not watched {}", table.unwatched.join(", ")),
            "statements that name such a partition are not captured",
            "a running plank follows new partitions within a second, if it may: the owner of the partition calls plank.watch for the table",
        );
    }
    if !table.is_readable || table.hides_rows {
        let what = match table.is_readable {
            true => format!("row security hides rows of {name} from the owner of plank's schema"),
            false => format!("the owner of plank's schema may not read {name}"),
        };
        report.wrong(
            "reading",
            what,
            "a snapshot of it fails or is not whole, while its changes still arrive",
            format!(
                "as its owner: select plank.watch({as_text}) gives the rights and the policy again"
            ),
        );
    }
    if table.is_unlogged {
        report.note(
            "unlogged",
            format!("{name} is an unlogged table"),
            "a crash of the server empties it, and no trigger can tell: clients go on showing its rows",
            format!("alter table {in_sql} set logged"),
        );
    }
}

/// Transactions that have been open for longer than `max_s`.
pub fn transactions(report: &mut Report, open: &[OpenTransaction], max_s: f64, sees_others: bool) {
    let writers: Vec<_> = open.iter().filter(|t| t.writes).collect();
    let oldest = |of: &OpenTransaction| format!("{}, open for {}", of.who, time(of.age_s));
    if let Some(first) = writers.first() {
        let more = match writers.len() {
            1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        report.wrong(
            "transactions",
            format!("{}{more}", oldest(first)),
            "plank can't sleep behind a writer that does not end, cursors get longer, and pruning resets clients earlier than it has to",
            "end it: commit it, or select pg_terminate_backend(PID), or rollback prepared 'NAME'; idle_in_transaction_session_timeout prevents it",
        );
    } else if let Some(first) = open.first() {
        report.note(
            "transactions",
            format!("{}, and has only read", oldest(first)),
            "if it reads plank.log, as pg_dump does, nothing of the log can be pruned meanwhile",
            "",
        );
    } else if !sees_others {
        report.skip(
            "transactions",
            "those of other roles can't be seen: grant pg_read_all_stats to plank's role",
        );
    } else {
        report.ok(
            "transactions",
            format!("none is open for longer than {}", time(max_s)),
        );
    }
}

#[cfg(test)]
mod tests;
