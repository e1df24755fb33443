//! Filters decided here and in PostgreSQL: for every type, the same rows.

use plank::feed::Table;
use plank::feed::filter::Filter;
use plank::feed::filter::row::Row;
use tokio_postgres::Client;

use crate::filter_random::{COLUMNS, TYPES, describe, passing, read, rng, tree, value};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

/// Pairs of a filter and a row that are compared.
const PAIRS: usize = 150_000;
const ROWS: usize = 400;

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
