//! `/livez`, `/readyz`, `/metrics`. Alive fails slowly: a restart would not bring the database back, and every client
//! would have to connect again. Ready fails fast.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use crate::limits::{LAG_MAX, PING_INTERVAL, PING_MAX};

use super::State;
use super::problem::Problem;

/// Alive: the listener and the hub tick.
///
/// # Errors
/// 503 names the one that does not.
pub async fn livez(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    match state.health.silent(PING_INTERVAL + PING_MAX) {
        None => Ok(HttpResponse::Ok().json(serde_json::json!({"status": "alive"}))),
        Some(part) => {
            let detail = format!(
                "the {} does not answer; the process ends soon if that goes on",
                part.as_str()
            );
            Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stuck",
                detail,
            ))
        }
    }
}

/// Ready: changes are being followed, and not too late.
///
/// # Errors
/// 503 says why not.
pub async fn readyz(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let health = &state.health;
    if !health.is_live() {
        log::debug!("not ready reason=\"{}\"", health.trouble());
        return Err(Problem::unavailable(
            "the database is away, or plank has just started; the log of the server says why",
        ));
    }
    let lag = health.lag();
    if lag > LAG_MAX {
        return Err(Problem::unavailable(format!(
            "changes arrive {:.1} s late",
            lag.as_secs_f64()
        )));
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({"status": "ready", "lag_s": lag.as_secs_f64()})))
}

/// For Prometheus.
pub async fn metrics(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.render())
}
