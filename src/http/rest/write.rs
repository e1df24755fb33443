//! POST, PATCH, PUT and DELETE of `/rest/{table}`: what each asks for.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::auth::Viewer;
use crate::feed::Right;
use crate::feed::catalog::Table;
use crate::store::rest::{Access, Action, Conflict, whole_key};

use super::super::credentials::Who;
use super::super::problem::Problem;
use super::super::{State, body};
use super::one::One;
use super::prefer::{Prefer, Resolution};
use super::query::Query;
use super::rows::{self, Object, malformed};
use super::task::{self, Task};
use super::{access, refusal};

const JSON: &[&str] = &["application/json"];

/// The words of a query that mean something for a read only.
const PAGE: [&str; 2] = ["limit", "offset"];

/// A request to a table, as far as all methods read it.
struct Asked<'a> {
    state: &'a State,
    request: &'a HttpRequest,
    viewer: &'a Viewer,
    table: &'a str,
    prefer: Prefer,
}

impl Asked<'_> {
    async fn access(&self, rights: &[Right]) -> Result<Access, Problem> {
        let name = access::name(self.request, self.table, "content-profile")?;
        access::of(self.state, self.viewer, &name, rights).await
    }

    /// The query, without words that mean nothing for this method.
    fn query(&self, words: &[&str]) -> Result<Query, Problem> {
        let query = Query::parse(self.request.query_string())?;
        query.refuse(&PAGE, self.request.method().as_str())?;
        query.refuse(words, self.request.method().as_str())?;
        Ok(query)
    }
}

/// Serves a write: `ask` makes of the body what is to be done.
async fn serve(
    state: &State,
    who: Result<Who, Problem>,
    request: &HttpRequest,
    table: &str,
    payload: Option<web::Payload>,
    ask: impl AsyncFnOnce(Asked<'_>, &[u8]) -> Result<Task, Problem>,
) -> Result<HttpResponse, Problem> {
    let done = async {
        let viewer = who?.0;
        let body = match payload {
            Some(payload) => body::bytes(request, payload, JSON, state.body_bytes_max).await?,
            None => web::Bytes::new(),
        };
        let asking = async {
            let prefer = Prefer::of(request.headers())?;
            let asked = Asked {
                state,
                request,
                viewer: &viewer,
                table,
                prefer,
            };
            ask(asked, &body).await
        };
        task::serve(state, request, &viewer, &body, asking).await
    };
    done.await.map_err(refusal::dress)
}

/// `POST /rest/{table}`
///
/// # Errors
/// See docs/REST.md.
pub async fn insert(
    state: web::Data<State>,
    who: Result<Who, Problem>,
    request: HttpRequest,
    table: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let ask = async |asked: Asked<'_>, body: &[u8]| {
        let rights: &[Right] = match asked.prefer.resolution {
            Some(Resolution::Merge) => &[Right::Insert, Right::Update],
            _ => &[Right::Insert],
        };
        let access = asked.access(rights).await?;
        let query = asked.query(&[])?;
        if query.filter.is_some() {
            let detail = "a filter has no meaning for POST; PATCH changes rows";
            return Err(Problem::malformed("filter", detail));
        }
        let (objects, _) = rows::read(body)?;
        let action = insertion(&objects, &query, &asked.prefer, &access.table)?;
        let one = One::new(asked.request, &query, asked.prefer, access, action)?;
        Ok(Task::of(one.about(
            None,
            objects.len() == 1,
            StatusCode::CREATED,
        )?))
    };
    Box::pin(serve(&state, who, &request, &table, Some(payload), ask)).await
}

/// The rows of a body as an insert.
fn insertion(
    objects: &[Object],
    query: &Query,
    prefer: &Prefer,
    table: &Table,
) -> Result<Action, Problem> {
    let columns = match query.columns("columns", table)? {
        Some(columns) => columns,
        None => {
            objects.iter().try_for_each(|object| object.check(table))?;
            rows::shape(objects)?
        }
    };
    if columns.is_empty() && !objects.is_empty() {
        let detail = "is an empty object; send at least one column";
        return Err(malformed(detail.into()));
    }
    let target = query.columns("on_conflict", table)?;
    let conflict = match prefer.resolution {
        None => Conflict::Refuse,
        Some(Resolution::Ignore) => Conflict::Ignore(target.unwrap_or_default()),
        Some(Resolution::Merge) => Conflict::Merge(key(target, table)?),
    };
    Ok(Action::Insert {
        columns,
        rows: objects.iter().map(row).collect(),
        defaults: prefer.defaults == Some(true),
        conflict,
    })
}

/// The columns that say which row is the same.
fn key(target: Option<Vec<String>>, table: &Table) -> Result<Vec<String>, Problem> {
    match target {
        Some(target) => Ok(target),
        None if table.key.is_empty() => {
            let detail = format!(
                "the table {} has no primary key; name the columns of a unique constraint",
                table.quoted
            );
            Err(Problem::malformed("on_conflict", detail))
        }
        None => Ok(table.key.clone()),
    }
}

pub(super) fn row(object: &Object) -> (String, HashSet<String>) {
    (object.text.clone(), object.names.iter().cloned().collect())
}

/// `PATCH /rest/{table}`
///
/// # Errors
/// See docs/REST.md.
pub async fn update(
    state: web::Data<State>,
    who: Result<Who, Problem>,
    request: HttpRequest,
    table: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let ask = async |asked: Asked<'_>, body: &[u8]| {
        let access = asked.access(&[Right::Update]).await?;
        let query = asked.query(&["on_conflict"])?;
        has_filter(&query, &asked.prefer)?;
        let (objects, is_list) = rows::read(body)?;
        let object = match (objects.into_iter().next(), is_list) {
            (Some(object), false) => object,
            _ => return Err(malformed("has to be one object for PATCH".into())),
        };
        let columns = match query.columns("columns", &access.table)? {
            Some(columns) => columns,
            None => {
                object.check(&access.table)?;
                object.names.clone()
            }
        };
        if columns.is_empty() {
            let detail = "is an empty object; send at least one column";
            return Err(malformed(detail.into()));
        }
        let action = Action::Update {
            columns,
            values: object.text,
        };
        change(asked, query, access, action)
    };
    Box::pin(serve(&state, who, &request, &table, Some(payload), ask)).await
}

/// `DELETE /rest/{table}`
///
/// # Errors
/// See docs/REST.md.
pub async fn delete(
    state: web::Data<State>,
    who: Result<Who, Problem>,
    request: HttpRequest,
    table: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let ask = async |asked: Asked<'_>, _: &[u8]| {
        let access = asked.access(&[Right::Delete]).await?;
        let query = asked.query(&["on_conflict", "columns"])?;
        has_filter(&query, &asked.prefer)?;
        change(asked, query, access, Action::Delete)
    };
    Box::pin(serve(&state, who, &request, &table, None, ask)).await
}

/// A write of the rows of a filter.
fn change(asked: Asked<'_>, query: Query, access: Access, action: Action) -> Result<Task, Problem> {
    let is_one = whole_key(query.filter.as_ref(), &access.table).is_some();
    let one = One::new(asked.request, &query, asked.prefer, access, action)?;
    Ok(Task::of(one.about(
        query.filter,
        is_one,
        StatusCode::NO_CONTENT,
    )?))
}

/// `PUT /rest/{table}`
///
/// # Errors
/// See docs/REST.md.
pub async fn put(
    state: web::Data<State>,
    who: Result<Who, Problem>,
    request: HttpRequest,
    table: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let ask = async |asked: Asked<'_>, body: &[u8]| {
        let access = asked.access(&[Right::Insert, Right::Update]).await?;
        let query = asked.query(&["on_conflict", "columns"])?;
        let (objects, _) = rows::read(body)?;
        let [object] = objects.as_slice() else {
            return Err(malformed("has to be one object for PUT".into()));
        };
        object.check(&access.table)?;
        is_that_row(object, &query, &access.table)?;
        let action = Action::Insert {
            columns: object.names.clone(),
            rows: vec![row(object)],
            defaults: true,
            conflict: Conflict::Replace(access.table.key.clone()),
        };
        let one = One::new(asked.request, &query, asked.prefer, access, action)?;
        Ok(Task::of(one.about(
            query.filter,
            true,
            StatusCode::NO_CONTENT,
        )?))
    };
    Box::pin(serve(&state, who, &request, &table, Some(payload), ask)).await
}

/// Whether the body of a PUT has the key that the filter names.
fn is_that_row(object: &Object, query: &Query, table: &Table) -> Result<(), Problem> {
    let Some(key) = whole_key(query.filter.as_ref(), table) else {
        let detail = format!(
            "has to be eq on every column of the key of {}, and nothing else",
            table.quoted
        );
        return Err(Problem::malformed("filter", detail).with_code("PGRST105"));
    };
    for (name, wanted) in table.key.iter().zip(key) {
        let given = object.member(name);
        let text = given
            .as_deref()
            .and_then(|g| serde_json::from_str::<String>(g).ok());
        if given.as_deref() != Some(wanted) && text.as_deref() != Some(wanted) {
            let detail = format!(
                "has another value for {name:?} than the filter; both have to name the same row"
            );
            return Err(Problem::malformed("body", detail).with_code("PGRST115"));
        }
    }
    Ok(())
}

/// A write without a filter is most often a mistake.
fn has_filter(query: &Query, prefer: &Prefer) -> Result<(), Problem> {
    if query.filter.is_some() || prefer.all_rows {
        return Ok(());
    }
    let detail = "is missing: this would be all rows of the table; if that is meant, say Prefer: plank-all-rows";
    Err(Problem::malformed("filter", detail).with_code("21000"))
}
