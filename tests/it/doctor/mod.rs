//! `plank doctor`: each fault that is seeded is found and named, and where there is none nothing is.

use serde_json::Value;
use tokio_postgres::Client;

use crate::pooler::Pooler;
use crate::support::cluster::connect;
use crate::support::program::{Dir, command, run};
use crate::support::{Cluster, TestApp, within};

mod front;
mod nginx;

/// What it says, as JSON, and whether its exit status goes with it.
pub async fn doctor(args: &[&str]) -> Vec<Value> {
    let (status, out, err) = run(&[&["doctor", "--json"], args].concat()).await;
    read(status, &out, &err)
}

fn read(status: i32, out: &str, err: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let findings = report["findings"].as_array().unwrap().clone();
    let wrong = findings.iter().any(|f| f["state"] == "wrong");
    assert_eq!(report["healthy"], !wrong, "{out}");
    assert_eq!(status, i32::from(wrong), "{out}{err}");
    for finding in findings.iter().filter(|f| f["state"] == "wrong") {
        let is_said = |key: &str| finding[key].as_str().is_some_and(|text| text.len() > 10);
        assert!(
            is_said("what") && is_said("why") && is_said("do"),
            "{finding}"
        );
    }
    findings
}

/// What is wrong: `check: what`.
pub fn wrongs(findings: &[Value]) -> Vec<String> {
    let wrong = findings.iter().filter(|f| f["state"] == "wrong");
    wrong
        .map(|f| {
            format!(
                "{}: {}",
                f["check"].as_str().unwrap(),
                f["what"].as_str().unwrap()
            )
        })
        .collect()
}

/// The one thing that is wrong is this.
pub fn expect_one(findings: &[Value], start: &str, part: &str) {
    let wrongs = wrongs(findings);
    assert!(
        wrongs.len() == 1 && wrongs[0].starts_with(start) && wrongs[0].contains(part),
        "{start}: {part} expected, got {wrongs:#?} in {findings:#?}"
    );
}

/// A new database with plank installed and none running, after `fault`; what is said of it.
async fn with_fault(fault: &str) -> Vec<Value> {
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    execute(&sql, fault).await;
    of(&database).await
}

async fn execute(sql: &Client, statements: &str) {
    within(statements, sql.batch_execute(statements))
        .await
        .unwrap_or_else(|e| panic!("{statements}: {e:?}"));
}

async fn of(database: &str) -> Vec<Value> {
    let url = Cluster::shared().url(database);
    doctor(&["--database-url", &url, "--max-connections", "10"]).await
}

/// A statement about a trigger of `items`: its name ends with the number of the table.
fn trigger(statement: &str) -> String {
    format!("do $$ begin execute format('{statement}', 'items'::regclass::oid); end $$")
}

#[actix_web::test]
async fn where_nothing_is_wrong_nothing_is_said_to_be() {
    let app = TestApp::start().await;
    app.execute(
        "create table plain (id int primary key); select plank.watch('plain');
         create table by_row (id int primary key); select plank.watch('by_row', level => 'row');
         create table no_old (id int primary key); select plank.watch('no_old', old_rows => false);
         create table parts (id int primary key) partition by range (id);
         create table parts_1 partition of parts for values from (0) to (10) partition by range (id);
         create table parts_1_1 partition of parts_1 for values from (0) to (5); select plank.watch('parts');
         create table row_parts (id int primary key) partition by range (id);
         create table row_parts_1 partition of row_parts for values from (0) to (10);
         select plank.watch('row_parts', level => 'row');
         create table guarded (id int primary key); alter table guarded enable row level security;
         select plank.watch('guarded')",
    )
    .await;
    let (database, url) = (Cluster::shared().url(&app.database), app.url(""));
    let args = [
        "--database-url",
        &database,
        "--url",
        &url,
        "--max-connections",
        "10",
    ];
    let findings = doctor(&args).await;
    assert_eq!(wrongs(&findings), [""; 0], "{findings:#?}");
    for check in [
        "connection",
        "version",
        "encoding",
        "primary",
        "schema",
        "rights",
        "clock",
        "settings",
        "tls",
        "doorbell",
        "listeners",
        "log",
        "retention",
        "tables",
        "front",
        "upgrade",
        "stream",
        "files",
    ] {
        let ok = |f: &&Value| f["check"] == check && f["state"] == "ok";
        assert!(findings.iter().find(ok).is_some(), "{check}: {findings:#?}");
    }
    // And for people.
    let (status, out, _) = run(&[&["doctor"][..], &args].concat()).await;
    assert_eq!(status, 0);
    assert!(
        out.contains("\nok     doorbell      LISTEN hears a NOTIFY after ")
            && out.contains("\nNothing is wrong"),
        "{out}"
    );
}

#[actix_web::test]
async fn a_database_that_does_not_let_it_in_is_all_that_it_speaks_of() {
    let findings = doctor(&[
        "--database-url",
        "postgres://u@127.0.0.1:1/d",
        "--max-connections",
        "10",
    ])
    .await;
    expect_one(&findings, "connection: ", "127.0.0.1:1 is out of reach");
    let dir = Dir::new("doctor-nothing");
    let findings = doctor(&["--data-dir", dir.path(), "--max-connections", "10"]).await;
    expect_one(&findings, "connection: ", "no database is configured");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "it makes nothing"
    );
}

#[actix_web::test]
async fn a_lacking_right_is_named() {
    let database = Cluster::shared().empty_database().await;
    let url = Cluster::shared()
        .url(&database)
        .replace("postgres@", "doctor_visitor:v@");
    let admin = connect(&Cluster::shared().config(&database)).await;
    execute(&admin, "create role doctor_visitor login password 'v'").await;
    let findings = doctor(&["--database-url", &url, "--max-connections", "10"]).await;
    expect_one(&findings, "rights: ", "may not install plank");
    // Where plank is installed it is another one: it belongs to another role.
    let url = url.replace(
        &format!("/{database}?"),
        &format!("/{}?", Cluster::shared().database().await),
    );
    let findings = doctor(&["--database-url", &url, "--max-connections", "10"]).await;
    expect_one(&findings, "rights: ", "is no member of it");
}

#[actix_web::test]
async fn triggers_that_are_gone_or_off_are_found() {
    let findings = with_fault(&trigger("drop trigger plank_update_%s on items")).await;
    expect_one(&findings, "triggers: ", "public.items lacks capture_update");
    let findings = with_fault(&trigger(
        "alter table items disable trigger plank_delete_%s",
    ))
    .await;
    expect_one(
        &findings,
        "triggers: ",
        "public.items: capture_delete disabled",
    );
    let findings = with_fault(&trigger("alter table items enable trigger plank_insert_%s")).await;
    expect_one(&findings, "triggers: ", "not enabled for every writer");
    // What it says to do mends it.
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    execute(
        &sql,
        &format!(
            "alter table items disable trigger all; {}",
            trigger("drop trigger plank_update_%s on items")
        ),
    )
    .await;
    assert_eq!(wrongs(&of(&database).await).len(), 2);
    execute(&sql, "select plank.watch('public.items')").await;
    assert_eq!(wrongs(&of(&database).await), [""; 0]);
}

#[actix_web::test]
async fn tables_that_are_not_captured_or_not_seen_are_found() {
    let findings = with_fault(
        "create table parts (id int primary key) partition by range (id);
         select plank.watch('parts');
         create table parts_1 partition of parts for values from (0) to (10)",
    )
    .await;
    expect_one(
        &findings,
        "partitions: ",
        "public.parts: not watched public.parts_1",
    );
    // As a subscription leaves it when it has begun to copy a table.
    let findings =
        with_fault("insert into pg_subscription_rel values (1, 'items'::regclass, 'r', null)")
            .await;
    expect_one(&findings, "following: ", "logical replication writes it");
    let findings = with_fault(
        "create table guarded (id int primary key); select plank.watch('guarded');
         alter table guarded enable row level security",
    )
    .await;
    expect_one(
        &findings,
        "reading: ",
        "row security hides rows of public.guarded",
    );
    let findings = with_fault(
        "create table taken (id int primary key); select plank.watch('taken');
         revoke all on taken from plank_reader",
    )
    .await;
    expect_one(&findings, "reading: ", "may not read public.taken");
}

#[actix_web::test]
async fn tables_that_were_dropped_while_plank_was_stopped_are_no_error() {
    let findings = with_fault(
        "create table gone (id int primary key); create table parts (id int primary key) partition by range (id);
         create table parts_1 partition of parts for values from (0) to (10); create table parts_2 (id int primary key);
         create schema leaves; create table leaves.also (id int primary key);
         select plank.watch('gone'), plank.watch('parts'), plank.watch('parts_2'), plank.watch('leaves.also');
         select plank.allow('gone', 'clerk'), plank.allow('leaves.also', 'clerk', 'id=gt.1');
         insert into gone values (1); insert into parts values (1);
         drop table gone; drop table parts_1; drop schema leaves cascade;
         alter table parts_2 rename to other",
    )
    .await;
    assert_eq!(wrongs(&findings), [""; 0], "{findings:#?}");
}

#[actix_web::test]
async fn a_log_that_is_full_or_short_is_found() {
    let findings = with_fault("select setval('plank.slot', 8)").await;
    expect_one(&findings, "log: ", "full and closed");
    let findings = with_fault(
        "update plank.leaf set opened = now() - interval '3 days' where opened is not null",
    )
    .await;
    expect_one(&findings, "log: ", "back to 3 days ago");
    // The template of this database may have waited for its turn.
    let findings = with_fault(
        "update plank.meta set keep = '1 second';
         update plank.leaf set opened = now() where opened is not null",
    )
    .await;
    expect_one(&findings, "retention: ", "kept for 1 s only");
    let findings = with_fault(
        "update plank.meta set rows_max = 100;
         insert into items (name) select 'n' || i from generate_series(1, 120) i;
         update plank.horizon set prune_xid = pg_current_xact_id(), max_xid = '1'",
    )
    .await;
    expect_one(
        &findings,
        "retention: ",
        "100 rows are all that it may keep",
    );
    let findings = with_fault(
        "insert into plank.migrations values (999, 'later', '2030-01-01T00:00:00Z', '1')",
    )
    .await;
    expect_one(&findings, "schema: ", "of a newer plank: V999");
}

#[actix_web::test]
async fn a_standby_and_a_transaction_that_does_not_end_are_found() {
    let mut primary = Cluster::start();
    let ours = connect(&primary.config("plank")).await;
    primary.prepare().await;
    execute(&ours, "begin; insert into items (name) values ('not yet')").await;
    let url = primary.url("plank");
    let args = ["--database-url", &url, "--max-connections", "10"];
    assert_eq!(
        wrongs(&doctor(&args).await),
        [""; 0],
        "it is not open for long"
    );
    let findings = doctor(&[&args[..], &["--transaction-max", "0"]].concat()).await;
    expect_one(
        &findings,
        "transactions: ",
        "(idle in transaction), open for",
    );
    drop(ours);
    let standby = primary.lagging_standby().await;
    let url = standby.url("plank");
    let findings = doctor(&["--database-url", &url, "--max-connections", "10"]).await;
    expect_one(&findings, "primary: ", "the server is a standby");
}

#[actix_web::test]
async fn a_pooler_in_the_way_is_found_and_two_urls_that_differ() {
    let database = Cluster::shared().database().await;
    let direct = Cluster::shared().url(&database);
    let Some(pooler) = Pooler::start(&Cluster::shared().config(&database)).await else {
        return;
    };
    let through = format!("postgres://postgres@127.0.0.1:{}/{database}", pooler.port);
    let findings = doctor(&["--database-url", &through, "--max-connections", "10"]).await;
    expect_one(&findings, "doorbell: ", "LISTEN hears nothing");
    let both = [
        "--database-url",
        &through,
        "--max-connections",
        "10",
        "--listen-database-url",
    ];
    let findings = doctor(&[&both[..], &[&direct]].concat()).await;
    assert_eq!(wrongs(&findings), [""; 0]);
    let other = Cluster::shared().url(&Cluster::shared().database().await);
    let findings = doctor(&[&both[..], &[&other]].concat()).await;
    expect_one(&findings, "requests: ", "are different databases");
}

/// As a machine whose clock is an hour ahead.
const SKEW: &str = r#"
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *t) {
    int result = syscall(SYS_clock_gettime, clock, t);
    if (clock == CLOCK_REALTIME) t->tv_sec += 3600;
    return result;
}
"#;

#[actix_web::test]
async fn clocks_that_differ_are_found() {
    let dir = Dir::new("doctor-clock");
    let (source, shim) = (dir.0.join("skew.c"), dir.0.join("skew.so"));
    std::fs::write(&source, SKEW).unwrap();
    let cc = tokio::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&shim, &source])
        .status();
    assert!(within("a C compiler", cc).await.unwrap().success());
    let url = Cluster::shared().url(&Cluster::shared().database().await);
    let args = [
        "doctor",
        "--json",
        "--database-url",
        &url,
        "--max-connections",
        "10",
    ];
    let output = command(&args).env("LD_PRELOAD", &shim).output();
    let output = within("the end of doctor", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let findings = read(output.status.code().unwrap(), &out, &err);
    expect_one(&findings, "clock: ", "60 min behind this machine's");
}

#[actix_web::test]
async fn a_limit_of_descriptors_is_found() {
    let url = Cluster::shared().url(&Cluster::shared().database().await);
    let plank = env!("CARGO_BIN_EXE_plank");
    let script = "ulimit -n 300 && exec \"$0\" \"$@\"";
    let args = [
        plank,
        "doctor",
        "--json",
        "--database-url",
        &url,
        "--max-connections",
        "1000",
    ];
    let output = tokio::process::Command::new("sh")
        .args(["-c", script])
        .args(args)
        .env_remove("PLANK_URL")
        .output();
    let output = within("the end of doctor", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let findings = read(output.status.code().unwrap(), &out, &err);
    expect_one(
        &findings,
        "files: ",
        "300 descriptors, enough for 100 of 1000 clients",
    );
}

/// What it says to do, as it can be pasted into psql.
fn todo(findings: &[Value], part: &str) -> String {
    let found = findings
        .iter()
        .find(|f| f["what"].as_str().unwrap().contains(part));
    let found = found.unwrap_or_else(|| panic!("{part}: {findings:#?}"));
    found["do"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn defaults_of_others_are_told_with_sql_that_takes_them_away() {
    let admin = connect(&Cluster::shared().config("postgres")).await;
    // Names that need quotes.
    let (database, role) = ("Doctor's \"db\"", "doctor \"role\"");
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for statement in [
        format!("create database {} template plank", quote(database)),
        format!(
            "create role {} login superuser password 'secret'",
            quote(role)
        ),
        format!(
            "alter database {} set default_transaction_isolation = 'serializable'",
            quote(database)
        ),
        format!("alter role {} set statement_timeout = '7s'", quote(role)),
        format!(
            "alter role {} in database {} set default_transaction_read_only = on",
            quote(role),
            quote(database)
        ),
        format!("alter role {} set synchronous_commit = off", quote(role)),
    ] {
        execute(&admin, &statement).await;
    }
    let config = Cluster::shared().config("postgres");
    let [tokio_postgres::config::Host::Unix(socket)] = config.get_hosts() else {
        panic!("a Unix socket")
    };
    let pairs = |name: &str| name.replace('\\', "\\\\").replace('\'', "\\'");
    let url = format!(
        "host={} user='{}' dbname='{}' password=secret",
        socket.display(),
        pairs(role),
        pairs(database)
    );
    let findings = doctor(&["--database-url", &url, "--max-connections", "10"]).await;
    assert_eq!(wrongs(&findings), [""; 0], "{findings:#?}");
    let names = [
        "default_transaction_isolation",
        "statement_timeout",
        "default_transaction_read_only",
        "synchronous_commit",
    ];
    for name in names {
        let todo = todo(&findings, name);
        let sql = todo.strip_prefix("if nobody wants it: ").unwrap();
        execute(&admin, sql).await;
    }
    let findings = doctor(&["--database-url", &url, "--max-connections", "10"]).await;
    let settings: Vec<_> = findings
        .iter()
        .filter(|f| f["check"] == "settings")
        .collect();
    assert_eq!(settings.len(), 1, "{settings:#?}");
    assert_eq!(settings[0]["state"], "ok", "{settings:#?}");
}

#[actix_web::test]
async fn what_it_says_to_do_works_whatever_the_names() {
    let findings = with_fault(
        r#"create schema "a's"; create table "a's"."B ""c" (id int primary key); select plank.watch('"a''s"."B ""c"');
           do $d$ begin execute format('alter table "a''s"."B ""c" enable trigger plank_insert_%s', '"a''s"."B ""c"'::regclass::oid); end $d$"#,
    )
    .await;
    let sql = todo(&findings, "not enabled for every writer");
    assert_eq!(sql, r#"select plank.watch('"a''s"."B ""c"')"#);
}

#[actix_web::test]
async fn rights_that_are_not_as_plank_leaves_them_are_found() {
    let other = "do $$ begin create role doctor_other; exception when duplicate_object or unique_violation then null; end $$; ";
    let faults = [
        (
            "alter function plank.beat(uuid, bigint) owner to doctor_other",
            "owners: ",
            "plank.beat(uuid,bigint) belongs to doctor_other",
        ),
        (
            "alter function plank.capture_insert() owner to plank_owner",
            "owners: ",
            "and not to plank_capture",
        ),
        (
            "grant execute on function plank.prune() to public",
            "grants: ",
            "plank.prune()",
        ),
        (
            "alter function plank.read_all(text, text[]) reset search_path",
            "search paths: ",
            "plank.read_all",
        ),
        (
            "grant create on schema plank to doctor_other",
            "grants: ",
            "doctor_other may create in the schema plank",
        ),
    ];
    for (fault, check, part) in faults {
        let findings = with_fault(&format!("{other}{fault}")).await;
        expect_one(&findings, check, part);
    }
    let findings = with_fault("grant create on schema public to public").await;
    for check in ["connect", "public"] {
        assert!(
            findings
                .iter()
                .any(|f| f["check"] == check && f["state"] == "note"),
            "{check}: {findings:#?}"
        );
    }
}
