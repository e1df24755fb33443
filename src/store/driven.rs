//! The connections of the pools: the thread on which they are read and written, and whether one still works.
//!
//! A pooled connection is used by every worker thread, one after the other. If it belonged to the worker that opened it,
//! it would end with that worker: at a stop an idle worker ends at once, and a request of another one would lose its
//! connection in the middle of a commit.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod,
    Runtime, Timeouts,
};
use tokio::runtime::{Builder, Handle};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, Error};

use crate::config::Server;
use crate::limits::{PROBE_AFTER, PROBE_MAX};

use super::connect::{self, chain};
use super::dial;
use super::lease::Leases;
use super::session::Session;
use super::tls;

/// A pool of `size` connections, each set up as `session` says. Nothing is connected yet.
///
/// # Errors
/// If there are no roots to check the server's certificate with, or no thread can be had.
pub(super) fn pool(
    server: &Server,
    name: &str,
    size: usize,
    session: Session,
    timeouts: Timeouts,
    leases: Leases,
) -> Result<Pool, String> {
    let server = connect::harden(server.clone(), name);
    // A mistake there shows at the start, and not with the first request.
    tls::connector(&server.tls)?;
    let runtime = runtime().map_err(|e| format!("no thread for the database can be had: {e}"))?;
    let config = server.config.clone();
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let named = leases.clone();
    let settle = Hook::async_fn(move |client: &mut ClientWrapper, metrics| {
        let (created, named) = (metrics.created, named.clone());
        Box::pin(async move {
            session.settle(client).await.map_err(HookError::Backend)?;
            let named = named.name(client, created).await;
            named.map_err(HookError::Backend)
        })
    });
    let suspect = Suspect::default();
    let probe = Hook::async_fn(move |client: &mut ClientWrapper, metrics| {
        let used = metrics.recycled.unwrap_or(metrics.created);
        let suspect = suspect.clone();
        Box::pin(async move { suspect.check(client, used).await })
    });
    Pool::builder(Manager::from_connect(
        config,
        Driven {
            server,
            runtime,
            leases,
        },
        manager,
    ))
    .max_size(size)
    .runtime(Runtime::Tokio1)
    .timeouts(timeouts)
    .post_create(settle)
    .pre_recycle(probe)
    .build()
    .map_err(|e| e.to_string())
}

/// The thread, started once for the whole process.
pub(super) fn runtime() -> io::Result<Handle> {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("plank-postgres".into())
        .spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Opens connections on that thread.
struct Driven {
    server: Server,
    runtime: Handle,
    leases: Leases,
}

impl Connect for Driven {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let (server, runtime) = (self.server.clone(), self.runtime.clone());
        let leases = self.leases.clone();
        Box::pin(async move {
            let dialling = runtime.spawn(async move {
                let (client, connection) = dial::dial(&server).await?;
                let driver = tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        log::info!("database connection ended reason=\"{}\"", chain(&error));
                    }
                });
                leases.add(&client, driver.abort_handle()).await?;
                Ok((client, driver))
            });
            // A request that waits no longer must not leave an attempt behind.
            let _guard = AbortOnDrop(dialling.abort_handle());
            match dialling.await {
                Ok(dialled) => dialled,
                // The thread never ends, and the task does not panic.
                Err(_) => Err(Error::__private_api_timeout()),
            }
        })
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a connection that has been idle still works. Behind a middlebox that acknowledges every byte and delivers none
/// TCP never notices, so the server is asked. When one connection does not answer, all that were last used before are
/// thrown away unasked: a request pays for the silence once.
#[derive(Clone, Default)]
struct Suspect(Arc<Mutex<Option<Instant>>>);

impl Suspect {
    async fn check(&self, client: &Client, used: Instant) -> Result<(), HookError> {
        if client.is_closed() {
            return Err(HookError::message("the connection has ended"));
        }
        if self.before().is_some_and(|before| used <= before) {
            return Err(HookError::message("another connection did not answer"));
        }
        if used.elapsed() < PROBE_AFTER {
            return Ok(());
        }
        let asked = Instant::now();
        match timeout(PROBE_MAX, client.batch_execute("")).await {
            Ok(answer) => answer.map_err(HookError::Backend),
            Err(_) => {
                log::warn!(
                    "database connection is silent, idle connections are replaced waited_ms={}",
                    PROBE_MAX.as_millis()
                );
                *self.lock() = Some(asked);
                Err(HookError::message("the connection does not answer"))
            }
        }
    }

    fn before(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
