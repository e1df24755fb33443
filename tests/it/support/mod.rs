//! What the tests stand on: a cluster for all of them, a server of its own for each, and clients.

use std::time::Duration;

use tokio::time::{sleep, timeout};

pub mod app;
pub mod cluster;
pub mod deflate;
pub mod nats;
pub mod program;
pub mod proxy;
pub mod raw;
pub mod refusing;
pub mod sse;
pub mod tool;
pub mod ws;

pub use app::TestApp;
pub use cluster::Cluster;
pub use sse::SseClient;
pub use ws::WsClient;

/// Nothing that a test waits for takes longer.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for a future under the deadline.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Waits until a condition holds, where nothing tells that it does.
pub async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    until_within(what, DEADLINE, holds).await;
}

/// The same for what takes longer by its nature.
pub async fn until_within(what: &str, deadline: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let held = timeout(deadline, async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    if held.await.is_err() {
        panic!("{what}: not within {deadline:?}");
    }
}
