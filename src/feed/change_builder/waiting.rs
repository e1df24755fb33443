//! The changes of one log row, which wait for the end of their statement.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::catalog::Table;
use super::super::change::{Change, LogRow, NUMBERS_PER_LOG_ROW, Op, RowId};
use super::super::json;
use super::super::key_order::Step;

/// A change, with the states of the row before and after it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub table: Arc<Table>,
    pub change: Change,
    pub step: Step<State>,
    /// See [`LogRow::began`].
    pub began: Option<i64>,
    pub bytes: usize,
}

impl Waiting {
    /// The number of its log row.
    pub fn number(&self) -> i64 {
        self.change.seq.div_euclid(NUMBERS_PER_LOG_ROW)
    }
}

/// A state of a row: which version it is, or what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Version(RowId),
    Looks(u64),
}

impl State {
    fn of(id: Option<RowId>, row: Option<&str>) -> Option<Self> {
        match (id, row) {
            (Some(id), Some(_)) => Some(Self::Version(id)),
            (None, Some(row)) => Some(Self::Looks(hash(row))),
            (_, None) => None,
        }
    }
}

/// Tells keys and rows apart.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A change as clients see it.
pub(super) fn change(
    log: &LogRow,
    op: Op,
    key: Option<Arc<str>>,
    row: Option<Arc<str>>,
    old: Option<Arc<str>>,
    seq: i64,
) -> Change {
    Change {
        op,
        key,
        row,
        old,
        seq,
        xid: log.xid,
        at_us: log.at_us,
        trace: log.trace,
    }
}

/// The changes of a row of the log: two, if it changed the key.
pub(super) fn halves(
    log: &LogRow,
    table: &Arc<Table>,
) -> Result<SmallVec<[Waiting; 2]>, serde_json::Error> {
    let key_of = |row: &Option<Arc<str>>| -> Result<Option<Arc<str>>, serde_json::Error> {
        let row = row.as_deref();
        row.map(|row| json::select_all(row, &table.key).map(Arc::from))
            .transpose()
    };
    let (new_key, old_key) = (key_of(&log.row)?, key_of(&log.old)?);
    let to = State::of(log.row_id, log.row.as_deref());
    let from = State::of(log.old_id, log.old.as_deref());
    let waiting =
        |op, key: Option<Arc<str>>, row: Option<Arc<str>>, old: Option<Arc<str>>, seq, step| {
            let of = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |t| t.len());
            let bytes = of(&key) + of(&row) + of(&old) + size_of::<Waiting>();
            Waiting {
                table: table.clone(),
                change: change(log, op, key, row, old, seq),
                step,
                began: log.began,
                bytes,
            }
        };
    let (row, old) = (log.row.clone(), log.old.clone());
    Ok(match (new_key, old_key) {
        (Some(new), Some(old_key)) if new == old_key => {
            smallvec![waiting(
                Op::Update,
                Some(new),
                row,
                old,
                log.seq,
                (from, to)
            )]
        }
        (Some(new), Some(old_key)) => smallvec![
            waiting(Op::Delete, Some(old_key), None, old, log.seq, (from, None)),
            waiting(Op::Insert, Some(new), row, None, log.seq + 1, (None, to)),
        ],
        (Some(new), None) => smallvec![waiting(
            Op::Insert,
            Some(new),
            row,
            None,
            log.seq,
            (None, to)
        )],
        (None, Some(key)) => smallvec![waiting(
            Op::Delete,
            Some(key),
            None,
            old,
            log.seq,
            (from, None)
        )],
        (None, None) => SmallVec::new(),
    })
}
