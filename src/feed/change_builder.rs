//! From rows of the log to changes, each key's in the order in which they happened.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::limits::STATEMENT_BYTES_MAX;

use super::catalog::{Oid, Table};
use super::change::{Change, LogOp, LogRow, NUMBERS_PER_LOG_ROW, Op, RowId};
use super::json;
use super::key_order::{Order, Step, order};

/// Why the changes of a table can't be told.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A row has not the columns of the key.
    #[error("a row of the log does not have the table's key: {0}")]
    Row(#[from] serde_json::Error),
    /// The changes of a key do not fit together, or there were too many to find their order.
    #[error("the order of what one statement did to a row can't be told")]
    Unclear,
}

/// A change, and the table that it is of.
pub type Built = (Arc<Table>, Change);

/// Turns log rows into changes.
///
/// The changes that one statement of a client makes to a table wait for its end, so that each key's can be put into their
/// order ([`order`]). A statement has ended when its transaction logs the next one, when another transaction touches one of
/// its keys (that one had to wait for it), or with the batch. Beyond [`STATEMENT_BYTES_MAX`] the oldest go out, and what was
/// told of their keys is remembered: a later change that does not continue it is [`BuildError::Unclear`].
///
/// What comes of a table, and in which order, depends on the rows of this table alone: a reader of one table gets the same
/// changes as the hub, which reads the whole log.
#[derive(Debug)]
pub struct ChangeBuilder {
    tables: BTreeMap<Oid, Pending>,
    keys_max: usize,
}

/// What waits of one table.
#[derive(Debug, Default)]
struct Pending {
    /// By transaction; of a table whose key is checked late all in one, for there a transaction does not wait for another.
    statements: HashMap<u64, Statement>,
    /// Transactions in the order of their statements. Those that have ended are passed by.
    oldest: VecDeque<u64>,
    /// The same for statements that have something that waits.
    waiting: VecDeque<u64>,
    /// The transaction that holds a change of a key.
    holders: HashMap<Arc<str>, u64>,
    /// Bytes of all rows that wait.
    bytes: usize,
    /// Keys that are remembered.
    keys: usize,
    /// The latest begin of a statement of which something was forgotten.
    forgotten: Option<i64>,
}

/// One statement of a client, and the changes of one table that it has made so far.
#[derive(Debug, Default)]
struct Statement {
    began: i64,
    /// It is a TRUNCATE within that statement.
    truncates: bool,
    waiting: Vec<Waiting>,
    /// What was told of keys already, by a hash of the key. `None`: it is not known.
    told: HashMap<u64, Option<Told>>,
    /// Some of that was forgotten.
    is_partial: bool,
}

#[derive(Debug)]
struct Waiting {
    table: Arc<Table>,
    change: Change,
    step: Step<State>,
    /// See [`LogRow::began`].
    began: Option<i64>,
    bytes: usize,
}

/// The states before and after what was told of a key, and the number of the last log row.
type Told = (Option<State>, Option<State>, i64);

impl Waiting {
    /// The number of its log row.
    fn number(&self) -> i64 {
        self.change.seq.div_euclid(NUMBERS_PER_LOG_ROW)
    }
}

/// A state of a row: which version it is, or what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl ChangeBuilder {
    /// One that remembers at most `keys_max` keys of each table.
    pub fn new(keys_max: usize) -> Self {
        Self {
            tables: BTreeMap::new(),
            keys_max,
        }
    }

    /// Takes the next row, in the order of `seq`, of `table`, and appends what can go out.
    ///
    /// # Errors
    /// See [`BuildError`]. Nothing more can be told of this table then, until it is forgotten ([`Self::forget`]).
    pub fn push(
        &mut self,
        log: LogRow,
        table: &Arc<Table>,
        out: &mut Vec<Built>,
    ) -> Result<(), BuildError> {
        let pending = self.tables.entry(table.rel).or_default();
        if log.op == LogOp::Truncate {
            append(std::mem::take(pending).finish()?, out);
            let change = change(&log, Op::Truncate, None, None, None, log.seq);
            out.push((table.clone(), change));
            return Ok(());
        }
        pending.push(log, table, self.keys_max, out)
    }

    /// Appends all that waits: the batch has ended.
    ///
    /// # Errors
    /// The tables whose changes are unclear; those of the others are appended.
    pub fn finish(&mut self, out: &mut Vec<Built>) -> Result<(), Vec<Oid>> {
        let (mut all, mut unclear) = (Vec::new(), Vec::new());
        for (rel, pending) in std::mem::take(&mut self.tables) {
            match pending.finish() {
                Ok(changes) => all.extend(changes),
                Err(_) => unclear.push(rel),
            }
        }
        append(all, out);
        match unclear.is_empty() {
            true => Ok(()),
            false => Err(unclear),
        }
    }

    /// Appends what waits of a table: it is described anew.
    ///
    /// # Errors
    /// See [`Self::push`].
    pub fn finish_of(&mut self, rel: Oid, out: &mut Vec<Built>) -> Result<(), BuildError> {
        match self.tables.remove(&rel) {
            Some(pending) => pending.finish().map(|changes| append(changes, out)),
            None => Ok(()),
        }
    }

    /// Throws away what waits of a table.
    pub fn forget(&mut self, rel: Oid) {
        self.tables.remove(&rel);
    }

    /// Bytes of the rows that wait.
    pub fn bytes(&self) -> usize {
        self.tables.values().map(|pending| pending.bytes).sum()
    }
}

impl Pending {
    fn push(
        &mut self,
        log: LogRow,
        table: &Arc<Table>,
        keys_max: usize,
        out: &mut Vec<Built>,
    ) -> Result<(), BuildError> {
        // Without a key nobody follows a row, so there is nothing to put into order.
        if table.key.is_empty() {
            let op = log.op.change().unwrap_or(Op::Truncate);
            let (row, old) = (log.row.clone(), log.old.clone());
            out.push((table.clone(), change(&log, op, None, row, old, log.seq)));
            return Ok(());
        }
        let halves = halves(&log, table)?;
        let (xid, began) = match table.late_key {
            true => (0, 0),
            false => (log.xid, log.statement),
        };
        let truncates = log.is_of_truncate();
        let is_over = |s: &Statement| s.began != began || s.truncates != truncates;
        if self.statements.get(&xid).is_some_and(is_over) {
            self.release(xid, out)?;
        }
        for half in &halves {
            let holder = half
                .change
                .key
                .as_ref()
                .and_then(|key| self.holders.get(key));
            if let Some(holder) = holder.copied().filter(|holder| *holder != xid) {
                self.release(holder, out)?;
            }
        }
        let statement = match self.statements.entry(xid) {
            Entry::Occupied(statement) => statement.into_mut(),
            Entry::Vacant(_) if self.forgotten.is_some_and(|forgotten| began <= forgotten) => {
                return Err(BuildError::Unclear);
            }
            Entry::Vacant(place) => {
                self.oldest.push_back(xid);
                place.insert(Statement {
                    began,
                    truncates,
                    ..Statement::default()
                })
            }
        };
        // One SQL statement touches no row twice, but it may hand keys on from row to row.
        if statement.is_partial && (!log.continues || halves.len() > 1) {
            return Err(BuildError::Unclear);
        }
        for half in halves {
            let Some(key) = half.change.key.clone() else {
                continue;
            };
            match statement.told.get_mut(&hash(&key)) {
                // It goes on from what was told, and leads to something new: there is one trail only.
                Some(Some(told)) if continues(told, &half) => {
                    (told.1, told.2) = (half.step.1, half.number());
                    out.push((half.table, half.change));
                }
                Some(_) => return Err(BuildError::Unclear),
                None => {
                    self.bytes += half.bytes;
                    self.holders.insert(key, xid);
                    if statement.waiting.is_empty() {
                        self.waiting.push_back(xid);
                    }
                    statement.waiting.push(half);
                }
            }
        }
        while self.bytes > STATEMENT_BYTES_MAX {
            self.make_room(xid, out)?;
        }
        while self.keys > keys_max {
            self.forget_keys(xid, out)?;
        }
        Ok(())
    }

    /// Lets the oldest statement go out that still waits, or the older half of `current`; what was told is remembered.
    fn make_room(&mut self, current: u64, out: &mut Vec<Built>) -> Result<(), BuildError> {
        let oldest = loop {
            let Some(xid) = self.waiting.pop_front() else {
                return Err(BuildError::Unclear);
            };
            if self
                .statements
                .get(&xid)
                .is_some_and(|s| !s.waiting.is_empty())
            {
                break xid;
            }
        };
        let Some(statement) = self.statements.get_mut(&oldest) else {
            return Err(BuildError::Unclear);
        };
        let waiting = std::mem::take(&mut statement.waiting);
        let count = match oldest == current {
            true => waiting.len().div_ceil(2),
            false => waiting.len(),
        };
        let (mut gone, mut kept) = older(waiting, count);
        if gone.is_empty() {
            // Each key of the older half has something behind it: all of it goes together.
            std::mem::swap(&mut gone, &mut kept);
        }
        statement.waiting = kept;
        if !statement.waiting.is_empty() {
            self.waiting.push_front(oldest);
        }
        for waiting in &gone {
            self.bytes -= waiting.bytes;
            if let Some(key) = &waiting.change.key {
                self.holders.remove(key);
                if !statement.is_partial && statement.told.insert(hash(key), None).is_none() {
                    self.keys += 1;
                }
            }
        }
        for (_, waiting) in sort(gone)? {
            let key = waiting.change.key.as_deref().map(hash);
            if let Some(told) = key.and_then(|key| statement.told.get_mut(&key)) {
                let first = told.map_or(waiting.step.0, |(first, ..)| first);
                *told = Some((first, waiting.step.1, waiting.number()));
            }
            out.push((waiting.table, waiting.change));
        }
        Ok(())
    }

    /// Forgets what was told of the oldest statement, or of `current` if there is no other.
    fn forget_keys(&mut self, current: u64, out: &mut Vec<Built>) -> Result<(), BuildError> {
        let is_other = |xid: &u64| *xid != current && self.statements.contains_key(xid);
        let other = std::iter::from_fn(|| self.oldest.pop_front()).find(is_other);
        if let Some(other) = other {
            let began = self.statements.get(&other).map(|s| s.began);
            self.forgotten = self.forgotten.max(began);
            self.oldest.push_back(current);
            return self.release(other, out);
        }
        if let Some(statement) = self.statements.get_mut(&current) {
            self.keys -= std::mem::take(&mut statement.told).len();
            statement.is_partial = true;
        }
        Ok(())
    }

    /// The statement of a transaction has ended.
    fn release(&mut self, xid: u64, out: &mut Vec<Built>) -> Result<(), BuildError> {
        let Some(statement) = self.statements.remove(&xid) else {
            return Ok(());
        };
        self.keys -= statement.told.len();
        for waiting in &statement.waiting {
            self.bytes -= waiting.bytes;
            if let Some(key) = &waiting.change.key {
                self.holders.remove(key);
            }
        }
        let sorted = sort(statement.waiting)?;
        out.extend(sorted.into_iter().map(|(_, w)| (w.table, w.change)));
        Ok(())
    }

    /// All of them have ended.
    fn finish(self) -> Result<Vec<(i64, Waiting)>, BuildError> {
        let mut all = Vec::new();
        for statement in self.statements.into_values() {
            all.extend(sort(statement.waiting)?);
        }
        Ok(all)
    }
}

/// As a whole changes stay in the order of the log.
fn append(mut changes: Vec<(i64, Waiting)>, out: &mut Vec<Built>) {
    changes.sort_by_key(|(place, _)| *place);
    out.extend(changes.into_iter().map(|(_, w)| (w.table, w.change)));
}

fn change(
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
    }
}

/// The changes of a row of the log: two, if it changed the key.
fn halves(log: &LogRow, table: &Arc<Table>) -> Result<SmallVec<[Waiting; 2]>, serde_json::Error> {
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

/// The state with which these changes of one key began, should they end there too. None if it is not known. A version of a row
/// exists only once, so that there was no row. The last one is known where its statement began after all the others.
fn circle(waiting: &[Waiting], positions: &[usize]) -> Option<Option<State>> {
    let is_version = |state: &Option<State>| !matches!(state, Some(State::Looks(_)));
    let mut steps = positions.iter().map(|i| &waiting[*i].step);
    if steps.all(|(from, to)| is_version(from) && is_version(to)) {
        return Some(None);
    }
    let is_last = |last: &&usize| {
        let mut others = positions.iter().filter(|i| i != last);
        let began = waiting[**last].began;
        began.is_some_and(|began| others.all(|i| waiting[*i].number() <= began))
    };
    positions
        .iter()
        .find(is_last)
        .map(|last| waiting[*last].step.1)
}

/// Whether a change goes on from what was told, and is not the end of a circle that may have begun elsewhere.
fn continues(told: &Told, next: &Waiting) -> bool {
    let (first, last, number) = told;
    let is_version = matches!(next.step.0, Some(State::Version(_)));
    let is_last = next.began.is_some_and(|began| *number <= began);
    *last == next.step.0 && (*first != next.step.1 || first.is_none() && is_version || is_last)
}

/// Of the first `count` those whose keys have nothing behind them, and the rest.
fn older(waiting: Vec<Waiting>, count: usize) -> (Vec<Waiting>, Vec<Waiting>) {
    let later: HashSet<Arc<str>> = waiting[count..]
        .iter()
        .filter_map(|w| w.change.key.clone())
        .collect();
    let mut place = 0;
    waiting.into_iter().partition(|waiting| {
        place += 1;
        let key = waiting.change.key.as_ref();
        place <= count && !key.is_some_and(|key| later.contains(key))
    })
}

/// Puts the changes of each key into their order, each with its place in the log: those of one key change places among
/// themselves.
fn sort(waiting: Vec<Waiting>) -> Result<Vec<(i64, Waiting)>, BuildError> {
    if waiting.len() < 2 {
        return Ok(waiting.into_iter().map(|w| (w.change.seq, w)).collect());
    }
    let mut places: Vec<Option<i64>> = waiting.iter().map(|w| Some(w.change.seq)).collect();
    let mut by_key: HashMap<&str, SmallVec<[usize; 2]>> = HashMap::with_capacity(waiting.len());
    for (i, waiting) in waiting.iter().enumerate() {
        by_key
            .entry(waiting.change.key.as_deref().unwrap_or_default())
            .or_default()
            .push(i);
    }
    for positions in by_key.values().filter(|positions| positions.len() > 1) {
        let sorted = match waiting[positions[0]].table.late_key {
            false => sequence(&waiting, positions, circle(&waiting, positions))?,
            true => late_sequence(&waiting, positions)?,
        };
        for i in positions {
            places[*i] = None;
        }
        for (slot, which) in positions.iter().zip(sorted) {
            places[which] = Some(waiting[*slot].change.seq);
        }
    }
    let mut sorted: Vec<(i64, Waiting)> = places
        .into_iter()
        .zip(waiting)
        .filter_map(|(place, w)| Some((place?, w)))
        .collect();
    sorted.sort_by_key(|(place, _)| *place);
    Ok(sorted)
}

/// The order of these changes of one key.
fn sequence(
    waiting: &[Waiting],
    positions: &[usize],
    circle: Option<Option<State>>,
) -> Result<Vec<usize>, BuildError> {
    let steps: Vec<Step<State>> = positions.iter().map(|i| waiting[*i].step).collect();
    match order(&steps, circle) {
        Order::AsLogged => Ok(positions.to_vec()),
        Order::Nothing => Ok(Vec::new()),
        Order::Unclear => Err(BuildError::Unclear),
        Order::Sorted(sorted) => Ok(sorted.into_iter().map(|i| positions[i]).collect()),
    }
}

/// The same where keys are checked late. Within a transaction a key may have several rows, so what cancels out there says
/// nothing of it. At the end of each it has one, so transactions are steps themselves, in the order that the versions say.
fn late_sequence(waiting: &[Waiting], positions: &[usize]) -> Result<Vec<usize>, BuildError> {
    let mut of_xid: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for i in positions {
        of_xid.entry(waiting[*i].change.xid).or_default().push(*i);
    }
    let (mut inner, mut steps) = (Vec::new(), Vec::new());
    for positions in of_xid.values() {
        let sorted = sequence(waiting, positions, None)?;
        if let (Some(first), Some(last)) = (sorted.first(), sorted.last()) {
            steps.push((waiting[*first].step.0, waiting[*last].step.1));
            inner.push(sorted);
        }
    }
    Ok(match order(&steps, Some(None)) {
        Order::AsLogged => inner.concat(),
        Order::Nothing => Vec::new(),
        Order::Unclear => return Err(BuildError::Unclear),
        Order::Sorted(sorted) => sorted.into_iter().flat_map(|i| inner[i].clone()).collect(),
    })
}

#[cfg(test)]
mod tests;
