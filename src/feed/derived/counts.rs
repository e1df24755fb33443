//! Live counts: how many rows of a table there are of each combination of values. Maintained from the changes alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::super::catalog::Table;
use super::super::change::{Change, Op};
use super::super::change_encoder::Unfit;
use super::super::filter::datum::Datum;
use super::super::filter::row::Row;
use super::super::filter::{Opened, Shape};
use super::super::json;
use super::super::projection::Projection;
use super::super::topic::View;
use super::place::Place;
use super::{COUNT, Effect, Entry};

/// The values of a group; none for null.
type Values = Vec<Option<Datum<'static>>>;

#[derive(Debug)]
struct Group {
    /// The values, as a JSON object.
    key: Arc<str>,
    count: u64,
    /// As clients see it; none when the count is another one by now.
    entry: Option<Arc<Entry>>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct LiveCounts {
    /// The places of the columns in the table.
    columns: Vec<usize>,
    /// What of a row says which group it is of.
    projection: Projection,
    groups: BTreeMap<Values, Group>,
    bytes: usize,
}

/// The places of the columns that are counted by.
///
/// # Errors
/// The column by which rows can't be counted, and why.
pub fn check(columns: &[String], table: &Table) -> Result<Vec<usize>, (String, String)> {
    let places = columns.iter().map(|name| {
        let place = table.columns.iter().position(|c| c.name == *name);
        let place = place.ok_or_else(|| {
            let why = format!("the table {} has no column {name:?}", table.quoted);
            (name.clone(), why)
        })?;
        match table.columns[place].kind.is_comparable() {
            true => Ok(place),
            false => {
                let type_name = &table.columns[place].type_name;
                let why = format!(
                    "rows can't be counted by the column {name:?}: which values of its type {type_name} are equal only PostgreSQL can \
                     decide"
                );
                Err((name.clone(), why))
            }
        }
    });
    places.collect()
}

impl LiveCounts {
    /// Of the groups as JSON texts, each with the member `count`.
    ///
    /// # Errors
    /// [`Unfit`] if they do not fit the table.
    pub fn new(
        view: &View,
        columns: &[String],
        groups: impl IntoIterator<Item = Arc<str>>,
    ) -> Result<Self, Unfit> {
        let places = check(columns, &view.table).map_err(|_| Unfit)?;
        let wide = view.table.columns.iter().filter(|_| view.table.stringifies);
        let wide = wide.filter_map(|c| Some((c.name.clone(), c.wide.clone()?)));
        let mut counts = Self {
            columns: places,
            projection: Projection::new(Some(columns.to_vec()), wide.collect()),
            groups: BTreeMap::new(),
            bytes: 0,
        };
        for text in groups {
            let count = json::select_all(&text, &[COUNT.to_owned()]).map_err(|_| Unfit)?;
            let count: BTreeMap<String, u64> = serde_json::from_str(&count).map_err(|_| Unfit)?;
            let row = Row::read(&view.table, &text).map_err(|_| Unfit)?;
            let count = count.get(COUNT).copied().ok_or(Unfit)?;
            counts.add(&text, &row, count)?;
        }
        Ok(counts)
    }

    fn values(&self, row: &Row<'_>) -> Result<Values, Unfit> {
        let values = self.columns.iter().map(|column| {
            let datum = row.datum(*column).map_err(|_| Unfit)?;
            Ok(datum.map(Datum::to_static))
        });
        values.collect()
    }

    fn add(&mut self, text: &str, row: &Row<'_>, count: u64) -> Result<(), Unfit> {
        let values = self.values(row)?;
        if let Some(group) = self.groups.get_mut(&values) {
            group.count += count;
            group.entry = None;
            return Ok(());
        }
        let key: Arc<str> = self.projection.apply(text).map_err(|_| Unfit)?.into();
        self.bytes += bytes(&key);
        let group = Group {
            key,
            count,
            entry: None,
        };
        self.groups.insert(values, group);
        Ok(())
    }

    /// False if there is no such row.
    fn subtract(&mut self, row: &Row<'_>) -> Result<bool, Unfit> {
        let values = self.values(row)?;
        let Some(group) = self.groups.get_mut(&values) else {
            return Ok(false);
        };
        group.entry = None;
        group.count = group.count.saturating_sub(1);
        if group.count == 0 {
            self.bytes -= bytes(&group.key);
            self.groups.remove(&values);
        }
        Ok(true)
    }

    /// See [`super::Derived::apply`].
    pub(super) fn apply(
        &mut self,
        _: &View,
        change: &Change,
        shape: Shape,
        opened: &Opened<'_>,
    ) -> Result<Effect, Unfit> {
        if change.op == Op::Truncate {
            let had_rows = !self.groups.is_empty();
            (self.groups, self.bytes) = (BTreeMap::new(), 0);
            return Ok(match had_rows {
                true => Effect::Changed,
                false => Effect::Nothing,
            });
        }
        let (was_there, is_there) = match (shape, change.op) {
            (Shape::Plain, op) => (op != Op::Insert, op != Op::Delete),
            (Shape::Enter, _) => (false, true),
            (Shape::Leave | Shape::Gone, _) => (true, false),
        };
        let old = was_there.then_some(opened.old.as_ref().ok_or(Unfit));
        let new = is_there.then_some(opened.new.as_ref().ok_or(Unfit));
        if let (Some(old), Some(new)) = (old, new)
            && self.values(old?)? == self.values(new?)?
        {
            return Ok(Effect::Nothing);
        }
        if let Some(old) = old
            && !self.subtract(old?)?
        {
            return Ok(Effect::Lost);
        }
        if let (Some(new), Some(text)) = (new, &change.row) {
            self.add(text, new?, 1)?;
        }
        Ok(Effect::Changed)
    }

    /// One row for each group.
    pub fn shown(&mut self) -> Arc<[Arc<Entry>]> {
        self.groups.values_mut().map(Group::entry).collect()
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether no row is counted.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Bytes of all groups, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Group {
    fn entry(&mut self) -> Arc<Entry> {
        if let Some(entry) = &self.entry {
            return entry.clone();
        }
        let mut text = self.key.strip_suffix('}').unwrap_or_default().to_owned();
        if text.len() > 1 {
            text.push(',');
        }
        // Writing into a String can't fail.
        let _ = write!(text, "\"{COUNT}\":{}}}", self.count);
        let entry = Arc::new(Entry {
            key: self.key.clone(),
            text: text.into(),
            place: Place::default(),
        });
        self.entry = Some(entry.clone());
        entry
    }
}

fn bytes(key: &str) -> usize {
    4 * key.len() + 256
}
