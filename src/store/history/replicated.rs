//! Reads that the replica serves in place of the primary.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::config::Server;
use crate::feed::{Cursor, Table};
use crate::limits::{
    CONNECT_MAX, DERIVED_READS_MAX, PAGES_MAX, REPLAYS_MAX, REPLICA_AHEAD_MAX, SNAPSHOTS_MAX,
};
use crate::metrics::Metrics;

use super::super::connect;
use super::super::replica::{Attempt, Need, Replica, Seen, Unused, flush, looks};
use super::super::turns::{Turn, Turns};
use super::select::Select;
use super::slot::Slot;
use super::{History, HistoryError, TableSnapshot, replay_session, snapshot_session};

/// What is read. Each kind has connections and places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The log, for clients that come back.
    Replay,
    /// Whole tables.
    Snapshot,
    /// Of tables too, but only a part of one: short, so they don't wait behind whole ones.
    Page,
    /// Windows and counts that are followed.
    Window,
}

/// Connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    replays: deadpool_postgres::Pool,
    snapshots: deadpool_postgres::Pool,
    pages: deadpool_postgres::Pool,
    windows: deadpool_postgres::Pool,
}

impl Pools {
    /// Made by `make`, from a name, a number and what is set.
    pub(super) fn new(
        make: impl Fn(&str, usize, super::Session) -> Result<deadpool_postgres::Pool, String>,
    ) -> Result<Self, String> {
        let (replay, snapshot) = (replay_session(), snapshot_session());
        Ok(Self {
            replays: make("plank replay", REPLAYS_MAX, replay)?,
            snapshots: make("plank snapshot", SNAPSHOTS_MAX, snapshot)?,
            pages: make("plank page", PAGES_MAX, snapshot)?,
            windows: make("plank window", DERIVED_READS_MAX, snapshot)?,
        })
    }

    pub(super) fn of(&self, kind: Kind) -> &deadpool_postgres::Pool {
        match kind {
            Kind::Replay => &self.replays,
            Kind::Snapshot => &self.snapshots,
            Kind::Page => &self.pages,
            Kind::Window => &self.windows,
        }
    }

    pub(super) fn close(&self) {
        for kind in [Kind::Replay, Kind::Snapshot, Kind::Page, Kind::Window] {
            self.of(kind).close();
        }
    }
}

/// The places of each kind, whichever server serves them.
#[derive(Debug)]
pub(super) struct Places {
    replays: Arc<Turns>,
    snapshots: Arc<Turns>,
    pages: Arc<Turns>,
    windows: Arc<Turns>,
}

impl Places {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            replays: Turns::new("replay", REPLAYS_MAX, metrics.clone()),
            snapshots: Turns::new("snapshot", SNAPSHOTS_MAX, metrics.clone()),
            pages: Turns::new("page", PAGES_MAX, metrics.clone()),
            windows: Turns::new("window", DERIVED_READS_MAX, metrics.clone()),
        }
    }

    pub(super) fn of(&self, kind: Kind) -> &Arc<Turns> {
        match kind {
            Kind::Replay => &self.replays,
            Kind::Snapshot => &self.snapshots,
            Kind::Page => &self.pages,
            Kind::Window => &self.windows,
        }
    }
}

/// The replica and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Replicated {
    replica: Replica,
    pools: Pools,
}

impl From<HistoryError> for Unused {
    fn from(error: HistoryError) -> Self {
        match error {
            // The code is in the text, for the metric and for people; either way the primary serves it.
            HistoryError::Away(why) if why.contains("(SQLSTATE 40") => Self::Conflict(why),
            // Locked: another table is not.
            HistoryError::Away(why) if why.contains("(SQLSTATE 55P03") => Self::Failed(why),
            HistoryError::Away(why) => Self::Away(why),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl History {
    /// The replica, if there is one.
    pub(in super::super) fn replica(&self) -> Option<&Replica> {
        self.replicated.as_ref().map(|r| &r.replica)
    }

    /// What the replica reads, as `read` says; none if there is none, if it rests, or could not do it.
    pub(super) async fn read_there<T>(
        &self,
        read: impl AsyncFnOnce(&Replicated, Attempt) -> Result<T, Unused>,
    ) -> Option<T> {
        let replicated = self.replicated.as_ref()?;
        let replica = &replicated.replica;
        let attempt = replica.attempt()?;
        match read(replicated, attempt).await {
            Ok(done) => {
                replica.served(attempt);
                Some(done)
            }
            Err(why) => {
                replica.failed(attempt, &why);
                None
            }
        }
    }

    /// What a read of the replica needs, as the primary says.
    pub(in super::super) async fn need(&self) -> Result<Need, HistoryError> {
        let slot = Slot::look(&self.looks, &self.explain.config).await?;
        let need = connect::soon("replica", Need::ask(slot.client(), &self.explain)).await?;
        slot.done();
        Ok(need)
    }

    /// The cursor of what the replica sees, once the primary sees all of it as well.
    ///
    /// # Errors
    /// [`Unused::Ahead`] if it does not in time; [`Unused::Behind`] if too much has happened in between.
    pub(in super::super) async fn cursor_of(
        &self,
        need: &Need,
        seen: &Seen,
    ) -> Result<Cursor, Unused> {
        let both = need.and(seen)?;
        let deadline = Instant::now() + REPLICA_AHEAD_MAX;
        for delay in looks() {
            // One connection for each look: between two of them others ask.
            let slot = Slot::look(&self.looks, &self.explain.config).await?;
            let cursor = need.cursor(slot.client(), &self.explain, &both).await?;
            slot.done();
            if let Some(cursor) = cursor {
                return Ok(cursor);
            }
            if Instant::now() >= deadline {
                break;
            }
            sleep(delay).await;
        }
        Err(Unused::Ahead)
    }

    pub(in super::super) async fn flush(&self) -> Result<(), String> {
        let flushed = async {
            let slot = Slot::look(&self.looks, &self.explain.config).await?;
            flush(slot.client(), &self.explain).await?;
            slot.done();
            Ok::<_, HistoryError>(())
        };
        flushed.await.map_err(|e| e.to_string())
    }
}

impl Replicated {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub(super) fn new(server: &Server, metrics: &Arc<Metrics>) -> Result<Self, String> {
        let replica = Replica::new(server, metrics);
        let pools = Pools::new(|name, size, session| replica.pool(name, size, session))?;
        Ok(Self { replica, pools })
    }

    pub(super) fn close(&self) {
        self.pools.close();
    }

    /// The same reads, on connections to the replica.
    pub(super) fn there(&self, history: &History) -> History {
        History {
            explain: self.replica.explain().clone(),
            ..history.clone()
        }
    }

    /// A connection to the replica, which has replayed by now what a read of this moment needs.
    pub(super) async fn ready(
        &self,
        history: &History,
        kind: Kind,
        turn: &Arc<Turn>,
    ) -> Result<(Slot, Need), Unused> {
        let need = history.need().await;
        let need = need.map_err(|e| Unused::Failed(e.to_string()))?;
        let config = &self.replica.explain().config;
        let slot = Slot::on(self.pools.of(kind), turn.clone(), config).await?;
        let flush = async || history.flush().await;
        self.replica.wait(slot.client(), &need, flush).await?;
        Ok((slot, need))
    }

    /// Opens a table there.
    pub(super) async fn snapshot(
        &self,
        history: &History,
        (kind, attempt): (Kind, Attempt),
        turn: &Arc<Turn>,
        patience: Duration,
        table: &Table,
        select: &Select,
    ) -> Result<TableSnapshot, Unused> {
        let (slot, need) = self.ready(history, kind, turn).await?;
        let there = self.there(history);
        there.begin(&slot, table, patience).await?;
        let seen = timeout(CONNECT_MAX, Seen::ask(slot.client(), &need)).await;
        let seen = seen.map_err(|_| Unused::Away("its log can't be read in time".into()))??;
        let held = select.held.as_ref();
        let is_plain = there.may_read(&slot, table, held).await?;
        let cursor = history.cursor_of(&need, &seen).await?;
        let rows = there.open(&slot, table, select, is_plain, patience);
        let rows = rows.await?;
        Ok(TableSnapshot::of_replica(
            slot,
            rows,
            cursor,
            table,
            patience,
            (&self.replica, attempt),
        ))
    }
}
