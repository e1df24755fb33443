//! A topic: what several subscriptions that ask for the same share, so that a frame is encoded once for all of them.

use std::fmt;
use std::sync::Arc;

use super::catalog::{Oid, Table};
use super::derived::Derivation;
use super::filter::datum::Unreadable;
use super::filter::{Filter, Opened, Shape};
use super::policy::{Grant, PolicyVersion, Right};
use super::projection::Projection;
use super::snapshot::Snapshot;

/// Names a topic for the lifetime of the process; on the wire `t7`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Which rows the client asked for; none for all.
    pub filter: Option<Arc<Filter>>,
    /// What it may see; none where everybody sees everything.
    pub grant: Option<Grant>,
    /// Whether of each key only the newest change is wanted.
    pub conflates: bool,
    /// What is derived from the rows; none for the rows themselves.
    pub derivation: Option<Arc<Derivation>>,
}

impl Subject {
    /// Normalises: the order in which a client lists columns does not matter.
    pub fn new(
        root: Oid,
        columns: Option<Vec<String>>,
        filter: Option<Arc<Filter>>,
        grant: Option<Grant>,
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
            grant,
            conflates,
            derivation: None,
        }
    }

    /// The same, of what is derived from the rows.
    pub fn deriving(mut self, derivation: Option<Derivation>) -> Self {
        self.derivation = derivation.map(Arc::new);
        self
    }

    /// Whether clients may name all columns of `table` that it names.
    pub fn names_columns_of(&self, table: &Table) -> bool {
        match self.derivation.as_deref() {
            Some(derivation @ Derivation::Counts(_)) => derivation.fits(table),
            derivation => {
                let columns = self.columns.as_deref().unwrap_or_default();
                columns.iter().all(|name| table.has_column(name))
                    && derivation.is_none_or(|derivation| derivation.fits(table))
            }
        }
    }
}

impl Subject {
    /// Whether a principal at that cursor could see the same rows.
    pub fn is_seen_by(&self, at: &Snapshot) -> bool {
        self.grant.as_ref().is_none_or(|grant| at.sees(grant.since))
    }
}

/// What has become of a subject with its table.
#[derive(Debug)]
pub enum Anew {
    /// It is this: columns may have other places now.
    Bound(Subject),
    /// The table does not fit what was asked for.
    Unfit,
    /// Those who asked may see other rows now, or none.
    Revoked,
}

impl Subject {
    /// The same of a table that is described anew.
    pub fn bound_anew(&self, table: &Table) -> Anew {
        let is_kept = |grant: &Grant| {
            let mut policies = table.policies.iter();
            policies
                .any(|p| p.op == Right::Select && *p.role == *grant.role && p.since == grant.since)
        };
        if !self.grant.as_ref().is_none_or(is_kept) {
            return Anew::Revoked;
        }
        let bind = |filter: &Option<Arc<Filter>>| match filter {
            Some(_) if !table.old_rows => Err(()),
            Some(filter) => {
                let bound = Filter::bind(filter.expr(), table);
                bound.map(|bound| Some(Arc::new(bound))).map_err(|_| ())
            }
            None => Ok(None),
        };
        let derives = self.derivation.as_ref();
        if !derives.is_none_or(|derivation| derivation.fits(table)) {
            return Anew::Unfit;
        }
        let mut subject = self.clone();
        let rows = self.grant.as_ref().map(|grant| bind(&grant.rows));
        match (bind(&self.filter), rows.transpose()) {
            (Ok(filter), Ok(rows)) => {
                subject.filter = filter;
                if let (Some(grant), Some(rows)) = (&mut subject.grant, rows) {
                    grant.rows = rows;
                }
                Anew::Bound(subject)
            }
            _ => Anew::Unfit,
        }
    }
}

/// A table as the subscribers of a topic see it. Topics with equal projections share the text of a change.
#[derive(Clone, Debug)]
pub struct View {
    /// The table.
    pub table: Arc<Table>,
    /// What leaves of a row.
    pub projection: Projection,
    /// The rows that leave; none for all.
    pub filter: Option<Arc<Filter>>,
    /// Whether rows may be hidden from those who see it: then one that leaves is told by its key alone.
    pub is_guarded: bool,
    /// The policy by which they are seen; none where everybody sees everything.
    pub held: Option<PolicyVersion>,
    /// Whether of each key only the newest change leaves.
    pub conflates: bool,
    /// What is derived from the rows; none for the rows themselves.
    pub derivation: Option<Arc<Derivation>>,
}

impl View {
    /// What a subject shows of its table.
    pub fn new(table: Arc<Table>, subject: &Subject) -> Self {
        let projection = table.projection(subject.columns.as_deref());
        let grant = subject.grant.as_ref();
        let allowed = grant.and_then(|grant| grant.rows.as_ref());
        let filter = match (&subject.filter, allowed) {
            (Some(asked), Some(allowed)) => Some(Arc::new(asked.and(allowed))),
            (asked, allowed) => asked.as_ref().or(allowed).cloned(),
        };
        Self {
            table,
            projection,
            filter,
            is_guarded: allowed.is_some(),
            held: grant.map(|grant| grant.held(subject.root, Right::Select)),
            conflates: subject.conflates,
            derivation: subject.derivation.clone(),
        }
    }

    /// The columns that tell one of its rows from another.
    pub fn key(&self) -> &[String] {
        match &self.derivation {
            Some(derivation) => derivation.key(&self.table),
            None => &self.table.key,
        }
    }

    /// How a change shows; none if it does not.
    ///
    /// # Errors
    /// See [`Filter::shape`].
    pub fn shape(&self, change: &Opened<'_>) -> Result<Option<Shape>, Unreadable> {
        let Some(filter) = &self.filter else {
            return Ok(Some(Shape::Plain));
        };
        let shape = filter.shape(change)?;
        Ok(match shape {
            // Without a key only the old row says which one it was; it had been seen.
            Some(Shape::Leave) if self.is_guarded && !self.table.key.is_empty() => {
                Some(Shape::Gone)
            }
            shape => shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_subjects_are_one_topic() {
        let list = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(
            Subject::new(1, list(&["b", "a", "b"]), None, None, false),
            Subject::new(1, list(&["a", "b"]), None, None, false)
        );
        let all = Subject::new(1, None, None, None, false);
        assert_ne!(all, Subject::new(1, list(&["a"]), None, None, false));
        assert_ne!(all, Subject::new(1, None, None, None, true));
        assert_eq!(TopicId(7).to_string(), "t7");
    }
}
