//! The parameters of a filter's condition, as the driver takes them.

use tokio_postgres::types::ToSql;

use crate::feed::filter::sql::Param;

/// In their order.
pub(super) fn as_sql(params: &[Param]) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
    params.iter().map(|param| match param {
        Param::Text(text) => text as &(dyn ToSql + Sync),
        Param::Texts(texts) => texts,
    })
}
