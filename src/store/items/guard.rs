//! What of the items a principal may see and write. Policies are decided on the row itself, within the transaction that reads or
//! writes it, by the same code as for changes.

use std::borrow::Cow;
use std::sync::Arc;

use deadpool_postgres::GenericClient;

use crate::feed::filter::Filter;
use crate::feed::filter::row::Row;
use crate::feed::{Grant, PolicyVersion, Projection, Right, Table};

use super::super::policy;
use super::super::pool::StoreError;
use super::{Item, Outcome};

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// `None` for a principal that may see and write everything.
    grants: Option<Grants>,
    /// What of a row may be seen, and how.
    shows: Projection,
}

#[derive(Clone, Debug)]
struct Grants {
    table: Arc<Table>,
    see: Option<Grant>,
    write: Option<(Right, Grant)>,
}

impl Guard {
    /// For a principal that sees everything, in this form.
    pub fn open(shows: Projection) -> Self {
        Self {
            grants: None,
            shows,
        }
    }

    /// Which rows may be seen; none for all.
    pub fn rows(&self) -> Option<Arc<Filter>> {
        self.grants.as_ref()?.see.as_ref()?.rows.clone()
    }

    /// For a principal that may see and write these rows of the table; `None` for no row.
    pub fn new(table: Arc<Table>, see: Option<Grant>, write: Option<(Right, Grant)>) -> Self {
        let shows = table.projection(None);
        Self {
            grants: Some(Grants { table, see, write }),
            shows,
        }
    }

    /// Whether it still is as it was when it was made. After a read.
    ///
    /// # Errors
    /// Unavailable if it is not: asked again, the server knows better.
    pub(super) async fn holds(&self, client: &impl GenericClient) -> Result<(), StoreError> {
        for held in self.held() {
            if !policy::holds(client, &held).await? {
                return Err(changed());
            }
        }
        Ok(())
    }

    /// The same, and it stays so until the transaction ends. Before a write is checked: a `deny` that comes meanwhile waits for
    /// the commit, and one that was there before is seen.
    ///
    /// # Errors
    /// See [`Self::holds`].
    pub(super) async fn hold(&self, client: &impl GenericClient) -> Result<(), StoreError> {
        for held in self.held() {
            if !policy::hold(client, &held).await? {
                return Err(changed());
            }
        }
        Ok(())
    }

    /// In an order that is the same for all: two writers must not wait for each other.
    fn held(&self) -> Vec<PolicyVersion> {
        let Some(grants) = &self.grants else {
            return Vec::new();
        };
        let rel = grants.table.rel;
        let see = grants.see.as_ref().map(|g| g.held(rel, Right::Select));
        let write = grants.write.as_ref().map(|(right, g)| g.held(rel, *right));
        see.into_iter().chain(write).collect()
    }

    /// Whether not every row may be written.
    pub(super) fn asks_for_rows(&self) -> bool {
        let write = self.grants.as_ref().and_then(|g| g.write.as_ref());
        write.is_some_and(|(_, grant)| grant.rows.is_some())
    }

    /// Whether the policies of a write only ask for these columns: then they can be decided before there is a row.
    pub(super) fn asks_only_for(&self, columns: &[&str]) -> bool {
        let write = self.grants.as_ref().and_then(|g| g.write.as_ref());
        let rows = write.and_then(|(_, grant)| grant.rows.as_ref());
        rows.is_none_or(|rows| {
            let mut leaves = rows.expr().leaves().into_iter();
            leaves.all(|leaf| columns.contains(&leaf.parts().0))
        })
    }

    pub(super) fn may_see(&self, item: &Item) -> Result<bool, StoreError> {
        self.grants
            .as_ref()
            .map_or(Ok(true), |g| g.passes(g.see.as_ref(), item))
    }

    pub(super) fn may_write(&self, item: &Item) -> Result<bool, StoreError> {
        self.grants.as_ref().map_or(Ok(true), |g| {
            g.passes(g.write.as_ref().map(|(_, grant)| grant), item)
        })
    }

    /// Whether clients may see a column: the table may be watched without some.
    pub fn has_column(&self, name: &str) -> bool {
        self.grants
            .as_ref()
            .is_none_or(|g| g.table.has_column(name))
    }

    /// A row as clients may see it.
    pub(super) fn show(&self, mut item: Item) -> Result<Item, StoreError> {
        if let Cow::Owned(shown) = self.shows.apply(&item.json).map_err(|_| altered())? {
            item.json = shown;
        }
        Ok(item)
    }

    /// What was done, as far as the principal may see it.
    pub(super) fn shown(&self, item: Item) -> Result<Outcome, StoreError> {
        Ok(match self.may_see(&item)? {
            true => Outcome::Done(self.show(item)?),
            false => Outcome::Hidden(item.id),
        })
    }
}

impl Grants {
    fn passes(&self, grant: Option<&Grant>, item: &Item) -> Result<bool, StoreError> {
        let Some(grant) = grant else {
            return Ok(false);
        };
        let Some(rows) = &grant.rows else {
            return Ok(true);
        };
        let row = Row::read(&self.table, &item.json).map_err(|_| altered())?;
        rows.passes(&row).map_err(|_| altered())
    }
}

/// What a client may do is not what it was when its request began.
fn changed() -> StoreError {
    StoreError::Unavailable("what the client may do has just changed".into())
}

/// The row is not as the table was described; that is known in a moment.
fn altered() -> StoreError {
    StoreError::Unavailable("items has just been altered".into())
}
