//! Which window, or which counts, a subscription asks for, and whether the table can have them.

use crate::feed::derived::{COUNT, counts};
use crate::feed::{Derivation, Table, WindowSpec, order};
use crate::wire::message::{Refusal, Subscribe as Wanted};

/// What `wanted` derives from the rows of `table`; none for the rows themselves.
///
/// # Errors
/// The refusal names the member of the request.
pub(super) fn of(wanted: &Wanted, table: &Table) -> Result<Option<Derivation>, Refusal> {
    let columns = wanted.columns.as_deref().unwrap_or_default();
    // A column of this name is one.
    let counts = columns.iter().any(|name| name == COUNT) && !table.has_column(COUNT);
    match (&wanted.window, counts) {
        (None, false) => Ok(None),
        (Some(spec), false) => window(&wanted.id, spec, table).map(Some),
        (None, true) => counts_of(&wanted.id, columns, table).map(Some),
        (Some(_), true) => {
            let why = "order: counts have none; leave order and limit out, or count out of columns";
            Err(Refusal::of(&wanted.id, "bad_message", why).at("order"))
        }
    }
}

fn window(id: &str, spec: &WindowSpec, table: &Table) -> Result<Derivation, Refusal> {
    if table.key.is_empty() {
        let why = format!(
            "order: the table {} has no primary key, so its rows have no order that is total",
            table.quoted
        );
        return Err(Refusal::of(id, "no_key", why).at("order"));
    }
    let order = order::with_key(&spec.order, table).map_err(|why| {
        let why = format!("order: {why}");
        Refusal::of(id, "unknown_column", why).at("order")
    })?;
    let limit = spec.limit;
    Ok(Derivation::Window(WindowSpec { order, limit }))
}

fn counts_of(id: &str, columns: &[String], table: &Table) -> Result<Derivation, Refusal> {
    if !table.old_rows {
        let why = format!(
            "columns: the table {} logs no old rows, and without them nobody knows which group a row has left; its owner has to \
             call plank.watch with old_rows",
            table.quoted
        );
        return Err(Refusal::of(id, "bad_message", why).at("columns"));
    }
    let mut columns: Vec<String> = columns
        .iter()
        .filter(|name| *name != COUNT)
        .cloned()
        .collect();
    let place = |name: &String| table.columns.iter().position(|c| c.name == *name);
    columns.sort_by_key(place);
    columns.dedup();
    if let Err((name, why)) = counts::check(&columns, table) {
        let code = match table.has_column(&name) {
            true => "bad_message",
            false => "unknown_column",
        };
        return Err(Refusal::of(id, code, format!("columns: {why}")).at("columns"));
    }
    Ok(Derivation::Counts(columns))
}
