//! Reads on behalf of clients that come back: the log behind their cursor, and whole tables. On connections of its own,
//! few of them, and shared where clients stand near each other, so that ten thousand clients that come back at once are no
//! ten thousand queries.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::ToSql;

use crate::config::Server;
use crate::feed::catalog::Oid;
use crate::feed::{Cursor, Epoch, PolicyVersion, Rest, Snapshot};
use crate::limits::{CATCH_UP_READ_MAX, HISTORY_WAIT_MAX, LOOKS_MAX, SNAPSHOT_MAX};
use crate::metrics::Metrics;

use super::connect::{self, ConnectError};
use super::log::decode::Xid8;
use super::log::read::{self, Explain, NOW, READ_TABLE, READ_TABLE_REST, Reading, SETTINGS};
use super::policy;
use super::session::Session;
pub use super::turns::Asker;
use super::turns::{Crowded, Turn};

mod derived;
mod pace;
mod reader;
mod replay;
mod replicated;
mod requests;
mod select;
mod shared;
mod slot;
mod sorts;
mod stretch;
mod table;

pub use pace::{Pace, Unpaced};
use replay::Stream;
pub use replay::{Goal, Replay};
use replicated::{Kind, Places, Pools, Replicated};
pub(super) use requests::Requests;
pub use select::Select;
use shared::{Shared, Want};
use slot::{Slot, pool};
pub use table::TableSnapshot;

/// Marks that are looked at for the end of a step. The first one behind the cursor nearly always does.
const MARKS: &str = "select snapshot::text from plank.mark \
    where pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax($1::text::pg_snapshot) order by seq limit 64";

/// Where a client stands, asked of the server itself.
const WHERE: &str =
    "select plank.identity(), pg_is_in_recovery(), plank.pruned($1::text::pg_snapshot)";

/// Why something can't be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Too many wait already.
    #[error("too many clients are catching up")]
    Busy,
    /// The database is away: try again.
    #[error("{0}")]
    Away(String),
    /// The database can't make anything of the place in the log: trying again does not help, and the client begins anew.
    #[error("{0}")]
    Unservable(String),
    /// The table can't be read: a code for programs, and why.
    #[error("{1}")]
    Denied(&'static str, String),
    /// What was asked for can't be had of this table.
    #[error("{field}: {detail}")]
    Wrong {
        /// The part of the request.
        field: &'static str,
        /// What is wrong with it, for people.
        detail: String,
    },
}

impl From<ConnectError> for HistoryError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Data(why) => Self::Unservable(why),
            error => Self::Away(error.to_string()),
        }
    }
}

/// Why a cursor leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What is behind it was pruned.
    Pruned,
    /// It is of another log, or this server has never been there.
    Foreign,
    /// The principal may see other rows now.
    Revoked,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct History {
    /// On the primary.
    pools: Pools,
    /// A replica that serves reads, if there is one.
    replicated: Option<Replicated>,
    /// What was read of the log for many.
    shared: Arc<Shared>,
    /// For questions that take a moment, so that they wait behind none of these.
    looks: deadpool_postgres::Pool,
    turns: Arc<Places>,
    /// For whom it reads.
    asker: Asker,
    explain: Explain,
}

/// What is set for reads of the log.
fn replay_session() -> Session {
    Session {
        more: SETTINGS,
        ..Session::UNLIMITED
    }
}

/// The same for reads of tables.
fn snapshot_session() -> Session {
    Session {
        idle_in_transaction: SNAPSHOT_MAX,
        more: table::SETTINGS,
        ..Session::UNLIMITED
    }
}

impl History {
    /// On the database of `server`, which must be the primary. Nothing is connected yet.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub fn new(server: &Server, metrics: &Arc<Metrics>) -> Result<Self, String> {
        Ok(Self {
            pools: Pools::new(|name, size, session| pool(server, name, size, session))?,
            replicated: None,
            shared: Arc::new(Shared::new(metrics.clone())),
            looks: pool(server, "plank look", LOOKS_MAX, replay_session())?,
            turns: Arc::new(Places::new(metrics)),
            asker: Asker::Anyone,
            explain: Explain::new(server.config.clone()),
        })
    }

    /// The same, with a replica that serves what it can.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub fn with_replica(
        self,
        server: Option<&Server>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, String> {
        let replicated = server.map(|server| Replicated::new(server, metrics));
        Ok(Self {
            replicated: replicated.transpose()?,
            ..self
        })
    }

    /// The same, for an asker: what is read takes one of the places that all askers share.
    pub fn of(&self, asker: Asker) -> Self {
        Self {
            asker,
            ..self.clone()
        }
    }

    /// Waits for one of the places for pages, for what reads a part of a table on another connection.
    ///
    /// # Errors
    /// When none is free in time.
    pub async fn page_turn(&self) -> Result<Turn, HistoryError> {
        let turn = self
            .turns
            .of(Kind::Page)
            .take(&self.asker, HISTORY_WAIT_MAX)
            .await;
        turn.map_err(|Crowded| HistoryError::Busy)
    }

    /// Begins to read what comes behind `from`, of the tables `rels`. With `known`, the place up to which the hub knows what
    /// may be seen, it goes up to the next mark or to there, and is shared with others that come back. Without, or when it
    /// is too large for that, it is a read of its own: up to the next mark, or to now. Waits for its turn.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn replay(
        &self,
        from: &Arc<Cursor>,
        rest: Option<&Rest>,
        rels: &[Oid],
        held: Option<&PolicyVersion>,
        known: Option<&Arc<Cursor>>,
    ) -> Result<Result<Replay, Lost>, HistoryError> {
        if let Some(known) = known {
            let want = Want {
                from: from.clone(),
                rest: rest.cloned(),
                rels: rels.to_vec(),
                known: known.clone(),
            };
            match self.stretch(&want).await? {
                Ok(Some(stretch)) => return Ok(Ok(Replay::shared(want, stretch))),
                Ok(None) => {}
                Err(lost) => return Ok(Err(lost)),
            }
        }
        let replay = self.stream(from, rest, rels, held).await?;
        Ok(replay.map(Replay::from))
    }

    /// A read of the log for one client.
    async fn stream(
        &self,
        from: &Cursor,
        rest: Option<&Rest>,
        rels: &[Oid],
        held: Option<&PolicyVersion>,
    ) -> Result<Result<Stream, Lost>, HistoryError> {
        let slot = Slot::take(
            self.pools.of(Kind::Replay),
            self.turns.of(Kind::Replay),
            &self.asker,
            &self.explain.config,
        )
        .await?;
        let place = from.snapshot.to_string();
        if !self.holds(&slot, held).await? {
            slot.done();
            return Ok(Err(Lost::Revoked));
        }
        if let Some(lost) = connect::soon("where", self.lost(&slot, from, &place)).await? {
            slot.done();
            return Ok(Err(lost));
        }
        let step = match rest {
            Some(rest) => Some(rest.clone()),
            None => connect::soon("marks", self.step(&slot, from, &place)).await?,
        };
        let rels = rels.to_vec();
        let client = slot.client();
        let query = async {
            let Some(step) = &step else {
                let read = client.prepare_cached(READ_TABLE).await?;
                let params: [&(dyn ToSql + Sync); 2] = [&place, &rels];
                return client.query_raw(&read, params).await;
            };
            let read = client.prepare_cached(READ_TABLE_REST).await?;
            let end = step.end.snapshot.to_string();
            let behind = read::behind(step.seq);
            let params: [&(dyn ToSql + Sync); 4] = [&place, &rels, &end, &behind];
            client.query_raw(&read, params).await
        };
        let rest = step.as_ref();
        let reading =
            Reading::begin(query, rest, from.epoch, CATCH_UP_READ_MAX, &self.explain).await?;
        if rest.is_none() && !reading.end().snapshot.covers(&from.snapshot) {
            return Ok(Err(Lost::Foreign));
        }
        Ok(Ok(Stream {
            slot,
            reading,
            place,
            is_to_now: step.is_none(),
            held: held.cloned(),
            explain: self.explain.clone(),
        }))
    }

    async fn holds(&self, slot: &Slot, held: Option<&PolicyVersion>) -> Result<bool, ConnectError> {
        holds(slot, held, &self.explain).await
    }

    async fn lost(
        &self,
        slot: &Slot,
        from: &Cursor,
        place: &String,
    ) -> Result<Option<Lost>, ConnectError> {
        let client = slot.client();
        let ask = async {
            let statement = client.prepare_cached(WHERE).await?;
            client.query_one(&statement, &[place]).await
        };
        let row = ask.await.map_err(|e| self.explain.error(&e))?;
        Ok(match row.get(1) {
            _ if Epoch::of(row.get(0)) != from.epoch => Some(Lost::Foreign),
            true => Some(Lost::Pruned),
            false => None,
        })
    }

    /// The next mark, as the end of a step.
    async fn step(
        &self,
        slot: &Slot,
        from: &Cursor,
        place: &String,
    ) -> Result<Option<Rest>, ConnectError> {
        let client = slot.client();
        let ask = async {
            let statement = client.prepare_cached(MARKS).await?;
            client.query(&statement, &[place]).await
        };
        let rows = ask.await.map_err(|e| self.explain.error(&e))?;
        let marks = rows.iter().filter_map(|row| Snapshot::parse(row.get(0)));
        let is_ahead = |mark: &Snapshot| mark.covers(&from.snapshot) && !from.snapshot.covers(mark);
        Ok(marks.into_iter().find(is_ahead).map(|snapshot| Rest {
            end: Arc::new(Cursor {
                epoch: from.epoch,
                snapshot,
            }),
            seq: i64::MIN,
        }))
    }

    /// Where a reader stands that wants everything from now on.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn now(&self) -> Result<Cursor, HistoryError> {
        let slot = Slot::look(&self.looks, &self.explain.config).await?;
        let cursor = connect::soon("now", now(slot.client(), &self.explain)).await?;
        slot.done();
        Ok(cursor)
    }

    /// Where the log has what was written within the last span; not before the transaction `least`.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn back(&self, span: Duration, least: u64) -> Result<Cursor, HistoryError> {
        const BACK: &str =
            "select plank.place_back(make_interval(secs => $1), $2), plank.identity()";
        let slot = Slot::look(&self.looks, &self.explain.config).await?;
        let ask = async {
            let least = i64::try_from(least).unwrap_or(i64::MAX);
            let row = slot
                .client()
                .query_one(BACK, &[&span.as_secs_f64(), &least])
                .await;
            let row = row.map_err(|e| self.explain.error(&e))?;
            Ok(Cursor {
                epoch: Epoch::of(row.get(1)),
                snapshot: Snapshot::parse(row.get(0)).ok_or_else(|| {
                    self.explain
                        .broken("plank.place_back gives no place".into())
                })?,
            })
        };
        let cursor = connect::soon("back", ask).await?;
        slot.done();
        Ok(cursor)
    }

    /// Forgets what was read for many: after a crash the server may have lost some of it, and gives its transaction ids to
    /// others.
    pub fn forget_shared(&self) {
        self.shared.forget_all();
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.pools.close();
        self.looks.close();
        if let Some(replicated) = &self.replicated {
            replicated.close();
        }
    }
}

/// Whether a policy still holds. Before and behind a read: then it did in between.
async fn holds(
    slot: &Slot,
    held: Option<&PolicyVersion>,
    explain: &Explain,
) -> Result<bool, ConnectError> {
    let Some(held) = held else { return Ok(true) };
    let ask = async {
        let holds = policy::holds(slot.client(), held).await;
        holds.map_err(|e| explain.error(&e))
    };
    connect::soon("policy", ask).await
}

async fn now(client: &tokio_postgres::Client, explain: &Explain) -> Result<Cursor, ConnectError> {
    let row = client.query_one(NOW, &[]).await;
    let row = row.map_err(|e| explain.error(&e))?;
    let snapshot = explain.place(row.get(0), row.get::<_, Option<Xid8>>(1))?;
    Ok(Cursor {
        epoch: Epoch::of(row.get(2)),
        snapshot,
    })
}
