//! HTTP: the routes, what goes wrong with a request, and the way to a WebSocket.
//!
//! - [`server`] binds the addresses and puts the services of a worker together.
//! - [`ws`] takes a socket out of HTTP: it is the only way to a session.
//! - [`routes`] is the list of all paths. [`items`], [`tables`], [`rows`], [`rest`], [`changes`], [`health`], [`assets`] answer
//!   there; [`openapi`] says to programs and people how, and [`asyncapi`] what a WebSocket says.
//! - [`stream`] and [`long_poll`] carry the same as a WebSocket over HTTP: each is a session over a pipe.
//! - [`session`] is how browsers log in, [`who`] finds out whose a request is. [`packed`] makes the files of [`assets`] small.
//! - [`query`], [`body`], [`accept`], [`pieces`], [`problem`], [`observe`], [`peer`], [`heard`], [`prefix`] are what all of them share.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::{Context, Handler, Message};
use actix_http::header::HeaderMap;
use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use tokio::time::timeout;

use crate::actor::admission::asker::asker;
use crate::actor::admission::permit::{Full, Permit, Permits};
use crate::actor::admission::rates::{Rates, TooOften};
use crate::actor::clients::state::ShardState;
use crate::actor::hub::Hub;
use crate::actor::refresh_request::RefreshRequest;
use crate::auth::{Tokens, Viewer};
use crate::health::Health;
use crate::limits::{ACTOR_SILENCE_MAX, STATEMENT_MAX};
use crate::metrics::Metrics;
use crate::store::{History, Pool, StoreError};

use self::host::Hosts;
use self::peer::Rules;
use self::problem::Problem;

mod accept;
pub mod activity;
mod asset_cache;
pub mod assets;
pub mod asyncapi;
pub mod body;
pub mod changes;
mod cors;
pub mod credentials;
mod etag;
pub mod health;
mod heard;
pub mod host;
pub mod items;
pub mod log_in;
mod long_poll;
pub mod observe;
pub mod openapi;
pub mod origin;
pub mod peer;
mod prefix;
pub mod problem;
mod query;
mod request_id;
pub mod rest;
pub mod routes;
pub mod rows;
pub mod server;
mod stream;
mod streaming_body;
pub mod tables;
mod traced;
mod types;
pub mod ws;

pub use request_id::request_id;

/// For the database to answer a request: its own deadline for a statement is a little below.
const ANSWER_MAX: Duration = STATEMENT_MAX.saturating_add(Duration::from_secs(2));

/// Seconds after which a client may try again whose address has all its places: they are not free at once.
const RETRY_ADDRESS_S: &str = "10";

/// Runs a request's work in the database under a deadline, which also holds when the link swallows packets.
async fn soon<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(ANSWER_MAX, work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable("no answer in time".into())),
    }
}

/// How it is found out whose a request is.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Checks tokens.
    pub tokens: Arc<Tokens>,
    /// Whose may read the metrics.
    pub metrics_role: Arc<str>,
    /// Whether a program on this machine may read them without a token.
    pub metrics_on_loopback: bool,
    /// Where people log in, if not at plank's own page.
    pub login_url: Option<Arc<str>>,
    /// Whether `plank token` can make a token that is taken here.
    pub has_secret: bool,
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct State {
    /// Connections for requests.
    pub pool: Pool,
    /// The log, for those who ask for what they have missed.
    pub history: History,
    /// Knows the watched tables.
    pub hub: actix::Addr<Hub>,
    /// Brings live queries up to date.
    pub refresh_request: Arc<RefreshRequest>,
    /// Who is alive.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How it is found out whose a request is; none where nobody has to say.
    pub auth: Option<Auth>,
    /// Origins besides plank's own whose pages may connect.
    pub allowed_origins: Arc<[String]>,
    /// Which names plank answers to.
    pub hosts: Hosts,
    /// For how many clients there is room.
    pub places: Arc<Permits>,
    /// Whose request it is.
    pub peers: Rules,
    /// How many requests a second a client may send.
    pub rates: Arc<Rates>,
    /// Bytes of one inbound WebSocket message.
    pub message_bytes_max: usize,
    /// Whether a WebSocket may negotiate permessage-deflate.
    pub compression: bool,
    /// See [`crate::config::Config::stringify_wide_numbers`].
    pub stringifies: bool,
    /// Whether `/api/items` is served.
    pub demo: bool,
    /// Bytes of a request body.
    pub body_bytes_max: usize,
    /// The documents `/openapi.json` that were asked for.
    pub documents: Arc<openapi::Documents>,
}

impl State {
    /// Asks the hub.
    ///
    /// # Errors
    /// 503 when it does not answer.
    async fn ask<M>(&self, message: M) -> Result<M::Result, Problem>
    where
        M: Message<Result: Send> + Send + 'static,
        Hub: Handler<M>,
        Context<Hub>: ToEnvelope<Hub, M>,
    {
        match timeout(ACTOR_SILENCE_MAX, self.hub.send(message)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => {
                let detail = "the server is overloaded or about to end";
                Err(Problem::unavailable(detail))
            }
        }
    }

    /// Takes a place for a client that stays: a WebSocket, which takes its socket out of HTTP, or a stream or a long poll.
    ///
    /// # Errors
    /// 503 when all are taken, 429 when those of its address are.
    fn take_place(
        &self,
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
        is_socket: bool,
    ) -> Result<Permit, Problem> {
        let address = self.peers.client(peer, headers);
        self.places.stay(address, is_socket).map_err(too_many)
    }

    /// Reads for the client of a request.
    fn history_for(&self, request: &HttpRequest, viewer: &Viewer) -> History {
        let address = self.peers.client(request.peer_addr(), request.headers());
        self.history.of(asker(Some(viewer), address))
    }

    /// Connections for the client of a request.
    fn pool_for(&self, request: &HttpRequest, viewer: &Viewer) -> Pool {
        let address = self.peers.client(request.peer_addr(), request.headers());
        self.pool.of(asker(Some(viewer), address))
    }

    /// The same for a client of which it is known whose it is.
    fn take_place_for(&self, request: &HttpRequest, viewer: &Viewer) -> Result<Permit, Problem> {
        let place = self.take_place(request.peer_addr(), request.headers(), false)?;
        belong(&place, viewer)?;
        Ok(place)
    }
}

/// A place belongs to this principal from now on.
fn belong(place: &Permit, viewer: &Viewer) -> Result<(), Problem> {
    let principal = viewer.principal();
    let belongs = principal.map_or(Ok(()), |principal| place.belong_to(principal));
    belongs.map_err(too_many)
}

/// A client asks too often.
fn too_often(TooOften(wait): TooOften) -> Problem {
    let wait_s = wait.as_secs() + 1;
    let detail = format!("too many requests; ask again in {wait_s} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
    problem.with_header(RETRY_AFTER, HeaderValue::from(wait_s))
}

/// There is no place for one more client.
fn too_many(full: Full) -> Problem {
    match full {
        Full::Connections | Full::Descriptors => {
            Problem::unavailable("too many clients are connected; try again in a moment")
        }
        Full::Address => {
            let detail =
                "too many clients of your address are connected; close some, or try again later";
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-connections",
                detail,
            )
            .with_header(RETRY_AFTER, HeaderValue::from_static(RETRY_ADDRESS_S))
        }
        Full::Principal => {
            let detail =
                "too many clients are connected with your token; close some, or try again later";
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-connections",
                detail,
            )
            .with_header(RETRY_AFTER, HeaderValue::from_static(RETRY_ADDRESS_S))
        }
    }
}

/// The shard of the worker thread that serves this request.
fn shard(request: &HttpRequest) -> Result<Rc<ShardState>, Problem> {
    let shard = request.app_data::<Rc<ShardState>>().cloned();
    shard.ok_or_else(|| Problem::unavailable("this worker has no shard"))
}
