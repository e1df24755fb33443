//! Of each key only the newest change, for those who want the state of a table and not its history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::change::Op;

/// What an entry costs beside its own bytes.
const ENTRY_OVERHEAD: usize = 96;

/// See the module's documentation. In the order of what is left: a key stands where its newest change came.
#[derive(Debug)]
pub struct Newest<T> {
    /// By the number of the change, each with its bytes.
    kept: BTreeMap<u64, (usize, T)>,
    /// The number of each key's change.
    numbers: HashMap<Arc<str>, u64>,
    next: u64,
    bytes: usize,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
            bytes: 0,
        }
    }
}

impl<T> Newest<T> {
    /// Takes a change of a key, kept as `value` of about `bytes`: what was before it of its key is gone, and all that was
    /// before a TRUNCATE.
    pub fn push(&mut self, op: Op, key: Option<Arc<str>>, bytes: usize, value: T) {
        if op == Op::Truncate {
            (self.kept, self.numbers, self.bytes) = (BTreeMap::new(), HashMap::new(), 0);
        }
        let (number, bytes) = (self.next, bytes + ENTRY_OVERHEAD);
        self.next += 1;
        if let Some(key) = key
            && let Some(before) = self.numbers.insert(key, number)
            && let Some((bytes, _)) = self.kept.remove(&before)
        {
            self.bytes -= bytes;
        }
        self.kept.insert(number, (bytes, value));
        self.bytes += bytes;
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All that is kept. Begins anew.
    pub fn take(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(self)
            .kept
            .into_values()
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(changes: &[(Op, Option<&str>)]) -> Vec<usize> {
        let mut newest = Newest::default();
        for (n, (op, key)) in changes.iter().enumerate() {
            newest.push(*op, key.map(Arc::from), 10, n);
        }
        let bytes = newest.bytes();
        let left: Vec<usize> = newest.take().collect();
        assert_eq!(bytes, left.len() * (10 + ENTRY_OVERHEAD));
        assert!(newest.is_empty() && newest.bytes() == 0);
        left
    }

    #[test]
    fn of_each_key_the_newest_change_is_left_where_it_came() {
        use Op::{Delete, Insert, Update};
        let changes = [
            (Insert, Some("1")),
            (Insert, Some("2")),
            (Update, Some("1")),
            (Delete, Some("3")),
            (Update, Some("1")),
        ];
        assert_eq!(left(&changes), [1, 3, 4]);
    }

    #[test]
    fn nothing_before_a_truncate_is_left() {
        use Op::{Insert, Truncate};
        let changes = [
            (Insert, Some("1")),
            (Truncate, None),
            (Insert, Some("1")),
            (Insert, Some("2")),
        ];
        assert_eq!(left(&changes), [1, 2, 3]);
    }

    #[test]
    fn what_has_no_key_is_left() {
        assert_eq!(left(&[(Op::Insert, None), (Op::Insert, None)]), [0, 1]);
    }
}
