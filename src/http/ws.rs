//! `GET /ws`: checks the handshake, answers it, and hands the socket to a session. From then on HTTP knows nothing of it:
//! the dispatcher and its buffers are gone.
//!
//! Every request with `Upgrade: websocket` comes here, whatever its path; middleware does not run for it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_codec::{AsyncRead, AsyncWrite, Framed};
use actix_http::header::{self, HeaderMap};
use actix_http::ws::{HandshakeError, hash_key, verify_handshake};
use actix_http::{HttpMessage as _, Method, Request, StatusCode, Version, h1};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::actor::admission::permit::{Open, Permit};
use crate::actor::clients::state::ShardState;
use crate::actor::session;
use crate::actor::transport::socket::Socket;
use crate::auth::Viewer;
use crate::metrics::RequestLabels;
use crate::store::tickets;
use crate::wire::message::{Refusal, SUBPROTOCOL, Subscribe};
use crate::wire::offer;

use super::credentials;
use super::openapi as doc;
use super::origin;
use super::problem::Problem;
use super::query;
use super::{State, belong, soon, too_often};

/// The query of a page that asks why its WebSocket has failed.
const WHY: &str = "why";

/// The `id` of a subscription that comes from the address.
pub(super) const URL_SUBSCRIPTION: &str = "url";

/// For the response to be written; the socket is fresh, so its buffer is empty.
const RESPOND_MAX: Duration = Duration::from_secs(5);

/// Takes over a request with `Upgrade: websocket`.
pub async fn accept<T>(
    state: State,
    shard: Rc<ShardState>,
    request: Request,
    framed: Framed<T, h1::Codec>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Into<Socket>,
{
    let _asking = request.conn_data::<Rc<Open>>().cloned().map(Open::ask);
    let parts = framed.into_parts();
    let mut io = parts.io;
    let verdict = check(&state, &request).await;
    let status = verdict
        .as_ref()
        .map_or_else(Problem::status, |_| StatusCode::SWITCHING_PROTOCOLS)
        .as_u16();
    let route = if request.path() == "/ws" {
        "/ws"
    } else {
        "other"
    };
    state
        .metrics
        .requests
        .get_or_create(&RequestLabels {
            route: route.into(),
            method: "GET",
            status,
        })
        .inc();
    let response = match &verdict {
        Ok((accepted, ..)) => accepted.response.clone(),
        Err(problem) => {
            log::debug!("websocket refused reason=\"{problem}\"");
            problem.raw_response()
        }
    };
    // Responses to requests that came before this one on the same connection are still in the codec's buffer.
    let response = [&parts.write_buf, response.as_bytes()].concat();
    let written = timeout(RESPOND_MAX, io.write_all(&response)).await;
    match verdict {
        Ok((accepted, place)) if matches!(written, Ok(Ok(()))) => {
            let Accepted {
                deflates,
                first,
                viewer,
                ..
            } = accepted;
            // A copy of the few bytes there may be: the buffer itself has 8 KiB, and would stay for as long as the session.
            let early = Bytes::copy_from_slice(&parts.read_buf);
            drop((parts.read_buf, parts.write_buf));
            session::serve(io, deflates, early, first, viewer, shard, place);
        }
        // It has gone already.
        Ok(_) => {}
        Err(_) => {
            let _ = timeout(RESPOND_MAX, io.shutdown()).await;
        }
    }
}

/// `GET /ws` without `Upgrade: websocket`, which comes the way of every other request.
///
/// # Errors
/// What a handshake would be answered; 426 if it would be taken and nobody has asked why one failed.
#[utoipa::path(
    get, path = "/ws", tag = "changes", operation_id = "socket",
    summary = "The WebSocket",
    description = "Changes as they happen, in the subprotocol `plank.v1`: docs/PROTOCOL.md has the messages, and `/asyncapi.json` their schemas. The query \
        subscribes at once; without one the client sends `subscribe`. What is wrong with the query is said in an `error` \
        message, and the socket stays.",
    params(doc::SocketQuery),
    responses(
        (
            status = 101, description = "From here on it is a WebSocket.",
            headers(("Sec-WebSocket-Protocol" = String, description = "`plank.v1`, if the client offered it."),
                ("Sec-WebSocket-Extensions" = String, description = "permessage-deflate, if the client offered it.")),
        ),
        doc::MalformedHandshake, doc::Unauthenticated, doc::ForeignOrigin, doc::NoUpgrade, doc::TooManyOfOne, doc::TooMany,
    ),
)]
pub async fn upgrade_required(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let headers = request.headers();
    if let Some(problem) = stripped(request.version(), headers) {
        return Err(problem);
    }
    // A browser does not tell its page how a handshake was answered. A page whose handshake has failed asks here, and is
    // answered as the handshake was, or would be: only where plank would take one is something in the way.
    if !origin::is_allowed(headers, &state.allowed_origins) {
        return Err(foreign_origin());
    }
    let address = state.peers.client(request.peer_addr(), headers);
    let refused = address.map_or(Ok(()), |address| state.rates.refused_handshake(address));
    refused.map_err(too_often)?;
    drop(state.take_place(request.peer_addr(), headers, true)?);
    credentials::of(&state, headers)?;
    match request.query_string() {
        // A page that asks makes no error in its console.
        WHY => Ok(HttpResponse::NoContent().finish()),
        _ => Err(no_upgrade()),
    }
}

/// A handshake that has lost its upgrade on the way.
fn stripped(version: Version, headers: &HeaderMap) -> Option<Problem> {
    if !headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        return None;
    }
    let what = if version < Version::HTTP_11 {
        "the request came as HTTP/1.0, which has no upgrade"
    } else {
        "the request has a Sec-WebSocket-Key, and no \"Upgrade: websocket\" with \"Connection: Upgrade\""
    };
    let mut problem = no_upgrade();
    problem.set_detail(format!(
        "{what}: a proxy between the client and plank does not pass the upgrade on; set it up to (in nginx: proxy_http_version 1.1, \
         proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection \"upgrade\")"
    ));
    Some(problem)
}

/// 403.
pub(super) fn foreign_origin() -> Problem {
    let detail = "a page of another origin may not connect; --allowed-origin lets it";
    Problem::new(StatusCode::FORBIDDEN, "origin", detail)
}

/// 426.
pub(super) fn no_upgrade() -> Problem {
    let detail = "this is a WebSocket; connect with ws:// and not with http://";
    Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", detail).with_header(
        header::UPGRADE,
        header::HeaderValue::from_static("websocket"),
    )
}

/// A socket that may become a session.
struct Accepted {
    /// The head.
    response: String,
    /// Whether permessage-deflate is negotiated.
    deflates: bool,
    /// What its address asks for.
    first: Vec<Result<Subscribe, Refusal>>,
    /// Whose it is; none if it has to say so first.
    viewer: Option<Viewer>,
}

/// Whether the socket may become a session, and its place then.
async fn check(state: &State, request: &Request) -> Result<(Accepted, Permit), Problem> {
    // First of all: one that is refused has cost as much.
    let address = state.peers.client(request.peer_addr(), request.headers());
    let checked = address.map_or(Ok(()), |address| state.rates.handshake(address));
    checked.map_err(too_often)?;
    state.hosts.check(request.peer_addr(), request.headers())?;
    if request.path() != "/ws" {
        return Err(Problem::not_found(
            "there is no WebSocket here; connect to /ws",
        ));
    }
    if request.method() != Method::GET {
        return Err(Problem::method("GET"));
    }
    let head = request.head();
    if head.version < Version::HTTP_11 || !head.upgrade() {
        return Err(stripped(head.version, &head.headers).unwrap_or_else(no_upgrade));
    }
    verify_handshake(head).map_err(handshake_problem)?;
    if !origin::is_allowed(request.headers(), &state.allowed_origins) {
        return Err(foreign_origin());
    }
    let key = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| hash_key(key.as_bytes()));
    let key = key.ok_or_else(|| Problem::malformed("Sec-WebSocket-Key", "is missing"))?;
    let extension = extension(state, request.headers())?;
    let query = request.uri().query().unwrap_or_default();
    credentials::refuse_token_in(query)?;
    let (query, ticket) = split_ticket(query)?;
    let place = state.take_place(request.peer_addr(), request.headers(), true)?;
    let viewer = viewer(state, request.headers(), ticket).await?;
    if let Some(viewer) = &viewer {
        belong(&place, viewer)?;
    }
    let protocol = if offers_subprotocol(request.headers()) {
        format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n")
    } else {
        String::new()
    };
    let extensions = extension.map_or(String::new(), |extension| {
        format!("sec-websocket-extensions: {extension}\r\n")
    });
    let key = String::from_utf8_lossy(&key);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {key}\r\n{protocol}{extensions}\r\n"
    );
    let deflates = extension.is_some();
    let accepted = Accepted {
        response,
        deflates,
        first: subscription(&query).into_iter().collect(),
        viewer,
    };
    Ok((accepted, place))
}

/// Whose it is: what its headers say, or its ticket does. Programs may also say so in their first message.
async fn viewer(
    state: &State,
    headers: &HeaderMap,
    ticket: Option<String>,
) -> Result<Option<Viewer>, Problem> {
    let said = headers.contains_key(header::AUTHORIZATION) || credentials::offers_token(headers);
    let Some(ticket) = ticket.filter(|_| state.auth.is_some()) else {
        let is_without_protocol =
            credentials::offers_token(headers) && !offers_subprotocol(headers);
        if state.auth.is_some() && is_without_protocol {
            let detail = format!(
                "has a token, but not {SUBPROTOCOL}, and a token can't be answered; offer both"
            );
            return Err(Problem::malformed("Sec-WebSocket-Protocol", detail));
        }
        credentials::await_key(state, headers).await?;
        return credentials::of(state, headers);
    };
    if said {
        let detail = "is there beside a token in the headers; send one of them";
        return Err(Problem::malformed("ticket", detail));
    }
    let principal = soon(tickets::take(&state.pool, &ticket)).await?;
    // Its token may have been taken back meanwhile.
    let revoked = state.auth.as_ref().map(|auth| auth.tokens.revoked());
    let principal = principal.filter(|p| revoked.is_none_or(|revoked| !revoked.has(p)));
    let principal = principal.ok_or_else(credentials::no_ticket)?;
    Ok(Some(Viewer::One(Arc::new(principal))))
}

/// The query without the ticket, and the ticket.
fn split_ticket(query: &str) -> Result<(String, Option<String>), Problem> {
    let (mut rest, mut ticket) = (Vec::new(), None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let pair = form_urlencoded::parse(part.as_bytes()).next();
        match pair {
            Some((name, value)) if name == "ticket" => {
                if ticket.replace(value.into_owned()).is_some() {
                    return Err(Problem::malformed("ticket", "is there twice"));
                }
            }
            _ => rest.push(part),
        }
    }
    Ok((rest.join("&"), ticket))
}

/// What is taken of the extensions that the client offers.
fn extension(state: &State, headers: &HeaderMap) -> Result<Option<&'static str>, Problem> {
    if !state.compression {
        return Ok(None);
    }
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
    let answer = offer::answer(offers.map(header::HeaderValue::as_bytes));
    answer.map_err(|e| Problem::malformed("Sec-WebSocket-Extensions", e.to_string()))
}

/// 400, 405 or 426.
pub(super) fn handshake_problem(error: HandshakeError) -> Problem {
    let status = match error {
        HandshakeError::GetMethodRequired => return Problem::method("GET"),
        HandshakeError::UnsupportedVersion => StatusCode::UPGRADE_REQUIRED,
        _ => StatusCode::BAD_REQUEST,
    };
    let problem = Problem::new(
        status,
        "handshake",
        format!("the WebSocket handshake is wrong: {error}"),
    );
    match status {
        StatusCode::UPGRADE_REQUIRED => problem.with_header(
            header::SEC_WEBSOCKET_VERSION,
            header::HeaderValue::from_static("13"),
        ),
        _ => problem,
    }
}

fn offers_subprotocol(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offer| offer.trim() == SUBPROTOCOL)
}

/// The words of an address that subscribes.
pub(super) const SUBSCRIPTION_WORDS: [&str; 6] =
    ["table", "columns", "since", "snapshot", "order", "limit"];

/// The subscription that the address asks for, `/ws?table=items&status=eq.open`, so that any WebSocket tool is a client.
fn subscription(text: &str) -> Option<Result<Subscribe, Refusal>> {
    if text.is_empty() {
        return None;
    }
    Some(query::subscription(
        URL_SUBSCRIPTION,
        text,
        &SUBSCRIPTION_WORDS,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_subscribe() {
        assert_eq!(subscription(""), None);
        let wanted = subscription("table=sales.%22Order+Lines%22&columns=id,%20a")
            .unwrap()
            .unwrap();
        assert_eq!(wanted.table, "sales.\"Order Lines\"");
        assert_eq!(wanted.columns.unwrap(), ["id", "a"]);
        let wanted = subscription("table=t&snapshot=1").unwrap().unwrap();
        assert!(wanted.snapshot && wanted.since.is_none());
        let refusal = subscription("table=t&since=x").unwrap().unwrap_err();
        assert_eq!(refusal.code, "bad_cursor");
        assert!(
            subscription("columns=id")
                .unwrap()
                .unwrap_err()
                .message
                .contains("table")
        );
        assert!(
            subscription("table=t&nope=1")
                .unwrap()
                .unwrap_err()
                .message
                .contains("nope")
        );
    }
}
