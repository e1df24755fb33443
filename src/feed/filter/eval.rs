//! Whether a row passes a filter, decided as PostgreSQL would in `where`: what is unknown does not pass.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::catalog::Table;
use super::super::change::{Change, Op};
use super::bind::{Compare, Filter, Leaf, Node, Test};
use super::datum::Unreadable;
use super::expr::Is;
use super::row::Row;

/// How a change shows to those who have a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// As what it is.
    Plain,
    /// An update that lets the row pass: as an insert.
    Enter,
    /// An update after which the row does not pass any more: as a delete.
    Leave,
    /// The same, and of the row only the key is told: it may be another's secret by now.
    Gone,
}

/// A change with its rows opened.
#[derive(Debug)]
pub struct Opened<'a> {
    op: Op,
    /// The row after the change.
    pub new: Option<Row<'a>>,
    /// The row before it.
    pub old: Option<Row<'a>>,
}

impl<'a> Opened<'a> {
    /// Opens the rows of a change that filters look at.
    ///
    /// # Errors
    /// If a row is no JSON object.
    pub fn new(table: &'a Table, change: &'a Change) -> Result<Self, serde_json::Error> {
        let open =
            |row: &'a Option<Arc<str>>| row.as_deref().map(|row| Row::read(table, row)).transpose();
        Ok(Self {
            op: change.op,
            new: open(&change.row)?,
            old: open(&change.old)?,
        })
    }
}

impl Filter {
    /// How a change shows through this filter; none if it does not.
    ///
    /// # Errors
    /// If a row can't be read, or is missing: the table has changed, or did not log old rows at that time.
    pub fn shape(&self, change: &Opened<'_>) -> Result<Option<Shape>, Unreadable> {
        let passes = |row: &Option<Row<'_>>| self.passes(row.as_ref().ok_or(Unreadable)?);
        Ok(match change.op {
            Op::Truncate => Some(Shape::Plain),
            Op::Insert => passes(&change.new)?.then_some(Shape::Plain),
            Op::Delete => passes(&change.old)?.then_some(Shape::Plain),
            Op::Update => match (passes(&change.old)?, passes(&change.new)?) {
                (true, true) => Some(Shape::Plain),
                (false, true) => Some(Shape::Enter),
                (true, false) => Some(Shape::Leave),
                (false, false) => None,
            },
        })
    }

    /// Whether a row passes.
    ///
    /// # Errors
    /// If one of its values does not have the type that its column has.
    pub fn passes(&self, row: &Row<'_>) -> Result<bool, Unreadable> {
        Ok(holds(self.root(), row)? == Some(true))
    }
}

/// Three-valued logic: none is unknown.
fn holds(node: &Node, row: &Row<'_>) -> Result<Option<bool>, Unreadable> {
    match node {
        Node::All(members) => decided(members, row, false),
        Node::Any(members) => decided(members, row, true),
        Node::Not(inner) => Ok(holds(inner, row)?.map(|is_so| !is_so)),
        Node::Leaf(leaf) => test(leaf, row),
    }
}

/// A group is decided by the first member that is `decides`; else it is the opposite, unless one is unknown.
fn decided(members: &[Node], row: &Row<'_>, decides: bool) -> Result<Option<bool>, Unreadable> {
    let mut result = Some(!decides);
    for member in members {
        match holds(member, row)? {
            Some(is_so) if is_so == decides => return Ok(Some(decides)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn test(leaf: &Leaf, row: &Row<'_>) -> Result<Option<bool>, Unreadable> {
    let Leaf { column, test, .. } = leaf;
    if let Test::Is(what) = test {
        let text = row.text(*column)?;
        return Ok(Some(match what {
            Is::Null => text == "null",
            Is::True => text == "true",
            Is::False => text == "false",
        }));
    }
    if matches!(test, Test::In(values) if values.is_empty()) {
        return Ok(Some(false));
    }
    let Some(datum) = row.datum(*column)? else {
        return Ok(None);
    };
    Ok(Some(match test {
        Test::Compare(compare, value) => {
            let ordering = datum.cmp(&value.datum);
            match compare {
                Compare::Eq => ordering == Ordering::Equal,
                Compare::Gt => ordering == Ordering::Greater,
                Compare::Lt => ordering == Ordering::Less,
            }
        }
        Test::In(values) => values.binary_search_by(|v| v.datum.cmp(datum)).is_ok(),
        // The text as it is: blanks at the end of a char(n) count here.
        Test::Like(pattern) => pattern.matches(row.string(*column)?),
        // The pattern is in lower case as well.
        Test::Ilike(pattern, letters) => pattern.matches(row.lowered(*column, letters)?),
        Test::Is(_) => false,
    }))
}
