//! The statements that read a stretch of the log for many clients: where it begins and ends, its rows, and whether all of
//! them were still there.

use std::sync::Arc;

use tokio_postgres::types::ToSql;

use crate::feed::{Cursor, Epoch, Rest, Snapshot};
use crate::limits::CATCH_UP_READ_MAX;
use crate::store::connect::{self, ConnectError};
use crate::store::log::read::{self, READ_REST, READ_TABLE_REST, Reading};

use super::replicated::Kind;
use super::shared::{Known, Rels, Stretch, Want};
use super::slot::Slot;
use super::{History, HistoryError, Lost};

/// Where a cursor is: which log, whether this is a standby, the marks before it and behind it.
const PLACE: &str = "select plank.identity(), pg_is_in_recovery(), \
    array(select snapshot::text from plank.mark where pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax($1::text::pg_snapshot) \
        order by seq desc limit 16), \
    array(select snapshot::text from plank.mark where pg_snapshot_xmax(snapshot) >= pg_snapshot_xmax($1::text::pg_snapshot) \
        order by seq limit 64)";

/// Whether something behind the beginning may have been pruned, or behind the cursor.
const PRUNED_BOTH: &str =
    "select plank.pruned($1::text::pg_snapshot), plank.pruned($2::text::pg_snapshot)";

/// Where a stretch begins and ends.
struct Bounds {
    begin: Snapshot,
    end: Arc<Cursor>,
}

/// What a read has brought.
enum Brought {
    Rows(Arc<Stretch>),
    Lost,
    TooLarge,
}

impl History {
    /// The rows for `want`, read now or before for another client. None: they are too many to be shared.
    pub(super) async fn stretch(
        &self,
        want: &Want,
    ) -> Result<Result<Option<Arc<Stretch>>, Lost>, HistoryError> {
        if let Some(known) = known(self.shared.find(want)) {
            return Ok(known);
        }
        let (_waiting, _turn) = self.shared.take_turn(want, &self.asker).await?;
        if let Some(known) = known(self.shared.find(want)) {
            return Ok(known);
        }
        let mut slot = Slot::take(
            self.pools.of(Kind::Replay),
            self.turns.of(Kind::Replay),
            &self.asker,
            &self.explain.config,
        )
        .await?;
        let bounds = match connect::soon("place", self.bounds(&slot, want)).await? {
            Ok(Some(bounds)) => bounds,
            Ok(None) => {
                slot.done();
                return Ok(Ok(None));
            }
            Err(lost) => {
                slot.done();
                return Ok(Err(lost));
            }
        };
        let own = Rels::Some(want.rels.clone());
        let mut rels = self.shared.rels_for(want);
        loop {
            let is_own = rels == own;
            match self.read_either(slot, want, &bounds, rels).await? {
                Brought::Rows(stretch) => return Ok(Ok(Some(stretch))),
                Brought::Lost => return Ok(Err(Lost::Pruned)),
                Brought::TooLarge if is_own => {
                    let Bounds { begin, end } = &bounds;
                    self.shared.note_too_large(begin, end, &want.rels);
                    return Ok(Ok(None));
                }
                // Others have more than it.
                Brought::TooLarge => {
                    slot = Slot::take(
                        self.pools.of(Kind::Replay),
                        self.turns.of(Kind::Replay),
                        &self.asker,
                        &self.explain.config,
                    )
                    .await?;
                    rels = own.clone();
                }
            }
        }
    }

    /// None when there is nothing between the cursor and what the hub knows.
    async fn bounds(
        &self,
        slot: &Slot,
        want: &Want,
    ) -> Result<Result<Option<Bounds>, Lost>, ConnectError> {
        let client = slot.client();
        let from = &want.from;
        let place = from.snapshot.to_string();
        let ask = async {
            let statement = client.prepare_cached(PLACE).await?;
            client.query_one(&statement, &[&place]).await
        };
        let row = ask.await.map_err(|e| self.explain.error(&e))?;
        if Epoch::of(row.get(0)) != from.epoch || want.known.epoch != from.epoch {
            return Ok(Err(Lost::Foreign));
        }
        if row.get(1) {
            return Ok(Err(Lost::Pruned));
        }
        let snapshots = |i: usize| {
            let texts: Vec<&str> = row.get(i);
            texts.into_iter().filter_map(Snapshot::parse)
        };
        let is_ahead = |mark: &Snapshot| {
            want.known.snapshot.covers(mark)
                && mark.covers(&from.snapshot)
                && !from.snapshot.covers(mark)
        };
        let begin = snapshots(2).find(|mark| from.snapshot.covers(mark));
        let begin = begin.unwrap_or_else(|| self.shared.oldest_waiting(from).snapshot.clone());
        let epoch = from.epoch;
        let mark = snapshots(3).find(is_ahead);
        let end = mark.map_or_else(
            || want.known.clone(),
            |snapshot| Arc::new(Cursor { epoch, snapshot }),
        );
        let is_ahead = is_ahead(&end.snapshot);
        Ok(Ok(is_ahead.then_some(Bounds { begin, end })))
    }

    /// Reads a stretch on the replica, or else in `slot`. Its end is known, so the place of a read there does not matter; all that is
    /// before it has been seen on the primary, and is replayed by the time that it is read.
    async fn read_either(
        &self,
        slot: Slot,
        want: &Want,
        bounds: &Bounds,
        rels: Rels,
    ) -> Result<Brought, HistoryError> {
        let Some(turn) = slot.turn() else {
            return self.read_stretch(slot, want, bounds, rels).await;
        };
        let replicated = self.read_there(async |replicated, _| {
            let (there, rels) = (replicated.there(self), rels.clone());
            let (slot, _) = replicated.ready(self, Kind::Replay, &turn).await?;
            Ok(there.read_stretch(slot, want, bounds, rels).await?)
        });
        match replicated.await {
            Some(brought) => Ok(brought),
            None => self.read_stretch(slot, want, bounds, rels).await,
        }
    }

    async fn read_stretch(
        &self,
        slot: Slot,
        want: &Want,
        bounds: &Bounds,
        rels: Rels,
    ) -> Result<Brought, HistoryError> {
        let Bounds { begin, end } = bounds;
        let client = slot.client();
        let place = begin.to_string();
        let query = async {
            let (to, behind) = (end.snapshot.to_string(), read::behind(i64::MIN));
            match &rels {
                Rels::All => {
                    let read = client.prepare_cached(READ_REST).await?;
                    let params: [&(dyn ToSql + Sync); 3] = [&place, &to, &behind];
                    client.query_raw(&read, params).await
                }
                Rels::Some(rels) => {
                    let read = client.prepare_cached(READ_TABLE_REST).await?;
                    let params: [&(dyn ToSql + Sync); 4] = [&place, rels, &to, &behind];
                    client.query_raw(&read, params).await
                }
            }
        };
        let whole = Rest {
            end: end.clone(),
            seq: i64::MIN,
        };
        let patience = CATCH_UP_READ_MAX;
        let explain = &self.explain;
        let mut reading = Reading::begin(query, Some(&whole), end.epoch, patience, explain).await?;
        let mut growing = self.shared.grow();
        while let Some(row) = reading.next().await? {
            if !growing.push(row) {
                return Ok(Brought::TooLarge);
            }
        }
        drop(reading);
        let from = want.from.snapshot.to_string();
        let ask = async {
            let statement = client.prepare_cached(PRUNED_BOTH).await?;
            client.query_one(&statement, &[&place, &from]).await
        };
        let ask = async { ask.await.map_err(|e| explain.error(&e)) };
        let row = connect::soon("pruned", ask).await?;
        slot.done();
        let (begin_is_pruned, is_pruned): (bool, bool) = (row.get(0), row.get(1));
        if is_pruned {
            self.shared.note_lost(&want.from);
            return Ok(Brought::Lost);
        }
        // What is missing is before the cursor.
        let from = match begin_is_pruned {
            true => want.from.snapshot.clone(),
            false => begin.clone(),
        };
        Ok(Brought::Rows(self.shared.keep(
            growing,
            rels,
            from,
            end.clone(),
        )))
    }
}

fn known(known: Known) -> Option<Result<Option<Arc<Stretch>>, Lost>> {
    match known {
        Known::Rows(stretch) => Some(Ok(Some(stretch))),
        Known::Lost => Some(Err(Lost::Pruned)),
        Known::TooLarge => Some(Ok(None)),
        Known::Nothing => None,
    }
}
