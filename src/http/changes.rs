//! `GET /api/changes`: what has happened since a cursor. Streamed, so a long answer is in nobody's memory.

use std::sync::Arc;
use std::time::Duration;

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
    ACTOR_SILENCE_MAX, CHANGES_BYTES_MAX, CHANGES_DEFAULT, CHANGES_MAX, LONG_POLL_WAIT_MAX_S,
    PIECE_BYTES, REPLAY_HOLD_MAX, REPLAY_PAUSE_MAX, STALL_MAX, STATEMENT_MAX,
};
use crate::store::history::{Lost, Replay};
use crate::store::{History, HistoryError};
use crate::wire::message::{Refusal, ResetReason, Subscribe};

use super::State;
use super::long_poll;
use super::openapi as doc;
use super::problem::Problem;
use super::query::{self, refused};

/// `GET /api/changes?table=T&since=C&limit=N&columns=a,b`, and with `wait` a long poll.
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
        doc::Malformed, doc::NoTable, doc::Gone, doc::TooManyOfOne, doc::Away,
    ),
)]
pub async fn history(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let asked = parse(request.query_string())?;
    let (wanted, limit) = (asked.wanted, asked.limit);
    let found = find(&state, &wanted).await?.map_err(refused)?;
    if let (Some(_), Some(wait)) = (&wanted.since, asked.wait) {
        return long_poll::answer(&request, &state, wanted, limit, wait).await;
    }
    let Some(since) = wanted.since else {
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

/// Looks a table up before anything is answered.
pub(super) async fn find(
    state: &State,
    wanted: &Subscribe,
) -> Result<Result<Found, Refusal>, Problem> {
    let wanted = wanted.clone();
    match timeout(ACTOR_SILENCE_MAX, state.hub.send(Find { wanted })).await {
        Ok(Ok(found)) => Ok(found),
        _ => Err(Problem::unavailable(
            "the server is overloaded or about to end",
        )),
    }
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
    let query = query::parse("", text, &["table", "columns", "since", "limit", "wait"]);
    let query = query.map_err(refused)?;
    let limit = query.number("limit", 1..=CHANGES_MAX)?;
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
            HistoryError::Wrong { field, detail } => Self::malformed(field, detail),
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
            (
                "table=t&wait=61",
                "wait: is \"61\"; it has to be a number from 0 to 60",
            ),
            ("table=t&since=abc", "since: not a cursor"),
            ("table=t&after=3", "after: has no meaning here"),
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
