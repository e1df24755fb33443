//! What functions of others leave behind when they run for a request: work for the commit, which runs with the rights of plank's
//! own role; a prepared statement in place of one of plank's; a setting for the next request on that session.

use std::future::poll_fn;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::support::{Cluster, TestApp, within};

/// A role `mallory` with a table `bait`. What `evil.mode` says is done by a trigger of it, and by the
/// predicate of an index.
/// `evil.spy` tells when it runs with other rights than those of a function that can't be left.
const BAIT: &str = r#"
    do $$ begin create role mallory; exception when duplicate_object or unique_violation then null; end $$;
    create schema evil authorization mallory; grant create, usage on schema public to mallory;
    do $$ begin execute format('grant temp on database %I to mallory', current_database()); end $$;
    create table vault (id int primary key, at timestamptz default '2026-01-02 03:04:05+00', n float8 default 0.1);
    insert into vault values (1);
    set role mallory;
    grant usage, create on schema evil to public;
    create table evil.mode (what text); insert into evil.mode values ('nothing'); grant select on evil.mode to public;
    create function evil.spy(what text) returns text language plpgsql as $$ begin
      if current_user = session_user then perform pg_notify('spy', what || ' ran as ' || current_user); end if; return what; end $$;
    create function evil.at_commit() returns trigger language plpgsql as $$ begin perform evil.spy(tg_table_name); return null; end $$;
    create table evil.pit (id int); grant insert on evil.pit to public;
    create constraint trigger c after insert on evil.pit deferrable initially immediate for each row execute function evil.at_commit();
    create function evil.spied(v int) returns int language plpgsql immutable as $$ begin perform evil.spy('index'); return v; end $$;
    create table evil.pit_of_values (v int, exclude using btree ((evil.spied(v)) with =) deferrable initially deferred);
    grant insert on evil.pit_of_values to public;
    create function evil.act() returns void language plpgsql as $f$
    declare r record; mode text := (select m.what from evil.mode m); types text;
    begin
      if mode = 'a deferred trigger' then set constraints all deferred; insert into evil.pit values (1); end if;
      if mode = 'a deferred trigger of a table of its own' then
        create table evil.fresh (id int);
        create constraint trigger c after insert on evil.fresh deferrable initially deferred for each row execute function evil.at_commit();
        insert into evil.fresh values (1);
      end if;
      if mode = 'a temporary table' then
        create temp table if not exists own (id int);
        create constraint trigger c after insert on own deferrable initially deferred for each row execute function evil.at_commit();
        insert into own values (1);
      end if;
      if mode = 'an exclusion of expressions' then insert into evil.pit_of_values values (1); end if;
      if mode = 'a cursor that is held' then
        execute format('declare c%s cursor with hold for select evil.spy(''cursor'')', (random() * 1e9)::int);
      end if;
      if mode = 'a prepared statement' then
        for r in select name, parameter_types from pg_prepared_statements where not from_sql loop
          execute format('deallocate %I', r.name);
          types := case when cardinality(r.parameter_types) > 0 then '(' || array_to_string(r.parameter_types::text[], ',') || ')' else '' end;
          execute format('prepare %I %s as select evil.spy(''prepared'')', r.name, types);
        end loop;
      end if;
      if mode like 'a prepared statement and%' then
        for r in select name, parameter_types from pg_prepared_statements where not from_sql loop
          execute format('deallocate %I', r.name);
          types := case when cardinality(r.parameter_types) > 0 then '(' || array_to_string(r.parameter_types::text[], ',') || ')' else '' end;
          execute format('prepare %I %s as select evil.spy(''prepared'')', r.name, types);
        end loop;
        if mode like '%an error' then raise exception 'x'; end if;
        raise exception using errcode = 'PLANK';
      end if;
      if mode = 'a function of the writer' then
        execute 'alter function plank.rest_write(boolean, text, text, text[], bigint, bigint, boolean, boolean, text) security invoker';
      end if;
      if mode = 'a function with the rights of the writer' then
        execute 'create or replace function evil.back() returns void language sql security definer as ''select''';
      end if;
      if mode = 'settings' then
        perform set_config('timezone', 'Asia/Tokyo', false), set_config('extra_float_digits', '-10', false),
          set_config('default_transaction_read_only', 'on', false), set_config('search_path', 'evil', false),
          set_config('statement_timeout', '1ms', false), set_config('client_encoding', 'LATIN1', false);
      end if;
    end $f$;
    create function evil.trigger() returns trigger language plpgsql as $$ begin perform evil.act(); return new; end $$;
    create function evil.planned(id int) returns boolean language plpgsql immutable as $$ begin
      if session_user <> current_user then perform evil.act(); end if; return true; end $$;
    create table bait (id int primary key);
    create trigger t before insert on bait for each row execute function evil.trigger();
    reset role;
    insert into bait values (1);
    select plank.watch('bait', writable => true), plank.watch('vault', writable => true);
"#;

/// What a function of hers does, and whether a read can do it as well.
const ACTS: &[(&str, bool)] = &[
    ("a deferred trigger", false),
    ("a deferred trigger of a table of its own", false),
    ("a temporary table", false),
    ("an exclusion of expressions", false),
    ("a cursor that is held", true),
    ("a prepared statement", true),
    ("a prepared statement and an error", true),
    ("a prepared statement and PLANK", true),
    ("a function of the writer", false),
    ("a function with the rights of the writer", false),
];

/// What her functions say, for as long as it is kept.
struct Spies {
    told: UnboundedReceiver<String>,
    _client: Client,
}

impl Spies {
    async fn listen(app: &TestApp) -> Self {
        let config = Cluster::shared().config(&app.database);
        let (client, mut connection) = config.connect(NoTls).await.unwrap();
        let (tell, told) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(n) = message {
                    let _ = tell.send(n.payload().to_owned());
                }
            }
        });
        client.batch_execute("listen spy").await.unwrap();
        Self {
            told,
            _client: client,
        }
    }

    /// All that was said so far: notifications arrive in the order of their commits.
    async fn said(&mut self, app: &TestApp) -> Vec<String> {
        app.execute("notify spy, 'end'").await;
        let mut said = Vec::new();
        loop {
            match within("a notification", self.told.recv()).await.unwrap() {
                end if end == "end" => return said,
                other => said.push(other),
            }
        }
    }
}

/// Sessions of plank are asked for all at once, so that each of them has a part.
async fn all_sessions(app: &TestApp) {
    let mut requests = Vec::new();
    for i in 0..48 {
        let row = json!({"id": 1000 + i});
        requests.push(match i % 3 {
            0 => app.request("GET", "/rest/vault?id=eq.1", None),
            1 => app.request("GET", "/api/tables/vault/rows?limit=1", None),
            _ => app.request("POST", "/rest/vault?select=id,at,n", Some(row)),
        });
    }
    for (i, (status, answer)) in join_all(requests).await.into_iter().enumerate() {
        assert!(matches!(status, 200 | 201), "{i}: {status} {answer}");
        let shown = json!({"id": 1, "at": "2026-01-02T03:04:05+00:00", "n": 0.1});
        match i % 3 {
            0 => assert_eq!(answer, json!([shown])),
            1 => assert_eq!(answer["rows"], json!([shown])),
            _ => assert_eq!(answer, Value::Null),
        }
    }
    app.execute("delete from vault where id > 1").await;
}

async fn act(app: &TestApp, what: &str) {
    app.execute(&format!("update evil.mode set what = '{what}'"))
        .await;
}

#[actix_rt::test]
async fn what_a_write_leaves_to_its_commit_or_to_the_session_runs_with_no_right_of_plank() {
    let app = TestApp::start().await;
    app.execute(BAIT).await;
    let mut spies = Spies::listen(&app).await;
    for (number, (what, _)) in ACTS.iter().enumerate() {
        act(&app, what).await;
        for way in ["row", "batch", "key"] {
            let row = json!({"id": 10 + number});
            let request = app.http.post(app.url(if way == "batch" {
                "/rest"
            } else {
                "/rest/bait"
            }));
            let request = match way {
                "batch" => request.json(&json!([{"op": "insert", "table": "bait", "values": row}])),
                "key" => request
                    .header("idempotency-key", format!("{number}"))
                    .json(&row),
                _ => request.json(&row),
            };
            let answer = request.send().await.unwrap();
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            if what.ends_with("error") || what.ends_with("PLANK") {
                assert!(!status.is_success(), "{what}, {way}: {text}");
                continue;
            }
            assert_eq!(status, 403, "{what}, {way}: {text}");
            assert!(
                text.contains("bait") && text.contains("owner"),
                "{what}, {way}: {text}"
            );
        }
        act(&app, "nothing").await;
        all_sessions(&app).await;
        assert_eq!(spies.said(&app).await, Vec::<String>::new(), "{what}");
        let written = app
            .sql
            .query_one("select count(*) from bait where id >= 10", &[])
            .await
            .unwrap();
        assert_eq!(written.get::<_, i64>(0), 0, "{what}");
    }
}

#[actix_rt::test]
async fn what_a_read_leaves_to_its_commit_or_to_the_session_runs_with_no_right_of_plank() {
    let app = TestApp::start().await;
    app.execute(BAIT).await;
    // It runs when a statement is planned.
    app.execute("create index on bait (id) where evil.planned(7)")
        .await;
    let mut spies = Spies::listen(&app).await;
    for (what, _) in ACTS.iter().filter(|(_, reads)| *reads) {
        for path in [
            "/rest/bait",
            "/rest/bait?id=eq.1",
            "/api/tables/bait/rows",
            "/api/tables/bait/rows?order=id&limit=1",
        ] {
            act(&app, what).await;
            let (status, answer) = app.request("GET", path, None).await;
            // What is done is undone, or refused.
            let fails = what.ends_with("error") || what.ends_with("PLANK");
            assert!(
                fails || matches!(status, 200 | 403),
                "{what}, {path}: {status} {answer}"
            );
            act(&app, "nothing").await;
            all_sessions(&app).await;
            assert_eq!(
                spies.said(&app).await,
                Vec::<String>::new(),
                "{what}, {path}"
            );
        }
    }
}

#[actix_rt::test]
async fn settings_that_a_function_leaves_in_a_session_change_nothing_for_the_next_request() {
    let app = TestApp::start().await;
    app.execute(BAIT).await;
    for round in 0..20 {
        act(&app, "settings").await;
        // More of the transaction is to come: nothing is done.
        let row = json!({"id": 1000 + round});
        let batch = json!([{"op": "insert", "table": "bait", "values": row}]);
        let (status, answer) = app.request("POST", "/rest", Some(batch)).await;
        assert_eq!(status, 403, "{answer}");
        let (status, answer) = app
            .request("POST", "/rest/bait", Some(json!({"id": 100 + round})))
            .await;
        assert_eq!(status, 201, "{answer}");
        act(&app, "nothing").await;
        all_sessions(&app).await;
    }
}

#[actix_rt::test]
async fn a_deferred_trigger_of_the_role_of_plank_itself_does_what_it_is_for() {
    let app = TestApp::start().await;
    app.execute(
        "create table audit (id int); create table kept (id int primary key);
         create function audit() returns trigger language plpgsql security definer as $$ begin insert into audit values (new.id); return null; end $$;
         create constraint trigger a after insert on kept deferrable initially deferred for each row execute function audit();
         create table child (id int primary key, of int references kept deferrable initially deferred);
         select plank.watch('kept', writable => true), plank.watch('child', writable => true)",
    )
    .await;
    let (status, answer) = app
        .request("POST", "/rest/kept", Some(json!({"id": 1})))
        .await;
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = app
        .request("POST", "/rest/child", Some(json!({"id": 1, "of": 1})))
        .await;
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = app
        .request("POST", "/rest/child", Some(json!({"id": 2, "of": 7})))
        .await;
    assert_eq!(
        (status, &answer["code"]),
        (409, &json!("23503")),
        "{answer}"
    );
    let row = app
        .sql
        .query_one("select count(*) from audit", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[actix_rt::test]
async fn a_cast_that_runs_in_capture_replaces_no_prepared_statement_of_the_writer() {
    let app = TestApp::start().await;
    app.execute(BAIT).await;
    app.execute(
        "set role mallory;
         create type evil.lure as enum ('a');
         create function evil.told(evil.lure) returns json language plpgsql as $$ begin perform evil.act(); return '1'; end $$;
         create cast (evil.lure as json) with function evil.told(evil.lure);
         reset role; grant usage on type evil.lure to public;
         create table victim (id int primary key, l evil.lure); select plank.watch('victim')",
    )
    .await;
    let mut spies = Spies::listen(&app).await;
    let insert = app
        .sql
        .prepare("insert into victim values ($1, 'a')")
        .await
        .unwrap();
    act(&app, "a prepared statement").await;
    let refused = app.sql.execute(&insert, &[&1]).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert!(
        refused
            .message()
            .contains("replaces the prepared statement"),
        "{refused}"
    );
    let again = app.sql.execute(&insert, &[&2]).await.unwrap_err();
    assert_eq!(
        again.as_db_error().unwrap().code().code(),
        "26000",
        "it is gone"
    );
    act(&app, "nothing").await;
    app.execute("prepare mine as select 1; insert into victim values (3, 'a'); execute mine")
        .await;
    assert_eq!(spies.said(&app).await, Vec::<String>::new());
}
