//! A live window: the first rows of a table in an order, and some behind them, so that most changes need no query.
//!
//! All rows up to the last one that is held are held. So a change is placed by comparing it with those, and one behind the last
//! is of no concern.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use super::super::change::{Change, Op};
use super::super::change_encoder::Unfit;
use super::super::filter::row::Row;
use super::super::filter::{Opened, Shape};
use super::super::json;
use super::super::topic::View;
use super::place::{self, Bound, Place};
use super::{Effect, Entry, WindowSpec};

/// See the module's documentation.
#[derive(Debug)]
pub struct LiveWindow {
    order: Vec<Bound>,
    limit: usize,
    rows: Vec<Arc<Entry>>,
    /// Of all rows that are held.
    keys: HashSet<Arc<str>>,
    /// Whether there are no rows behind those.
    is_complete: bool,
    bytes: usize,
}

/// How many rows of a window are read and held: half as many again as clients see.
pub fn capacity(limit: usize) -> usize {
    limit + (limit / 2).max(10)
}

impl LiveWindow {
    /// Of the first [`capacity`] rows of a table as JSON texts, in the order of `spec`.
    ///
    /// # Errors
    /// [`Unfit`] if they do not fit the table.
    pub fn new(
        view: &View,
        spec: &WindowSpec,
        rows: impl IntoIterator<Item = Arc<str>>,
    ) -> Result<Self, Unfit> {
        let order = place::bind(&spec.order, &view.table)?;
        let mut window = Self {
            order,
            limit: spec.limit,
            rows: Vec::new(),
            keys: HashSet::new(),
            is_complete: false,
            bytes: 0,
        };
        for text in rows {
            let key = json::select_all(&text, &view.table.key).map_err(|_| Unfit)?;
            let row = Row::read(&view.table, &text).map_err(|_| Unfit)?;
            let place = Place::of(&window.order, &row)?;
            let entry = entry(view, &key, &text, place)?;
            window.insert(window.rows.len(), entry);
        }
        window.is_complete = window.rows.len() < capacity(spec.limit);
        Ok(window)
    }

    /// The rows that clients see.
    pub fn shown(&self) -> &[Arc<Entry>] {
        &self.rows[..self.limit.min(self.rows.len())]
    }

    /// Bytes of all rows that are held, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        self.bytes += entry.bytes();
        self.keys.insert(entry.key.clone());
        self.rows.insert(at, Arc::new(entry));
    }

    fn remove(&mut self, at: usize) {
        let gone = self.rows.remove(at);
        self.bytes -= gone.bytes();
        self.keys.remove(&gone.key);
    }

    fn find(&self, key: &str) -> Option<usize> {
        // Most changes are of a row that is not held.
        if !self.keys.contains(key) {
            return None;
        }
        self.rows.iter().position(|entry| *entry.key == *key)
    }

    /// See [`super::Derived::apply`].
    pub(super) fn apply(
        &mut self,
        view: &View,
        change: &Change,
        shape: Shape,
        opened: &Opened<'_>,
    ) -> Result<Effect, Unfit> {
        if change.op == Op::Truncate {
            let had_rows = !self.rows.is_empty() || !self.is_complete;
            (self.rows, self.keys, self.bytes) = (Vec::new(), HashSet::new(), 0);
            self.is_complete = true;
            return Ok(seen(had_rows));
        }
        let raw = change.key.as_deref().ok_or(Unfit)?;
        let key = view.projection.whole(raw).map_err(|_| Unfit)?;
        let at = self.find(&key);
        let is_there = match shape {
            Shape::Plain => change.op != Op::Delete,
            Shape::Enter => true,
            Shape::Leave | Shape::Gone => false,
        };
        if !is_there {
            let Some(at) = at else {
                return Ok(Effect::Nothing);
            };
            self.remove(at);
            return Ok(self.without(at));
        }
        let (Some(new), Some(text)) = (&opened.new, change.row.as_deref()) else {
            return Err(Unfit);
        };
        if at.is_none()
            && !self.is_complete
            && change.op == Op::Update
            && shape == Shape::Plain
            && let Some(old) = &opened.old
            && Place::is_same(&self.order, old, new)?
        {
            // It was behind the last one, and is.
            return Ok(Effect::Nothing);
        }
        let entry = entry(view, raw, text, Place::of(&self.order, new)?)?;
        self.put(at, entry)
    }

    /// A row is there, which was at `at` or not held.
    fn put(&mut self, at: Option<usize>, entry: Entry) -> Result<Effect, Unfit> {
        if let Some(at) = at
            && entry.place.compare(&self.order, &self.rows[at].place) == Some(Ordering::Equal)
        {
            self.remove(at);
            self.insert(at, entry);
            return Ok(seen(at < self.limit));
        }
        if let Some(at) = at {
            self.remove(at);
        }
        // Without a row there is nothing to compare with, and what is behind is not known.
        let place = match self.place_of(&entry) {
            Some(place) if self.is_complete || place < self.rows.len() => place,
            Some(_) if !self.rows.is_empty() => {
                return Ok(at.map_or(Effect::Nothing, |at| self.without(at)));
            }
            _ => return Ok(Effect::Lost),
        };
        self.insert(place, entry);
        if self.rows.len() > capacity(self.limit) {
            self.remove(self.rows.len() - 1);
            self.is_complete = false;
        }
        Ok(seen(place.min(at.unwrap_or(place)) < self.limit))
    }

    /// What has become of the window without the row that was at `at`.
    fn without(&self, at: usize) -> Effect {
        match () {
            () if self.rows.len() < self.limit && !self.is_complete => Effect::Lost,
            () => seen(at < self.limit),
        }
    }

    /// Before which row it comes; none where only PostgreSQL knows.
    fn place_of(&self, entry: &Entry) -> Option<usize> {
        let (mut low, mut high) = (0, self.rows.len());
        // The last one first: most are behind it.
        let mut middle = high.saturating_sub(1);
        while low < high {
            match entry.place.compare(&self.order, &self.rows[middle].place)? {
                Ordering::Less => high = middle,
                _ => low = middle + 1,
            }
            middle = low + (high - low) / 2;
        }
        Some(low)
    }
}

fn seen(is_seen: bool) -> Effect {
    match is_seen {
        true => Effect::Changed,
        false => Effect::Nothing,
    }
}

fn entry(view: &View, key: &str, row: &str, place: Place) -> Result<Entry, Unfit> {
    let key = view.projection.whole(key).map_err(|_| Unfit)?;
    let text = view.projection.apply(row).map_err(|_| Unfit)?;
    Ok(Entry {
        key: key.into(),
        text: text.into(),
        place,
    })
}
