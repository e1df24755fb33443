//! Which topics of a table a change may concern. Those whose filter demands a value of a column are found by that value,
//! so ten thousand of `tenant_id=eq.N` cost about as much as ten.

use std::collections::HashMap;

use crate::feed::TopicId;
use crate::feed::filter::datum::{Datum, Literal, Unreadable};
use crate::feed::filter::{Filter, Opened};

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Index {
    /// Those that take every change.
    plain: Vec<TopicId>,
    /// Those whose filter has to be asked about every change.
    asked: Vec<TopicId>,
    /// By column and value, those whose filter has to be asked only then.
    by_value: HashMap<usize, HashMap<Datum<'static>, Vec<TopicId>>>,
    /// Of those, which of the values that its filter demands it is found by.
    chosen: HashMap<TopicId, usize>,
}

impl Index {
    /// Adds a topic.
    pub fn insert(&mut self, id: TopicId, filter: Option<&Filter>) {
        let Some(filter) = filter else {
            return self.plain.push(id);
        };
        let required = filter.required();
        // Of `status=eq.open&tenant_id=eq.7` it is the tenant that tells topics apart: the one whose values have the
        // fewest topics so far.
        let fewest = (0..required.len()).min_by_key(|which| {
            let (column, values) = required[*which];
            values.iter().map(|v| self.load(column, v)).sum::<usize>()
        });
        let Some(which) = fewest else {
            return self.asked.push(id);
        };
        let (column, values) = required[which];
        let by_value = self.by_value.entry(column).or_default();
        for value in values {
            by_value.entry(value.datum.clone()).or_default().push(id);
        }
        self.chosen.insert(id, which);
    }

    /// How many topics a change with this value has to ask.
    fn load(&self, column: usize, value: &Literal) -> usize {
        let by_value = self.by_value.get(&column);
        let ids = by_value.and_then(|by_value| by_value.get(&value.datum));
        ids.map_or(0, Vec::len)
    }

    /// Takes a topic out; `filter` is the one that it was added with.
    pub fn remove(&mut self, id: TopicId, filter: Option<&Filter>) {
        let Some(filter) = filter else {
            return take(&mut self.plain, id);
        };
        let required = filter.required();
        let chosen = self.chosen.remove(&id);
        let Some((column, values)) = chosen.and_then(|which| required.get(which).copied()) else {
            return take(&mut self.asked, id);
        };
        let Some(by_value) = self.by_value.get_mut(&column) else {
            return;
        };
        for value in values {
            if let Some(ids) = by_value.get_mut(&value.datum) {
                take(ids, id);
                if ids.is_empty() {
                    by_value.remove(&value.datum);
                }
            }
        }
        if by_value.is_empty() {
            self.by_value.remove(&column);
        }
    }

    /// Those that take every change.
    pub fn plain(&self) -> &[TopicId] {
        &self.plain
    }

    /// Whether some filter has to be asked about some changes.
    pub fn has_filters(&self) -> bool {
        !self.asked.is_empty() || !self.by_value.is_empty()
    }

    /// All that have a filter, each once.
    pub fn all(&self) -> Vec<TopicId> {
        let by_value = self.by_value.values().flat_map(HashMap::values).flatten();
        let mut all: Vec<TopicId> = self.asked.iter().chain(by_value).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The topics whose filter has to be asked about a change, each once.
    ///
    /// # Errors
    /// If a row can't be read.
    pub fn asked(&self, change: &Opened<'_>) -> Result<Vec<TopicId>, Unreadable> {
        let mut found = self.asked.clone();
        let rows = [&change.new, &change.old];
        for (column, by_value) in &self.by_value {
            for row in rows.into_iter().flatten() {
                if let Some(datum) = row.datum(*column)? {
                    found.extend(by_value.get(datum).into_iter().flatten());
                }
            }
        }
        // An update mostly leaves the value as it was, and two values of an `in` may both be concerned.
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn take(ids: &mut Vec<TopicId>, id: TopicId) {
    if let Some(place) = ids.iter().position(|other| *other == id) {
        ids.swap_remove(place);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::feed::filter::parse::parse;
    use crate::feed::{Change, Op, Table};

    fn table() -> Table {
        let described = r#"{"rel": 1, "schema": "public", "name": "t", "quoted": "public.t", "since": 1,
            "key": ["id"], "old_rows": true, "narrowed": false, "columns": [
            {"name": "id", "type": "integer", "base": "integer"}, {"name": "open", "type": "boolean", "base": "boolean"},
            {"name": "tenant", "type": "integer", "base": "integer"}]}"#;
        serde_json::from_str(described).unwrap()
    }

    fn filter(text: &str) -> Filter {
        Filter::bind(&Arc::new(parse(text).unwrap().unwrap()), &table()).unwrap()
    }

    fn asked(index: &Index, row: &str) -> Vec<u32> {
        let change = Change {
            op: Op::Insert,
            key: None,
            row: Some(row.into()),
            old: None,
            seq: 1,
            xid: 1,
            at_us: 0,
            trace: None,
        };
        let table = table();
        let opened = Opened::new(&table, &change).unwrap();
        index
            .asked(&opened)
            .unwrap()
            .iter()
            .map(|id| id.0)
            .collect()
    }

    #[test]
    fn a_topic_is_found_by_the_value_that_tells_it_apart() {
        let mut index = Index::default();
        let filters: Vec<Filter> = (0..1_000)
            .map(|tenant| filter(&format!("open=eq.true&tenant=eq.{tenant}")))
            .collect();
        for (id, filter) in (0..).zip(&filters) {
            index.insert(TopicId(id), Some(filter));
        }
        let row = r#"{"id":1,"open":true,"tenant":700}"#;
        // The first one went by the other value.
        assert_eq!(asked(&index, row), [0, 700]);
        for (id, filter) in (0..).zip(&filters) {
            index.remove(TopicId(id), Some(filter));
        }
        assert!(!index.has_filters() && index.chosen.is_empty());
    }

    #[test]
    fn a_filter_that_nothing_passes_hears_of_a_truncate() {
        let (mut index, nothing) = (Index::default(), filter("tenant=in.()"));
        index.insert(TopicId(1), Some(&nothing));
        assert_eq!(index.all(), [TopicId(1)]);
        index.remove(TopicId(1), Some(&nothing));
        assert!(!index.has_filters());
    }
}
