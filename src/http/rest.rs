//! `/rest/{table}`: every watched table in PostgREST's words. docs/REST.md says what of them is served.
//!
//! - [`access`]: which table, and what the client may do with it.
//! - [`prefer`], [`query`], [`rows`]: what a request says. [`answer`], [`refusal`]: what it is answered.
//! - [`write`]: POST, PATCH, PUT, DELETE. [`one`]: one statement of them; [`batch`]: several; [`task`]: carried out once.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_RANGE, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::auth::Viewer;
use crate::store::rest::{self, Read};

use super::credentials::Who;
use super::etag::tags;
use super::problem::Problem;
use super::{State, soon};

use answer::{CURSOR, Wanted};
use prefer::Prefer;
use query::Query;

pub(super) mod access;
pub(super) mod answer;
pub mod batch;
mod one;
mod prefer;
mod query;
pub(super) mod refusal;
mod rows;
pub(super) mod task;
pub mod write;

pub(super) use query::WORDS;

/// `GET /rest/{table}`
///
/// # Errors
/// See docs/REST.md.
pub async fn read(
    state: web::Data<State>,
    who: Result<Who, Problem>,
    request: HttpRequest,
    table: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let answer = async {
        let access = async {
            let name = access::name(&request, &table, "accept-profile")?;
            let viewer = who?.0;
            let access = access::of(&state, &viewer, &name, &[]).await?;
            Ok::<_, Problem>((access, viewer))
        };
        let (access, viewer) = access.await?;
        answer_read(&state, &request, access, &viewer).await
    };
    answer.await.map_err(refusal::dress)
}

async fn answer_read(
    state: &State,
    request: &HttpRequest,
    access: rest::Access,
    viewer: &Viewer,
) -> Result<HttpResponse, Problem> {
    let wanted = Wanted::of(request)?;
    let prefer = Prefer::of(request.headers())?;
    let query = Query::parse(request.query_string())?;
    query.refuse(&["columns", "on_conflict"], "GET")?;
    let table = access.table.clone();
    let selected = query.selected(&table, access.all_columns())?;
    let order = query.order(&table)?;
    let (limit, offset) = query.page(answer::range(request)?)?;
    let known = tags(request.headers(), IF_NONE_MATCH)?;
    let read = Read {
        access,
        selected,
        filter: query.filter,
        order,
        limit,
        offset,
        behind: None,
        counting: prefer.count,
        form: wanted.form,
    };
    // What may read much of a table waits for its turn with all other pages.
    let _turn = match read.is_of_one() {
        true => None,
        false => Some(state.history_for(request, viewer).page_turn().await?),
    };
    let pool = state.pool_for(request, viewer);
    let page = Box::pin(rest::run::read(&pool, &read));
    let page = page.await.map_err(|e| refusal::of(e, Some("filter")))?;
    if wanted.is_single() && page.rows.len() != 1 {
        return Err(refusal::not_one(&page.rows.len().to_string()));
    }
    if let Some(total) = page.total.filter(|total| offset > *total) {
        let details =
            format!("An offset of {offset} was requested, but there are only {total} rows.");
        return Err(answer::unsatisfiable(details, Some(total)));
    }
    let prefer = prefer.applied(false);
    let own = page.tag.as_ref().map(|tag| format!("\"{tag}\""));
    // A weak comparison, as RFC 9110 (13.1.2) asks of If-None-Match.
    let is_known = known.zip(own.as_ref()).is_some_and(|(known, own)| {
        known
            .iter()
            .any(|t| t == "*" || t.trim_start_matches("W/") == own)
    });
    let is_part = page
        .total
        .is_some_and(|total| (page.rows.len() as u64) < total);
    let mut answer = match (is_known, is_part) {
        (true, _) => answer::empty(StatusCode::NOT_MODIFIED, &prefer),
        (_, true) => wanted.answer(StatusCode::PARTIAL_CONTENT, &prefer),
        _ => wanted.answer(StatusCode::OK, &prefer),
    };
    if let Some(tag) = &page.tag {
        answer::tag(&mut answer, tag);
    }
    answer.insert_header((CURSOR, page.cursor.to_string()));
    if is_known {
        return Ok(answer.finish());
    }
    let range = answer::content_range(offset, page.rows.len(), page.total);
    answer.insert_header((CONTENT_RANGE, range));
    let body = wanted.body(&page.rows, &read.selected, &table)?;
    Ok(answer.body(body))
}

/// Runs work in the database under the deadline of all requests.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, rest::run::RestError>>,
) -> Result<Result<T, rest::run::RestError>, Problem> {
    Ok(soon(async { Ok(work.await) }).await?)
}
