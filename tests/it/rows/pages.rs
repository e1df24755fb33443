//! Pages in every order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{page, pages, path, selected, watched};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp};

#[actix_web::test]
async fn a_page_says_what_it_is_of() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a'), ('b'), ('c')")
        .await;
    for name in ["items", "public.items", "ITEMS", " public . \"items\""] {
        let first = page(&app, name, &[("limit", "2"), ("columns", "name")]).await;
        assert_eq!(first["table"], "public.items");
        assert_eq!(
            first["rows"],
            json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
        );
        let next = first["next"].as_str().unwrap();
        let second = page(&app, name, &[("limit", "2"), ("after", next)]).await;
        assert_eq!(
            second["rows"],
            json!(selected(&app, "items x where id = 3").await)
        );
        assert_eq!(second["next"], Value::Null);
    }
    let whole = page(&app, "items", &[("limit", "3")]).await;
    assert_eq!(whole["next"], Value::Null, "nothing comes behind it");
    let answer = app.http.get(app.url("/api/tables/items/rows")).send().await;
    let answer = answer.unwrap();
    let cursor = answer.headers()["plank-cursor"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["cursor"], json!(cursor));
}

#[actix_web::test]
async fn pages_are_one_select_in_every_order() {
    let app = TestApp::start().await;
    watched(
        &app,
        "many",
        "create table many (id int primary key, a int, b text); \
         insert into many select i, nullif(i * 7 % 10, 3), nullif('t' || i * 31 % 50, 't7') from generate_series(1, 2500) i",
    )
    .await;
    let mut orders = vec![
        (String::new(), String::from("id")),
        ("id.desc".into(), "id desc".into()),
    ];
    for direction in ["", ".asc", ".desc"] {
        for nulls in ["", ".nullsfirst", ".nullslast"] {
            let sql = |word: &str| {
                word.replace('.', " ")
                    .replace("nullsfirst", "nulls first")
                    .replace("nullslast", "nulls last")
            };
            let (asked, meant) = (format!("{direction}{nulls}"), sql(direction) + &sql(nulls));
            orders.push((format!("a{asked}"), format!("a{meant}, id")));
            orders.push((format!("b{asked},a.desc"), format!("b{meant}, a desc, id")));
            orders.push((
                format!("a.desc.nullslast,b{asked},id.desc"),
                format!("a desc nulls last, b{meant}, id desc"),
            ));
        }
    }
    for (order, meant) in orders {
        let expected = selected(&app, &format!("many x order by {meant}")).await;
        let (rows, count) = pages(&app, "many", &order, 400).await;
        assert_eq!(count, 7, "{order}");
        assert!(rows == expected, "{order} is not {meant}");
    }
}

#[actix_web::test]
async fn keys_of_several_columns_and_odd_names_make_pages() {
    let app = TestApp::start().await;
    watched(
        &app,
        "sales.\"Order/Lines %2F\"",
        "create schema sales; create table sales.\"Order/Lines %2F\" (\"line no.\" int, \"say \"\"hi\"\", x\" text, \"order\" int not null, \
         \"limit.desc\" int, primary key (\"say \"\"hi\"\", x\", \"line no.\")); \
         insert into sales.\"Order/Lines %2F\" select i % 50, 'k' || i / 50, i % 3, nullif(i % 5, 0) from generate_series(0, 499) i",
    )
    .await;
    let table = "sales.\"Order/Lines %2F\"";
    for (order, meant) in [
        ("", "\"say \"\"hi\"\", x\", \"line no.\""),
        ("line no..desc", "\"line no.\" desc, \"say \"\"hi\"\", x\""),
        (
            "\"say \\\"hi\\\", x\".desc,line no..desc",
            "\"say \"\"hi\"\", x\" desc, \"line no.\" desc",
        ),
        (
            "order,\"limit.desc\".desc",
            "\"order\", \"limit.desc\" desc, \"say \"\"hi\"\", x\", \"line no.\"",
        ),
    ] {
        let expected = selected(&app, &format!("{table} x order by {meant}")).await;
        let (rows, count) = pages(&app, table, order, 99).await;
        assert_eq!(count, 6);
        assert!(rows == expected, "{order}");
    }
}

#[actix_web::test]
async fn columns_of_every_type_with_an_order_make_pages() {
    let app = TestApp::start().await;
    // A type of the owner's own, whose order is the other way round: as with one of an extension, the operators of
    // pg_catalog are not those that ORDER BY goes by.
    let own = "create type mood as enum ('sad', 'fine', 'glad'); create domain small as int check (value < 1000); \
        create type version as (major int, minor int); \
        create function v_lt(a version, b version) returns boolean immutable language sql as $$ select ((a).major, (a).minor) operator(pg_catalog.>) ((b).major, (b).minor) $$; \
        create function v_le(a version, b version) returns boolean immutable language sql as $$ select ((a).major, (a).minor) operator(pg_catalog.>=) ((b).major, (b).minor) $$; \
        create function v_gt(a version, b version) returns boolean immutable language sql as $$ select ((a).major, (a).minor) operator(pg_catalog.<) ((b).major, (b).minor) $$; \
        create function v_ge(a version, b version) returns boolean immutable language sql as $$ select ((a).major, (a).minor) operator(pg_catalog.<=) ((b).major, (b).minor) $$; \
        create function v_eq(a version, b version) returns boolean immutable language sql as $$ select ((a).major, (a).minor) operator(pg_catalog.=) ((b).major, (b).minor) $$; \
        create function v_cmp(a version, b version) returns int immutable language sql as $$ select case when public.v_eq(a, b) then 0 when public.v_lt(a, b) then -1 else 1 end $$; \
        create operator public.< (leftarg = version, rightarg = version, function = v_lt); create operator public.<= (leftarg = version, rightarg = version, function = v_le); \
        create operator public.> (leftarg = version, rightarg = version, function = v_gt); create operator public.>= (leftarg = version, rightarg = version, function = v_ge); \
        create operator public.= (leftarg = version, rightarg = version, function = v_eq); \
        create operator class version_ops default for type version using btree as operator 1 public.<, operator 2 public.<=, operator 3 public.=, operator 4 public.>=, operator 5 public.>, function 1 v_cmp(version, version)";
    let kinds = [
        ("u", "uuid", "md5(i::text)::uuid"),
        ("t", "text", "chr(60 + i % 70) || repeat('ü', i % 3)"),
        ("v", "varchar(20)", "'v' || i"),
        ("c", "char(5)", "'c' || i % 40"),
        (
            "tz",
            "timestamptz",
            "case i when 5 then 'infinity' when 6 then '0044-03-15 00:00:00 BC' else timestamptz '2026-11-23 08:00:00.000001+05' + i * interval '1.7 s' end",
        ),
        (
            "n",
            "numeric",
            "case i when 7 then 'NaN' else (i - 60) / 7.0 end",
        ),
        (
            "f",
            "float8",
            "case i when 7 then 'NaN' when 8 then '-Infinity' else i / 7.0::float8 end",
        ),
        (
            "j",
            "jsonb",
            "jsonb_build_object('k', i % 9, 's', 'x' || i)",
        ),
        ("b", "boolean", "i % 2 = 0"),
        ("y", "bytea", "decode(md5(i::text), 'hex')"),
        ("iv", "interval", "i * interval '1 day 02:03:04.5'"),
        ("d", "date", "date '2026-11-23' + i"),
        ("a", "int[]", "array[i % 4, i]"),
        (
            "m",
            "mood",
            "(array['sad', 'fine', 'glad'])[1 + i % 3]::mood",
        ),
        ("s", "small", "i"),
        ("r", "int4range", "int4range(i % 10, i + 10)"),
        ("w", "version", "row(i % 7, i)::version"),
        ("ip", "inet", "('10.0.' || i % 5 || '.' || i)::inet"),
    ];
    let columns: Vec<String> = kinds.iter().map(|(n, t, _)| format!("{n} {t}")).collect();
    let values: Vec<String> = kinds
        .iter()
        .map(|(_, kind, value)| format!("case when i % 11 > 0 then ({value})::{kind} end"))
        .collect();
    watched(
        &app,
        "kinds",
        &format!(
            "{own}; create table kinds (id int primary key, {}); insert into kinds select i, {} from generate_series(1, 120) i",
            columns.join(", "),
            values.join(", ")
        ),
    )
    .await;
    app.execute("set timezone = 'UTC'").await;
    for (name, kind, value) in kinds {
        for direction in ["asc", "desc"] {
            let expected =
                selected(&app, &format!("kinds x order by {name} {direction}, id")).await;
            let (rows, count) = pages(&app, "kinds", &format!("{name}.{direction}"), 13).await;
            assert_eq!(count, 10);
            let ids = |rows: &[Value]| {
                rows.iter()
                    .map(|r| r["id"].as_i64().unwrap())
                    .collect::<Vec<_>>()
            };
            assert_eq!(ids(&rows), ids(&expected), "{kind} {direction}");
            assert!(rows == expected, "{kind}: the values");
        }
        if matches!(name, "b" | "m" | "a" | "c" | "t") {
            continue;
        }
        let table = format!("by_{name}");
        watched(
            &app,
            &table,
            &format!(
                "create table {table} (part int, k {kind}, primary key (part, k)); \
                 insert into {table} select i % 2, ({value})::{kind} from generate_series(1, 40) i"
            ),
        )
        .await;
        let expected = selected(&app, &format!("{table} x order by part, k")).await;
        let (rows, _) = pages(&app, &table, "", 7).await;
        assert!(rows == expected, "{kind} as a key");
    }
}

#[actix_web::test]
async fn a_partitioned_table_is_one_table() {
    let app = TestApp::start().await;
    watched(
        &app,
        "parted",
        "create table parted (id int primary key, n int) partition by range (id); \
         create table parted_1 partition of parted for values from (0) to (100); create table parted_2 (n int, id int not null); \
         alter table parted attach partition parted_2 for values from (100) to (1000); \
         insert into parted select i, i % 7 from generate_series(1, 300) i",
    )
    .await;
    let (rows, _) = pages(&app, "parted", "n.desc", 41).await;
    assert!(rows == selected(&app, "parted x order by n desc, id").await);
    assert_eq!(
        app.request("GET", &path("parted_1", &[]), None).await.0,
        404
    );
}

#[actix_web::test]
async fn pages_go_on_while_rows_come_and_go() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) select 'n' || i from generate_series(1, 500) i")
        .await;
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "50"), ("columns", "id")];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page = page(&app, "items", &query).await;
        let rows = page["rows"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["id"].as_i64().unwrap()));
        let last = seen[seen.len() - 1];
        // The row that the page ends with as well.
        app.execute(&format!(
            "delete from items where id in ({last}, {last} - 10, {last} + 10); insert into items (name) values ('new')"
        ))
        .await;
        match page["next"].as_str() {
            Some(next) => after = Some(next.into()),
            None => break,
        }
    }
    let is_ascending = seen.is_sorted_by(|a, b| a < b);
    assert!(is_ascending, "each at most once");
    let table: BTreeSet<i64> = selected(&app, "items x")
        .await
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect();
    let missing: Vec<_> = table
        .iter()
        .filter(|id| **id <= 500 && !seen.contains(id))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[actix_web::test]
async fn guarantee_3_rows_and_the_changes_since_their_cursor_are_the_table() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) select 'n' || i from generate_series(1, 900) i")
        .await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let sql = connect(&Cluster::shared().config(&app.database)).await;
    let writer = tokio::spawn(async move {
        let mut round = 0;
        while !*stopped.borrow_and_update() {
            round += 1;
            let (id, end) = (
                round * 37 % 900 + 1,
                if round % 7 == 0 { "rollback" } else { "commit" },
            );
            sql.batch_execute(&format!(
                "begin; update items set name = 'r{round}' where id = {id}; delete from items where id = {id} + 3; \
                 insert into items (name) values ('new {round}'); {end}"
            ))
            .await
            .unwrap();
        }
    });
    let mut starts = Vec::new();
    for _ in 0..5 {
        starts.push(page(&app, "items", &[("limit", "10000")]).await);
    }
    stop.send(true).unwrap();
    writer.await.unwrap();
    let expected: BTreeMap<i64, Value> = selected(&app, "items x")
        .await
        .into_iter()
        .map(|row| (row["id"].as_i64().unwrap(), row))
        .collect();
    for start in starts {
        let rows = start["rows"].as_array().unwrap();
        let mut table: BTreeMap<i64, Value> = rows
            .iter()
            .map(|row| (row["id"].as_i64().unwrap(), row.clone()))
            .collect();
        let mut since = start["cursor"].as_str().unwrap().to_owned();
        loop {
            let path = format!("/api/changes?table=items&since={since}");
            let (status, more) = app.request("GET", &path, None).await;
            assert_eq!(status, 200, "{more}");
            for change in more["changes"].as_array().unwrap() {
                let id = change["key"]["id"].as_i64().unwrap();
                let row = change["row"].clone();
                match change["op"].as_str().unwrap() {
                    "insert" => assert!(table.insert(id, row).is_none(), "twice: {change}"),
                    "update" => assert!(table.insert(id, row).is_some(), "never there: {change}"),
                    _ => assert!(table.remove(&id).is_some(), "never there: {change}"),
                }
            }
            since = more["cursor"].as_str().unwrap().to_owned();
            if more["more"] == false {
                break;
            }
        }
        assert!(table == expected);
    }
}

#[actix_web::test]
async fn a_page_by_the_key_uses_its_index() {
    let app = TestApp::start().await;
    watched(
        &app,
        "large",
        "create table large (a int, b int, made timestamptz not null default now(), t text, primary key (a, b)); \
         insert into large select i / 100, i % 100, now() + i * interval '1 s', 't' from generate_series(1, 100000) i; \
         create index on large (made desc, a desc, b desc); analyze large",
    )
    .await;
    let scans = async |index: &str| -> (i64, i64) {
        let sql = "select coalesce(pg_stat_get_numscans(c.oid), 0), coalesce(pg_stat_get_tuples_returned(c.oid), 0) from pg_class c where relname = $1";
        let row = app.sql.query_one(sql, &[&index]).await.unwrap();
        (row.get(0), row.get(1))
    };
    for (order, index) in [
        ("", "large_pkey"),
        ("a.desc,b.desc", "large_pkey"),
        ("made.desc,a.desc,b.desc", "large_made_a_b_idx"),
        ("made.asc.nullsfirst", "large_made_a_b_idx"),
    ] {
        let ask = |after: Option<String>| {
            let mut query = vec![("limit", String::from("10"))];
            query.extend((!order.is_empty()).then(|| ("order", order.to_owned())));
            query.extend(after.map(|after| ("after", after)));
            query
        };
        let (mut after, before) = (None, scans(index).await);
        for _ in 0..20 {
            let query = ask(after);
            let query: Vec<(&str, &str)> = query.iter().map(|(n, v)| (*n, v.as_str())).collect();
            after = Some(
                page(&app, "large", &query).await["next"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        // A backend tells what it has counted when it is idle.
        let mut now = before;
        crate::support::until("the scans are counted", async || {
            now = scans(index).await;
            now.0 >= before.0 + 20
        })
        .await;
        assert!(
            now.1 - before.1 <= 20 * 15,
            "{order}: {} entries were read for 20 pages of 10",
            now.1 - before.1
        );
    }
}
