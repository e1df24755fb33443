//! `/livez`, `/readyz`, `/metrics`. Alive fails slowly: a restart would not bring the database back, and every client
//! would have to connect again. Ready fails fast.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::{LAG_MAX, PING_INTERVAL, PING_MAX};

use super::State;
use super::credentials;
use super::openapi as doc;
use super::problem::Problem;

/// The answer of `/livez`.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    /// Always `alive`.
    #[schema(pattern = "^alive$")]
    status: &'static str,
}

impl Alive {
    const NOW: Self = Self { status: "alive" };
}

/// The answer of `/readyz`.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// Always `ready`.
    #[schema(pattern = "^ready$")]
    status: &'static str,
    /// Seconds for which the listener has not stood at the end of the log.
    #[schema(minimum = 0)]
    lag_s: f64,
}

impl Ready {
    fn after(lag_s: f64) -> Self {
        let status = "ready";
        Self { status, lag_s }
    }
}

/// 503 of `/livez`. Without `Retry-After`: this is no matter of waiting.
pub(super) fn stuck(part: &str) -> Problem {
    let detail = format!("the {part} does not answer; the process ends soon if that goes on");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stuck", detail)
}

/// Alive: the listener and the hub tick.
///
/// # Errors
/// 503 names the one that does not.
#[utoipa::path(
    get, path = "/livez", tag = "operations",
    summary = "Whether the process is alive",
    description = "Without a database it still is: restart plank when this fails, and not when `/readyz` does.",
    responses(
        (status = 200, description = "It is.", body = Alive, example = json!(Alive::NOW)),
        doc::Stuck,
    ),
)]
pub async fn livez(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    match state.health.silent(PING_INTERVAL + PING_MAX) {
        None => Ok(HttpResponse::Ok().json(Alive::NOW)),
        Some(part) => Err(stuck(part.as_str())),
    }
}

/// Ready: changes are being followed, and not too late.
///
/// # Errors
/// 503 says why not.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    summary = "Whether changes are being followed",
    description = "Send clients elsewhere while this fails.",
    responses(
        (status = 200, description = "They are.", body = Ready, example = json!(Ready::after(0.004))),
        doc::NotReady,
    ),
)]
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
    Ok(HttpResponse::Ok().json(Ready::after(lag.as_secs_f64())))
}

/// For Prometheus.
///
/// # Errors
/// With `--auth on`: 401 and 403 for a principal that is no operator.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    summary = "Metrics", description = "For Prometheus. docs/OPERATIONS.md says what each one means. Where people have to log in it takes a token with the \
        role of `--metrics-role`; with `--metrics-on-loopback` also a request from the same machine without a proxy.",
    responses((
        status = 200, description = "OpenMetrics text.", body = String,
        content_type = "application/openmetrics-text", example = json!("# TYPE plank_listener_up gauge\nplank_listener_up 1\n# EOF\n"),
    ), doc::Malformed, doc::Unauthenticated, doc::Forbidden),
)]
pub async fn metrics(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    credentials::check_operator(&state, &request).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.render()))
}
