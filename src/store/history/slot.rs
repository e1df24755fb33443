//! The few connections for those who catch up, and who has one of them.

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, Timeouts,
};

use crate::config::Server;
use crate::limits::{CONNECT_MAX, HISTORY_WAIT_MAX};

use super::super::{connect, tls};
use super::HistoryError;

/// One of the few connections. One that is dropped in the middle of a statement is closed: the next one must not wait
/// for the rest of it.
pub(super) struct Slot(Option<Object>);

impl Slot {
    /// Waits for its turn.
    pub(super) async fn take(pool: &deadpool_postgres::Pool) -> Result<Self, HistoryError> {
        match pool.get().await {
            Ok(object) => Ok(Self(Some(object))),
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => {
                Err(HistoryError::Busy)
            }
            Err(error) => Err(HistoryError::Away(connect::chain(&error))),
        }
    }

    pub(super) fn client(&self) -> &deadpool_postgres::Client {
        self.0.as_ref().expect("there until it is dropped")
    }

    /// The connection can be used by the next one.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// `size` connections with these settings. Nothing is connected yet.
pub(super) fn pool(
    server: &Server,
    name: &str,
    size: usize,
    settings: String,
) -> Result<deadpool_postgres::Pool, String> {
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let Server { config, tls } = connect::harden(server.clone(), name);
    let tls = tls::connector(&tls)?;
    let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let settings = settings.clone();
        Box::pin(async move {
            let set = client.batch_execute(&settings).await;
            set.map_err(HookError::Backend)
        })
    });
    let timeouts = Timeouts {
        wait: Some(HISTORY_WAIT_MAX),
        create: Some(CONNECT_MAX),
        recycle: Some(CONNECT_MAX),
    };
    deadpool_postgres::Pool::builder(Manager::from_config(config, tls, manager))
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(timeouts)
        .post_create(prepare)
        .build()
        .map_err(|e| e.to_string())
}
