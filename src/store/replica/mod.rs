//! A streaming replica that serves reads as exactly as the primary does.
//!
//! A snapshot that is taken on a replica does not say which transactions were running: PostgreSQL keeps that list for itself there. So
//! the place of a read is put together. The primary says where it is ([`Need`]): a snapshot, and the place in the WAL that has every
//! commit which that snapshot sees. The read waits until the replica has replayed it, takes a snapshot there, and looks into the log for
//! what that one sees beyond the primary's. Both together are its place, for a transaction matters to a cursor if it has rows in the
//! log, and these are seen exactly when its other rows are. Last, the primary has to see all of that too, since a cursor that is ahead
//! of it would be taken for one of a past that is lost.
//!
//! What can't be served so is served by the primary, and a replica that fails rests for a growing while.
//!
//! - `need`: what the primary says. `lsn`: places in the WAL.
//! - `place`: what the replica sees.
//! - `pause`: when it is tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Timeouts;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::config::Server;
use crate::limits::{
    HISTORY_WAIT_MAX, REPLICA_CONNECT_MAX, REPLICA_FLUSH_AFTER, REPLICA_LOCK_MAX,
    REPLICA_LOOK_FIRST, REPLICA_LOOK_LONGEST, REPLICA_WAIT_MAX,
};
use crate::metrics::{Metrics, ReplicaLabel};

use super::connect::{self, chain};
use super::driven;
use super::lease::Leases;
use super::log::read::Explain;
use super::session::Session;

mod lsn;
mod need;
mod pause;
mod place;

use lsn::Lsn;
pub(super) use need::{Need, flush};
pub(super) use pause::Attempt;
use pause::Pause;
pub(super) use place::Seen;

/// How far it has replayed the WAL of the primary; null where it is a primary itself, or follows nobody yet.
const REPLAYED: &str = "select pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text";

/// Which log it has, in the words of `plank.identity()`, which needs a primary; null where it is one. The timeline is that of the
/// newest page or checkpoint that it has on disk: it may be old for a while after a failover, and never is too new.
pub(super) const IDENTITY: &str = "select case when pg_catalog.pg_is_in_recovery() then \
    log_id || '/' || (select system_identifier from pg_control_system()) || '/' \
    || upper(lpad(to_hex(greatest((select timeline_id from pg_control_checkpoint()), \
        (select min_recovery_end_timeline from pg_control_recovery()))), 8, '0')) \
    || '/' || encode(secret, 'hex') end from plank.meta";

/// Why a read is not served by the replica.
#[derive(Debug)]
pub(super) enum Unused {
    /// It has not replayed what the read needs in time.
    Behind,
    /// The primary did not show in time what the replica has shown.
    Ahead,
    /// It has taken the read back, for the sake of what it replays.
    Conflict(String),
    /// It is no replica of this database.
    Unfit(String),
    /// No connection, or it was lost.
    Away(String),
    /// Something that is not its fault, as a table that can't be read: the primary says the same, or better.
    Failed(String),
}

impl Unused {
    /// What an error of a statement there means.
    pub fn of(error: &tokio_postgres::Error) -> Self {
        let text = chain(error);
        match error.as_db_error().map(|db| db.code().code()) {
            // Recovery conflicts: 40001 and 40P01, and 57P01 to 57P04 where the session ends with it.
            Some(code) if code.starts_with("40") => Self::Conflict(text),
            // A time that is over: the statement is dear, and would be on the primary.
            Some("57014") => Self::Failed(text),
            Some(code)
                if ["08", "53", "57", "58"]
                    .iter()
                    .any(|class| code.starts_with(class)) =>
            {
                Self::Away(text)
            }
            Some(_) => Self::Failed(text),
            None => Self::Away(text),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Conflict(_) => "conflict",
            Self::Unfit(_) => "unfit",
            Self::Away(_) => "away",
            Self::Failed(_) => "failed",
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Behind => "it has not replayed in time what a read needs",
            Self::Ahead => "the primary does not show in time what it shows",
            Self::Conflict(why) | Self::Unfit(why) | Self::Away(why) | Self::Failed(why) => why,
        }
    }
}

/// See the module's documentation. A clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Replica(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    explain: Explain,
    pause: Pause,
    metrics: Arc<Metrics>,
}

impl Replica {
    /// The replica at `server`. Nothing is connected yet.
    pub fn new(server: &Server, metrics: &Arc<Metrics>) -> Self {
        metrics.replica_up.set(1);
        Self(Arc::new(Inner {
            server: server.clone(),
            explain: Explain::new(server.config.clone()),
            pause: Pause::default(),
            metrics: metrics.clone(),
        }))
    }

    /// `size` connections to it, set up as `session` says, but with the patience of a replica for locks.
    ///
    /// # Errors
    /// If there are no roots to check its certificate with.
    pub fn pool(
        &self,
        name: &str,
        size: usize,
        session: Session,
    ) -> Result<deadpool_postgres::Pool, String> {
        let timeouts = Timeouts {
            wait: Some(HISTORY_WAIT_MAX),
            create: Some(REPLICA_CONNECT_MAX),
            recycle: Some(REPLICA_CONNECT_MAX),
        };
        // A lock that the replica replays lasts as long as the transaction of the primary that took it, and the primary may serve.
        let session = Session {
            lock: REPLICA_LOCK_MAX,
            ..session
        };
        driven::pool(
            &self.0.server,
            name,
            size,
            session,
            timeouts,
            Leases::default(),
        )
    }

    /// What an error there means for people.
    pub fn explain(&self) -> &Explain {
        &self.0.explain
    }

    /// A read may try it now; none while it rests. The read says what came of it: [`Self::served`] or [`Self::failed`].
    pub fn attempt(&self) -> Option<Attempt> {
        let attempt = self.0.pause.attempt(Instant::now());
        if attempt.is_none() {
            self.count("resting");
        }
        attempt
    }

    /// It served a read.
    pub fn served(&self, attempt: Attempt) {
        self.count("replica");
        if self.0.pause.works(attempt) {
            self.0.metrics.replica_up.set(1);
            log::info!("replica used again place={}", self.place());
        }
    }

    /// It did not, and the primary does.
    pub fn failed(&self, attempt: Attempt, why: &Unused) {
        self.count(why.label());
        if matches!(why, Unused::Failed(_)) {
            // The next read may be of another table.
            return log::debug!("replica refuses a read reason=\"{}\"", why.why());
        }
        if self.0.pause.fails(attempt, Instant::now(), why.label()) {
            self.0.metrics.replica_up.set(0);
            log::warn!(
                "replica not used, reads go to the primary place={} kind={} reason=\"{}\"",
                self.place(),
                why.label(),
                why.why()
            );
        }
    }

    fn place(&self) -> String {
        connect::place(&self.0.server.config)
    }

    fn count(&self, result: &'static str) {
        let label = ReplicaLabel { result };
        self.0.metrics.replica_reads.get_or_create(&label).inc();
    }

    /// Waits until the replica, reached by `client`, has replayed what `need` says. `primary` is asked to flush it, where it has not.
    ///
    /// # Errors
    /// See [`Unused`].
    pub async fn wait(
        &self,
        client: &Client,
        need: &Need,
        flush: impl AsyncFnOnce() -> Result<(), String>,
    ) -> Result<(), Unused> {
        let started = Instant::now();
        let waited = timeout(REPLICA_WAIT_MAX, self.replayed(client, need, flush)).await;
        let took = started.elapsed().as_secs_f64();
        self.0.metrics.replica_wait_seconds.observe(took);
        waited.unwrap_or(Err(Unused::Behind))
    }

    async fn replayed(
        &self,
        client: &Client,
        need: &Need,
        flush: impl AsyncFnOnce() -> Result<(), String>,
    ) -> Result<(), Unused> {
        let started = Instant::now();
        let row = client.query_opt(IDENTITY, &[]).await;
        let row = row.map_err(|e| match Unused::of(&e) {
            Unused::Failed(why) => Unused::Unfit(why),
            other => other,
        })?;
        match row.as_ref().and_then(|row| row.get::<_, Option<&str>>(0)) {
            None => {
                let why = "it is no replica: it was promoted, or never was one";
                return Err(Unused::Unfit(why.into()));
            }
            Some(identity) if !need.is_of(identity) => {
                let why = "it has another database, or another timeline of it";
                return Err(Unused::Unfit(why.into()));
            }
            Some(_) => {}
        }
        let (mut delay, mut flush) = (REPLICA_LOOK_FIRST, Some(flush));
        loop {
            let row = client.query_one(REPLAYED, &[]).await;
            let row = row.map_err(|e| Unused::of(&e))?;
            let replayed = row.get::<_, Option<&str>>(0).and_then(Lsn::parse);
            let Some(replayed) = replayed else {
                return Err(Unused::Unfit("it replays no WAL".into()));
            };
            if need.is_met_by(replayed) {
                return Ok(());
            }
            if let Some(flush) =
                flush.take_if(|_| need.is_unflushed() && started.elapsed() >= REPLICA_FLUSH_AFTER)
            {
                flush().await.map_err(Unused::Failed)?;
            }
            sleep(delay).await;
            delay = (delay * 2).min(REPLICA_LOOK_LONGEST);
        }
    }
}

/// For a number of looks: they begin soon, and become rare.
pub(super) fn looks() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(REPLICA_LOOK_FIRST), |delay| {
        Some((*delay * 2).min(REPLICA_LOOK_LONGEST))
    })
}
