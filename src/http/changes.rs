//! `GET /api/changes`: what has happened since a cursor. Streamed, so a long answer is never in memory as a whole.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::timeout;

use crate::actor::message::Find;
use crate::feed::change_encoder::Unfit;
use crate::limits::{CHANGES_DEFAULT, CHANGES_MAX, LONG_POLL_WAIT_MAX_S, STATEMENT_MAX};
use crate::store::HistoryError;
use crate::store::history::Lost;
use crate::wire::message::{Refusal, ResetReason, Subscribe};

use super::State;
use super::credentials::Who;
use super::long_poll;
use super::openapi as doc;
use super::problem::Problem;
use super::query::{self, refused};
use super::streaming_body;

mod page;
mod step;

use page::Page;

/// `GET /api/changes?table=T&since=C&limit=N&columns=a,b`, and with `wait` a long poll.
#[utoipa::path(
    get, path = "/api/changes", tag = "changes",
    summary = "What has changed since a cursor",
    description = "Without `since` the answer has no changes, and the cursor of now to come back with. With `wait` it comes as soon \
        as there is a change, or when the time is up. Only an answer with its proper end is whole.",
    params(doc::ChangesQuery),
    responses(
        (
            status = 200, description = "The changes, in the order in which they are to be applied.", body = doc::Changes,
            example = json!(doc::Changes::example()),
        ),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::NoTable, doc::Gone, doc::TooManyOfOne, doc::Away,
    ),
)]
pub async fn history(
    request: HttpRequest,
    who: Who,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let asked = parse(request.query_string())?;
    let (mut wanted, limit) = (asked.wanted, asked.limit);
    let find = Find {
        wanted: wanted.clone(),
        viewer: who.0.clone(),
    };
    let found = state.ask(find).await?.map_err(refused)?;
    if found.view.derivation.is_some() {
        // Not in the log: the answer is what there is, or how it has changed.
        wanted.back = None;
        let wait = asked.wait.unwrap_or_default();
        return long_poll::of_derived(&request, &state, wanted, who.0, wait).await;
    }
    if let Some(back) = wanted.back.take() {
        let at_least = found.view.table.since.max(found.since);
        wanted.since = Some(
            state
                .history_for(&request, &who.0)
                .back(back, at_least)
                .await?,
        );
    }
    if let (Some(_), Some(wait)) = (&wanted.since, asked.wait) {
        return long_poll::answer(&request, &state, wanted, who.0, limit, wait).await;
    }
    let Some(since) = wanted.since else {
        let now = timeout(STATEMENT_MAX, state.history.now()).await;
        let now = now.map_err(|_| Problem::unavailable("the database does not answer"))??;
        let body = format!("{{\"changes\":[],\"cursor\":\"{now}\",\"more\":false}}");
        return Ok(answer().body(body));
    };
    let own = found.cursor.as_ref();
    let own = own.ok_or_else(|| Problem::unavailable("the database is away"))?;
    let since = since.admit(&own.epoch);
    let since = since.map_err(|forged| refused(Refusal::cursor("", forged).at("since")))?;
    let is_served = |xid| since.snapshot.sees(xid);
    if !is_served(found.view.table.since) || !is_served(found.since) {
        state.metrics.resumed("reset");
        return Err(gone(ResetReason::Schema));
    }
    let metrics = state.metrics.clone();
    let history = state.history_for(&request, &who.0);
    let page = Page::new(state, history, found, since, limit, request.peer_addr());
    let (pieces, body) = streaming_body::channel();
    actix_rt::spawn(page.write(pieces, metrics));
    Ok(answer().streaming(body.begun().await?))
}

pub(super) fn answer() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    response
}

/// What a request asks for.
#[derive(Debug)]
struct Asked {
    wanted: Subscribe,
    limit: usize,
    /// None: no longer than it takes to read.
    wait: Option<Duration>,
}

fn parse(text: &str) -> Result<Asked, Problem> {
    let words = ["table", "columns", "since", "order", "limit", "wait"];
    let mut query = query::parse("", text, &words).map_err(refused)?;
    let order = query.get("order").map(str::to_owned);
    let limit = match &order {
        Some(order) => {
            let limit = query.get("limit").map(str::to_owned);
            let window = query.wanted.set_window(Some(order), limit.as_deref());
            window.map_err(refused)?;
            None
        }
        None => query.number("limit", 1..=CHANGES_MAX)?,
    };
    let wait = query.number("wait", 0..=LONG_POLL_WAIT_MAX_S)?;
    Ok(Asked {
        wanted: query.wanted,
        limit: limit.unwrap_or(CHANGES_DEFAULT),
        wait: wait
            .filter(|s| *s > 0)
            .map(|s| Duration::from_secs(s as u64)),
    })
}

/// 410: the cursor can't be served.
pub(super) fn gone(reason: ResetReason) -> Problem {
    let detail = match reason {
        ResetReason::Expired => "what comes behind this cursor has been pruned",
        ResetReason::Epoch => {
            "this cursor is of another log, or of a database that has been restored or failed over"
        }
        ResetReason::Schema => "the table has changed too much since this cursor",
        ResetReason::Window => "the log has no windows and no counts",
    };
    let detail = format!("{detail}; load the table again, and go on from a new cursor");
    Problem::new(StatusCode::GONE, reason.as_str(), detail)
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Busy => {
                Self::unavailable("too many clients are catching up; try again in a moment")
            }
            HistoryError::Away(why) => {
                log::warn!("request refused, database away reason=\"{why}\"");
                Self::unavailable("the database is away or too busy; try again in a moment")
            }
            HistoryError::Unservable(_) => gone(ResetReason::Epoch),
            HistoryError::Denied(_, why) => Self::not_found(why),
            HistoryError::Wrong { field, detail } => Self::malformed(field, detail),
        }
    }
}

impl From<Lost> for Problem {
    fn from(lost: Lost) -> Self {
        gone(match lost {
            Lost::Pruned => ResetReason::Expired,
            Lost::Foreign => ResetReason::Epoch,
            Lost::Revoked => ResetReason::Schema,
        })
    }
}

impl From<Unfit> for Problem {
    fn from(_: Unfit) -> Self {
        gone(ResetReason::Schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (query, part) in [
            ("", "table: is missing"),
            ("table=t&limit=0", "limit"),
            ("table=t&limit=x", "limit"),
            (
                "table=t&wait=61",
                "wait: is \"61\"; it has to be a number from 0 to 60",
            ),
            ("table=t&since=abc", "since: not a cursor"),
            ("table=t&after=3", "after: has no meaning here"),
            ("table=t&order=a", "order: needs limit"),
            ("table=t&order=&limit=5", "order: has \"\""),
            (
                "table=t&order=a&limit=0",
                "limit: is 0; it has to be a number from 1 to 1000",
            ),
            ("table=t&order=a&limit=1001", "limit: is 1001"),
            ("table=t&status=open", "status: at character 1"),
        ] {
            let problem = parse(query).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{query}");
            assert!(problem.to_string().contains(part), "{query}: {problem}");
        }
        let asked = parse("table=items&limit=7&columns=id,%20name&wait=0").unwrap();
        assert_eq!((asked.limit, asked.wait), (7, None));
        assert_eq!(asked.wanted.columns.unwrap().len(), 2);
    }
}
