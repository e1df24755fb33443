//! A live query that is dear is refreshed less often, and delays no other client.

use super::{Followed, refreshes, truth, watch};
use crate::support::{TestApp, until};

/// So many as may be refreshed at a time, and more.
const DEAR: usize = 4;

#[actix_web::test]
async fn dear_queries_slow_down_only_themselves() {
    let app = TestApp::start().await;
    app.execute(
        "create table busy (id int primary key, n int); insert into busy values (1, 0); \
         create table quiet (id int primary key, n int); insert into quiet values (1, 0); \
         select plank.watch('busy'), plank.watch('quiet')",
    )
    .await;
    // A good second each.
    let dear = "select b.id, b.n, s.n as sum from busy b, (select sum(sqrt(i)) as n from generate_series(1, 4000000) i) s";
    let cheap = "select id, n from quiet";
    watch(&app, "cheap", cheap, "id", ", every => '10ms'").await;
    let mut followed = Followed::start(&app, "cheap").await;
    followed.settle().await;
    let running = "select count(*) from pg_stat_activity where datname = current_database() \
        and application_name = 'plank live queries' and state = 'active' and query like '%plank.refresh%'";
    let mut through = 0;
    for round in 1..=3 {
        // New ones: those of the round before wait a long time until they are refreshed again.
        let names: Vec<_> = (0..DEAR).map(|i| format!("dear{round}{i}")).collect();
        for name in &names {
            watch(&app, name, dear, "id", ", every => '10ms'").await;
        }
        let sum = async || {
            let mut sum = 0.0;
            for name in &names {
                sum += refreshes(&app, name).await;
            }
            sum
        };
        // What its refreshes have taken beside those is not what this is about.
        app.execute("update plank.live_query set owed = '0' where name = 'cheap'")
            .await;
        app.execute("update busy set n = n + 1").await;
        until("dear refreshes are under way", async || {
            let row = app.sql.query_one(running, &[]).await.unwrap();
            row.get::<_, i64>(0) > 0
        })
        .await;
        let before = sum().await;
        // As many changes as come through before one of them has ended.
        let mut own = 0;
        while own < 3 && sum().await == before {
            app.execute("update quiet set n = n + 1").await;
            followed.read_until("changes").await;
            own += 1;
        }
        assert!(
            own >= 2,
            "round {round}: {own} changes beside a dear refresh"
        );
        through += own;
    }
    assert!(through >= 6);
    assert_eq!(followed.rows(), truth(&app, cheap).await);
    app.stop().await.unwrap();
}
