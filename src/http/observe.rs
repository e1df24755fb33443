//! Around every route: counts and times the request, and sets the headers that every response has.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_http::ConnectionType;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Version};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};

use bytes::Bytes;

use crate::actor::admission::permit::{Asking, Open};
use crate::metrics::{RequestLabels, RouteLabel};

use super::cors;
use super::log_in;
use super::problem::Problem;
use super::request_id::{self, REQUEST_ID, X_REQUEST_ID};
use super::{State, too_often};

/// Nobody keeps it, and nobody changes it on the way: a proxy that compresses weakens the entity tag.
pub(super) const NO_TRANSFORM: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// The middleware.
///
/// # Errors
/// Those of the route.
pub async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, Error> {
    let started = Instant::now();
    let asking = request.conn_data::<Rc<Open>>().cloned().map(Open::ask);
    let state = request.app_data::<web::Data<State>>().cloned();
    let route = request.match_pattern().unwrap_or_else(|| "other".into());
    let method = method_label(request.method());
    let is_old = request.version() < Version::HTTP_11;
    let is_over_tls = log_in::is_over_tls(request.headers());
    let refused = state
        .as_ref()
        .and_then(|state| check(state, &request).err());
    let id = request_id::of(request.headers());
    let origins = state.as_ref().map(|state| state.allowed_origins.clone());
    let origins = origins.unwrap_or_default();
    let origin = cors::allowed(request.headers(), &origins);
    let preflight = cors::preflight(request.method(), request.headers(), origin.as_ref());
    let mut response = match (refused, preflight) {
        (Some(problem), _) => request.into_response(problem.error_response()),
        (None, Some(answer)) => request.into_response(answer),
        (None, None) => {
            // What is logged for its sake has its name.
            let serving = REQUEST_ID.scope(id.clone(), next.call(request));
            serving.await?.map_into_boxed_body()
        }
    };
    cors::mark(response.headers_mut(), origin, &origins);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if is_old {
        // It knows no chunks: what has no length ends with the connection.
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    if is_over_tls {
        let year = HeaderValue::from_static("max-age=31536000");
        let name = header::STRICT_TRANSPORT_SECURITY;
        response.headers_mut().insert(name, year);
    }
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(state) = state {
        let status = response.status().as_u16();
        log::debug!(
            "request served method={method} route={route} status={status} ms={} request={id}",
            started.elapsed().as_millis()
        );
        let seconds = started.elapsed().as_secs_f64();
        state
            .metrics
            .request_seconds
            .get_or_create(&RouteLabel {
                route: route.clone(),
            })
            .observe(seconds);
        state
            .metrics
            .requests
            .get_or_create(&RequestLabels {
                route,
                method,
                status,
            })
            .inc();
    }
    Ok(response.map_body(|_, body| Made {
        body,
        _asking: asking,
    }))
}

/// Probes of the process are never kept waiting.
pub(super) const UNCOUNTED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Whether a request is for plank, and its address may ask again.
fn check(state: &State, request: &ServiceRequest) -> Result<(), Problem> {
    check_rate(state, request)?;
    state.hosts.check(request.peer_addr(), request.headers())
}

/// An address may ask only so often.
fn check_rate(state: &State, request: &ServiceRequest) -> Result<(), Problem> {
    let address = state.peers.client(request.peer_addr(), request.headers());
    match address.filter(|_| !UNCOUNTED.contains(&request.path())) {
        Some(address) => state.rates.request(address).map_err(too_often),
        None => Ok(()),
    }
}

/// The body of an answer that is being made.
struct Made {
    body: BoxBody,
    _asking: Option<Asking>,
}

impl MessageBody for Made {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, _asking } = self;
        body.try_into_bytes().map_err(|body| Self { body, _asking })
    }
}

/// A client may send any method, and must not invent labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
