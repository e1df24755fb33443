//! Follows `plank.revoke`: within a second its tokens are not taken any more.

use std::sync::Arc;

use tokio::time::sleep;

use crate::auth::Tokens;
use crate::health::Health;
use crate::limits::REVOKED_INTERVAL;
use crate::store::{Pool, revoked};

/// Reads what is new; for ever where nobody has to log in.
pub(super) async fn follow(pool: Pool, tokens: Option<Arc<Tokens>>, health: Arc<Health>) {
    let Some(tokens) = tokens else {
        return std::future::pending().await;
    };
    let mut place = revoked::Place::default();
    let mut was_read = true;
    loop {
        if health.is_live() {
            match revoked::read(&pool, &place).await {
                Ok((list, next)) => {
                    tokens.revoked().add(list);
                    (place, was_read) = (next, true);
                }
                Err(error) if was_read => {
                    log::warn!("revoked tokens not read reason=\"{error}\"");
                    was_read = false;
                }
                Err(_) => {}
            }
        }
        sleep(REVOKED_INTERVAL).await;
    }
}
