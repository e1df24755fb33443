//! A request that is under way when plank is told to stop gets its answer, and the answer is true.

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use serde_json::json;

use crate::support::cluster::connect;
use crate::support::program::Program;
use crate::support::{Cluster, until, within};

/// Threads of a process.
fn threads(pid: nix::unistd::Pid) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Writes wait in the database for a lock when SIGTERM comes. The idle workers end while they wait, and took with them,
/// once, the connections that they had opened.
#[actix_web::test]
async fn a_write_that_waits_in_the_database_at_sigterm_is_finished() {
    const WRITES: usize = 3;
    let database = Cluster::shared().database().await;
    let sql = connect(&Cluster::shared().config(&database)).await;
    let url = Cluster::shared().url(&database);
    for round in 0..8 {
        let plank = Program::serve(&["--workers", "6", "--database-url", &url]).await;
        let items = format!("http://{}/api/items", plank.address);
        // Connections that different workers have opened.
        let warm = (0..24).map(|_| reqwest::get(&items));
        for answer in join_all(warm).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
        sql.batch_execute("begin; lock table public.items in share mode")
            .await
            .unwrap();
        let writes: Vec<_> = (0..WRITES)
            .map(|i| {
                let request = reqwest::Client::new().post(&items);
                let body = json!({"name": format!("round {round} write {i}")});
                tokio::spawn(request.json(&body).send())
            })
            .collect();
        let waiting = "select count(*) from pg_stat_activity where application_name = 'plank' \
            and datname = current_database() and wait_event_type = 'Lock'";
        until("the writes wait for the lock", async || {
            sql.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == WRITES as i64
        })
        .await;
        let pid = plank.pid();
        let before = threads(pid);
        kill(pid, Signal::SIGTERM).unwrap();
        until("idle workers have ended", async || threads(pid) < before).await;
        sql.batch_execute("commit").await.unwrap();
        for write in writes {
            let answer = within("an answer", write).await.unwrap().unwrap();
            assert_eq!(answer.status(), 201, "round {round}");
        }
        assert_eq!(plank.ended().await, Some(0), "round {round}");
        let written =
            format!("select count(*) from public.items where name like 'round {round} %'");
        let written: i64 = sql.query_one(&written, &[]).await.unwrap().get(0);
        assert_eq!(written, WRITES as i64, "round {round}");
    }
}
