//! A row is logged in one way, whatever the session of its writer has set.

use crate::support::TestApp;

/// Types whose text depends on settings, with a value that shows it.
const VALUES: [(&str, &str); 24] = [
    ("bool", "true"),
    ("bytea", r"'\xdeadbeef'"),
    ("float4", "1.1::float4 / 3"),
    ("float8", "1.1::float8 / 3"),
    ("numeric", "12345.678900"),
    ("timestamptz", "'2026-01-02 03:04:05.6+07'"),
    ("timestamp", "'2026-01-02 03:04:05.6'"),
    ("date", "'2026-01-02'"),
    ("time", "'03:04:05.6'"),
    ("timetz", "'03:04:05.6+07'"),
    ("interval", "'1 year 2 months -3 days 04:05:06.7'"),
    (
        "tstzrange",
        "'[2026-01-02 03:04:05+07,2026-02-02 03:04:05+07)'",
    ),
    ("timestamptz[]", "'{2026-01-02 03:04:05.6+07}'"),
    ("int8", "9007199254740993"),
    ("jsonb", r#"'{"a": [1, "x"]}'"#),
    ("json", r#"'{"a" :  1}'"#),
    ("xml", "'<a>x</a>'"),
    ("uuid", "'00000000-0000-0000-0000-000000000001'"),
    ("inet", "'10.0.0.1/8'"),
    ("bit(4)", "'1010'"),
    ("tsvector", "'a:1 b:2'"),
    ("point", "'(1.1,2.2)'"),
    ("text", "'ä\"\\\\'"),
    ("char(5)", "'ab'"),
];

/// Types that need more than the five settings, and a type that is not built in.
const OTHERS: [(&str, &str); 5] = [
    ("money", "1234.5"),
    ("regclass", "'public.odd'"),
    ("regproc", "'public.f'"),
    ("public.pair", "row(1, '2026-01-02 03:04:05+07')"),
    ("regtype", "'public.pair'"),
];

#[actix_web::test]
async fn no_setting_changes_how_a_row_is_logged() {
    let app = TestApp::start().await;
    app.execute(
        "create table public.odd (a int); create function public.f() returns int language sql as 'select 1'; create type public.pair as (n int, t timestamptz)",
    )
    .await;
    for (name, of) in [("plain", VALUES.as_slice()), ("other", OTHERS.as_slice())] {
        let columns: Vec<String> = (0..)
            .zip(of)
            .map(|(i, (kind, _)): (usize, _)| format!("c{i} {kind}"))
            .collect();
        let values: Vec<&str> = of.iter().map(|(_, value)| *value).collect();
        app.execute(&format!(
            "create table public.{name} (id int, {0}); create table public.{name}_twin (id int, {0});
             create table public.{name}_rows (id int, {0}); insert into public.{name}_rows values (1, {1});
             select plank.watch('public.{name}')",
            columns.join(", "),
            values.join(", ")
        ))
        .await;
        let form = "select p.proname::text from pg_trigger g join pg_proc p on p.oid = g.tgfoid where g.tgrelid = $1::text::regclass and p.proname like 'capture\\_insert%'";
        let form: String = app
            .sql
            .query_one(form, &[&format!("public.{name}")])
            .await
            .unwrap()
            .get(0);
        assert_eq!(form.ends_with("_any"), name == "other", "{form}");
        let settings = app
            .sql
            .query(
                "select name, vartype, coalesce(enumvals, '{}'), coalesce(min_val, ''), coalesce(max_val, ''), setting from pg_settings
                 where context in ('user', 'superuser') and name not like 'transaction%' and name not like 'log\\_%' and name not like 'debug%'
                   and name not in ('role', 'session_authorization', 'client_encoding', 'is_superuser', 'jit_debugging_support', 'jit_profiling_support')",
                &[],
            )
            .await
            .unwrap();
        assert!(settings.len() > 150, "{}", settings.len());
        let logged = async |set: &str| -> Option<String> {
            let insert = |table: &str| {
                format!("insert into public.{table} select * from public.{name}_rows")
            };
            app.sql.batch_execute("begin").await.unwrap();
            let tried = app
                .sql
                .batch_execute(&format!("{set}; {}", insert(&format!("{name}_twin"))))
                .await;
            let found = match tried {
                // It fails without plank as well.
                Err(_) => None,
                Ok(()) => {
                    app.sql
                        .batch_execute(&insert(name))
                        .await
                        .unwrap_or_else(|e| panic!("{set}: {e:?}"));
                    app.sql
                        .batch_execute(&format!("update public.{name} set id = 2 where id = 1"))
                        .await
                        .unwrap_or_else(|e| panic!("{set}: {e:?}"));
                    let text = "select string_agg(concat(row::text, old::text), '|' order by seq) from plank.log where xid = pg_current_xact_id()";
                    Some(app.sql.query_one(text, &[]).await.unwrap().get(0))
                }
            };
            app.sql.batch_execute("rollback").await.unwrap();
            found
        };
        let expected = logged("select 1").await.unwrap();
        let mut tried = 0;
        for row in settings {
            let (setting, kind, labels): (String, String, Vec<String>) =
                (row.get(0), row.get(1), row.get(2));
            let (least, most): (String, String) = (row.get(3), row.get(4));
            let values = match (setting.as_str(), kind.as_str()) {
                ("TimeZone", _) => vec![
                    "Asia/Kathmandu".into(),
                    "America/New_York".into(),
                    "<-08>+08".into(),
                ],
                ("DateStyle", _) => {
                    vec!["German".into(), "SQL, DMY".into(), "Postgres, MDY".into()]
                }
                ("search_path", _) => vec![
                    "pg_catalog".into(),
                    "public, pg_catalog".into(),
                    "nowhere".into(),
                ],
                (name, _) if name.starts_with("lc_") => vec![
                    "C".into(),
                    "C.UTF-8".into(),
                    "en_US.UTF-8".into(),
                    "de_DE.UTF-8".into(),
                ],
                (_, "bool") => vec!["on".into(), "off".into()],
                (_, "enum") => labels,
                // Limits of time and space would end the test, and not change a text.
                (name, "integer" | "real")
                    if !name.contains("timeout")
                        && !name.contains("limit")
                        && !name.contains("stack")
                        && !name.contains("mem") =>
                {
                    vec![least, most]
                }
                _ => vec![],
            };
            for value in values {
                let set = format!("set local {setting} = '{value}'");
                if let Some(text) = logged(&set).await {
                    assert_eq!(text, expected, "{name}: {set}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 250, "{tried} values of settings");
    }
}

/// The triggers name every operator with its schema, for the search path is that of the writer.
#[actix_web::test]
async fn operators_of_the_writer_are_not_used() {
    let app = TestApp::start().await;
    app.execute(
        "create schema evil; create table evil.log (what text);
         do $d$ declare t text; o text; begin foreach t in array array['bigint', 'int', 'text', 'oid', 'name', 'pg_catalog.bool'] loop
           execute format('create function evil.steal(a %1$s, b %1$s) returns bool language plpgsql as $$ begin insert into evil.log values (''ran''); return true; end $$', t);
           foreach o in array array['=', '<>', '<', '>', '<=', '>='] loop
             execute format('create operator evil.%s (function = evil.steal, leftarg = %s, rightarg = %2$s)', o, t);
           end loop; end loop; end $d$;
         create function evil.num(a bigint, b bigint) returns bigint language plpgsql as $$ begin insert into evil.log values ('ran'); return 0; end $$;
         create operator evil.+ (function = evil.num, leftarg = bigint, rightarg = bigint);
         create operator evil.% (function = evil.num, leftarg = bigint, rightarg = bigint);
         create operator evil./ (function = evil.num, leftarg = bigint, rightarg = bigint);
         create function evil.row_to_json(record) returns json language plpgsql as $$ begin return '{}'; end $$;
         create domain evil.text as pg_catalog.text check (false); create domain evil.bool as pg_catalog.bool check (false);
         create table a (id int primary key, v int); create table p (id int primary key, v int) partition by range (id);
         create table p1 partition of p default; select plank.watch('a'), plank.watch('p');
         set search_path = evil, pg_catalog, public",
    )
    .await;
    for table in ["a", "p"] {
        app.execute(&format!(
            "insert into {table} select pg_catalog.generate_series(1, 2), 0; insert into {table} select pg_catalog.generate_series(3, 30), 0;
             update {table} set v = 1; update {table} set v = null; delete from {table}; truncate {table}"
        ))
        .await;
    }
    app.execute("truncate p1; reset search_path").await;
    let ran = "select count(*) from evil.log";
    assert_eq!(
        app.sql.query_one(ran, &[]).await.unwrap().get::<_, i64>(0),
        0
    );
}
