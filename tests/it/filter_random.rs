//! Random tables and random filters for them, and what PostgreSQL makes of both.

use std::sync::Arc;

use plank::feed::filter::Filter;
use plank::feed::filter::kind::Letters;
use plank::feed::filter::parse::parse;
use plank::feed::filter::sql::Param;
use plank::feed::{Catalog, Expr, Table};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

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
