//! What a subscription may want to be derived from a table's rows: the first of them in an order ([`LiveWindow`]), or how many
//! there are of each kind ([`LiveCounts`]). Both are held in memory and follow the changes; what changes do not tell is read again.
//!
//! A change says of itself what it does to the rows that are held ([`Effect`]). [`diff`] is what clients are told then.

use std::sync::Arc;

use crate::limits::{COUNT_GROUPS_MAX, DERIVED_BYTES_MAX};

use super::catalog::Table;
use super::change::Change;
use super::change_encoder::Unfit;
use super::filter::{Opened, Shape};
use super::order::Sort;
use super::topic::View;

pub mod counts;
pub mod diff;
pub mod place;
pub mod window;

pub use counts::LiveCounts;
pub use window::LiveWindow;

/// The pseudo column that counts rows.
pub const COUNT: &str = "count";

/// The first rows in an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpec {
    /// The order.
    pub order: Vec<Sort>,
    /// How many rows, from 1 to [`crate::limits::LIVE_WINDOW_ROWS_MAX`].
    pub limit: usize,
}

/// What is derived from a table's rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Derivation {
    /// The first rows in an order, which ends with the key: it is total.
    Window(WindowSpec),
    /// How many rows there are of each combination of values of these columns.
    Counts(Vec<String>),
}

impl Derivation {
    /// Whether clients may still name its columns, and PostgreSQL's answer can still be followed.
    pub fn fits(&self, table: &Table) -> bool {
        match self {
            Self::Window(spec) => {
                let is_there = |sort: &Sort| table.has_column(&sort.column);
                !table.key.is_empty() && spec.order.iter().all(is_there)
            }
            Self::Counts(columns) => counts::check(columns, table).is_ok(),
        }
    }

    /// The columns that tell one of its rows from another.
    pub fn key<'a>(&'a self, table: &'a Table) -> &'a [String] {
        match self {
            Self::Window(_) => &table.key,
            Self::Counts(columns) => columns,
        }
    }
}

/// One row as clients see it.
#[derive(Debug)]
pub struct Entry {
    /// What tells it from the others, as a JSON object.
    pub key: Arc<str>,
    /// The row, as a JSON object.
    pub text: Arc<str>,
    /// Where it is in the order of a window.
    place: place::Place,
}

impl Entry {
    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.text.len() + self.place.bytes() + 128
    }
}

#[cfg(test)]
impl Entry {
    /// Of no table, and without a place.
    pub(crate) fn of_paper(key: &str, text: &str) -> Self {
        Self {
            key: key.into(),
            text: text.into(),
            place: place::Place::default(),
        }
    }
}

/// What a change does to the rows that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that clients see.
    Nothing,
    /// They are others now.
    Changed,
    /// It is not known here which they are now: they have to be read.
    Lost,
}

/// The rows that are held for one topic.
#[derive(Debug)]
pub enum Derived {
    /// See [`LiveWindow`].
    Window(LiveWindow),
    /// See [`LiveCounts`].
    Counts(LiveCounts),
}

impl Derived {
    /// Takes a change that shows through the filter of `view` as `shape`.
    ///
    /// # Errors
    /// [`Unfit`] if a row of it does not fit the table.
    pub fn apply(
        &mut self,
        view: &View,
        change: &Change,
        shape: Shape,
        opened: &Opened<'_>,
    ) -> Result<Effect, Unfit> {
        match self {
            Self::Window(window) => window.apply(view, change, shape, opened),
            Self::Counts(counts) => counts.apply(view, change, shape, opened),
        }
    }

    /// What clients see, in its order.
    pub fn shown(&mut self) -> Arc<[Arc<Entry>]> {
        match self {
            Self::Window(window) => window.shown().into(),
            Self::Counts(counts) => counts.shown(),
        }
    }

    /// Whether there are more rows, or larger ones, than one topic may hold.
    pub fn is_too_large(&self) -> bool {
        let has_many = matches!(self, Self::Counts(counts) if counts.len() > COUNT_GROUPS_MAX);
        has_many || self.bytes() > DERIVED_BYTES_MAX
    }

    /// Bytes of all rows that are held, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Window(window) => window.bytes(),
            Self::Counts(counts) => counts.bytes(),
        }
    }
}
