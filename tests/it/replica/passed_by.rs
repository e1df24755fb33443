//! What the replica can't serve comes from the primary, which is asked again as seldom as it has to.

use std::time::Duration;

use tokio::time::sleep;

use super::{Pair, node, reads, snapshot, table, used_again};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

const TABLE: &str = "create table p (id int primary key, n int); select plank.watch('p'); \
    insert into p select i, i from generate_series(1, 20) i";

async fn known(app: &TestApp) {
    until("the table is known", async || {
        app.request("GET", "/rest/p?id=eq.1", None).await.0 == 200
    })
    .await;
}

/// Reads are right, and counted as `why`.
async fn is_passed_by(app: &TestApp, why: &str) {
    until(why, async || {
        let before = reads(app, "replica").await;
        assert_eq!(snapshot(app, "p").await.0, table(&app.sql, "p").await);
        let (status, rows) = app
            .request("GET", "/rest/p?order=id.asc&n=gt.0", None)
            .await;
        assert_eq!(status, 200, "{rows}");
        let rows = rows.as_array().unwrap().len();
        assert_eq!(rows, table(&app.sql, "p").await.len());
        reads(app, why).await > 0.0 && reads(app, "replica").await == before
    })
    .await;
    assert_eq!(app.metric("plank_replica_up").await, 0.0, "{why}");
}

#[actix_web::test]
async fn a_replica_that_lags_is_passed_by_until_it_has_caught_up() {
    let pair = Pair::start().await;
    pair.app.execute(TABLE).await;
    known(&pair.app).await;
    used_again(&pair.app, "p").await;
    let standby = pair.standby_sql().await;
    standby
        .batch_execute("select pg_wal_replay_pause()")
        .await
        .unwrap();
    until("it is paused", async || {
        let state = standby.query_one("select pg_get_wal_replay_pause_state()", &[]);
        state.await.unwrap().get::<_, &str>(0) == "paused"
    })
    .await;
    pair.app.execute("insert into p values (21, 21)").await;
    is_passed_by(&pair.app, "behind").await;
    standby
        .batch_execute("select pg_wal_replay_resume()")
        .await
        .unwrap();
    used_again(&pair.app, "p").await;
    assert_eq!(pair.app.metric("plank_replica_up").await, 1.0);
}

#[actix_web::test]
async fn a_replica_that_is_away_is_passed_by_until_it_is_back() {
    let mut pair = Pair::start().await;
    pair.app.execute(TABLE).await;
    known(&pair.app).await;
    used_again(&pair.app, "p").await;
    pair.standby.stop().await;
    is_passed_by(&pair.app, "away").await;
    pair.standby.start_again().await;
    used_again(&pair.app, "p").await;
}

#[actix_web::test]
async fn a_replica_that_was_promoted_is_not_used() {
    let pair = Pair::start().await;
    pair.app.execute(TABLE).await;
    known(&pair.app).await;
    used_again(&pair.app, "p").await;
    let standby = pair.standby_sql().await;
    let promoted = standby.query_one("select pg_promote()", &[]).await.unwrap();
    assert!(promoted.get::<_, bool>(0));
    // It is a database of its own now.
    standby.batch_execute("delete from p").await.unwrap();
    is_passed_by(&pair.app, "unfit").await;
}

#[actix_web::test]
async fn another_database_is_not_used() {
    let primary = Cluster::start();
    primary.prepare().await;
    let standby = primary.streaming_standby().await;
    let other = Cluster::start();
    other.prepare().await;
    let other_standby = other.streaming_standby().await;
    let admin = connect(&other.config("plank")).await;
    admin.batch_execute(TABLE).await.unwrap();
    admin.batch_execute("delete from p").await.unwrap();
    let sql = connect(&primary.config("plank")).await;
    sql.batch_execute(TABLE).await.unwrap();
    // A standby of another plank, one of this cluster without plank, and the primary itself.
    for read in [
        other_standby.config("plank"),
        standby.config("postgres"),
        primary.config("plank"),
    ] {
        let app = node(&primary, read).await;
        known(&app).await;
        is_passed_by(&app, "unfit").await;
        app.stop().await.unwrap();
    }
}

/// The primary waits for a standby that is not there, and shows nothing of what this one has already.
#[actix_web::test]
async fn what_the_primary_does_not_show_yet_is_not_shown_by_the_replica() {
    let pair = Pair::start().await;
    let app = &pair.app;
    app.execute(TABLE).await;
    known(app).await;
    used_again(app, "p").await;
    app.execute("alter system set synchronous_standby_names = 'nobody'")
        .await;
    app.execute("select pg_reload_conf()").await;
    let writer = connect(&pair.primary.config("plank")).await;
    until("the setting is there", async || {
        let row = writer
            .query_one("show synchronous_standby_names", &[])
            .await;
        row.unwrap().get::<_, &str>(0) == "nobody"
    })
    .await;
    let waits = tokio::spawn(async move {
        let _ = writer.batch_execute("insert into p values (21, 21)").await;
    });
    let standby = pair.standby_sql().await;
    until("the replica has it", async || {
        table(&standby, "p").await.len() == 21
    })
    .await;
    assert_eq!(table(&app.sql, "p").await.len(), 20);
    let (rows, cursor) = snapshot(app, "p").await;
    assert_eq!(rows.len(), 20);
    assert!(reads(app, "ahead").await > 0.0);
    app.execute("alter system reset synchronous_standby_names; ")
        .await;
    app.execute("select pg_reload_conf()").await;
    waits.await.unwrap();
    let mut client = app.ws(&format!("/ws?table=p&since={cursor}")).await;
    client.expect("welcome").await;
    client.expect("subscribed").await;
    assert_eq!(client.change().await["key"]["id"], 21);
    used_again(app, "p").await;
}

/// The replica takes back a read that is under way, because it replays that its rows are gone.
#[actix_web::test]
async fn a_read_that_conflicts_with_recovery_begins_anew_on_the_primary() {
    let pair = Pair::start().await;
    let app = &pair.app;
    app.execute(TABLE).await;
    app.execute(
        "alter table p add column filler text; update p set filler = 'x'; \
        insert into p select i, i, repeat(md5(i::text), 2000) from generate_series(21, 400) i",
    )
    .await;
    known(app).await;
    used_again(app, "p").await;
    let standby = pair.standby_sql().await;
    standby
        .batch_execute("alter system set max_standby_streaming_delay = 0")
        .await
        .unwrap();
    standby
        .batch_execute("select pg_reload_conf()")
        .await
        .unwrap();
    // It reads nothing for now, so the table is not read to its end.
    let mut client = app.ws("/ws?table=p&snapshot=1").await;
    client.expect("welcome").await;
    until("it is being read", async || {
        let sql = "select count(*) from pg_stat_activity where application_name = 'plank snapshot' and state <> 'idle'";
        standby.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    app.execute("delete from p where id > 300").await;
    app.execute("vacuum p").await;
    until("it is taken back", async || {
        let sql = "select coalesce(sum(confl_snapshot + confl_lock + confl_bufferpin), 0)::int8 from pg_stat_database_conflicts";
        let count = standby.query_one(sql, &[]).await.unwrap();
        sleep(Duration::from_millis(20)).await;
        count.get::<_, i64>(0) > 0
    })
    .await;
    // What was on its way, and then all of it from the beginning.
    let reset = loop {
        let message = client.next().await.unwrap();
        match message["type"].as_str().unwrap() {
            "snapshot" | "heartbeat" => {}
            _ => break message,
        }
    };
    assert_eq!(
        (&reset["type"], &reset["reason"]),
        (&"reset".into(), &"epoch".into())
    );
    let (rows, _) = client.snapshot().await;
    assert_eq!(rows.len(), 300);
    assert!(reads(app, "conflict").await + reads(app, "away").await > 0.0);
}

#[actix_web::test]
async fn a_read_does_not_wait_for_a_lock_that_the_replica_replays() {
    let pair = Pair::start().await;
    pair.app.execute(TABLE).await;
    known(&pair.app).await;
    used_again(&pair.app, "p").await;
    let before = reads(&pair.app, "failed").await;
    let locker = connect(&pair.primary.config("plank")).await;
    locker
        .batch_execute(
            "begin; lock table p in access exclusive mode; insert into p values (99, 99)",
        )
        .await
        .unwrap();
    let standby = pair.standby_sql().await;
    until("the replica has replayed the lock", async || {
        let held = "select count(*) from pg_locks where relation = 'p'::regclass and mode = 'AccessExclusiveLock'";
        let row = standby.query_one(held, &[]).await.unwrap();
        row.get::<_, i64>(0) == 1
    })
    .await;
    // On a busy machine the replica may lag for a moment, and then is passed by for that: another read tries it.
    let tried = async || {
        let mut tried = 0.0;
        for result in ["failed", "behind", "ahead", "away", "resting"] {
            tried += reads(&pair.app, result).await;
        }
        tried
    };
    let open = async || {
        let before = tried().await;
        let mut client = pair.app.ws("/ws?table=p&snapshot=1").await;
        client.expect("welcome").await;
        until("the read is passed on", async || tried().await > before).await;
        client
    };
    let lagged = async || {
        let mut lagged = 0.0;
        for result in ["behind", "ahead", "away"] {
            lagged += reads(&pair.app, result).await;
        }
        lagged
    };
    let lagged_before = lagged().await;
    let mut client = open().await;
    until(
        "the primary is asked, which is locked as well",
        async || {
            let is_passed_on = reads(&pair.app, "failed").await > before;
            if !is_passed_on {
                client = open().await;
            }
            is_passed_on
        },
    )
    .await;
    locker.batch_execute("commit").await.unwrap();
    let (rows, _) = client.snapshot().await;
    assert_eq!(rows.len(), 21);
    if lagged().await > lagged_before {
        used_again(&pair.app, "p").await;
    }
    assert_eq!(
        pair.app.metric("plank_replica_up").await,
        1.0,
        "other tables are not locked"
    );
}
