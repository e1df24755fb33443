//! `GET /api/tables`: what is watched.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::actor::message::{ListTables, Listed};
use crate::auth::Viewer;
use crate::feed::catalog::Column;
use crate::feed::filter::kind::Kind;
use crate::feed::{Right, Table};

use super::State;
use super::credentials::Who;
use super::openapi as doc;
use super::problem::Problem;

#[derive(Serialize)]
struct Answer<'a> {
    tables: Vec<Entry<'a>>,
}

/// What clients may know of a table.
#[derive(Serialize)]
struct Entry<'a> {
    table: &'a str,
    key: &'a [String],
    columns: Vec<Described<'a>>,
    old_rows: bool,
    /// Whether the client may write some of its rows.
    writable: bool,
    /// In which ways.
    may: Vec<&'static str>,
    /// Its foreign keys to tables that the client may see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Leads<'a>>,
}

/// A foreign key.
#[derive(Serialize)]
struct Leads<'a> {
    columns: &'a [String],
    table: &'a str,
    to: &'a [String],
}

/// A column, with what an editor of its values has to know.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    column: &'a Column,
    /// Why clients can't write it: `generated` or `identity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<&'a str>,
    /// The labels of an enumeration, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a [String]>,
}

impl<'a> Described<'a> {
    fn of(column: &'a Column) -> Self {
        let labels = match &column.kind {
            Kind::Enum(labels) => Some(&**labels),
            _ => None,
        };
        Self {
            column,
            fixed: column.fixed.as_deref(),
            labels,
        }
    }
}

impl<'a> Entry<'a> {
    fn of(table: &'a Table, seen: &'a [Arc<Table>], viewer: &Viewer) -> Self {
        let leads = table.references.iter().filter_map(|reference| {
            let to = reference.leads(table, seen)?;
            Some(Leads {
                columns: &reference.columns,
                table: &to.quoted,
                to: &reference.to,
            })
        });
        let rights = [
            (Right::Insert, "insert"),
            (Right::Update, "update"),
            (Right::Delete, "delete"),
        ];
        let may = rights.into_iter();
        let may = may.filter(|(right, _)| may_write(table, viewer, *right));
        let may: Vec<_> = may.map(|(_, name)| name).collect();
        Self {
            table: &table.quoted,
            key: &table.key,
            columns: table.columns.iter().map(Described::of).collect(),
            old_rows: table.old_rows,
            writable: !may.is_empty(),
            may,
            references: leads.collect(),
        }
    }
}

/// `GET /api/tables`
#[utoipa::path(
    get, path = "/api/tables", tag = "tables", operation_id = "tables",
    summary = "List the watched tables", description = "Those that the principal may see, with the columns that clients may see. `select plank.watch('orders')` adds one.",
    responses(
        (status = 200, description = "All of them.", body = doc::Tables, example = json!(doc::Tables::example())),
        doc::Malformed, doc::Unauthenticated, doc::ForeignOrigin, doc::Away,
    ),
)]
pub async fn list(who: Who, state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let viewer = who.0;
    let listed = listed(&state, &viewer).await?;
    let seen = &listed.tables;
    let tables = seen.iter().map(|table| Entry::of(table, seen, &viewer));
    let tables = tables.collect();
    Ok(HttpResponse::Ok().json(Answer { tables }))
}

/// The tables that a principal may see.
///
/// # Errors
/// 503 before the database was reached for the first time.
pub(super) async fn listed(state: &State, viewer: &Viewer) -> Result<Listed, Problem> {
    let viewer = viewer.clone();
    let listed = state.ask(ListTables { viewer }).await?;
    listed.ok_or_else(|| {
        Problem::unavailable("the database has not been reached yet; try again in a moment")
    })
}

/// Whether a client may write some rows of a table in this way.
pub(super) fn may_write(table: &Table, viewer: &Viewer, right: Right) -> bool {
    match viewer {
        Viewer::Everybody => table.writable,
        Viewer::One(principal) => table.may(&**principal, right),
    }
}
