//! What a snapshot of the replica sees beyond that of the primary.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::limits::REPLICA_BETWEEN_MAX;

use super::super::log::decode::Xid8;
use super::{Need, Unused};

/// In a savepoint of the read's transaction: when that is taken back, the locks on the log go, which would keep the replica from
/// replaying that the log is pruned; and so do the settings, which are those of every read of the log.
const BEGIN: &str = "savepoint plank_seen; set local enable_seqscan = off; set local enable_bitmapscan = off; \
    set local max_parallel_workers_per_gather = 0; set local jit = off";

const END: &str = "rollback to savepoint plank_seen; release savepoint plank_seen";

/// The transactions with rows in the log that the snapshot `$1` did not see and this one does, at most `$2`; and, without a number, whether
/// the row `$3` of the transaction `$4` and the time `$5` is there. UNION ALL, since OR reads the whole index.
const SEEN: &str = "(select distinct xid from ( \
      select xid from plank.log where xid >= pg_snapshot_xmax($1::text::pg_snapshot) \
      union all select xid from plank.log where xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot)))) s \
      order by xid limit $2) \
    union all \
    (select null from plank.log where xid = $4::text::xid8 and seq = $3::text::bigint and at = $5::text::timestamptz limit 1)";

/// What a snapshot sees.
#[derive(Debug)]
pub(in super::super) struct Seen(Vec<u64>);

impl Seen {
    /// Asked in a transaction of the replica whose snapshot is that of the read. It may be the first statement in it.
    ///
    /// # Errors
    /// [`Unused::Behind`] if it is more than a cursor may list, [`Unused::Unfit`] if the replica has not the past of the primary.
    pub async fn ask(client: &Client, need: &Need) -> Result<Self, Unused> {
        let of = |e: tokio_postgres::Error| Unused::of(&e);
        client.batch_execute(BEGIN).await.map_err(of)?;
        let place = need.snapshot.to_string();
        let count = i64::try_from(REPLICA_BETWEEN_MAX + 1).unwrap_or(i64::MAX);
        let none = ["0".to_owned(), "0".to_owned(), "epoch".to_owned()];
        let tail = need.tail.as_deref().unwrap_or(&none);
        let [seq, xid, at] = tail else {
            return Err(Unused::Failed("the log has no such row".into()));
        };
        let params: [(&(dyn ToSql + Sync), Type); 5] = [
            (&place, Type::TEXT),
            (&count, Type::INT8),
            (seq, Type::TEXT),
            (xid, Type::TEXT),
            (at, Type::TEXT),
        ];
        // Planned for these values: for any others a third of the log would be expected.
        let rows = client.query_typed(SEEN, &params).await.map_err(of)?;
        client.batch_execute(END).await.map_err(of)?;
        let rows = rows.iter().map(|row| row.get::<_, Option<Xid8>>(0));
        let (mut beyond, mut has_tail) = (Vec::new(), need.tail.is_none());
        for xid in rows {
            match xid {
                Some(xid) => beyond.push(xid.0),
                None => has_tail = true,
            }
        }
        if !has_tail {
            return Err(Unused::Unfit("its log is another one".into()));
        }
        match u64::try_from(beyond.len()).is_ok_and(|n| n <= REPLICA_BETWEEN_MAX) {
            true => Ok(Self(beyond)),
            false => Err(Unused::Behind),
        }
    }

    /// Transactions, in ascending order.
    pub fn beyond(&self) -> &[u64] {
        &self.0
    }
}
