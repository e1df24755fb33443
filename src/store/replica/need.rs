//! What the primary says before a read of the replica, and after it.

use tokio_postgres::Client;

use crate::feed::{Cursor, Epoch, Snapshot};
use crate::limits::REPLICA_BETWEEN_MAX;

use super::super::connect::{self, ConnectError};
use super::super::log::decode::Xid8;
use super::super::log::read::{Explain, NOW};
use super::{Lsn, Seen, Unused};

/// Where the primary is: a snapshot, which log, and how far its WAL goes, all of it behind that snapshot, so that every commit which the
/// snapshot sees is before the place in the WAL; and how far of that is on disk. Last, a row of the log that shows whether the replica has
/// the same past.
const NEED: &str = "select pg_current_snapshot()::text, plank.identity(), pg_current_wal_insert_lsn()::text, \
    pg_current_wal_flush_lsn()::text, (select array[seq::text, xid::text, at::text] from plank.log order by xid desc limit 1)";

/// Whether something that `$1` did not see is not in the log any more.
const PRUNED: &str = "select plank.pruned($1::text::pg_snapshot)";

/// A commit that waits until it is on disk here, and all WAL before it. It writes nothing else.
const FLUSH: &str = "begin; set local synchronous_commit = local; \
    select pg_catalog.pg_logical_emit_message(true, 'plank', ''); commit";

/// What a read of the replica needs.
#[derive(Clone, Debug)]
pub(in super::super) struct Need {
    /// As the primary has it, for [`Seen`].
    pub snapshot: Snapshot,
    /// A row that the snapshot sees; none if the log has none.
    pub tail: Option<Vec<String>>,
    identity: String,
    written: Lsn,
    flushed: Lsn,
}

impl Need {
    /// Asks the primary.
    ///
    /// # Errors
    /// If it is away.
    pub async fn ask(client: &Client, explain: &Explain) -> Result<Self, ConnectError> {
        let row = client.query_one(NEED, &[]).await;
        let row = row.map_err(|e| explain.error(&e))?;
        let place = |i: usize| {
            let text: &str = row.get(i);
            Lsn::parse(text).ok_or_else(|| explain.broken(format!("no place in the WAL: {text:?}")))
        };
        let snapshot = Snapshot::parse(row.get(0));
        Ok(Self {
            snapshot: snapshot.ok_or_else(|| explain.broken("no snapshot".into()))?,
            tail: row.get(4),
            identity: row.get(1),
            written: place(2)?.end_of_record(),
            flushed: place(3)?,
        })
    }

    /// Whether this is the log of the primary.
    pub fn is_of(&self, identity: &str) -> bool {
        self.identity == identity
    }

    pub(super) fn is_met_by(&self, replayed: Lsn) -> bool {
        replayed >= self.written
    }

    pub(super) fn is_unflushed(&self) -> bool {
        self.flushed < self.written
    }

    /// What the primary saw, and what a snapshot of the replica sees beyond it.
    ///
    /// # Errors
    /// [`Unused::Behind`] if too much has happened in between.
    pub fn and(&self, seen: &Seen) -> Result<Snapshot, Unused> {
        let both = self.snapshot.clone();
        let both = both.and_seen(seen.beyond(), REPLICA_BETWEEN_MAX);
        both.ok_or(Unused::Behind)
    }

    /// The cursor of `both` parts of the place, if the primary, reached by `client`, sees all of it by now.
    ///
    /// # Errors
    /// [`Unused::Behind`] if some of it was thrown away meanwhile, or if the primary does not answer.
    pub async fn cursor(
        &self,
        client: &Client,
        explain: &Explain,
        both: &Snapshot,
    ) -> Result<Option<Cursor>, Unused> {
        let failed = |e: ConnectError| Unused::Failed(e.to_string());
        let now = async {
            let row = client.query_one(NOW, &[]).await;
            row.map_err(|e| explain.error(&e))
        };
        let row = connect::soon("newest", now).await.map_err(failed)?;
        if !self.is_of(row.get(2)) {
            return Err(Unused::Unfit("the log has become another one".into()));
        }
        let now = Snapshot::parse(row.get(0));
        if !now.is_some_and(|now| now.covers(both)) {
            return Ok(None);
        }
        let newest = row.get::<_, Option<Xid8>>(1).map_or(0, |xid| xid.0);
        match self.is_pruned(client, explain).await.map_err(failed)? {
            // What was thrown away of it may be missing from what was seen.
            true => Err(Unused::Behind),
            false => Ok(Some(Cursor {
                epoch: Epoch::of(&self.identity),
                snapshot: both.clone().up_to(newest),
            })),
        }
    }

    async fn is_pruned(&self, client: &Client, explain: &Explain) -> Result<bool, ConnectError> {
        let place = self.snapshot.to_string();
        let ask = async {
            let row = client.query_one(PRUNED, &[&place]).await;
            row.map_err(|e| explain.error(&e))
        };
        Ok(connect::soon("pruned", ask).await?.get(0))
    }
}

/// Makes the primary write its WAL to disk, as far as it goes.
///
/// # Errors
/// If it is away.
pub(in super::super) async fn flush(
    client: &Client,
    explain: &Explain,
) -> Result<(), ConnectError> {
    let flush = async {
        let flushed = client.batch_execute(FLUSH).await;
        flushed.map_err(|e| explain.error(&e))
    };
    connect::soon("flush", flush).await
}
