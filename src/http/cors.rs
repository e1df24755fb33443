//! Which pages of other origins may read answers (Fetch, "CORS protocol"): those of `--allowed-origin`, on every route. Any
//! other origin gets no header of this, and its browser shows the page nothing.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};

/// Seconds for which a browser keeps the answer to a preflight: 10 minutes.
const PREFLIGHT_KEPT_S: &str = "600";

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Headers of requests: what the routes read, and what clients of PostgREST send besides.
const REQUEST_HEADERS: &str = "authorization, content-type, prefer, if-match, if-none-match, idempotency-key, accept, accept-profile, \
    content-profile, range, range-unit, traceparent, last-event-id, x-request-id, x-client-info, apikey";

/// Headers of answers that a page may read besides the harmless ones.
const EXPOSED: &str = "ETag, Location, Content-Range, Preference-Applied, Plank-Cursor, Plank-Xid, Retry-After, X-Request-Id";

/// The origin of a request, if its pages may read the answer.
pub fn allowed(headers: &HeaderMap, origins: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let text = origin.to_str().ok()?.to_ascii_lowercase();
    origins.contains(&text).then(|| origin.clone())
}

/// The answer to a preflight of an allowed origin; none to any other request, which goes its way.
pub fn preflight(
    method: &Method,
    headers: &HeaderMap,
    origin: Option<&HeaderValue>,
) -> Option<HttpResponse<BoxBody>> {
    let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    (*method == Method::OPTIONS && asks && origin.is_some()).then(|| {
        HttpResponse::NoContent()
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT_S))
            .finish()
    })
}

/// Marks an answer: who may read it, and, where it differs by that, that it does.
pub fn mark(headers: &mut HeaderMap, origin: Option<HeaderValue>, origins: &[String]) {
    if origins.is_empty() {
        return;
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    let mut set = |name: HeaderName, value: HeaderValue| drop(headers.insert(name, value));
    set(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    set(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
}
