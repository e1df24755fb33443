//! Connections while requests have them. A path that still acknowledges bytes and delivers none says nothing, so a request
//! would wait for as long as a statement may take. Instead the server is asked over a new connection what the session does:
//! one that has nothing to do, or is gone, will not answer.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use deadpool_postgres::Object;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};

use crate::config::Server;
use crate::limits::{LEASE_ANSWER_MAX, LEASE_LOOK_AFTER, LEASE_LOOK_INTERVAL};

use super::connect::harden;
use super::dial;
use super::turns::Turn;

/// Sessions that have nothing to do, and what they are waited for was lost on its way.
const IDLE: &str = "select pid from pg_catalog.unnest($1::int4[]) as asked (pid) \
    left join pg_catalog.pg_stat_activity a using (pid) \
    where a.pid is null or (a.state <> 'active' and pg_catalog.clock_timestamp() - a.state_change > '1 s')";

#[derive(Debug, Default)]
struct Inner {
    /// How to end each connection, by the process that serves it.
    lines: HashMap<i32, AbortHandle>,
    /// The same process, by the time at which the connection was made.
    pids: HashMap<Instant, i32>,
    /// Which process requests wait for, and since when.
    leases: HashMap<u64, (i32, Instant)>,
    serial: u64,
    /// Of the session that was made last, before anybody has used it.
    settings: Option<Arc<str>>,
}

/// The connections of a pool that requests have. The default one watches none.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(Option<Arc<Mutex<Inner>>>);

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process that serves a session.
async fn pid_of(client: &Client) -> Result<i32, Error> {
    let row = client
        .query_one("select pg_catalog.pg_backend_pid()", &[])
        .await?;
    Ok(row.get(0))
}

impl Leases {
    /// Of a pool on `server`, which has to be reached without a pooler: behind one a session has no process of its own.
    pub fn watched(server: &Server) -> Self {
        let inner = Arc::<Mutex<Inner>>::default();
        if let Ok(runtime) = super::driven::runtime() {
            runtime.spawn(watch(Arc::downgrade(&inner), server.clone()));
        }
        Self(Some(inner))
    }

    /// Notes how to end a new connection.
    ///
    /// # Errors
    /// If it is lost.
    pub async fn add(&self, client: &Client, driver: AbortHandle) -> Result<(), Error> {
        if let Some(inner) = &self.0 {
            let pid = pid_of(client).await?;
            let mut inner = lock(inner);
            inner.lines.retain(|_, driver| !driver.is_finished());
            inner.lines.insert(pid, driver);
        }
        Ok(())
    }

    /// Notes which one it is that was made at this time, and its settings.
    ///
    /// # Errors
    /// If it is lost.
    pub async fn name(&self, client: &Client, created: Instant) -> Result<(), Error> {
        if let Some(inner) = &self.0 {
            let pid = pid_of(client).await?;
            // Before the first migration there is no such function.
            let settings = client.query_opt("select plank.settings()", &[]).await;
            let settings = settings
                .ok()
                .flatten()
                .map(|row| row.get::<_, &str>(0).into());
            let mut inner = lock(inner);
            let Inner { lines, pids, .. } = &mut *inner;
            pids.retain(|_, pid| lines.contains_key(pid));
            pids.insert(created, pid);
            // One session that can't be asked makes those of before no less true.
            if settings.is_some() {
                inner.settings = settings;
            }
        }
        Ok(())
    }

    /// The settings of a new session; none if they are not known, as behind a pooler.
    pub fn settings(&self) -> Option<Arc<str>> {
        lock(self.0.as_ref()?).settings.clone()
    }

    /// A request has this one from now on.
    pub fn lend(&self, object: Object, turn: Turn) -> Lease {
        let created = Object::metrics(&object).created;
        let serial = self.0.as_ref().and_then(|inner| {
            let mut inner = lock(inner);
            let pid = *inner.pids.get(&created)?;
            inner.serial += 1;
            let serial = inner.serial;
            inner.leases.insert(serial, (pid, Instant::now()));
            Some(serial)
        });
        Lease {
            object: Some(object),
            leases: self.clone(),
            serial,
            _turn: turn,
        }
    }

    fn end(&self, serial: Option<u64>) {
        if let (Some(inner), Some(serial)) = (&self.0, serial) {
            lock(inner).leases.remove(&serial);
        }
    }
}

/// A connection that a request has.
pub struct Lease {
    /// There until it is dropped.
    object: Option<Object>,
    leases: Leases,
    serial: Option<u64>,
    /// The last field: the connection is free when its place is.
    _turn: Turn,
}

impl Lease {
    /// Nobody else is to have it: it is closed.
    pub fn discard(mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

impl Deref for Lease {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.object.as_ref().expect("there until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Object {
        self.object.as_mut().expect("there until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.end(self.serial);
    }
}

/// Looks at the connections that requests have had for a while, for as long as the pool is there.
async fn watch(inner: Weak<Mutex<Inner>>, server: Server) {
    let server = harden(server, "plank watch");
    let mut looked = Instant::now();
    loop {
        sleep(LEASE_LOOK_INTERVAL).await;
        let Some(inner) = inner.upgrade() else { return };
        let old: Vec<i32> = {
            let inner = lock(&inner);
            let is_old = |(_, since): &&(i32, Instant)| since.elapsed() >= LEASE_LOOK_AFTER;
            inner
                .leases
                .values()
                .filter(is_old)
                .map(|(pid, _)| *pid)
                .collect()
        };
        if old.is_empty() || looked.elapsed() < LEASE_LOOK_AFTER / 2 {
            continue;
        }
        looked = Instant::now();
        let silent = match timeout(LEASE_ANSWER_MAX, idle(&server, &old)).await {
            Ok(Ok(silent)) => silent,
            // It says that it will have no more connections, or the like: it is there. What is refused or reset the others notice
            // by themselves.
            Ok(Err(_)) => continue,
            Err(_) => old,
        };
        if silent.is_empty() {
            continue;
        }
        log::warn!(
            "database connections are silent while requests wait, they are closed count={} waited_ms={}",
            silent.len(),
            LEASE_LOOK_AFTER.as_millis()
        );
        let mut inner = lock(&inner);
        for pid in silent {
            if let Some(driver) = inner.lines.remove(&pid) {
                driver.abort();
            }
        }
    }
}

/// Which of these sessions have nothing to do.
async fn idle(server: &Server, pids: &[i32]) -> Result<Vec<i32>, Error> {
    let (client, connection) = dial::dial(server).await?;
    let driver = tokio::spawn(connection);
    let _driver = AbortOnDrop(driver.abort_handle());
    let rows = client.query(IDLE, &[&pids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request pays for the silence once: what it waits for at most.
const _: () = assert!(
    LEASE_LOOK_AFTER.as_millis() + LEASE_LOOK_INTERVAL.as_millis() < 2_500,
    "with the time for a look it is 3 s"
);
