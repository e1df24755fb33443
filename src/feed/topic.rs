//! A topic: what several subscriptions that ask for the same share, so that a frame is encoded once for all of them.

use std::fmt;
use std::sync::Arc;

use super::catalog::{Oid, Table};
use super::filter::Filter;

/// Names a topic for the lifetime of the process; on the wire `t7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u32);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// What a subscription is about, normalised: equal subjects are one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The table; a partitioned one stands for all its partitions.
    pub root: Oid,
    /// The columns that the client asked for, sorted; none for all that it may see.
    pub columns: Option<Vec<String>>,
    /// Which rows; none for all.
    pub filter: Option<Arc<Filter>>,
    /// Whether of each key only the newest change is wanted.
    pub conflates: bool,
}

impl Subject {
    /// Normalises: the order in which a client lists columns does not matter.
    pub fn new(
        root: Oid,
        columns: Option<Vec<String>>,
        filter: Option<Arc<Filter>>,
        conflates: bool,
    ) -> Self {
        let columns = columns.map(|mut list| {
            list.sort();
            list.dedup();
            list
        });
        Self {
            root,
            columns,
            filter,
            conflates,
        }
    }
}

/// A table as the subscribers of a topic see it. Topics with equal projections share the text of a change.
#[derive(Clone, Debug)]
pub struct View {
    /// The table.
    pub table: Arc<Table>,
    /// The columns that leave; none for rows as they are.
    pub projection: Option<Arc<[String]>>,
    /// The rows that leave; none for all.
    pub filter: Option<Arc<Filter>>,
    /// Whether of each key only the newest change leaves.
    pub conflates: bool,
}

impl View {
    /// What a subject shows of its table.
    pub fn new(table: Arc<Table>, subject: &Subject) -> Self {
        let projection = table.projection(subject.columns.as_deref()).map(Arc::from);
        Self {
            table,
            projection,
            filter: subject.filter.clone(),
            conflates: subject.conflates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_subjects_are_one_topic() {
        let list = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(
            Subject::new(1, list(&["b", "a", "b"]), None, false),
            Subject::new(1, list(&["a", "b"]), None, false)
        );
        let all = Subject::new(1, None, None, false);
        assert_ne!(all, Subject::new(1, list(&["a"]), None, false));
        assert_ne!(all, Subject::new(1, None, None, true));
        assert_eq!(TopicId(7).to_string(), "t7");
    }
}
