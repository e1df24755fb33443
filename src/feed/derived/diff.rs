//! From the rows that clients have to those that there are: changes that are applied one by one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::Entry;

/// One change.
#[derive(Clone, Debug)]
pub enum Step {
    /// The row is not among them any more.
    Delete(Arc<Entry>),
    /// It is, at this place after this change.
    Insert(usize, Arc<Entry>),
    /// It still is, at this place after this change.
    Update(usize, Arc<Entry>),
}

/// The steps from `old` to `new`: deletes, and then what is new or other in the order of `new`. A row that keeps its place among
/// those that stay is told only if it is another one.
pub fn steps(old: &[Arc<Entry>], new: &[Arc<Entry>]) -> Vec<Step> {
    let was: HashMap<&str, usize> = (0..).zip(old).map(|(i, row)| (&*row.key, i)).collect();
    let is: HashMap<&str, usize> = (0..).zip(new).map(|(i, row)| (&*row.key, i)).collect();
    let gone = old.iter().filter(|row| !is.contains_key(&*row.key));
    let mut steps: Vec<Step> = gone.map(|row| Step::Delete(row.clone())).collect();
    // The rows as the client has them, by their place in `new`.
    let mut rows: Vec<usize> = old
        .iter()
        .filter_map(|row| is.get(&*row.key).copied())
        .collect();
    let stays = ascending(&rows);
    for (place, row) in new.iter().enumerate() {
        let Some(before) = was.get(&*row.key).map(|at| &old[*at]) else {
            let at = behind(&rows, place);
            rows.insert(at, place);
            steps.push(Step::Insert(at, row.clone()));
            continue;
        };
        let is_same = Arc::ptr_eq(before, row) || before.text == row.text;
        match (stays.binary_search(&place).is_ok(), is_same) {
            (true, true) => {}
            (true, false) => {
                let at = rows.iter().position(|other| *other == place);
                steps.push(Step::Update(at.unwrap_or_default(), row.clone()));
            }
            (false, _) => {
                rows.retain(|other| *other != place);
                let at = behind(&rows, place);
                rows.insert(at, place);
                steps.push(Step::Update(at, row.clone()));
            }
        }
    }
    steps
}

/// The same for rows without an order, as groups have none: their places mean nothing, and take no time.
pub fn steps_without_order(old: &[Arc<Entry>], new: &[Arc<Entry>]) -> Vec<Step> {
    let was: HashMap<&str, &Arc<Entry>> = old.iter().map(|row| (&*row.key, row)).collect();
    let is: HashSet<&str> = new.iter().map(|row| &*row.key).collect();
    let gone = old.iter().filter(|row| !is.contains(&*row.key));
    let mut steps: Vec<Step> = gone.map(|row| Step::Delete(row.clone())).collect();
    for row in new {
        match was.get(&*row.key) {
            None => steps.push(Step::Insert(0, row.clone())),
            Some(before) if Arc::ptr_eq(before, row) || before.text == row.text => {}
            Some(_) => steps.push(Step::Update(0, row.clone())),
        }
    }
    steps
}

/// Behind the row before it, which is in its place already.
fn behind(rows: &[usize], place: usize) -> usize {
    let before = place.checked_sub(1);
    let at = before.and_then(|before| rows.iter().position(|other| *other == before));
    at.map_or(0, |at| at + 1)
}

/// A longest ascending part of the numbers, which are all different.
fn ascending(numbers: &[usize]) -> Vec<usize> {
    if numbers.is_sorted() {
        return numbers.to_vec();
    }
    // The end of the best part of each length, as a place in `numbers`, and what comes before each number.
    let (mut ends, mut before) = (Vec::<usize>::new(), vec![None; numbers.len()]);
    for (i, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        before[i] = length.checked_sub(1).map(|last| ends[last]);
        match ends.get_mut(length) {
            Some(end) => *end = i,
            None => ends.push(i),
        }
    }
    let mut part = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(i) = at {
        part.push(numbers[i]);
        at = before[i];
    }
    part.reverse();
    part
}

impl Step {
    /// Appends it as a member of `changes`. `is_window`: rows have places, and come and go with those of others.
    pub fn write_json(&self, out: &mut String, is_window: bool) {
        let (op, place, row) = match self {
            Self::Delete(row) => ("delete", None, row),
            Self::Insert(place, row) => ("insert", Some(place), row),
            Self::Update(place, row) => ("update", Some(place), row),
        };
        out.push_str("{\"op\":\"");
        out.push_str(op);
        out.push('"');
        if is_window && op != "update" {
            out.push_str(",\"cause\":\"window\"");
        }
        out.push_str(",\"key\":");
        out.push_str(&row.key);
        if let Some(place) = place {
            out.push_str(",\"row\":");
            out.push_str(&row.text);
            if is_window {
                // Writing into a String can't fail.
                let _ = write!(out, ",\"index\":{place}");
            }
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::place::Place;
    use super::*;

    fn entries(rows: &[(u8, u8)]) -> Vec<Arc<Entry>> {
        let entry = |(key, value): &(u8, u8)| Entry {
            key: format!("{{\"id\":{key}}}").into(),
            text: format!("{{\"id\":{key},\"v\":{value}}}").into(),
            place: Place::default(),
        };
        rows.iter().map(|row| Arc::new(entry(row))).collect()
    }

    fn texts(rows: &[Arc<Entry>]) -> Vec<&str> {
        rows.iter().map(|row| &*row.text).collect()
    }

    /// As a client does it.
    fn apply(rows: &mut Vec<Arc<Entry>>, step: &Step) {
        match step {
            Step::Delete(row) => {
                let at = rows.iter().position(|other| other.key == row.key);
                rows.remove(at.expect("a row that the client has"));
            }
            Step::Insert(at, row) => {
                assert!(rows.iter().all(|other| other.key != row.key));
                rows.insert(*at, row.clone());
            }
            Step::Update(at, row) => {
                let was = rows.iter().position(|other| other.key == row.key);
                rows.remove(was.expect("a row that the client has"));
                rows.insert(*at, row.clone());
            }
        }
    }

    fn list() -> impl Strategy<Value = Vec<(u8, u8)>> {
        let keys = prop::collection::btree_set(0u8..12, 0..12);
        let keys = keys.prop_map(|keys| keys.into_iter().collect::<Vec<_>>());
        keys.prop_shuffle().prop_flat_map(|keys| {
            let values = prop::collection::vec(0u8..2, keys.len());
            values.prop_map(move |values| keys.iter().copied().zip(values).collect())
        })
    }

    proptest! {
        #[test]
        fn steps_lead_from_any_list_to_any_other(old in list(), new in list()) {
            let (old, new) = (entries(&old), entries(&new));
            let steps = steps(&old, &new);
            let (mut rows, longest) = (old.clone(), old.len().max(new.len()));
            for step in &steps {
                apply(&mut rows, step);
                prop_assert!(rows.len() <= longest);
            }
            prop_assert_eq!(texts(&rows), texts(&new));
        }
    }

    proptest! {
        #[test]
        fn steps_without_order_lead_from_any_rows_to_any_others(old in list(), new in list()) {
            let (old, new) = (entries(&old), entries(&new));
            let mut rows: BTreeMap<String, String> = BTreeMap::new();
            let of = |row: &Entry| (row.key.to_string(), row.text.to_string());
            rows.extend(old.iter().map(|row| of(row)));
            for step in &steps_without_order(&old, &new) {
                match step {
                    Step::Delete(row) => prop_assert!(rows.remove(&*row.key).is_some()),
                    Step::Insert(_, row) => prop_assert!(rows.insert(row.key.to_string(), row.text.to_string()).is_none()),
                    Step::Update(_, row) => {
                        let before = rows.insert(row.key.to_string(), row.text.to_string());
                        prop_assert!(before.is_some_and(|before| before != *row.text));
                    }
                }
            }
            prop_assert_eq!(rows, new.iter().map(|row| of(row)).collect());
        }
    }

    #[test]
    fn what_only_moves_over_is_not_told() {
        let old = entries(&[(1, 0), (2, 0), (3, 0), (4, 0)]);
        let mut said = Vec::new();
        for (new, expected) in [
            (vec![(1, 0), (2, 0), (3, 0), (4, 0)], vec![]),
            (
                vec![(9, 0), (1, 0), (2, 0), (3, 0)],
                vec!["delete 4", "insert 0 9"],
            ),
            (vec![(2, 0), (3, 0), (1, 1), (4, 0)], vec!["update 2 1"]),
            (vec![(1, 0), (4, 1), (2, 0), (3, 0)], vec!["update 1 4"]),
            (
                vec![(1, 0), (2, 1), (4, 0), (5, 0)],
                vec!["delete 3", "update 1 2", "insert 3 5"],
            ),
        ] {
            said.clear();
            for step in steps(&old, &entries(&new)) {
                let id = |row: &Entry| row.key[6..row.key.len() - 1].to_owned();
                said.push(match &step {
                    Step::Delete(row) => format!("delete {}", id(row)),
                    Step::Insert(at, row) => format!("insert {at} {}", id(row)),
                    Step::Update(at, row) => format!("update {at} {}", id(row)),
                });
            }
            assert_eq!(said, expected, "{new:?}");
        }
    }

    #[test]
    fn a_step_is_written_as_the_contract_says() {
        let row = &entries(&[(1, 2)])[0];
        let mut out = String::new();
        Step::Insert(3, row.clone()).write_json(&mut out, true);
        Step::Update(0, row.clone()).write_json(&mut out, true);
        Step::Delete(row.clone()).write_json(&mut out, true);
        Step::Update(0, row.clone()).write_json(&mut out, false);
        assert_eq!(
            out,
            concat!(
                r#"{"op":"insert","cause":"window","key":{"id":1},"row":{"id":1,"v":2},"index":3}"#,
                r#"{"op":"update","key":{"id":1},"row":{"id":1,"v":2},"index":0}"#,
                r#"{"op":"delete","cause":"window","key":{"id":1}}"#,
                r#"{"op":"update","key":{"id":1},"row":{"id":1,"v":2}}"#,
            )
        );
    }
}
