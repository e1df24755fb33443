//! Makes the canary beat.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::metrics::Metrics;
use crate::store::{Pool, canary};

/// Beats for ever, once in `every`; never, without it. While the database is away beats fail, which shows in the metric
/// like any other that does not come back.
pub(super) async fn beat(pool: Pool, every: Option<Duration>, metrics: Arc<Metrics>) {
    let Some(every) = every else {
        return;
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once, when there may be no schema yet.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let beat = metrics.canary.begin();
        if let Err(error) = canary::beat(&pool, metrics.canary.node(), beat).await {
            log::debug!("canary not written reason=\"{error}\"");
        }
    }
}
