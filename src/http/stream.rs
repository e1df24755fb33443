//! `GET /api/stream`: Server-Sent Events. A session over a pipe, whose messages become events here; everything that is
//! promised of a WebSocket holds for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::Stream;

use crate::actor::message::Find;
use crate::actor::session;
use crate::actor::transport::pipe::{PipeReader, pipe};
use crate::feed::Cursor;
use crate::metrics::TransportLabel;
use crate::wire::message::{Refusal, Subscribe};
use crate::wire::sse::{self, Events};
use crate::wire::unframe::Unframer;

use super::State;
use super::credentials::Who;
use super::observe::NO_TRANSFORM;
use super::openapi as doc;
use super::problem::Problem;
use super::query::{self, refused};
use super::ws::{SUBSCRIPTION_WORDS, URL_SUBSCRIPTION};

const TRANSPORT: TransportLabel = TransportLabel { transport: "sse" };

/// What an EventSource says when it comes back: the last `id` that it was given.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The same in the query, as polyfills of EventSource write it.
const LAST_EVENT_ID_WORD: &str = "lastEventId";

/// A subscription of several.
const SUBSCRIBE: &str = "subscribe";

/// nginx must not wait for a buffer to be full.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /api/stream?table=T&columns=a,b&since=C&snapshot=1`, or `?subscribe={"id":"a","table":"T"}&subscribe=...`
#[utoipa::path(
    get, path = "/api/stream", tag = "changes", operation_id = "stream",
    summary = "Changes as Server-Sent Events",
    description = "The messages of the WebSocket, for an `EventSource`: docs/PROTOCOL.md has them. `id` is the cursor to come back \
        with. A cursor that can't be served is no status, but the event `reset`. HEAD is a 405. With `subscribe` one stream \
        carries several subscriptions: as on a WebSocket what is wrong with one is an `error`, and `pong` says that one has \
        caught up. Such a stream has no `id`: come back with the cursor of each.",
    params(doc::StreamQuery),
    responses(
        (
            status = 200, description = "The events, as they happen, until the client or the server ends it.", body = String,
            content_type = "text/event-stream", example = json!(doc::events()),
        ),
        doc::Malformed, doc::Unauthenticated, doc::Forbidden, doc::NoTable, doc::TooMany,
    ),
)]
pub async fn events(
    request: HttpRequest,
    who: Who,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let several = several(request.query_string())?;
    let (first, events) = match several {
        // What is wrong with one is said in an event: the others are served.
        Some(several) => (several, Events::of_many()),
        None => {
            let wanted = wanted(&request)?;
            let find = Find {
                wanted: wanted.clone(),
                viewer: who.0.clone(),
            };
            match state.ask(find).await? {
                Ok(_) => {}
                // An EventSource that gets a 503 never comes back; the stream waits for the database, as a WebSocket does.
                Err(refusal) if refusal.code == "busy" => {}
                Err(refusal) => return Err(refused(refusal)),
            }
            (vec![Ok(wanted)], Events::default())
        }
    };
    let shard = super::shard(&request)?;
    let place = state.take_place_for(&request, &who.0)?;
    let (pipe, reader) = pipe(TRANSPORT);
    let viewer = Some(who.0);
    session::serve(pipe, false, Bytes::new(), first, viewer, shard, place);
    let body = Body {
        reader,
        unframer: Unframer::default(),
        events,
        first: Some(sse::preamble()),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // A proxy that compresses a stream holds events back.
        .insert_header((CACHE_CONTROL, NO_TRANSFORM))
        .insert_header((X_ACCEL_BUFFERING, HeaderValue::from_static("no")))
        .streaming(body))
}

/// The subscriptions of `?subscribe={...}&subscribe={...}`; none for a query with a single one.
///
/// # Errors
/// 400 if it has something else beside them.
fn several(text: &str) -> Result<Option<Vec<Result<Subscribe, Refusal>>>, Problem> {
    let mut several = Vec::new();
    let mut other = None;
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        // Else it is a filter on a column of this name.
        if name == SUBSCRIBE && value.trim_start().starts_with('{') {
            several.push(Subscribe::parse(&value));
        } else if !is_cache_buster(&name, &value) {
            other.get_or_insert(name);
        }
    }
    match other {
        _ if several.is_empty() => Ok(None),
        Some(name) => {
            let detail =
                "has no meaning beside subscribe; write it into the JSON of a subscription";
            Err(Problem::malformed(&name, detail))
        }
        None => Ok(Some(several)),
    }
}

/// Whether a parameter is there for caches only: polyfills add `_=123` where a browser would say `no-store`.
fn is_cache_buster(name: &str, value: &str) -> bool {
    name == "_" && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn wanted(request: &HttpRequest) -> Result<Subscribe, Problem> {
    let (text, last_of_query) = split_polyfill(request.query_string());
    let wanted = query::subscription(URL_SUBSCRIPTION, &text, &SUBSCRIPTION_WORDS);
    let mut wanted = wanted.map_err(refused)?;
    // What is no text is no cursor.
    let header = request.headers().get(LAST_EVENT_ID);
    let header = header.map(|last| last.to_str().unwrap_or("?").to_owned());
    let lasts = [
        ("Last-Event-ID", header),
        (LAST_EVENT_ID_WORD, last_of_query),
    ];
    let mut lasts = lasts
        .into_iter()
        .filter_map(|(name, last)| Some((name, last?)));
    // An empty one is none: what a polyfill sends before the first event.
    if let Some((name, last)) = lasts.find(|(_, last)| !last.is_empty()) {
        let cursor = Cursor::parse(&last);
        wanted.since = Some(cursor.map_err(|e| Problem::malformed(name, e.to_string()))?);
    }
    Ok(wanted)
}

/// A query without what polyfills of EventSource add to it, and the last `id` that they put there: not all can send a header.
fn split_polyfill(query: &str) -> (String, Option<String>) {
    let (mut rest, mut last) = (Vec::new(), None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match form_urlencoded::parse(part.as_bytes()).next() {
            Some((name, value)) if is_cache_buster(&name, &value) => {}
            // The newest is the last one: some add it to an address that has one already.
            Some((name, value)) if name == LAST_EVENT_ID_WORD => last = Some(value.into_owned()),
            _ => rest.push(part),
        }
    }
    (rest.join("&"), last)
}

/// The events of one session, as they come.
struct Body {
    reader: PipeReader,
    unframer: Unframer,
    events: Events,
    first: Option<String>,
}

impl Stream for Body {
    type Item = Result<Bytes, actix_web::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first.into())));
        }
        let mut text = Vec::new();
        while text.is_empty() {
            if this.events.is_over() {
                return Poll::Ready(None);
            }
            let Some(mut bytes) = ready!(this.reader.poll_read(cx)) else {
                // An event that was cut off is no event, and a body that has an end is whole.
                let cut = Problem::unavailable("the stream was broken off");
                return Poll::Ready((!this.unframer.is_between()).then(|| Err(cut.into())));
            };
            while !this.events.is_over()
                && let Some(part) = this.unframer.next(&mut bytes)
            {
                this.events.push(part, &mut text);
            }
        }
        Poll::Ready(Some(Ok(text.into())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::feed::TopicId;
    use crate::wire::message::Changes;

    #[actix_rt::test]
    async fn a_stream_that_is_cut_off_within_an_event_has_no_end() {
        for is_whole in [true, false] {
            let mut changes = Changes::new(TopicId(7), "C1");
            changes.push("{\"op\":\"truncate\"}");
            let frame = changes.finish(true);
            let written = if is_whole {
                &frame[..]
            } else {
                &frame[..frame.len() - 1]
            };
            let (pipe, reader) = pipe(TRANSPORT);
            pipe.try_write(written).unwrap();
            let mut body = Body {
                reader,
                unframer: Unframer::default(),
                events: Events::default(),
                first: None,
            };
            assert!(body.next().await.is_some_and(|piece| piece.is_ok()));
            drop(pipe);
            match body.next().await {
                None => assert!(is_whole),
                Some(piece) => assert!(!is_whole && piece.is_err()),
            }
        }
    }
}
