//! Rows of every type that a column can have are as their schema says, also those that no JSON number or date can hold.

use plank::config::Config;
use serde_json::{Value, json};

use super::document::Document;
use crate::support::TestApp;

/// A type, and values of it in SQL.
const TYPES: &[(&str, &[&str])] = &[
    ("smallint", &["-32768"]),
    ("int", &["2147483647"]),
    ("bigint", &["9223372036854775807"]),
    (
        "numeric",
        &["'NaN'", "1e100", "-0.000000000000000000001", "0"],
    ),
    ("numeric(10,2)", &["1.5", "'NaN'"]),
    ("real", &["'-Infinity'", "1e30"]),
    ("float8", &["'Infinity'", "'NaN'", "1e-300"]),
    ("bool", &["true"]),
    ("text", &["''", "'a\"b'"]),
    ("varchar(3)", &["'abc'"]),
    ("char(5)", &["'a'"]),
    ("\"char\"", &["'a'"]),
    ("name", &["'n'"]),
    ("uuid", &["'0e37df36-f698-11e6-8dd4-cb9ced3df976'"]),
    ("bytea", &["''", "'\\x00ff'"]),
    (
        "date",
        &[
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'12026-01-01'",
        ],
    ),
    ("time", &["'24:00'", "'08:30:00.123456'"]),
    ("timetz", &["'08:30:00+05:45'"]),
    (
        "timestamp",
        &[
            "'infinity'",
            "'0044-03-15 08:00 BC'",
            "'2026-11-23 17:56:47.951812'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'-infinity'",
            "'0044-03-15 08:00 BC'",
            "'1880-01-01'",
            "now()",
        ],
    ),
    ("interval", &["'1 year 2 days'"]),
    ("json", &["'null'", "'[1, {\"a\": 2}]'", "'\"text\"'"]),
    ("jsonb", &["'null'", "'7'"]),
    ("inet", &["'192.0.2.1/24'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("bit(3)", &["'101'"]),
    ("varbit", &["'10'"]),
    ("money", &["12.5"]),
    ("point", &["'(1,2)'"]),
    ("polygon", &["'((0,0),(1,1))'"]),
    ("xml", &["'<a/>'"]),
    ("tsvector", &["'a b'"]),
    ("oid", &["7"]),
    ("pg_lsn", &["'0/1'"]),
    ("int4range", &["'[1,5)'", "'empty'"]),
    ("tstzmultirange", &["'{[2026-01-01,2026-02-01)}'"]),
    (
        "int[]",
        &["'{}'", "'{1,null}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'"],
    ),
    ("bigint[]", &["'{9223372036854775807}'"]),
    ("numeric(10,2)[]", &["'{1.5,NaN}'"]),
    ("text[]", &["'{a,\"b,c\",null}'"]),
    ("jsonb[]", &["array['1'::jsonb, '{}']"]),
    ("bool[]", &["'{t,f}'"]),
    ("mood", &["'sad'"]),
    ("mood[]", &["'{sad,ok}'"]),
    ("point3", &["row(1, 2.5, 'z')"]),
    ("point3[]", &["array[row(1, 2.5, 'z')::point3]"]),
    ("positive", &["7"]),
    ("tags", &["'{a}'"]),
    ("weight", &["row(5)"]),
];

const OWN_TYPES: &str = "
    create type mood as enum ('sad', 'ok');
    create type point3 as (x int, y numeric, z text);
    create domain positive as int check (value > 0);
    create domain tags as text[];
    -- One that is written as JSON in a way of its own.
    create type weight as (kg int);
    create function weight_json(weight) returns json language sql immutable as 'select to_json(($1).kg::text || '' kg'')';
    create cast (weight as json) with function weight_json(weight);";

async fn start(change: impl FnOnce(&mut Config)) -> (TestApp, Document) {
    let app = TestApp::start_with(change).await;
    let columns: Vec<String> = TYPES
        .iter()
        .enumerate()
        .map(|(i, (name, _))| format!("c{i} {name}"))
        .collect();
    app.execute(&format!(
        "{OWN_TYPES} create table odd (id int primary key, {})",
        columns.join(", ")
    ))
    .await;
    let rows = TYPES.iter().map(|(_, values)| values.len()).max().unwrap();
    for row in 0..rows {
        let value =
            |(_, values): &(&str, &'static [&'static str])| *values.get(row).unwrap_or(&"null");
        let values: Vec<&str> = TYPES.iter().map(value).collect();
        app.execute(&format!(
            "insert into odd values ({row}, {})",
            values.join(", ")
        ))
        .await;
    }
    app.execute("select plank.watch('odd', writable => true)")
        .await;
    let document = Document::with(&app, "/rest/odd").await;
    (app, document)
}

async fn check_rows(app: &TestApp, document: &mut Document) {
    for query in ["", "?select=id,c2,c3&order=id.desc"] {
        let answer = app
            .http
            .get(app.url(&format!("/rest/odd{query}")))
            .send()
            .await
            .unwrap();
        let rows = document.check_answer("/rest/odd", "GET", answer).await;
        assert_eq!(rows.as_array().unwrap().len(), 4);
    }
}

#[actix_web::test]
async fn rows_of_all_types_fit_the_schema_of_their_table() {
    let (app, mut document) = start(|_| {}).await;
    check_rows(&app, &mut document).await;
    let row = document.value["components"]["schemas"]["odd.Row"].clone();
    let types = |column: &str| row["properties"][column]["type"].clone();
    // Not everything is allowed to be anything.
    let free = TYPES
        .iter()
        .enumerate()
        .filter(|(i, _)| types(&format!("c{i}")).is_null());
    let free: Vec<&str> = free.map(|(_, (name, _))| *name).collect();
    assert_eq!(free, ["json", "jsonb", "point3", "tags", "weight"]);
    assert_eq!(types("id"), "integer", "a key is never null");
    // What came can be sent back, as far as the schema of an insert says so.
    let insert = json!({"$ref": "#/components/schemas/odd.Insert"});
    let rows = app.request("GET", "/rest/odd", None).await.1;
    for row in rows.as_array().unwrap() {
        document.check("a row to insert", &insert, row);
        let mut row: Value = row.clone();
        row["id"] = json!(row["id"].as_i64().unwrap() + 100);
        // Of a type with a cast to JSON there is no way back.
        row.as_object_mut()
            .unwrap()
            .remove(&format!("c{}", TYPES.len() - 1));
        let (status, answer) = app.request("POST", "/rest/odd", Some(row)).await;
        assert_eq!(status, 201, "{answer}");
    }
}

#[actix_web::test]
async fn wide_numbers_are_strings_in_the_schema_too() {
    let (app, mut document) = start(|config| config.stringify_wide_numbers = true).await;
    check_rows(&app, &mut document).await;
    let row = &document.value["components"]["schemas"]["odd.Row"]["properties"];
    let place = |name: &str| TYPES.iter().position(|(own, _)| *own == name).unwrap();
    for name in ["bigint", "numeric"] {
        let types = &row[format!("c{}", place(name))]["type"];
        assert_eq!(*types, json!(["string", "null"]), "{name}");
    }
    let items = &row[format!("c{}", place("bigint[]"))]["items"];
    assert_eq!(items["type"], json!(["string", "array", "null"]));
}
