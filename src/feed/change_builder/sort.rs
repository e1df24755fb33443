//! The order of the changes of each key.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::super::key_order::{Order, Step, order};
use super::BuildError;
use super::waiting::{State, Waiting};

/// Puts the changes of each key into their order, each with its place in the log: those of one key change places among
/// themselves.
pub(super) fn sort(waiting: Vec<Waiting>) -> Result<Vec<(i64, Waiting)>, BuildError> {
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

/// Of the first `count` those whose keys have nothing behind them, and the rest.
pub(super) fn older(waiting: Vec<Waiting>, count: usize) -> (Vec<Waiting>, Vec<Waiting>) {
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
