//! A plank that reads from a streaming replica: what the replica serves is as exact as what the primary does, and what it
//! can't serve comes from the primary.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_postgres::Client;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, until};

mod doctor;
mod passed_by;
mod seam;
mod served;

/// A primary, a standby of it, and a plank that knows both.
pub struct Pair {
    pub primary: Cluster,
    pub standby: Cluster,
    pub app: TestApp,
}

impl Pair {
    pub async fn start() -> Self {
        let primary = Cluster::start();
        primary.prepare().await;
        let standby = primary.streaming_standby().await;
        Self::of(primary, standby).await
    }

    pub async fn of(primary: Cluster, standby: Cluster) -> Self {
        let read = standby.config("plank");
        let app = node(&primary, read).await;
        Self {
            primary,
            standby,
            app,
        }
    }

    /// A connection to the standby.
    pub async fn standby_sql(&self) -> Client {
        connect(&self.standby.config("plank")).await
    }
}

/// A plank on the database `plank` of `primary`, with the replica `read`.
pub async fn node(primary: &Cluster, read: tokio_postgres::Config) -> TestApp {
    let target = primary.config("plank");
    let sql = connect(&target).await;
    let app = TestApp::build(target, sql, "plank".into(), |config| {
        config.read_database = Some(read.into());
    })
    .await;
    app.ready().await;
    app
}

/// Reads with this result so far.
pub async fn reads(app: &TestApp, result: &str) -> f64 {
    app.metric(&format!("plank_replica_reads_total{{result=\"{result}\"}}"))
        .await
}

/// Waits until the replica serves again.
pub async fn used_again(app: &TestApp, table: &str) {
    until("the replica is used again", async || {
        let before = reads(app, "replica").await;
        snapshot(app, table).await;
        reads(app, "replica").await > before
    })
    .await;
}

/// A whole table by its key `id`, and the cursor behind it.
pub async fn snapshot(app: &TestApp, table: &str) -> (BTreeMap<i64, Value>, String) {
    let mut client = app.ws(&format!("/ws?table={table}&snapshot=1")).await;
    client.expect("welcome").await;
    let (rows, cursor) = client.snapshot().await;
    let by_key = rows
        .into_iter()
        .map(|row| (row["id"].as_i64().unwrap(), row));
    (by_key.collect(), cursor)
}

/// The rows of a table as the primary has them.
pub async fn table(sql: &Client, table: &str) -> BTreeMap<i64, Value> {
    let query = format!("select id::int8, row_to_json(t)::text from {table} t");
    let rows = sql.query(&query, &[]).await.unwrap();
    let parsed = |text: &str| serde_json::from_str(text).unwrap();
    rows.iter()
        .map(|row| (row.get(0), parsed(row.get(1))))
        .collect()
}
