//! Where a row is in an order: its values there. Compared as PostgreSQL would, as far as that is known here.

use std::cmp::Ordering;

use super::super::catalog::Table;
use super::super::change_encoder::Unfit;
use super::super::filter::datum::Datum;
use super::super::filter::kind::Kind;
use super::super::filter::row::Row;
use super::super::order::Sort;

/// A column of an order.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Its place in the table.
    column: usize,
    descending: bool,
    nulls_first: bool,
    /// See [`Kind::is_ordered`].
    is_ordered: bool,
    /// In a row of the log the null of JSON is as that of SQL, and PostgreSQL tells them apart.
    is_json: bool,
}

/// Binds an order to a table.
///
/// # Errors
/// If the table has no such column.
pub fn bind(order: &[Sort], table: &Table) -> Result<Vec<Bound>, Unfit> {
    let bound = order.iter().map(|sort| {
        let column = table.columns.iter().position(|c| c.name == sort.column);
        let column = column.ok_or(Unfit)?;
        let kind = &table.columns[column].kind;
        Ok(Bound {
            column,
            descending: sort.descending,
            nulls_first: sort.nulls_first,
            is_ordered: kind.is_ordered(),
            is_json: matches!(kind, Kind::Json),
        })
    });
    bound.collect()
}

/// A value of the order.
#[derive(Debug)]
struct Value {
    /// As the row has it.
    text: Box<str>,
    /// None for null, and where its order is not known here.
    datum: Option<Datum<'static>>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Place(Box<[Value]>);

impl Place {
    /// Of a row.
    ///
    /// # Errors
    /// If the row does not have a column of the order.
    pub fn of(order: &[Bound], row: &Row<'_>) -> Result<Self, Unfit> {
        let values = order.iter().map(|bound| {
            let text = row.text(bound.column).map_err(|_| Unfit)?;
            // One that can't be read here has a place that is not known here.
            let datum = bound.is_ordered.then(|| row.datum(bound.column).ok());
            Ok(Value {
                text: text.into(),
                datum: datum.flatten().flatten().map(Datum::to_static),
            })
        });
        Ok(Self(values.collect::<Result<_, _>>()?))
    }

    /// Whether two rows have the same values in an order.
    ///
    /// # Errors
    /// If one of them does not have a column of the order.
    pub fn is_same(order: &[Bound], a: &Row<'_>, b: &Row<'_>) -> Result<bool, Unfit> {
        for bound in order {
            let text = |row: &Row<'_>| row.text(bound.column).map(str::to_owned);
            let (a, b) = (text(a).map_err(|_| Unfit)?, text(b).map_err(|_| Unfit)?);
            if a != b || bound.is_null_of_json(&a) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where it is seen from another place; none where only PostgreSQL knows.
    pub fn compare(&self, order: &[Bound], other: &Self) -> Option<Ordering> {
        for ((bound, a), b) in order.iter().zip(&self.0).zip(&other.0) {
            let ordering = bound.compare(a, b)?;
            if ordering != Ordering::Equal {
                return Some(ordering);
            }
        }
        Some(Ordering::Equal)
    }

    /// Bytes of its values, about.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|value| 64 + 2 * value.text.len()).sum()
    }
}

impl Bound {
    fn is_null_of_json(&self, text: &str) -> bool {
        self.is_json && text == "null"
    }

    fn compare(&self, a: &Value, b: &Value) -> Option<Ordering> {
        if self.is_null_of_json(&a.text) || self.is_null_of_json(&b.text) {
            return None;
        }
        if a.text == b.text {
            return Some(Ordering::Equal);
        }
        let nulls = match (&*a.text == "null", &*b.text == "null") {
            (true, _) => Some(Ordering::Less),
            (_, true) => Some(Ordering::Greater),
            _ => None,
        };
        if let Some(ordering) = nulls {
            return Some(match self.nulls_first {
                true => ordering,
                false => ordering.reverse(),
            });
        }
        let ordering = a.datum.as_ref()?.cmp(b.datum.as_ref()?);
        Some(match self.descending {
            true => ordering.reverse(),
            false => ordering,
        })
    }
}
