//! Live windows, the first rows in an order, and counts: what a client has is the query at its cursor.

use serde_json::{Value, json};

use crate::support::TestApp;

mod changes;
mod counts;
pub mod follower;
mod large;
mod lifecycle;
mod random;
mod refused;
mod shard;
mod transports;

use follower::{Follower, select};

/// Twenty rows, in the order of `rank`: 10, 20, ... 200; even ids are `open`.
const TABLE: &str = "create table t (id int primary key, rank int, status text, secret text); \
    insert into t select id, id * 10, case when id % 2 = 0 then 'open' else 'done' end, 's' \
        from generate_series(1, 20) id; \
    select plank.watch('t')";

/// A server with [`TABLE`], and a client that follows the first five of it.
async fn followed() -> (TestApp, Follower) {
    let app = TestApp::start().await;
    app.execute(TABLE).await;
    let mut follower = Follower::connect(&app).await;
    let window = json!({"order": "rank", "limit": 5});
    follower.subscribe("a", "t", window).await;
    (app, follower)
}

fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// A change in short: `insert 3 at 0 window`.
fn short(change: &Value) -> String {
    let mut text = change["op"].as_str().unwrap().to_owned();
    text += &format!(" {}", change["key"]["id"]);
    if let Some(index) = change["index"].as_u64() {
        text += &format!(" at {index}");
    }
    if let Some(cause) = change["cause"].as_str() {
        text += &format!(" {cause}");
    }
    text
}
