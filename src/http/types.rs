//! `GET /api/types`: what programs need to know of the watched tables to have types of their own. `plank gen types --url` asks for it.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::store::shapes;

use super::credentials::Who;
use super::openapi as doc;
use super::problem::Problem;
use super::tables::listed;
use super::{State, soon};

/// `GET /api/types`
#[utoipa::path(
    get, path = "/api/types", tag = "tables", operation_id = "types",
    summary = "Describe the types of the watched tables",
    description = "Of the tables that the principal may see: columns, comments, references, and the types that these are made of. `plank gen \
        types --url` writes them for a programming language.",
    responses(
        (status = 200, description = "All of them.", body = doc::Types, example = json!(doc::Types::example())),
        doc::Malformed, doc::Unauthenticated, doc::ForeignOrigin, doc::Away,
    ),
)]
pub async fn read(
    who: Who,
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let viewer = who.0;
    let listed = listed(&state, &viewer).await?;
    let rels: Vec<u32> = listed.tables.iter().map(|table| table.rel).collect();
    let pool = state.pool_for(&request, &viewer);
    let shapes = soon(shapes::read_of(&pool, &rels)).await?;
    // The text is an object of PostgreSQL's.
    let rest = shapes.trim_start().trim_start_matches('{');
    let stringifies = state.stringifies;
    let body = format!("{{\"stringify_wide_numbers\":{stringifies},{rest}");
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(body))
}
