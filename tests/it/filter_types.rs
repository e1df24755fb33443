//! Filters decided here and in PostgreSQL: for every type, the same rows.

use std::sync::Arc;

use plank::feed::filter::Filter;
use plank::feed::filter::kind::Letters;
use plank::feed::filter::parse::parse;
use plank::feed::filter::row::Row;
use plank::feed::filter::sql::Param;
use plank::feed::{Catalog, Expr, Table};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

/// Pairs of a filter and a row that are compared.
const PAIRS: usize = 150_000;
const ROWS: usize = 400;

/// A column: its name, its type, and values of it as SQL text, which also stand in filters.
pub const COLUMNS: [(&str, &str, &[&str]); 23] = [
    ("bo", "boolean", &["true", "false"]),
    ("i2", "smallint", &["-32768", "-1", "0", "1", "7", "32767"]),
    (
        "i4",
        "integer",
        &["-2147483648", "-5", "0", "5", "2147483647"],
    ),
    (
        "i8",
        "bigint",
        &[
            "-9223372036854775808",
            "0",
            "9007199254740993",
            "9223372036854775807",
        ],
    ),
    (
        "f4",
        "real",
        &[
            "-Infinity",
            "-1.5",
            "-0",
            "0",
            "0.1",
            "1e-40",
            "3.4e38",
            "Infinity",
            "NaN",
        ],
    ),
    (
        "f8",
        "double precision",
        &[
            "-Infinity",
            "-1e300",
            "-0",
            "0",
            "0.1",
            "0.30000000000000004",
            "5e-324",
            "1e300",
            "Infinity",
            "NaN",
        ],
    ),
    (
        "nu",
        "numeric",
        &[
            "-Infinity",
            "-12345678901234567890.5",
            "-0.001",
            "0",
            "0.00",
            "1",
            "1.0",
            "1.10",
            "1e20",
            "Infinity",
            "NaN",
        ],
    ),
    (
        "n2",
        "numeric(8,2)",
        &["-1.5", "0", "1", "1.10", "999999.99"],
    ),
    (
        "te",
        "text",
        &[
            "",
            "a",
            "A",
            "ab",
            "a b",
            "ä",
            "Ä",
            "ÄÖ",
            "a%b",
            "a_b",
            "\\",
            "\"q\"",
            "k",
            "K",
            "ſ",
            "İ",
            "ΑΣ",
            "日本",
            "𝔸",
            "line\nbreak",
            "z",
        ],
    ),
    (
        "tc",
        "text collate \"C\"",
        &[
            "", "a", "A", "B", "ab", "a b", "ä", "Ä", "日", "𝔸", "z", "*",
        ],
    ),
    ("vc", "varchar(20)", &["", "a", "abc", "ABC", "abc  ", "é"]),
    ("bp", "char(6)", &["", "a", "abc", "ABC", "é", "a b"]),
    (
        "bc",
        "char(6) collate \"C\"",
        &["", "a", "abc", "ABC", "é", "a b"],
    ),
    (
        "uu",
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "6f1b2c3d-0000-4000-8000-0123456789ab",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    (
        "da",
        "date",
        &[
            "0001-01-01",
            "1999-12-31",
            "2000-02-29",
            "2026-11-23",
            "infinity",
            "-infinity",
        ],
    ),
    (
        "ti",
        "time",
        &["00:00:00", "12:30:00.000001", "23:59:59.999999"],
    ),
    (
        "ts",
        "timestamp",
        &[
            "0001-01-01 00:00:00",
            "1999-12-31 23:59:59.999999",
            "2026-11-23 08:00:00",
            "infinity",
            "-infinity",
        ],
    ),
    (
        "tz",
        "timestamptz",
        &[
            "0001-06-01 00:00:00Z",
            "2026-11-23T08:00:00Z",
            "2026-11-23T08:00:00.000001Z",
            "infinity",
            "-infinity",
        ],
    ),
    (
        "by",
        "bytea",
        &["\\x", "\\x00", "\\x00ff", "\\xff", "\\xFFFF"],
    ),
    ("en", "mood", &["sad", "ok", "happy"]),
    ("di", "small", &["1", "5", "9"]),
    ("dt", "word", &["a", "B", "ab"]),
    ("ar", "int[]", &["{}", "{1,2}", "{3}"]),
];

/// Values that only rows have: a filter can't name them.
const ONLY_IN_ROWS: [(&str, &str); 6] = [
    ("da", "0044-03-15 BC"),
    ("da", "5874897-12-31"),
    ("ts", "4713-01-01 00:00:00 BC"),
    ("ts", "294276-12-31 23:59:59.999999"),
    ("tz", "0044-03-15 12:00:00Z BC"),
    ("ti", "24:00:00"),
];

/// Another one each time, unless PLANK_SEED says which.
pub fn rng() -> fastrand::Rng {
    let given = std::env::var("PLANK_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("PLANK_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// A value for a column, as SQL.
pub fn value((name, _, values): &(&str, &str, &[&str]), rng: &mut fastrand::Rng) -> String {
    let own: Vec<&str> = ONLY_IN_ROWS
        .iter()
        .filter(|(n, _)| n == name)
        .map(|(_, v)| *v)
        .collect();
    match rng.u8(..10) {
        0 | 1 => "null".to_owned(),
        2 if !own.is_empty() => format!("'{}'", own[rng.usize(..own.len())]),
        _ => format!(
            "'{}'",
            values[rng.usize(..values.len())].replace('\'', "''")
        ),
    }
}

/// The types that the columns need.
pub const TYPES: &str = "create type mood as enum ('sad', 'ok', 'happy'); create domain small as int check (value < 10); \
    create domain word as text";

async fn table(sql: &Client, rng: &mut fastrand::Rng) -> Table {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kind, _)| format!("{name} {kind}"))
        .collect();
    let create = format!(
        "{TYPES}; create table t (id int primary key, {})",
        columns.join(", ")
    );
    sql.batch_execute(&create).await.unwrap();
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    for id in 0..ROWS {
        let values: Vec<String> = COLUMNS.iter().map(|column| value(column, rng)).collect();
        let insert = format!(
            "insert into t (id, {}) values ({id}, {})",
            names.join(", "),
            values.join(", ")
        );
        sql.batch_execute(&insert).await.unwrap();
    }
    sql.execute("select plank.watch('t')", &[]).await.unwrap();
    describe(sql, "t").await
}

pub async fn describe(sql: &Client, table: &str) -> Table {
    let row = sql
        .query_one(
            "select plank.describe($1::text::regclass)::text, plank.letters()",
            &[&table],
        )
        .await
        .unwrap();
    let mut catalog = Catalog::new(Letters::of_pairs(row.get(1)));
    catalog.insert(serde_json::from_str(row.get(0)).unwrap());
    (**catalog.iter().next().unwrap()).clone()
}

/// A condition in the filter's own words.
/// A random condition on one of these columns.
fn condition(rng: &mut fastrand::Rng) -> String {
    let (name, _, values) = COLUMNS[rng.usize(..COLUMNS.len())];
    let quoted = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let value = values[rng.usize(..values.len())];
    let not = ["", "", "not."][rng.usize(..3)];
    let is_text = matches!(name, "te" | "tc" | "vc" | "bp" | "bc" | "dt");
    match rng.u8(..10) {
        0 => format!("{name}.{not}is.null"),
        1 if name == "bo" => format!("{name}.{not}is.{value}"),
        2 | 3 => {
            let list: Vec<String> = (0..rng.usize(..4))
                .map(|_| quoted(values[rng.usize(..values.len())]))
                .collect();
            format!("{name}.{not}in.({})", list.join(","))
        }
        4 | 5 if is_text => {
            let op = ["like", "ilike"][rng.usize(..2)];
            let mut pattern: String = value
                .chars()
                .map(|c| match rng.u8(..6) {
                    0 => '_',
                    1 => '*',
                    2 => c.to_uppercase().next().unwrap(),
                    _ => c,
                })
                .collect();
            if rng.bool() {
                pattern.push('%');
            }
            if rng.bool() {
                pattern.insert(0, '*');
            }
            format!("{name}.{not}{op}.{}", quoted(&pattern))
        }
        _ => {
            let op = ["eq", "neq", "gt", "gte", "lt", "lte"][rng.usize(..6)];
            format!("{name}.{not}{op}.{}", quoted(value))
        }
    }
}

pub fn tree(rng: &mut fastrand::Rng, depth: usize) -> String {
    if depth == 0 || rng.u8(..3) == 0 {
        return condition(rng);
    }
    let members: Vec<String> = (0..rng.usize(1..4)).map(|_| tree(rng, depth - 1)).collect();
    let word = ["and", "or", "not.and", "not.or"][rng.usize(..4)];
    format!("{word}({})", members.join(","))
}

pub fn read(filter: &str) -> Arc<Expr> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("and", &format!("({filter})"))
        .finish();
    Arc::new(
        parse(&query)
            .unwrap_or_else(|e| panic!("{filter}: {e}"))
            .unwrap(),
    )
}

/// The rows of `t` that PostgreSQL lets pass.
pub async fn passing(sql: &Client, filter: &Filter) -> Vec<i32> {
    let (condition, params) = filter.sql(1);
    let params: Vec<&(dyn ToSql + Sync)> = params
        .iter()
        .map(|param| match param {
            Param::Text(text) => text as &(dyn ToSql + Sync),
            Param::Texts(texts) => texts,
        })
        .collect();
    let select = format!("select id from t x where {condition} order by id");
    let rows = sql
        .query(&select, &params)
        .await
        .unwrap_or_else(|e| panic!("{select}: {e:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

async fn compare_all(sql: &Client) {
    let mut rng = rng();
    let table = table(sql, &mut rng).await;
    sql.batch_execute("set timezone = 'UTC'; set extra_float_digits = 1")
        .await
        .unwrap();
    let rows = sql
        .query("select id, row_to_json(t)::text from t order by id", &[])
        .await
        .unwrap();
    let rows: Vec<(i32, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let (mut pairs, mut refused, mut passed) = (0, 0, 0);
    while pairs < PAIRS {
        let written = tree(&mut rng, 3);
        let Ok(filter) = Filter::bind(&read(&written), &table) else {
            refused += 1;
            continue;
        };
        let expected = passing(sql, &filter).await;
        let own: Vec<i32> = rows
            .iter()
            .filter(|(_, json)| filter.passes(&Row::read(&table, json).unwrap()).unwrap())
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(own, expected, "{written}");
        // What was normalised is the same filter, however it is written.
        let again = Filter::bind(&read(&filter.expr().to_string()), &table).unwrap();
        assert_eq!(again, filter, "{written}");
        passed += expected.len();
        pairs += rows.len();
    }
    println!("{pairs} pairs, {passed} pass, {refused} filters refused");
    assert!(
        passed > pairs / 10,
        "filters that let nothing pass prove little: {passed} of {pairs}"
    );
}

#[actix_web::test]
async fn filters_are_decided_as_postgresql_decides_them() {
    let database = Cluster::shared().database().await;
    compare_all(&connect(&Cluster::shared().config(&database)).await).await;
}

#[actix_web::test]
async fn the_same_in_a_database_of_another_collation() {
    let admin = connect(&Cluster::shared().config("postgres")).await;
    for (name, locale) in [("filters_c", "C"), ("filters_utf8", "C.UTF-8")] {
        let create = format!(
            "create database {name} template template0 encoding 'UTF8' lc_collate '{locale}' lc_ctype '{locale}'"
        );
        admin.batch_execute(&create).await.unwrap();
        let app = TestApp::on(name).await;
        compare_all(&app.sql).await;
    }
}

#[actix_web::test]
async fn what_only_postgresql_can_decide_is_refused() {
    let app = TestApp::start().await;
    app.execute("create collation nd (provider = icu, locale = 'und', deterministic = false)")
        .await;
    app.execute("create collation de (provider = icu, locale = 'de')")
        .await;
    app.execute(
        "create type mood as enum ('sad', 'ok'); create table t (id int primary key, nd text collate nd, de text collate de, en mood, \
         js jsonb, ar int[], iv interval, ip inet, tz timetz, mo money, ra int4range, \"a->b\" int)",
    )
    .await;
    app.execute("select plank.watch('t')").await;
    let table = describe(&app.sql, "t").await;
    let bind = |filter: &str| match Filter::bind(&read(filter), &table) {
        Ok(_) => String::from("served"),
        Err(error) => error.to_string(),
    };
    for (filter, part) in [
        (
            "nd.eq.a",
            "nd: its collation takes different texts for equal",
        ),
        (
            "nd.like.a",
            "nd: its collation takes different texts for equal",
        ),
        ("nd.is.null", "served"),
        ("de.eq.a", "served"),
        ("de.like.a*", "served"),
        (
            "de.gt.a",
            "de: only PostgreSQL knows the order of its collation",
        ),
        ("de.ilike.a", "de: only PostgreSQL knows the lower case"),
        ("en.eq.ok", "served"),
        (
            "en.gt.ok",
            "en: only PostgreSQL knows the order of its labels",
        ),
        ("en.eq.glad", "en: \"glad\" is no value for it"),
        ("js.eq.1", "js: values of its type can't be compared"),
        ("js.is.null", "served"),
        ("js.is.true", "js: is.true is for boolean columns"),
        ("ar.eq.{1}", "ar: values of its type"),
        ("iv.eq.1", "iv: values of its type"),
        ("ip.eq.1", "ip: values of its type"),
        ("tz.eq.1", "tz: values of its type"),
        ("mo.eq.1", "mo: values of its type"),
        ("ra.is.null", "served"),
        ("\"a->b\".eq.1", "served"),
        ("\"js->x\".eq.1", "paths into JSON are not served"),
        ("nope.eq.1", "nope: the table public.t has no such column"),
        ("id.like.1", "id: like is for text columns"),
        (
            "id.eq.1.5",
            "id: \"1.5\" is no value for it: it has to be a whole number",
        ),
    ] {
        assert!(bind(filter).contains(part), "{filter}: {}", bind(filter));
    }
}
