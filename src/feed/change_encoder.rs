//! From rows of the log to the text of changes, for one view of one table: what a client gets that catches up.

use std::sync::Arc;

use crate::limits::{CONFLATE_BYTES_MAX, STATEMENT_KEYS_OF_REPLAY_MAX};

use super::catalog::Table;
use super::change::{Change, LogOp, LogRow};
use super::change_builder::ChangeBuilder;
use super::filter::{Opened, Shape};
use super::newest::Newest;
use super::topic::View;

/// The rows can't be followed one by one: the table has changed too much, or the order of what a statement did is unclear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rows of the log do not fit the table as it is now")]
pub struct Unfit;

/// A change, and how it shows.
pub type Shown = (Change, Shape);

/// See the module's documentation.
#[derive(Debug)]
pub struct ChangeEncoder {
    view: View,
    builder: ChangeBuilder,
    changes: Vec<(Arc<Table>, Change)>,
    text: String,
    /// What is held back for those who want only the newest change of each key.
    newest: Newest<Shown>,
}

impl ChangeEncoder {
    /// Of the beginning of a batch.
    pub fn new(view: View) -> Self {
        Self {
            view,
            builder: ChangeBuilder::new(STATEMENT_KEYS_OF_REPLAY_MAX),
            changes: Vec::new(),
            text: String::new(),
            newest: Newest::default(),
        }
    }

    /// Takes the next row, in the order of `seq`, and gives the text of each change that can go out.
    ///
    /// # Errors
    /// [`Unfit`]: the client has to begin anew.
    pub fn push(&mut self, row: LogRow, out: impl FnMut(&str)) -> Result<(), Unfit> {
        match row.op {
            LogOp::Reset | LogOp::Renewed => return Err(Unfit),
            // What became of the table is known already, the view is of now; but the statement before it has ended.
            LogOp::Watch | LogOp::Unwatch => {
                let finished = self.builder.finish(&mut self.changes);
                finished.map_err(|_| Unfit)?;
                return self.write(out);
            }
            LogOp::Insert | LogOp::Update | LogOp::Delete | LogOp::Truncate => {}
        }
        let pushed = self.builder.push(row, &self.view.table, &mut self.changes);
        pushed.map_err(|_| Unfit)?;
        self.write(out)
    }

    /// The batch ends: gives the rest.
    ///
    /// # Errors
    /// See [`Self::push`].
    pub fn finish(&mut self, mut out: impl FnMut(&str)) -> Result<(), Unfit> {
        self.settle(&mut out)?;
        self.release(out)
    }

    /// The batch ends, but what is held back for the newest of each key may wait for the next one.
    ///
    /// # Errors
    /// See [`Self::push`].
    pub fn settle(&mut self, out: impl FnMut(&str)) -> Result<(), Unfit> {
        let finished = self.builder.finish(&mut self.changes);
        finished.map_err(|_| Unfit)?;
        self.write(out)
    }

    /// Whether something is held back for that.
    pub fn conflates(&self) -> bool {
        self.view.conflates
    }

    /// What is held back; of the batch before, or for the one behind.
    pub fn newest(&mut self) -> &mut Newest<Shown> {
        &mut self.newest
    }

    fn release(&mut self, mut out: impl FnMut(&str)) -> Result<(), Unfit> {
        for (change, shape) in self.newest.take() {
            self.text.clear();
            let written = change.write_json(&mut self.text, &self.view.projection, shape);
            written.map_err(|_| Unfit)?;
            out(&self.text);
        }
        Ok(())
    }

    fn write(&mut self, mut out: impl FnMut(&str)) -> Result<(), Unfit> {
        for (table, change) in self.changes.drain(..) {
            let shape = match &self.view.filter {
                None => Some(Shape::Plain),
                Some(_) => {
                    let opened = Opened::new(&table, &change).map_err(|_| Unfit)?;
                    self.view.shape(&opened).map_err(|_| Unfit)?
                }
            };
            let Some(shape) = shape else { continue };
            if self.view.conflates {
                let of = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |t| t.len());
                let bytes = of(&change.key) + of(&change.row) + of(&change.old);
                self.newest
                    .push(change.op, change.key.clone(), bytes, (change, shape));
                continue;
            }
            self.text.clear();
            let written = change.write_json(&mut self.text, &self.view.projection, shape);
            written.map_err(|_| Unfit)?;
            out(&self.text);
        }
        if self.newest.bytes() >= CONFLATE_BYTES_MAX {
            self.release(out)?;
        }
        Ok(())
    }
}
