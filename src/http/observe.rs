//! Around every route: counts and times the request, and sets the headers that every response has.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::actor::place::Open;
use crate::metrics::{RequestLabels, RouteLabel};

use super::State;

/// The middleware.
///
/// # Errors
/// Those of the route.
pub async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, Error> {
    let started = Instant::now();
    if let Some(open) = request.conn_data::<Open>() {
        open.has_asked();
    }
    let state = request.app_data::<web::Data<State>>().cloned();
    let route = request.match_pattern().unwrap_or_else(|| "other".into());
    let method = method_label(request.method());
    let mut response = next.call(request).await?.map_into_boxed_body();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(state) = state {
        let status = response.status().as_u16();
        log::debug!(
            "request served method={method} route={route} status={status} ms={}",
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
    Ok(response)
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
