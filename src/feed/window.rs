//! The recent batches of the log, in memory and bounded in bytes. A client that was away for a moment is served from here,
//! without a question to the database.

use std::collections::VecDeque;
use std::sync::Arc;

use super::change::LogRow;
use super::cursor::Cursor;
use super::snapshot::Snapshot;

/// The middle of a batch: what comes next are the rows behind `seq`, up to `end`.
#[derive(Clone, Debug)]
pub struct Rest {
    /// Where the batch ends.
    pub end: Arc<Cursor>,
    /// The last row that was taken.
    pub seq: i64,
}

/// A part of what a client has missed.
#[derive(Clone, Debug)]
pub struct Piece {
    /// In the order of `seq`.
    pub rows: Vec<LogRow>,
    /// Where the batch that they are of ends.
    pub end: Arc<Cursor>,
    /// Whether it ends with them.
    pub is_last: bool,
}

#[derive(Debug)]
struct Batch {
    rows: Vec<LogRow>,
    bytes: usize,
    end: Arc<Cursor>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Window {
    /// Where the oldest batch that is kept begins; none before the first [`Self::restart`].
    base: Option<Arc<Cursor>>,
    batches: VecDeque<Batch>,
    /// Rows of the batch under way; none when it alone is too large to be kept.
    open: Option<Vec<LogRow>>,
    open_bytes: usize,
    /// Of all whole batches.
    bytes: usize,
    bytes_max: usize,
}

/// Batches, and bytes of them, that are joined to reach an end that covers a cursor of another node.
const JOINED_BATCHES_MAX: usize = 1_000;
/// See [`JOINED_BATCHES_MAX`].
const JOINED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a row costs beside its text.
const ROW_OVERHEAD: usize = size_of::<LogRow>() + 32;

fn bytes_of(row: &LogRow) -> usize {
    ROW_OVERHEAD + row.bytes()
}

impl Window {
    /// An empty one that keeps at most `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            base: None,
            batches: VecDeque::new(),
            open: Some(Vec::new()),
            open_bytes: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Bytes of all rows that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes + self.open_bytes
    }

    /// Forgets everything; what is pushed from now on comes behind `base`.
    pub fn restart(&mut self, base: Arc<Cursor>) {
        *self = Self {
            base: Some(base),
            ..Self::new(self.bytes_max)
        };
    }

    /// Takes rows of the batch under way, in the order of `seq`.
    pub fn push(&mut self, rows: &[LogRow]) {
        let Some(open) = &mut self.open else { return };
        open.extend_from_slice(rows);
        self.open_bytes += rows.iter().map(bytes_of).sum::<usize>();
        if self.open_bytes > self.bytes_max {
            (self.open, self.open_bytes) = (None, 0);
        }
    }

    /// The batch under way ends at `end`.
    pub fn close(&mut self, end: Arc<Cursor>) {
        let bytes = std::mem::take(&mut self.open_bytes);
        let Some(rows) = self.open.replace(Vec::new()) else {
            return self.restart(end);
        };
        match self.batches.back_mut() {
            // A reader that found nothing only moves the end.
            Some(last) if rows.is_empty() => last.end = end,
            None if rows.is_empty() => self.base = Some(end),
            _ => {
                self.bytes += bytes;
                self.batches.push_back(Batch { rows, bytes, end });
            }
        }
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.batches.pop_front()
        {
            self.bytes -= oldest.bytes;
            self.base = Some(oldest.end);
        }
    }

    /// How many of the kept batches a client at `from` lacks.
    pub fn batches_behind(&self, from: &Snapshot) -> usize {
        let has = |batch: &Batch| from.covers(&batch.end.snapshot);
        self.batches.len() - self.batches.partition_point(has)
    }

    /// What comes next for a client at `from`, or in the middle of the batch `rest`: rows of the tables that
    /// `is_wanted` names, of about `bytes_max` bytes. None when the window does not reach back that far.
    ///
    /// The batches of this window are not those of the node that made the cursor. So the rows of the first few are joined, up
    /// to an end that covers `from`: only there does the cursor say what the client has.
    pub fn next(
        &self,
        from: &Snapshot,
        rest: Option<&Rest>,
        bytes_max: usize,
        is_wanted: impl Fn(&LogRow) -> bool,
    ) -> Option<Piece> {
        if !from.covers(&self.base.as_ref()?.snapshot) {
            return None;
        }
        // The ends are a chain: what covers one covers those before it.
        let first = self
            .batches
            .partition_point(|batch| from.covers(&batch.end.snapshot));
        let is_new = |row: &&LogRow| !from.sees(row.xid) && is_wanted(row);
        let (count, seq) = match rest {
            Some(rest) => {
                let is_within = |batch: &Batch| rest.end.snapshot.covers(&batch.end.snapshot);
                let count = self.batches.partition_point(is_within).checked_sub(first)?;
                let last = self.batches.range(first..).nth(count.checked_sub(1)?)?;
                (last.end == rest.end).then_some((count, rest.seq))?
            }
            None => (self.step(first, from, bytes_max, is_new)?, i64::MIN),
        };
        let batches = self.batches.range(first..first + count);
        // With nothing new it is where the window ends.
        let last = batches.clone().last().or(self.batches.back());
        let end = last.map(|batch| &batch.end).or(self.base.as_ref())?.clone();
        let (mut rows, mut is_last) = (Vec::new(), true);
        for batch in batches {
            let behind = batch.rows.partition_point(|row| row.seq <= seq);
            let mut bytes = 0;
            for row in batch.rows[behind..].iter().filter(is_new) {
                if bytes >= bytes_max {
                    is_last = false;
                    break;
                }
                bytes += bytes_of(row);
                rows.push(row);
            }
        }
        rows.sort_unstable_by_key(|row| row.seq);
        let mut bytes = 0;
        let too_many = rows.iter().position(|row| {
            let is_full = bytes >= bytes_max;
            bytes += bytes_of(row);
            is_full
        });
        if let Some(fits) = too_many {
            is_last = false;
            rows.truncate(fits);
        }
        Some(Piece {
            rows: rows.into_iter().cloned().collect(),
            end,
            is_last,
        })
    }

    /// How many batches from `first` on make one for a client at `from`. None when that takes too many: an honest cursor
    /// is covered after a few, and a forged one is left to the log.
    fn step(
        &self,
        first: usize,
        from: &Snapshot,
        bytes_max: usize,
        is_new: impl Fn(&&LogRow) -> bool,
    ) -> Option<usize> {
        let (mut count, mut bytes) = (0, 0);
        for batch in self.batches.range(first..) {
            let is_cursor = count > 0 && self.batches[first + count - 1].end.snapshot.covers(from);
            bytes += batch
                .rows
                .iter()
                .filter(&is_new)
                .map(bytes_of)
                .sum::<usize>();
            if is_cursor && bytes > bytes_max {
                break;
            }
            if !is_cursor && (count >= JOINED_BATCHES_MAX || bytes > JOINED_BYTES_MAX) && count > 0
            {
                return None;
            }
            count += 1;
        }
        Some(count)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::change::LogOp;
    use super::super::cursor::Epoch;
    use super::*;

    fn row(xid: u64, seq: i64) -> LogRow {
        LogRow {
            xid,
            statement: 0,
            continues: false,
            began: None,
            row_id: None,
            old_id: None,
            seq,
            rel: 1,
            op: LogOp::Insert,
            at_us: 0,
            row: Some("{}".into()),
            old: None,
            trace: None,
        }
    }

    fn cursor(snapshot: &Snapshot) -> Arc<Cursor> {
        Arc::new(Cursor {
            epoch: Epoch::of("x"),
            snapshot: snapshot.clone(),
        })
    }

    /// A database: transactions begin, write rows and end in any order; now and then a client takes a snapshot.
    #[derive(Clone, Debug)]
    pub(in super::super) enum Event {
        Begin,
        Write(prop::sample::Index),
        End(prop::sample::Index),
        Look,
    }

    /// Of any length.
    pub(in super::super) fn history() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            Just(Event::Begin),
            any::<prop::sample::Index>().prop_map(Event::Write),
            any::<prop::sample::Index>().prop_map(Event::End),
            Just(Event::Look),
        ];
        prop::collection::vec(event, 0..120)
    }

    /// All rows, and all snapshots in the order in which they were taken.
    pub(in super::super) fn play(events: &[Event]) -> (Vec<LogRow>, Vec<Snapshot>) {
        let (mut next, mut running, mut rows) = (10, Vec::<u64>::new(), Vec::new());
        let mut seen = vec![Snapshot::new(10, vec![])];
        for event in events {
            match event {
                Event::Begin => {
                    running.push(next);
                    next += 1;
                }
                Event::Write(i) if !running.is_empty() => {
                    rows.push(row(running[i.index(running.len())], rows.len() as i64));
                }
                Event::End(i) if !running.is_empty() => {
                    running.remove(i.index(running.len()));
                }
                Event::Look => seen.push(Snapshot::new(next, running.clone())),
                Event::Write(_) | Event::End(_) => {}
            }
        }
        seen.push(Snapshot::new(next, vec![]));
        (rows, seen)
    }

    proptest! {
        /// The reader of the window looks at some of the moments, the client has a cursor of any of them.
        #[test]
        fn whoever_comes_back_gets_what_he_has_missed_once(
            events in history(), looks in prop::collection::vec(any::<bool>(), 130), from in any::<prop::sample::Index>(),
            bytes_max in 200usize..4_000, piece in 1usize..800,
        ) {
            let (rows, moments) = play(&events);
            let mut window = Window::new(bytes_max);
            window.restart(cursor(&moments[0]));
            let mut at = moments[0].clone();
            for (moment, look) in moments.iter().zip(looks.into_iter().chain([true])) {
                if look || moment == moments.last().unwrap() {
                    let new: Vec<LogRow> = rows.iter().filter(|r| moment.sees(r.xid) && !at.sees(r.xid)).cloned().collect();
                    new.chunks(3).for_each(|rows| window.push(rows));
                    window.close(cursor(moment));
                    at = moment.clone();
                    prop_assert!(window.bytes() <= bytes_max);
                }
            }
            let from = &moments[from.index(moments.len())];
            let (mut place, mut rest, mut got) = (from.clone(), None, Vec::new());
            let mut transactions = std::collections::HashSet::new();
            let mut batch = Vec::new();
            loop {
                let Some(next) = window.next(&place, rest.as_ref(), piece, |_| true) else {
                    prop_assert!(got.is_empty() && batch.is_empty(), "it does not end in the middle");
                    return Ok(());
                };
                prop_assert!(next.end.snapshot.covers(from));
                let seq = next.rows.last().map(|r| r.seq);
                batch.extend(next.rows);
                if !next.is_last {
                    rest = Some(Rest { end: next.end, seq: seq.unwrap() });
                    continue;
                }
                prop_assert!(batch.is_sorted_by_key(|r: &LogRow| r.seq));
                for xid in batch.iter().map(|r| r.xid).collect::<std::collections::HashSet<_>>() {
                    prop_assert!(transactions.insert(xid), "a transaction is in one batch");
                }
                got.append(&mut batch);
                let is_end = next.end.snapshot == at;
                (place, rest) = (next.end.snapshot.clone(), None);
                if is_end {
                    break;
                }
            }
            let mut got: Vec<i64> = got.iter().map(|r| r.seq).collect();
            got.sort_unstable();
            let missed: Vec<i64> = rows.iter().filter(|r| !from.sees(r.xid) && at.sees(r.xid)).map(|r| r.seq).collect();
            prop_assert_eq!(got, missed);
        }
    }

    #[test]
    fn a_batch_that_is_too_large_is_not_kept() {
        let (a, b) = (Snapshot::new(10, vec![]), Snapshot::new(20, vec![]));
        let mut window = Window::new(1_000);
        window.restart(cursor(&a));
        window.push(&vec![row(11, 1); 100]);
        assert_eq!(window.bytes(), 0);
        window.close(cursor(&b));
        assert!(window.next(&a, None, 1_000, |_| true).is_none());
        let piece = window.next(&b, None, 1_000, |_| true).unwrap();
        assert!(piece.is_last && piece.rows.is_empty());
    }
}
