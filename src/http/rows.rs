//! `GET /api/tables/{table}/rows`: the rows of a table as of one moment, and the cursor of it. As a page in JSON, or all of
//! them as NDJSON; streamed, so that a large table is never in memory as a whole.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::stream;

use crate::actor::message::Find;
use crate::feed::order::Sort;
use crate::feed::{View, json};
use crate::limits::{PIECE_BYTES, ROWS_DEFAULT, ROWS_MAX};
use crate::metrics::Metrics;
use crate::store::HistoryError;
use crate::store::history::{Pace, Select, TableSnapshot, Unpaced};
use crate::wire::message::Subscribe;

use super::credentials::Who;
use super::openapi as doc;
use super::problem::Problem;
use super::query::{self, refused};
use super::streaming_body::{self, Gone, Pieces};
use super::{State, accept};

pub mod order;

use order::Binding;

/// The cursor of the rows: a client goes on with the changes since then.
const CURSOR: HeaderName = HeaderName::from_static("plank-cursor");

/// What an answer may be, the first one unless something else is asked for.
const FORMS: [&str; 3] = [
    "application/json",
    "application/x-ndjson",
    "application/jsonl",
];

/// What a request asks for.
struct Asked {
    wanted: Subscribe,
    /// Of the media type.
    form: &'static str,
    limit: Option<usize>,
    order: Vec<Sort>,
    after: Option<String>,
}

impl Asked {
    fn is_json(&self) -> bool {
        self.form == FORMS[0]
    }
}

/// `GET /api/tables/{table}/rows?columns=a,b&limit=N&order=a.desc&after=P`
#[utoipa::path(
    get, path = "/api/tables/{table}/rows", tag = "tables", operation_id = "rows",
    summary = "Read the rows of a table",
    description = "All as of one moment, whose cursor comes with them: the changes since then go on without a seam. In pages as \
        JSON, or all of them as NDJSON, one row a line. Only an answer with its proper end (the last chunk) is whole.",
    params(doc::RowsQuery),
    responses(
        (
            status = 200, description = "The rows, in the form that `Accept` prefers.",
            headers(("Plank-Cursor" = String, description = "Of the moment that the rows are of.")),
            content(
                (doc::Rows = "application/json", example = json!(doc::Rows::example())),
                (String = "application/x-ndjson", example = json!(doc::Rows::lines())),
                (String = "application/jsonl", example = json!(doc::Rows::lines())),
            ),
        ),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::NoTable, doc::NotAcceptable, doc::Away,
    ),
)]
pub async fn read(
    request: HttpRequest,
    who: Who,
    table: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let form = accept::choose(&request, &FORMS).ok_or_else(not_acceptable)?;
    let asked = parse(table.into_inner(), request.query_string(), form)?;
    let wanted = asked.wanted.clone();
    let history = state.history_for(&request, &who.0);
    let found = state
        .ask(Find {
            wanted,
            viewer: who.0,
        })
        .await?
        .map_err(refused)?;
    let (select, binding) = select(&asked, &found.view)?;
    let mut answer = answer(asked.form);
    if request.method() == Method::HEAD {
        // Whether the table can be read is left to GET.
        return Ok(answer.streaming(stream::empty::<Result<Bytes, Problem>>()));
    }
    let pace = Pace::start();
    let rows = Box::pin(history.snapshot(&found.view.table, &select)).await?;
    let cursor = rows.cursor().to_string();
    let writer = Writer {
        view: found.view,
        page: asked.is_json().then(|| Page {
            limit: asked.limit.unwrap_or(ROWS_DEFAULT),
            binding,
            cursor: cursor.clone(),
        }),
        text: String::new(),
        pace,
    };
    let (pieces, body) = streaming_body::channel();
    actix_rt::spawn(write(writer, rows, pieces, state.metrics.clone()));
    let body = body.begun().await?;
    Ok(answer.insert_header((CURSOR, cursor)).streaming(body))
}

fn answer(form: &'static str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(form)))
        .insert_header((VARY, HeaderValue::from_static("accept")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    answer
}

/// 406.
pub(super) fn not_acceptable() -> Problem {
    let forms = FORMS.join(", ");
    let detail = format!("Accept allows none of the forms that the rows have; these are {forms}");
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
}

fn parse(table: String, text: &str, form: &'static str) -> Result<Asked, Problem> {
    let query = query::parse("", text, &["columns", "limit", "after", "order"]);
    let query = query.map_err(refused)?;
    let limit_max = if form == FORMS[0] {
        ROWS_MAX
    } else {
        i64::MAX as usize
    };
    let limit = query.number("limit", 1..=limit_max)?;
    let order = query.get("order").map(order::parse).transpose()?;
    let after = query.get("after").map(str::to_owned);
    let mut wanted = query.wanted;
    wanted.table = table;
    wanted.check().map_err(refused)?;
    Ok(Asked {
        wanted,
        form,
        limit,
        order: order.unwrap_or_default(),
        after,
    })
}

/// What is read of the table, and what its places are bound to.
fn select(asked: &Asked, view: &View) -> Result<(Select, Binding), Problem> {
    let table = &view.table;
    let order = order::with_key(&asked.order, table)?;
    let filter = asked.wanted.filter.as_ref().map(|f| f.to_string());
    let binding = Binding::new(table, &order, &filter.unwrap_or_default());
    if asked.after.is_some() && table.key.is_empty() {
        let detail = format!(
            "the table {} has no primary key, so it has no pages",
            table.quoted
        );
        return Err(Problem::malformed("after", detail));
    }
    let read = |after: &String| binding.read(after, order.len());
    let after = asked.after.as_ref().map(read).transpose()?;
    let mut select = Select {
        order,
        after,
        limit: asked.limit,
        is_page: asked.is_json(),
        ..Select::rows_of(view)
    };
    if asked.is_json() {
        let limit = asked.limit.unwrap_or(ROWS_DEFAULT);
        // Whether there is one more.
        select.limit = Some(limit + 1);
        select.fits = table.key.is_empty().then_some(limit);
    } else if asked.order.is_empty() && select.after.is_none() && select.limit.is_none() {
        // All rows, whichever way is the quickest.
        select.order.clear();
    }
    Ok((select, binding))
}

/// Why nothing more is written.
enum Stop {
    Problem(Problem),
    Unpaced(Unpaced<Gone>),
}

impl From<HistoryError> for Stop {
    fn from(error: HistoryError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

async fn write(mut writer: Writer, rows: TableSnapshot, pieces: Pieces, metrics: Arc<Metrics>) {
    let written = tokio::select! {
        written = writer.write(rows, &pieces) => written,
        // Nobody waits for what the database is still looking for.
        () = pieces.gone() => Err(Stop::Unpaced(Unpaced::Over(Gone::Left))),
    };
    let table = &writer.view.table.quoted;
    match written {
        Ok(()) | Err(Stop::Unpaced(Unpaced::Over(Gone::Left))) => {}
        Err(Stop::Unpaced(Unpaced::Over(Gone::Stalled))) => {
            metrics.limit("stall");
            pieces.fail(Problem::unavailable("nothing was read for too long"));
        }
        Err(Stop::Problem(problem)) => pieces.fail(problem),
        Err(Stop::Unpaced(Unpaced::Slow)) => {
            metrics.limit("snapshot_pause");
            log::debug!(
                "rows broken off table={table} reason=\"others wait, and it does not read\""
            );
            pieces.fail(Problem::unavailable("others wait; read faster"));
        }
        Err(Stop::Unpaced(Unpaced::Late)) => {
            metrics.limit("snapshot");
            log::debug!("rows broken off table={table} reason=\"too long\"");
            pieces.fail(Problem::unavailable("the table takes too long to read"));
        }
    }
}

/// What belongs to an answer in JSON.
struct Page {
    limit: usize,
    binding: Binding,
    cursor: String,
}

/// An answer that is being written.
struct Writer {
    view: View,
    /// None for NDJSON.
    page: Option<Page>,
    /// What has not been handed on.
    text: String,
    pace: Pace,
}

impl Writer {
    async fn write(&mut self, mut rows: TableSnapshot, pieces: &Pieces) -> Result<(), Stop> {
        if self.page.is_some() {
            self.text.push_str("{\"table\":");
            json::push_string(&mut self.text, &self.view.table.quoted);
            self.text.push_str(",\"rows\":[");
        }
        let mut next = None;
        let mut count = 0;
        while let Some(row) = rows.next().await? {
            if self.text.len() >= PIECE_BYTES {
                let room = self.pace.taken(&rows, pieces.room()).await;
                let room = room.map_err(Stop::Unpaced)?;
                room.send(std::mem::take(&mut self.text));
            }
            self.push(&row, count == 0)?;
            count += 1;
            if let Some(page) = &self.page
                && count == page.limit
            {
                let place = rows.place()?;
                if rows.next().await?.is_some() {
                    next = Some(page.binding.write(&place)?);
                }
                break;
            }
        }
        // Before the client may take it for whole.
        rows.finish().await?;
        if let Some(page) = &self.page {
            self.text.push_str("],\"cursor\":\"");
            self.text.push_str(&page.cursor);
            match next {
                Some(next) => self.text.push_str(&format!("\",\"next\":\"{next}\"}}")),
                None => self.text.push_str("\",\"next\":null}"),
            }
        }
        let room = pieces.room().await;
        let room = room.map_err(|gone| Stop::Unpaced(Unpaced::Over(gone)))?;
        room.finish(std::mem::take(&mut self.text));
        Ok(())
    }

    fn push(&mut self, row: &str, is_first: bool) -> Result<(), Stop> {
        if self.page.is_some() && !is_first {
            self.text.push(',');
        }
        let start = self.text.len();
        let row = self.view.projection.apply(row);
        let row = row.map_err(|_| Problem::unavailable("the table has just changed"))?;
        self.text.push_str(&row);
        if self.page.is_none() {
            // A value of the type json is as it was written. In a string of it there is no line break, between two there
            // may be.
            let line = &self.text[start..];
            if line.contains('\n') || line.contains('\r') {
                let line = self.text.split_off(start);
                self.text.push_str(&line.replace(['\n', '\r'], " "));
            }
            self.text.push('\n');
        }
        Ok(())
    }
}
