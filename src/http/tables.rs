//! `GET /api/tables`: what is watched.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::actor::message::ListTables;
use crate::auth::Viewer;
use crate::feed::catalog::Column;
use crate::feed::{Right, Table};

use super::State;
use super::openapi as doc;
use super::problem::Problem;
use super::who::Who;

#[derive(Serialize)]
struct Answer<'a> {
    tables: Vec<Entry<'a>>,
}

/// What clients may know of a table.
#[derive(Serialize)]
struct Entry<'a> {
    table: &'a str,
    key: &'a [String],
    columns: &'a [Column],
    old_rows: bool,
    /// Whether the client may write some of its rows.
    writable: bool,
}

impl<'a> Entry<'a> {
    fn of(table: &'a Table, viewer: &Viewer) -> Self {
        let rights = [Right::Insert, Right::Update, Right::Delete];
        Self {
            table: &table.quoted,
            key: &table.key,
            columns: &table.columns,
            old_rows: table.old_rows,
            writable: match viewer {
                Viewer::Everybody => table.writable,
                Viewer::One(principal) => {
                    rights.iter().any(|right| table.may(&**principal, *right))
                }
            },
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
    let tables = state
        .ask(ListTables {
            viewer: viewer.clone(),
        })
        .await?;
    let Some(mut tables) = tables else {
        return Err(Problem::unavailable(
            "the database has not been reached yet; try again in a moment",
        ));
    };
    tables.sort_by(|a, b| a.quoted.cmp(&b.quoted));
    let tables = tables
        .iter()
        .map(|table| Entry::of(table, &viewer))
        .collect();
    Ok(HttpResponse::Ok().json(Answer { tables }))
}
