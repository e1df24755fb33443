//! `GET /api/changes?wait=`: a long poll. A session over a pipe, which is asked to resume, and whose first batches are the
//! answer. On a quiet system it costs no query.

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::actor::clients::connection::Conn;
use crate::actor::clients::state::ShardState;
use crate::actor::session;
use crate::actor::transport::pipe::{PipeReader, pipe};
use crate::auth::Viewer;
use crate::limits::{DERIVED_READ_MAX, LONG_POLL_PAUSE_MAX, PIPE_READ_BYTES, REPLAY_PAUSE_MAX};
use crate::metrics::TransportLabel;
use crate::wire::list::List;
use crate::wire::message::{BROKEN_CLAIM, ResetReason, Subscribe};
use crate::wire::unframe::{Head, Part, Unframer};

use super::State;
use super::changes;
use super::credentials;
use super::problem::Problem;
use super::query;

const TRANSPORT: TransportLabel = TransportLabel {
    transport: "long-poll",
};

/// Waits for the first changes behind `wanted.since`, and answers with them; with none when `wait` is over.
pub(super) async fn answer(
    request: &HttpRequest,
    state: &State,
    wanted: Subscribe,
    viewer: Viewer,
    limit: usize,
    wait: Duration,
) -> Result<HttpResponse, Problem> {
    let poll = LongPoll::start(request, state, wanted, viewer, limit, wait)?;
    poll.answer().await
}

/// The same of a window, or counts. Without `wanted.since`, or when the rows are others than they were there: all rows. Else how they
/// have changed when they do; nothing when `wait` is over.
pub(super) async fn of_derived(
    request: &HttpRequest,
    state: &State,
    mut wanted: Subscribe,
    viewer: Viewer,
    wait: Duration,
) -> Result<HttpResponse, Problem> {
    wanted.snapshot = true;
    let mut poll = LongPoll::start(request, state, wanted, viewer, usize::MAX, wait)?;
    // Before they are known there is no answer.
    poll.deadline = Instant::now() + DERIVED_READ_MAX;
    poll.derived = Some(Derived {
        until: Instant::now() + wait,
        rows: List::default(),
        begins_anew: false,
        has_rows: false,
    });
    poll.answer().await
}

/// An answer about a window, or counts.
struct Derived {
    /// When it is answered that there is nothing new.
    until: Instant,
    rows: List,
    /// The client's rows are void.
    begins_anew: bool,
    /// The answer has all rows.
    has_rows: bool,
}

impl LongPoll {
    fn start(
        request: &HttpRequest,
        state: &State,
        wanted: Subscribe,
        viewer: Viewer,
        limit: usize,
        wait: Duration,
    ) -> Result<Self, Problem> {
        let shard = super::shard(request)?;
        let place = state.take_place_for(request, &viewer)?;
        let cursor = wanted.since.as_ref().map(ToString::to_string);
        let (pipe, reader) = pipe(TRANSPORT);
        let client = session::serve(
            pipe,
            false,
            Bytes::new(),
            vec![Ok(wanted)],
            Some(viewer),
            shard.clone(),
            place,
        );
        Ok(Self {
            input: Input {
                reader,
                unframer: Unframer::default(),
                bytes: Bytes::new(),
            },
            client,
            shard,
            deadline: Instant::now() + wait,
            limit,
            list: List::default(),
            cursor: cursor.unwrap_or_default(),
            text: b"{\"changes\":[".to_vec(),
            phase: Phase::Between,
            open: Default::default(),
            derived: None,
        })
    }

    async fn answer(self) -> Result<HttpResponse, Problem> {
        let mut poll = self;
        // Until the first change there may be a better answer than half a body.
        let first = poll.step().await?.unwrap_or_default();
        if poll.phase == Phase::Over {
            return Ok(changes::answer().body(first));
        }
        let rest = stream::unfold(Some(poll), |poll| async {
            let mut poll = poll?;
            match poll.step().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(poll))),
                Ok(None) => None,
                // The connection ends, and the client knows that it has not got all.
                Err(problem) => Some((Err(problem), None)),
            }
        });
        let body = stream::once(async { Ok(first) }).chain(rest);
        Ok(changes::answer().streaming(body))
    }
}

/// What the session says.
struct Input {
    reader: PipeReader,
    unframer: Unframer,
    /// Read and not taken apart.
    bytes: Bytes,
}

impl Input {
    /// The next part; none when the session has ended.
    async fn next(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.unframer.next(&mut self.bytes) {
                return Some(part);
            }
            self.bytes = poll_fn(|cx| self.reader.poll_read(cx)).await?;
        }
    }

    /// Whether it has said nothing that has not been heard.
    fn is_quiet(&self) -> bool {
        self.bytes.is_empty() && self.unframer.is_between() && self.reader.is_empty()
    }
}

/// Where an answer is.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Between two batches.
    Between,
    /// In a batch.
    Batch,
    /// It is whole.
    Over,
}

/// An answer that is being made.
struct LongPoll {
    input: Input,
    /// Does not keep the client.
    client: Weak<Conn>,
    shard: Rc<ShardState>,
    deadline: Instant,
    limit: usize,
    list: List,
    /// Behind the batches that are in the answer.
    cursor: String,
    /// What has not been handed on.
    text: Vec<u8>,
    phase: Phase,
    /// The message that has begun, and its text where that is not a list of changes.
    open: (Head, Vec<u8>),
    derived: Option<Derived>,
}

impl LongPoll {
    /// The next piece of the body, none after the last one. The first one has changes, or is the whole answer.
    async fn step(&mut self) -> Result<Option<Bytes>, Problem> {
        while self.phase != Phase::Over {
            if self.list.count() > 0 && self.text.len() >= PIPE_READ_BYTES {
                break;
            }
            if let Some(part) = self.hear().await? {
                self.take(part)?;
            }
        }
        let piece = std::mem::take(&mut self.text);
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    /// The next part of what the session says, unless the answer has come to its end.
    async fn hear(&mut self) -> Result<Option<Part>, Problem> {
        let part = if self.phase == Phase::Batch {
            // Brought to its end whatever the time: the client may have the beginning.
            timeout(LONG_POLL_PAUSE_MAX, self.input.next()).await.ok()
        } else if self.list.count() > 0 && self.has_everything() {
            self.finish(false);
            return Ok(None);
        } else {
            let part = timeout_at(self.deadline, self.input.next()).await;
            let Ok(part) = part else {
                self.time_is_up()?;
                return Ok(None);
            };
            Some(part)
        };
        match part {
            Some(Some(Part::Close(_)) | None) | None => {
                let why =
                    "the server is about to end, or overloaded; ask again with the same cursor";
                self.stop(Problem::unavailable(why)).map(|()| None)
            }
            Some(part) => Ok(part),
        }
    }

    /// Whether there is no more for it now.
    fn has_everything(&self) -> bool {
        let client = self.client.upgrade();
        self.input.is_quiet() && client.is_some_and(|client| self.shard.has_everything(&client))
    }

    fn time_is_up(&mut self) -> Result<(), Problem> {
        let is_known = |derived: &Derived| self.deadline <= derived.until;
        if !self.derived.as_ref().is_none_or(is_known) {
            let why = "the rows are not known yet; ask again";
            return self.stop(Problem::unavailable(why));
        }
        let has_everything = self.has_everything();
        if has_everything
            && let Some(client) = self.client.upgrade()
            && let Some(cursor) = self.shard.reached(&client)
        {
            self.cursor = cursor.to_string();
        }
        self.finish(!has_everything);
        Ok(())
    }

    fn finish(&mut self, more: bool) {
        let tail = format!("],\"cursor\":\"{}\",\"more\":{more}}}", self.cursor);
        self.text.extend_from_slice(tail.as_bytes());
        self.phase = Phase::Over;
    }

    /// Nothing more comes. Whole batches are an answer, and what was wrong is said to the next request.
    fn stop(&mut self, problem: Problem) -> Result<(), Problem> {
        if self.phase == Phase::Between && self.list.count() > 0 {
            self.finish(true);
            return Ok(());
        }
        Err(problem)
    }

    fn take(&mut self, part: Part) -> Result<(), Problem> {
        match part {
            Part::Begin(head) => {
                if head.kind == "changes" {
                    if self.phase == Phase::Between && self.list.count() >= self.limit {
                        self.finish(true);
                        return Ok(());
                    }
                    self.phase = Phase::Batch;
                    self.list.begin();
                }
                if head.kind == "snapshot"
                    && let Some(derived) = &mut self.derived
                {
                    if !std::mem::replace(&mut derived.has_rows, true) {
                        self.text = match derived.begins_anew {
                            true => b"{\"reset\":\"window\",\"rows\":[".to_vec(),
                            false => b"{\"rows\":[".to_vec(),
                        };
                    }
                    derived.rows.begin();
                }
                self.open = (head, Vec::new());
            }
            Part::Text(text) if self.open.0.kind == "changes" => {
                self.list.push(&text, &mut self.text);
            }
            Part::Text(text) if self.open.0.kind == "snapshot" => {
                if let Some(derived) = &mut self.derived {
                    derived.rows.push(&text, &mut self.text);
                }
            }
            // All others are short.
            Part::Text(text) => self.open.1.extend_from_slice(&text),
            Part::End(may_resume) => return self.end(may_resume),
            Part::Ping | Part::Close(_) => {}
        }
        Ok(())
    }

    /// A message has ended.
    fn end(&mut self, may_resume: bool) -> Result<(), Problem> {
        let (head, text) = std::mem::take(&mut self.open);
        match head.kind.as_str() {
            "changes" if may_resume => {
                self.phase = Phase::Between;
                self.cursor = head.cursor.unwrap_or_default();
                if self.list.count() > 0 {
                    // What is there already comes too, and nothing is waited for any more.
                    self.deadline = self.deadline.min(Instant::now() + REPLAY_PAUSE_MAX);
                }
            }
            "heartbeat" => self.cursor = head.cursor.unwrap_or_default(),
            "reset" => match (&mut self.derived, reset(&text)) {
                (Some(derived), ResetReason::Window) => derived.begins_anew = true,
                (_, reason) => return self.stop(changes::gone(reason)),
            },
            "subscribed" if let Some(derived) = &self.derived => {
                self.cursor = head.cursor.unwrap_or_default();
                match derived.has_rows {
                    true => {
                        self.text.extend_from_slice(b"],\"changes\":[");
                        self.finish(false);
                    }
                    false => self.deadline = derived.until,
                }
            }
            "error" => return self.stop(error(&text)),
            "unsubscribed" => {
                let why = Problem::not_found("the table is not watched any more");
                return self.stop(why);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What there is to know of a `reset` or an `error`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Note<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    code: Cow<'a, str>,
    message: Cow<'a, str>,
}

fn reset(text: &[u8]) -> ResetReason {
    let note: Note = serde_json::from_slice(text).unwrap_or_default();
    let reason = ResetReason::ALL
        .into_iter()
        .find(|r| r.as_str() == note.reason);
    reason.unwrap_or(ResetReason::Schema)
}

fn error(text: &[u8]) -> Problem {
    let Note { code, message, .. } = serde_json::from_slice(text).unwrap_or_default();
    match &*code {
        "unknown_table" => query::unknown_table(&message),
        "busy" => Problem::unavailable(message),
        BROKEN_CLAIM => credentials::forbidden(message),
        "bad_cursor" => {
            Problem::malformed("since", message.strip_prefix("since: ").unwrap_or(&message))
        }
        _ => Problem::malformed("query", message),
    }
}
