//! Ways to change a row that hide the order in which it happened, or pass by a trigger: each was wrong once.

use serde_json::{Value, json};

use crate::capture::table_is_followed;
use crate::live::watched;
use crate::resume::cursor;
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

#[actix_web::test]
async fn foreign_key_actions_of_one_statement_leave_no_ghosts() {
    table_is_followed(
        "create table us (id int primary key); insert into us values (1), (2), (3);
         create table req (id int primary key, to_id int references us on delete cascade, from_id int references us on delete set null)",
        "req",
        &[
            "insert into req values (1, 1, 2), (2, 2, 1), (3, 3, 1), (4, 3, 2)",
            "delete from us where id in (1, 2)",
        ],
    )
    .await;
    table_is_followed(
        "create table node (id int primary key, a int references node on delete cascade, b int references node on delete set null)",
        "node",
        &[
            "insert into node values (1, null, null), (2, 1, 1), (3, 2, 1), (4, 1, 3)",
            "delete from node where id = 3",
            "delete from node where id = 1",
        ],
    )
    .await;
    table_is_followed(
        "create table l (id int primary key); create table r (id int primary key); insert into l values (1); insert into r values (1);
         create table pair (a int references l on update cascade, b int references r on update cascade, v int, primary key (a, b))",
        "pair",
        &[
            "insert into pair values (1, 1, 5)",
            "with one as (update l set id = 2) update r set id = 3",
        ],
    )
    .await;
}

#[actix_web::test]
async fn merge_that_moves_rows_between_partitions_is_told() {
    table_is_followed(
        "create table p (id int, k int, v text, primary key (id, k)) partition by list (k);
         create table p1 partition of p for values in (1); create table p2 partition of p for values in (2)",
        "p",
        &[
            "insert into p values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')",
            "merge into p using (values (1, 2), (2, 1)) s (id, k) on p.id = s.id when matched then update set k = s.k, v = 'moved'",
            "merge into p using (values (1, 1), (3, 1), (9, 1)) s (id, k) on p.id = s.id when matched and p.id = 1 then update set k = s.k
               when matched then delete when not matched then insert values (s.id, s.k, 'new')",
        ],
    )
    .await;
}

#[actix_web::test]
async fn tables_that_triggers_write_end_right() {
    table_is_followed(
        "create table aa (id int primary key); create table bb (id int primary key, v int);
         create function f() returns trigger language plpgsql as $$ begin insert into bb values (new.id, 0); return null; end $$;
         create trigger t after insert on aa for each row execute function f()",
        "bb",
        &[
            "begin; insert into aa select generate_series(1, 20); update bb set id = id + 100 where id < 100; commit",
            "begin; insert into aa values (50), (51); update bb set id = id + 100 where id < 100; delete from bb where id = 151; commit",
        ],
    )
    .await;
    table_is_followed(
        "create table back (id int primary key, v int);
         create function g() returns trigger language plpgsql as $$ begin
           if old.id <> new.id then insert into back values (old.id, 100) on conflict do nothing; end if; return null; end $$;
         create trigger a after update on back for each row execute function g()",
        "back",
        &["insert into back values (1, 1), (2, 2)", "update back set id = id + 10", "update back set id = id + 100 where id > 5"],
    )
    .await;
}

/// The same triggers, and a table that is captured without old rows for clients, or row by row.
#[actix_web::test]
async fn triggers_that_change_their_own_table_are_ordered_at_both_levels() {
    for how in ["old_rows => false", "level => 'row'"] {
        let app = TestApp::start().await;
        app.execute(&format!(
            "create table own (id int primary key, v int);
             create function f() returns trigger language plpgsql as $$ begin
               if new.v < 3 then update own set v = v + 1 where id = new.id; end if; return null; end $$;
             create trigger a after insert or update on own for each row execute function f();
             select plank.watch('own', {how})"
        ))
        .await;
        let mut client = watched(&app, "own").await;
        app.execute("insert into own values (1, 0), (2, 2); insert into own values (9, 9)")
            .await;
        let mut rows = std::collections::BTreeMap::new();
        while !rows.contains_key("9") {
            for change in client.batch().await {
                rows.insert(change["row"]["id"].to_string(), change["row"]["v"].clone());
            }
        }
        assert_eq!((&rows["1"], &rows["2"]), (&json!(3), &json!(3)), "{how}");
    }
}

#[actix_web::test]
async fn columns_that_an_index_includes_are_no_key() {
    let app = TestApp::start().await;
    app.execute("create table inc (a int, b int, payload text, primary key (b, a) include (payload)); select plank.watch('inc')").await;
    let mut client = watched(&app, "inc").await;
    app.execute("insert into inc values (1, 2, 'x'); update inc set payload = 'y'")
        .await;
    let changes = client.changes(2).await;
    assert_eq!(changes[1]["op"], "update");
    assert_eq!(changes[1]["key"], json!({"a": 1, "b": 2}));
    let (_, tables) = app.request("GET", "/api/tables", None).await;
    let inc = tables["tables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["table"] == "public.inc")
        .unwrap();
    assert_eq!(inc["key"], json!(["b", "a"]));
}

#[actix_web::test]
async fn key_that_is_checked_late_may_change_hands() {
    table_is_followed(
        "create table late (id int primary key deferrable initially deferred, v text)",
        "late",
        &[
            "insert into late values (1, 'old')",
            "begin; insert into late values (1, 'new'); delete from late where v = 'old'; commit",
            // The same row, as it looks.
            "begin; insert into late values (1, 'new'); delete from late where ctid = (select min(ctid) from late); commit",
            "begin; update late set id = 2; insert into late values (1, 'a'), (2, 'b'); delete from late where v = 'new'; commit",
        ],
    )
    .await;
    // Over two transactions: the one that takes the key logs first, and waits for the other at its end.
    let app = TestApp::start().await;
    app.execute("create table late (id int primary key deferrable initially deferred, v text); select plank.watch('late'); insert into late values (1, 'x')").await;
    let since = cursor(&app).await;
    let (one, two) = (
        connect(&Cluster::shared().config(&app.database)).await,
        connect(&Cluster::shared().config(&app.database)).await,
    );
    two.batch_execute("begin; update late set v = v where false")
        .await
        .unwrap();
    one.batch_execute("begin; insert into late values (1, 'x')")
        .await
        .unwrap();
    two.batch_execute("delete from late").await.unwrap();
    let (taken, given) = tokio::join!(one.batch_execute("commit"), async {
        until("the other waits", async || {
            let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query = 'commit' and datname = current_database()";
            app.sql.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        two.batch_execute("commit").await
    });
    taken.unwrap();
    given.unwrap();
    for limit in [1, 100] {
        let path = format!("/api/changes?table=late&since={since}&limit={limit}");
        let (_, page) = app.request("GET", &path, None).await;
        let ops: Vec<&Value> = page["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["op"])
            .collect();
        assert_eq!(ops, ["delete", "insert"], "{page}");
    }
}

#[actix_web::test]
async fn row_that_is_lost_on_its_way_to_a_partition_is_gone() {
    table_is_followed(
        "create table p (id int, k int, primary key (id, k)) partition by list (k);
         create table p1 partition of p for values in (1); create table p2 partition of p for values in (2);
         create function no() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger no before insert on p2 for each row execute function no()",
        "p",
        &["insert into p values (1, 1), (2, 1), (3, 1)", "update p set k = 2 where id = 2", "update p set id = id + 10"],
    )
    .await;
}

#[actix_web::test]
async fn partition_is_followed_whatever_statements_name() {
    // Its root is not watched.
    table_is_followed(
        "create table p (id int, k int, primary key (id, k)) partition by list (k);
         create table p1 partition of p for values in (1); create table p2 partition of p for values in (2)",
        "p1",
        &["insert into p values (1, 1), (2, 2)", "insert into p1 values (3, 1)", "update p set k = 3 - k where id < 3", "truncate p"],
    )
    .await;
    // Both are.
    let app = TestApp::start().await;
    app.execute(
        "create table p (id int, k int, primary key (id, k)) partition by list (k); create table p1 partition of p for values in (1);
         select plank.watch('p1'), plank.watch('p')",
    )
    .await;
    let (mut part, mut root) = (watched(&app, "p1").await, watched(&app, "p").await);
    app.execute("insert into p values (1, 1)").await;
    assert_eq!(
        (
            part.change().await["op"].clone(),
            root.change().await["op"].clone()
        ),
        (json!("insert"), json!("insert"))
    );
    app.execute("select plank.unwatch('p'); insert into p values (2, 1)")
        .await;
    assert_eq!(part.change().await["key"], json!({"id": 2, "k": 1}));
    root.expect("unsubscribed").await;
}

#[actix_web::test]
async fn watched_table_that_is_attached_to_a_watched_root_is_followed_as_both() {
    let app = TestApp::start().await;
    app.execute(
        "create table p (id int, k int, primary key (id, k)) partition by list (k); create table q (id int, k int not null, primary key (id, k));
         insert into q values (1, 5); select plank.watch('p'), plank.watch('q')",
    )
    .await;
    let (mut p, mut q) = (watched(&app, "p").await, watched(&app, "q").await);
    app.execute("alter table p attach partition q for values in (5)")
        .await;
    for client in [&mut p, &mut q] {
        assert_eq!(client.expect("reset").await["reason"], "schema");
        client.expect("subscribed").await;
    }
    app.execute("insert into p values (2, 5); insert into q values (3, 5)")
        .await;
    assert_eq!((p.changes(2).await.len(), q.changes(2).await.len()), (2, 2));
}

#[actix_web::test]
async fn table_that_can_not_be_followed_keeps_no_other_from_it() {
    let app = TestApp::start().await;
    app.execute(
        "create foreign data wrapper elsewhere; create server files foreign data wrapper elsewhere;
         create table p (id int, k int) partition by list (k); create table fine (id int primary key); select plank.watch('p'), plank.watch('fine')",
    )
    .await;
    let mut client = watched(&app, "fine").await;
    app.execute("create foreign table f partition of p for values in (9) server files")
        .await;
    let problem =
        "select coalesce((select problem from plank.tables where \"table\" = 'p'::regclass), '')";
    until("the problem is noted", async || {
        app.sql
            .query_one(problem, &[])
            .await
            .unwrap()
            .get::<_, String>(0)
            .contains("foreign table")
    })
    .await;
    app.execute("alter table fine alter id type bigint").await;
    assert_eq!(client.expect("reset").await["reason"], "schema");
    let refused = app
        .sql
        .batch_execute("select plank.watch('p')")
        .await
        .unwrap_err();
    assert!(
        refused
            .as_db_error()
            .unwrap()
            .message()
            .contains("f, which is a foreign table")
    );
}

#[actix_web::test]
async fn partition_that_is_filled_and_dropped_at_once_is_a_reset() {
    let app = TestApp::start().await;
    app.execute("create table p (id int, k int) partition by list (k); create table p1 partition of p for values in (1); select plank.watch('p')").await;
    let mut client = watched(&app, "p").await;
    app.execute("create table p2 partition of p for values in (2); insert into p values (1, 2); drop table p2").await;
    assert_eq!(client.change().await["op"], "insert");
    assert_eq!(client.expect("reset").await["reason"], "schema");
}

#[actix_web::test]
async fn types_that_are_written_in_another_way_make_cursors_void() {
    let app = TestApp::start().await;
    app.execute(
        "create type mood as enum ('sad', 'ok'); create domain feeling as mood; create type inner_type as (m mood, n int); create type outer_type as (i inner_type);
         create table t (id int primary key, a mood[], d feeling, c outer_type, v text);
         select plank.watch('t'); insert into t values (1, '{sad}', 'ok', row(row('sad', 1)), 'a')",
    )
    .await;
    let mut client = app.subscribed("t").await;
    for alter in [
        "alter type mood rename value 'sad' to 'blue'",
        "alter type inner_type rename attribute n to number",
        "alter table t alter v type text using upper(v)",
    ] {
        let before = cursor(&app).await;
        app.execute(alter).await;
        assert_eq!(client.expect("reset").await["reason"], "schema", "{alter}");
        client.expect("subscribed").await;
        let resume = format!("/api/changes?table=t&since={before}");
        assert_eq!(app.request("GET", &resume, None).await.0, 410, "{alter}");
    }
    // These change no row that clients have.
    for alter in [
        "alter type mood add value 'glad'",
        "vacuum full t",
        "alter table t alter v set default 'x'",
        "grant select on t to public",
    ] {
        app.execute(alter).await;
        let followed = "select plank.follow_tables(), not exists (select from plank.watched where fingerprint is distinct from plank.fingerprint(rel))";
        until("it is followed", async || {
            app.sql.query_one(followed, &[]).await.unwrap().get(1)
        })
        .await;
        app.execute("update t set v = v || '.'").await;
        assert_eq!(client.change().await["op"], "update", "{alter}");
    }
}

#[actix_web::test]
async fn truncate_only_leaves_the_rows_of_children() {
    table_is_followed(
        "create table parent (id int primary key, v text); create table child (more int, primary key (id)) inherits (parent)",
        "parent",
        &[
            "insert into parent values (1, 'p'); insert into child values (2, 'c', 5)",
            "update parent set v = v || '!'",
            "truncate only parent",
            "delete from parent where id = 2; insert into child values (3, 'd', 6), (4, 'e', 7)",
            "truncate parent",
        ],
    )
    .await;
    table_is_followed(
        "create table parent (id int primary key); create table child (more int, primary key (id)) inherits (parent)",
        "child",
        &["insert into child values (1, 1), (2, 2)", "delete from parent where id = 1", "update parent set id = 7", "truncate parent"],
    )
    .await;
}

#[actix_web::test]
async fn plank_touches_no_trigger_and_no_policy_that_it_has_not_made() {
    let app = TestApp::start().await;
    app.execute(
        "create table mine (id int primary key); create function f() returns trigger language plpgsql as $$ begin return new; end $$;
         create trigger plank_insert before insert on mine for each row execute function f();
         create trigger plank_row_1 before insert on mine for each row execute function f();
         create policy plank_reads on mine using (true);
         select plank.watch('mine'); select plank.watch('mine'); select plank.unwatch('mine')",
    )
    .await;
    let left = "select (select count(*) from pg_trigger where tgrelid = 'mine'::regclass), (select count(*) from pg_policy where polrelid = 'mine'::regclass)";
    let row = app.sql.query_one(left, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 1));
}

#[actix_web::test]
async fn large_old_and_new_row_need_not_fit_together() {
    let app = TestApp::start().await;
    // It takes half a minute: PostgreSQL writes, compresses and stores more than a gigabyte.
    app.sql
        .batch_execute(
            "create table wide (id int primary key, v text); select plank.watch('wide'); insert into wide values (1, repeat('x', 260000000));
             update wide set v = repeat('y', 260000000)",
        )
        .await
        .unwrap();
    let ops =
        "select string_agg(op::text, '' order by seq) from plank.log where rel = 'wide'::regclass";
    assert_eq!(
        app.sql
            .query_one(ops, &[])
            .await
            .unwrap()
            .get::<_, String>(0),
        "WIdi"
    );
}
