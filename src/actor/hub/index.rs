//! Which topics of a table a change may concern. Those whose filter demands a value of a column are found by that value,
//! so ten thousand of `tenant_id=eq.N` cost about as much as ten.

use std::collections::HashMap;

use crate::feed::TopicId;
use crate::feed::filter::datum::{Datum, Unreadable};
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
}

impl Index {
    /// Adds a topic.
    pub fn insert(&mut self, id: TopicId, filter: Option<&Filter>) {
        match filter.map(Filter::required) {
            None => self.plain.push(id),
            Some(None) => self.asked.push(id),
            Some(Some((column, values))) => {
                let by_value = self.by_value.entry(column).or_default();
                for value in values {
                    by_value.entry(value.datum.clone()).or_default().push(id);
                }
            }
        }
    }

    /// Takes a topic out; `filter` is the one that it was added with.
    pub fn remove(&mut self, id: TopicId, filter: Option<&Filter>) {
        match filter.map(Filter::required) {
            None => take(&mut self.plain, id),
            Some(None) => take(&mut self.asked, id),
            Some(Some((column, values))) => {
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
