//! `/api/session` and `/api/ticket`: how a browser, whose WebSocket and EventSource can send no header, keeps its token out
//! of scripts and addresses.

use actix_web::cookie::time::Duration as Age;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, LOCATION, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::auth::principal::unix_now_s;
use crate::limits::{COOKIE_TOKEN_BYTES_MAX, TICKET_TTL};
use crate::store::tickets;

use super::credentials::{self, COOKIE, HOST_COOKIE, Who};
use super::openapi as doc;
use super::problem::Problem;
use super::{State, origin, prefix, soon};

/// Who is logged in.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Whether anybody has to log in here; if not there is nothing else.
    auth: bool,
    /// The claim `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<String>,
    /// The claim `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<String>,
    /// When that ends, in seconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<u64>,
}

impl Session {
    fn of(viewer: &Viewer) -> Self {
        let principal = viewer.principal();
        Self {
            auth: principal.is_some(),
            sub: principal.map(|p| p.sub.clone()),
            role: principal.map(|p| p.role.clone()),
            exp: principal.map(|p| p.exp),
        }
    }
}

/// How one logs in.
#[derive(Serialize, ToSchema)]
pub struct Login {
    /// Whether anybody has to log in here; if not there is nothing else.
    auth: bool,
    /// Where people get a token: `--login-url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    login_url: Option<String>,
    /// Whether `plank token` can make one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plank_token: Option<bool>,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
pub struct Ticket {
    /// For `/ws?ticket=`, once.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    ticket: String,
    /// Seconds for which it works.
    #[schema(minimum = 1)]
    expires_in: u64,
}

/// `POST /api/session`
///
/// # Errors
/// 400, 401, 403, 409.
#[utoipa::path(
    post, path = "/api/session", tag = "sessions", operation_id = "login",
    summary = "Log in",
    description = "Takes the token of the header `Authorization` and gives it back as a cookie that no script can read and no other site \
        can send. It is over when the token is.",
    security((), ("bearer" = [])),
    responses(
        (
            status = 201, description = "Logged in.", body = Session,
            headers(
                ("Set-Cookie" = String, description = "`plank_session`: HttpOnly, SameSite=Strict; over TLS `__Host-plank_session`, and Secure."),
                ("Location" = String, description = "Where to look who is logged in.")
            ),
            example = json!({"auth": true, "sub": "ann", "role": "viewer", "exp": 1_795_420_800_u64}),
        ),
        doc::Malformed, doc::Unauthenticated, doc::ForeignOrigin, doc::AuthOff,
    ),
)]
pub async fn log_in(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    credentials::refuse_token_in(request.query_string())?;
    check_page(&request, &state)?;
    credentials::await_key(&state, request.headers()).await?;
    let (token, principal) = credentials::bearer_of(&state, request.headers())?;
    if token.len() > COOKIE_TOKEN_BYTES_MAX {
        let detail = format!(
            "the token has {} bytes, and browsers take no cookie of more than {COOKIE_TOKEN_BYTES_MAX}; leave claims out of it",
            token.len()
        );
        return Err(Problem::malformed("Authorization", detail));
    }
    let left_s = principal.exp.saturating_sub(unix_now_s());
    let cookie = cookie(&request, token, left_s);
    let viewer = Viewer::One(principal);
    Ok(HttpResponse::build(StatusCode::CREATED)
        .cookie(cookie)
        .insert_header((LOCATION, prefix::path(&state, &request, "/api/session")))
        .json(Session::of(&viewer)))
}

/// `GET /api/session`
///
/// # Errors
/// 401 when nobody is logged in.
#[utoipa::path(
    get, path = "/api/session", tag = "sessions", operation_id = "session",
    summary = "Who is logged in", description = "Also says whether anybody has to.",
    responses(
        (
            status = 200, description = "The one.", body = Session,
            example = json!({"auth": true, "sub": "ann", "role": "viewer", "exp": 1_795_420_800_u64}),
        ),
        doc::Malformed, doc::Unauthenticated, doc::ForeignOrigin,
    ),
)]
pub async fn read(who: Who) -> HttpResponse {
    HttpResponse::Ok().json(Session::of(&who.0))
}

/// `GET /api/login`: for a page that has nobody logged in.
#[utoipa::path(
    get, path = "/api/login", tag = "sessions", operation_id = "howToLogin",
    summary = "How to log in", description = "Where people get a token, for pages. Needs no token.",
    security(()),
    responses(
        (
            status = 200, description = "That.", body = Login,
            example = json!({"auth": true, "login_url": "https://id.example/login", "plank_token": false}),
        ),
    ),
)]
pub async fn how(state: web::Data<State>) -> HttpResponse {
    let auth = state.auth.as_ref();
    HttpResponse::Ok().json(Login {
        auth: auth.is_some(),
        login_url: auth.and_then(|auth| auth.login_url.as_deref().map(String::from)),
        plank_token: auth.map(|auth| auth.has_secret),
    })
}

/// `DELETE /api/session`: also with an expired token.
///
/// # Errors
/// 403 from another's page.
#[utoipa::path(
    delete, path = "/api/session", tag = "sessions", operation_id = "logout",
    summary = "Log out", description = "Takes the cookie back. The token in it stays good until it ends.",
    responses(
        (
            status = 204, description = "Logged out.",
            headers(("Set-Cookie" = String, description = "`plank_session`, over TLS `__Host-plank_session`, empty and over.")),
        ),
        doc::ForeignOrigin,
    ),
)]
pub async fn log_out(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    check_page(&request, &state)?;
    Ok(HttpResponse::NoContent()
        .cookie(cookie(&request, String::new(), 0))
        .finish())
}

/// `POST /api/ticket`
///
/// # Errors
/// 400, 401, 403, 409, 503.
#[utoipa::path(
    post, path = "/api/ticket", tag = "sessions", operation_id = "ticket",
    summary = "Get a ticket for a WebSocket",
    description = "`/ws?ticket=...` is then opened as the principal that got it: once, within 30 seconds, on any node.",
    security((), ("bearer" = [])),
    responses(
        (
            status = 201, description = "The ticket.", body = Ticket,
            example = json!({"ticket": "0".repeat(64), "expires_in": TICKET_TTL.as_secs()}),
        ),
        doc::Malformed, doc::Unauthenticated, doc::ForeignOrigin, doc::AuthOff, doc::Away,
    ),
)]
pub async fn ticket(
    request: HttpRequest,
    who: Who,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    check_page(&request, &state)?;
    let principal = who.0.principal().ok_or_else(credentials::auth_off)?;
    let ticket = soon(tickets::give(&state.pool, principal)).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(Ticket {
        ticket,
        expires_in: TICKET_TTL.as_secs(),
    }))
}

/// A page of another origin may not do it, whatever it sends.
fn check_page(request: &HttpRequest, state: &State) -> Result<(), Problem> {
    match origin::is_allowed(request.headers(), &state.allowed_origins) {
        true => Ok(()),
        false => Err(super::ws::foreign_origin()),
    }
}

fn cookie(request: &HttpRequest, value: String, age_s: u64) -> Cookie<'static> {
    let is_over_tls = is_over_tls(request.headers());
    let name = if is_over_tls { HOST_COOKIE } else { COOKIE };
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_over_tls)
        .max_age(Age::seconds(i64::try_from(age_s).unwrap_or(i64::MAX)))
        .finish()
}

/// Whether the browser speaks TLS with the proxy in front. A client gains nothing by lying: the cookie is its own.
pub(super) fn is_over_tls(headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    is_forwarded_tls(headers) || origin.is_some_and(|origin| origin.starts_with("https://"))
}

/// Whether the proxy in front says so.
pub(super) fn is_forwarded_tls(headers: &HeaderMap) -> bool {
    let proto = headers.get("x-forwarded-proto");
    proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}
