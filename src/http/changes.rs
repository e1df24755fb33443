//! `GET /api/changes`: what has happened since a cursor. Streamed, so a long answer is in nobody's memory.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::actor::message::{Find, Found};
use crate::feed::cut::cut;
use crate::feed::render::Unfit;
use crate::feed::{Cursor, LogRow, Renderer, Rest};
use crate::limits::{
    ACTOR_SILENCE_MAX, CHANGES_BYTES_MAX, CHANGES_DEFAULT, CHANGES_MAX, PIECE_BYTES,
    REPLAY_HOLD_MAX, REPLAY_PAUSE_MAX, STALL_MAX, STATEMENT_MAX,
};
use crate::store::history::{Lost, Replay};
use crate::store::{History, HistoryError};
use crate::wire::message::{Refusal, ResetReason, Subscribe};

use super::State;
use super::openapi as doc;
use super::problem::Problem;

/// What a request asks for.
#[derive(Debug)]
struct Query {
    wanted: Subscribe,
    limit: usize,
}

/// `GET /api/changes?table=T&since=C&limit=N&columns=a,b`
#[utoipa::path(
    get, path = "/api/changes", tag = "changes",
    summary = "What has changed since a cursor",
    description = "Without `since` the answer has no changes, and the cursor of now to come back with.",
    params(doc::ChangesQuery),
    responses(
        (
            status = 200, description = "The changes, in the order in which they are to be applied.", body = doc::Changes,
            example = json!(doc::Changes::example()),
        ),
        doc::Malformed, doc::NoTable, doc::Gone, doc::Away,
    ),
)]
pub async fn history(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let Query { wanted, limit } = parse(request.query_string())?;
    let since = wanted.since.clone();
    let found = timeout(ACTOR_SILENCE_MAX, state.hub.send(Find { wanted })).await;
    let Ok(Ok(found)) = found else {
        return Err(Problem::unavailable(
            "the server is overloaded or about to end",
        ));
    };
    let found = found.map_err(refused)?;
    let Some(since) = since else {
        let now = timeout(STATEMENT_MAX, state.history.now()).await;
        let now = now.map_err(|_| Problem::unavailable("the database does not answer"))??;
        let body = format!("{{\"changes\":[],\"cursor\":\"{now}\",\"more\":false}}");
        return Ok(answer().body(body));
    };
    if since.snapshot.sees(found.view.table.since) {
        state.metrics.resumed("log");
    } else {
        state.metrics.resumed("reset");
        return Err(gone(ResetReason::Schema));
    }
    let (pieces, mut receiver) = mpsc::channel(2);
    let page = Page {
        history: state.history.clone(),
        renderer: Renderer::new(found.view.clone()),
        found,
        from: Arc::new(since),
        limit,
        count: 0,
        text: String::from("{\"changes\":["),
        pieces,
    };
    actix_rt::spawn(page.write());
    // Until the first piece there may be a better answer than half a body.
    match receiver.recv().await {
        Some(Err(problem)) => Err(problem),
        first => {
            let rest = stream::poll_fn(move |cx| receiver.poll_recv(cx));
            let body = futures_util::StreamExt::chain(stream::iter(first), rest);
            Ok(answer().streaming(body))
        }
    }
}

fn answer() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    response
}

fn parse(text: &str) -> Result<Query, Problem> {
    let mut query = Query {
        wanted: Subscribe::default(),
        limit: CHANGES_DEFAULT,
    };
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match &*name {
            "table" => query.wanted.table = value.into_owned(),
            "columns" => query.wanted.set_columns(&value),
            "since" => {
                let cursor = Cursor::parse(&value);
                query.wanted.since =
                    Some(cursor.map_err(|e| Problem::malformed("since", e.to_string()))?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|n| (1..=CHANGES_MAX).contains(n));
                query.limit = limit.ok_or_else(|| {
                    let detail =
                        format!("is {value:?}; it has to be a number from 1 to {CHANGES_MAX}");
                    Problem::malformed("limit", detail)
                })?;
            }
            other => {
                let detail = "is not served by this version of plank; the parameters are table, since, limit and columns";
                return Err(Problem::malformed(other, detail));
            }
        }
    }
    if query.wanted.table.is_empty() {
        return Err(Problem::malformed("table", "is missing"));
    }
    query.wanted.check().map_err(refused)?;
    Ok(query)
}

fn refused(refusal: Refusal) -> Problem {
    match refusal.code {
        "unknown_table" => Problem::not_found(refusal.message),
        "unknown_column" => Problem::malformed("columns", refusal.message),
        _ => Problem::malformed("query", refusal.message),
    }
}

/// 410: the cursor can't be served.
pub(super) fn gone(reason: ResetReason) -> Problem {
    let detail = match reason {
        ResetReason::Expired => "what comes behind this cursor has been pruned",
        ResetReason::Epoch => {
            "this cursor is of another log, or of a database that has been restored or failed over"
        }
        ResetReason::Schema => "the table has changed too much since this cursor",
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
            HistoryError::Denied(_, why) => Self::not_found(why),
        }
    }
}

impl From<Lost> for Problem {
    fn from(lost: Lost) -> Self {
        gone(match lost {
            Lost::Pruned => ResetReason::Expired,
            Lost::Foreign => ResetReason::Epoch,
        })
    }
}

impl From<Unfit> for Problem {
    fn from(_: Unfit) -> Self {
        gone(ResetReason::Schema)
    }
}

/// Why nothing more is written.
enum Stop {
    Problem(Problem),
    /// The client has gone.
    Over,
}

impl<T: Into<Problem>> From<T> for Stop {
    fn from(why: T) -> Self {
        Self::Problem(why.into())
    }
}

/// An answer that is being written.
struct Page {
    history: History,
    found: Found,
    /// Where what has been written ends.
    from: Arc<Cursor>,
    limit: usize,
    /// Rows of the log that have been written.
    count: usize,
    renderer: Renderer,
    /// What has not been handed on.
    text: String,
    pieces: mpsc::Sender<Result<Bytes, Problem>>,
}

impl Page {
    async fn write(mut self) {
        match self.steps().await {
            Ok(more) => {
                let tail = format!("],\"cursor\":\"{}\",\"more\":{more}}}", self.from);
                self.text.push_str(&tail);
                let _ = self.hand_on().await;
            }
            // In the middle of a body the connection ends, and the client knows that it has not got all.
            Err(Stop::Problem(problem)) => drop(self.pieces.send(Err(problem)).await),
            Err(Stop::Over) => {
                let why = Problem::unavailable("the client did not read");
                let _ = timeout(STALL_MAX, self.pieces.send(Err(why))).await;
            }
        }
    }

    /// Writes step by step until there are enough; whether there are more.
    async fn steps(&mut self) -> Result<bool, Stop> {
        loop {
            let mut replay = self.replay(None).await?;
            if self.count >= self.limit {
                // Only to see whether there is one more.
                let is_more = replay.next().await?.is_some();
                if is_more || replay.is_to_now() {
                    return Ok(is_more);
                }
                let end = replay.end().clone();
                replay.finish().await??;
                // Nothing of this table up to there.
                self.from = end;
                continue;
            }
            let (end, is_to_now) = (replay.end().clone(), replay.is_to_now());
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while bytes < CHANGES_BYTES_MAX
                && let Some(row) = replay.next().await?
            {
                bytes += row.bytes();
                rows.push(row);
            }
            if bytes >= CHANGES_BYTES_MAX {
                self.stream(replay, rows, &end).await?;
            } else {
                replay.finish().await??;
                let (count, place) = cut(
                    &rows,
                    &self.from.snapshot,
                    &end.snapshot,
                    self.limit - self.count,
                );
                let is_cut = count < rows.len();
                rows.truncate(count);
                self.render(rows).await?;
                self.close(Arc::new(Cursor {
                    epoch: end.epoch,
                    snapshot: place,
                }))
                .await?;
                if is_cut {
                    return Ok(true);
                }
            }
            if is_to_now {
                return Ok(false);
            }
        }
    }

    async fn replay(&self, rest: Option<&Rest>) -> Result<Replay, Stop> {
        let replay = self
            .history
            .replay(&self.from, rest, &self.found.rels)
            .await;
        Ok(replay??)
    }

    /// A step that is too large to look for a place in it where it could end: all of it. A client that takes its time
    /// gives its place to others, and goes on behind them.
    async fn stream(
        &mut self,
        mut replay: Replay,
        rows: Vec<LogRow>,
        end: &Arc<Cursor>,
    ) -> Result<(), Stop> {
        let mut seq = rows.last().map_or(i64::MIN, |row| row.seq);
        let mut waiting = rows.into_iter();
        let mut held_until = Instant::now() + REPLAY_HOLD_MAX;
        loop {
            let row = match waiting.next() {
                Some(row) => Some(row),
                None => replay.next().await?,
            };
            let Some(row) = row else {
                replay.finish().await??;
                return self.close(end.clone()).await;
            };
            seq = seq.max(row.seq);
            self.put(row)?;
            if self.text.len() < PIECE_BYTES {
                continue;
            }
            let is_quick = {
                let room = timeout(REPLAY_PAUSE_MAX, self.pieces.reserve()).await;
                matches!(room, Ok(Ok(_)))
            };
            if is_quick && Instant::now() < held_until {
                self.hand_on().await?;
                continue;
            }
            drop(replay);
            for row in waiting.by_ref() {
                self.put(row)?;
            }
            self.hand_on().await?;
            let end = end.clone();
            replay = self.replay(Some(&Rest { end, seq })).await?;
            held_until = Instant::now() + REPLAY_HOLD_MAX;
        }
    }

    /// Appends the changes of a row.
    fn put(&mut self, row: LogRow) -> Result<(), Stop> {
        self.count += 1;
        let text = &mut self.text;
        Ok(self.renderer.push(row, |change| push(text, change))?)
    }

    async fn render(&mut self, rows: Vec<LogRow>) -> Result<(), Stop> {
        for row in rows {
            self.put(row)?;
            if self.text.len() >= PIECE_BYTES {
                self.hand_on().await?;
            }
        }
        Ok(())
    }

    /// The step has ended.
    async fn close(&mut self, place: Arc<Cursor>) -> Result<(), Stop> {
        let text = &mut self.text;
        self.renderer.finish(|change| push(text, change))?;
        self.from = place;
        if self.text.len() >= PIECE_BYTES {
            self.hand_on().await?;
        }
        Ok(())
    }

    async fn hand_on(&mut self) -> Result<(), Stop> {
        let piece = Bytes::from(std::mem::take(&mut self.text));
        match timeout(STALL_MAX, self.pieces.send(Ok(piece))).await {
            Ok(Ok(())) => Ok(()),
            // It has gone, or takes nothing.
            Ok(Err(_)) | Err(_) => Err(Stop::Over),
        }
    }
}

/// Appends a change to the list.
fn push(text: &mut String, change: &str) {
    // The first piece begins with the bracket, and every later one with a comma.
    if !text.ends_with('[') {
        text.push(',');
    }
    text.push_str(change);
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
            ("table=t&since=abc", "since: not a cursor"),
            ("table=t&wait=3", "wait: is not served"),
            ("table=t&status=eq.open", "status: is not served"),
        ] {
            let problem = parse(query).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{query}");
            assert!(problem.to_string().contains(part), "{query}: {problem}");
        }
        let query = parse("table=items&limit=7&columns=id,%20name").unwrap();
        assert_eq!((query.limit, query.wanted.columns.unwrap().len()), (7, 2));
    }
}
