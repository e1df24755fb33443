//! Who a request is from: the one place that looks for a token, in a header, in the subprotocols of a WebSocket, or in a
//! cookie. Never in an address, which ends up in logs and histories.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture};

use crate::auth::{Principal, Rejected, Viewer};
use crate::feed::Claims as _;

use super::host;
use super::origin;
use super::problem::Problem;
use super::{State, log_in, too_often};

/// The cookie that `POST /api/session` sets over plain HTTP.
pub const COOKIE: &str = "plank_session";

/// The same over TLS. A browser takes a cookie of this name only from this very host, over TLS and for all paths (RFC
/// 6265bis, 4.1.3.2): another host of the domain can't set one.
pub const HOST_COOKIE: &str = "__Host-plank_session";

/// What stands before a token among the subprotocols of a WebSocket.
pub const BEARER_PROTOCOL: &str = "bearer.";

/// What proxies add, one or the other, and what a page of another origin sends.
const PROXY_HEADERS: [&str; 7] = [
    "forwarded",
    "origin",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Query words that programs put tokens into.
const TOKEN_WORDS: [&str; 6] = [
    "token",
    "access_token",
    "id_token",
    "jwt",
    "bearer",
    "authorization",
];

/// Whose eyes a request is for. A handler that takes this is for nobody else.
#[derive(Clone, Debug)]
pub struct Who(pub Viewer);

impl FromRequest for Who {
    type Error = Problem;
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(state) = request.app_data::<web::Data<State>>() else {
            let problem = Problem::unavailable("this worker has no state");
            return Either::Left(ready(Err(problem)));
        };
        if !may_wait(state, request.headers()) {
            return Either::Left(ready(identify(state, request)));
        }
        let (state, request) = (state.clone(), request.clone());
        Either::Right(Box::pin(async move {
            await_key(&state, request.headers()).await?;
            identify(&state, &request)
        }))
    }
}

fn identify(state: &State, request: &HttpRequest) -> Result<Who, Problem> {
    refuse_token_in(request.query_string())?;
    let who = of(state, request.headers())?.ok_or_else(|| unauthenticated(None))?;
    check_rate(state, request, &who)?;
    Ok(Who(who))
}

/// The token of a request, wherever it is; none if it says more than one thing.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (bearer, offered) = (bearer(headers).ok()?, offered(headers).ok()?);
    bearer
        .or(offered)
        .or_else(|| cookie(headers).ok().flatten())
}

/// Whether the key of a request's token is not known, and may be at `--jwt-jwks-url` by now.
fn may_wait(state: &State, headers: &HeaderMap) -> bool {
    let tokens = state.auth.as_ref().map(|auth| &auth.tokens);
    let Some(tokens) = tokens.filter(|tokens| tokens.has_url()) else {
        return false;
    };
    token(headers).is_some_and(|token| tokens.is_pending(token) || tokens.is_away(token))
}

/// Waits for the key of a request's token, if it is not known and may be at `--jwt-jwks-url` by now.
///
/// # Errors
/// 503 if the keys have never come.
pub async fn await_key(state: &State, headers: &HeaderMap) -> Result<(), Problem> {
    let (Some(auth), Some(token)) = (&state.auth, token(headers)) else {
        return Ok(());
    };
    auth.tokens.fetch_key_of(token).await;
    match auth.tokens.is_away(token) {
        true => Err(Problem::unavailable(
            "the keys that tokens are signed with can't be read yet; try again in a moment",
        )),
        false => Ok(()),
    }
}

/// A principal may send only so many requests, from all addresses together.
fn check_rate(state: &State, request: &HttpRequest, who: &Viewer) -> Result<(), Problem> {
    let address = state.peers.client(request.peer_addr(), request.headers());
    let Some(principal) = who.principal().filter(|_| address.is_some()) else {
        return Ok(());
    };
    state.rates.principal(principal).map_err(too_often)
}

/// Whose a request is by its headers; none if they say nothing.
///
/// # Errors
/// 400 if they say more than one thing, 401 if the token is not taken, 403 if a cookie comes from another's page.
pub fn of(state: &State, headers: &HeaderMap) -> Result<Option<Viewer>, Problem> {
    let Some(auth) = &state.auth else {
        return Ok(Some(Viewer::Everybody));
    };
    let check = |token: &str| {
        auth.tokens
            .check(token)
            .map_err(|why| unauthenticated(Some(why)))
    };
    let token = match (bearer(headers)?, offered(headers)?) {
        (Some(_), Some(_)) => {
            let detail = "there is a token here and another one among the subprotocols; send one";
            return Err(Problem::malformed("Authorization", detail));
        }
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => {
            let Some(token) = cookie(headers)? else {
                return Ok(None);
            };
            if !origin::is_own_page(headers, &state.allowed_origins) {
                let detail = "the cookie is not taken from a page of another origin, or without one; programs send Authorization: Bearer";
                return Err(Problem::new(StatusCode::FORBIDDEN, "origin", detail));
            }
            token
        }
    };
    Ok(Some(Viewer::One(check(token)?)))
}

/// Whose token a request has in its header `Authorization`.
///
/// # Errors
/// 401 without one, and if it is not taken.
pub fn bearer_of(state: &State, headers: &HeaderMap) -> Result<(String, Arc<Principal>), Problem> {
    let auth = state.auth.as_ref().ok_or_else(auth_off)?;
    let token = bearer(headers)?.ok_or_else(|| unauthenticated(None))?;
    let principal = auth.tokens.check(token);
    let principal = principal.map_err(|why| unauthenticated(Some(why)))?;
    Ok((token.to_owned(), principal))
}

/// Whether a request may read what is for operators: it has a token for it. `Host` and the address of the peer say nothing
/// by themselves, for a proxy on this machine has that address and passes on any `Host`, or sends its own.
///
/// # Errors
/// 401, 403.
pub async fn check_operator(state: &State, request: &HttpRequest) -> Result<(), Problem> {
    let Some(auth) = &state.auth else {
        return Ok(());
    };
    let headers = request.headers();
    // A proxy may name nobody, and a page may have made its own name point here: that shows in `Host`.
    let is_passed_on = PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
        || !host::is_for_loopback(headers);
    let is_near = request
        .peer_addr()
        .is_some_and(|peer| peer.ip().is_loopback());
    if auth.metrics_on_loopback && is_near && !is_passed_on {
        return Ok(());
    }
    await_key(state, headers).await?;
    match of(state, headers)? {
        Some(Viewer::One(principal)) if principal.role() == &*auth.metrics_role => Ok(()),
        Some(_) => Err(forbidden(
            "metrics are for operators: send a token with the role of --metrics-role",
        )),
        None => Err(unauthenticated(None)),
    }
}

/// 401.
pub(super) fn unauthenticated(why: Option<Rejected>) -> Problem {
    let (detail, challenge) = match why {
        None => (
            "who asks has to be known here; send Authorization: Bearer TOKEN, or log in with POST /api/session".into(),
            "Bearer realm=\"plank\"",
        ),
        Some(why) => (
            format!("the token is not taken: {why}"),
            "Bearer realm=\"plank\", error=\"invalid_token\"",
        ),
    };
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// 403.
pub(super) fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

/// 401: a ticket that is not good.
pub(super) fn no_ticket() -> Problem {
    let mut problem = unauthenticated(None);
    problem.set_detail("the ticket is none, has been used, or is over: it works once, for 30 seconds; get another one with POST /api/ticket");
    problem
}

/// Whether there is a token among the subprotocols.
pub(super) fn offers_token(headers: &HeaderMap) -> bool {
    !matches!(offered(headers), Ok(None))
}

/// 409: there is nothing to log in to.
pub(super) fn auth_off() -> Problem {
    let detail = "authentication is off: this server runs with --auth off";
    Problem::new(StatusCode::CONFLICT, "auth-off", detail)
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::malformed(name.as_str(), "is there twice"));
    }
    let text = value.to_str();
    text.map(Some)
        .map_err(|_| Problem::malformed(name.as_str(), "is no text"))
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = sole(headers, &header::AUTHORIZATION)? else {
        return Ok(None);
    };
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        let mut problem = unauthenticated(None);
        problem.set_detail("the only scheme that is served is Bearer, with a JSON Web Token");
        return Err(problem);
    }
    Ok(Some(token.trim()))
}

/// The token among the subprotocols that a browser's WebSocket offers: the one place where it can put one.
fn offered(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    let offers = headers
        .get_all(&name)
        .filter_map(|value| value.to_str().ok());
    let mut tokens = offers
        .flat_map(|value| value.split(','))
        .filter_map(|offer| offer.trim().strip_prefix(BEARER_PROTOCOL));
    let token = tokens.next();
    if tokens.next().is_some() {
        return Err(Problem::malformed(name.as_str(), "has two tokens"));
    }
    Ok(token)
}

fn cookie(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let cookies = headers.get_all(header::COOKIE);
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let (mut plain, mut bound) = (Vec::new(), Vec::new());
    for pair in pairs {
        match pair.trim().split_once('=') {
            Some((COOKIE, token)) => plain.push(token),
            Some((HOST_COOKIE, token)) => bound.push(token),
            _ => {}
        }
    }
    // Over TLS another host of the domain may have set the plain one, so it is not looked at.
    let is_over_tls = log_in::is_forwarded_tls(headers) || origin::is_own_over_tls(headers);
    let (name, own) = match is_over_tls || !bound.is_empty() {
        true => (HOST_COOKIE, bound),
        false => (COOKIE, plain),
    };
    // One that another host has set for the domain, beside ours.
    if own.len() > 1 {
        return Err(Problem::malformed("Cookie", format!("has {name} twice")));
    }
    Ok(own.first().copied().filter(|token| !token.is_empty()))
}

/// A token in an address is refused, whatever it is worth: it would be in logs and histories by now.
///
/// # Errors
/// 400. The text has nothing of it.
pub fn refuse_token_in(query: &str) -> Result<(), Problem> {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let is_filter = value.contains('.') && !is_token(&value);
        let word = TOKEN_WORDS
            .iter()
            .find(|word| name.eq_ignore_ascii_case(word));
        if is_token(&value) || word.is_some_and(|_| !is_filter) {
            let detail = "has a token, which must never be in an address: those are in logs and histories, so it should be taken \
                back. Send Authorization: Bearer; a browser's WebSocket takes a ticket (POST /api/ticket), a subprotocol bearer.TOKEN \
                beside plank.v1, or a first message auth";
            return Err(Problem::malformed("query", detail));
        }
    }
    Ok(())
}

/// Whether a text looks like a JSON Web Token: `{"` is `eyJ` there.
fn is_token(text: &str) -> bool {
    let text = text.trim();
    let text = text
        .strip_prefix("Bearer ")
        .or_else(|| text.strip_prefix("bearer."))
        .unwrap_or(text);
    text.starts_with("eyJ") && text.split('.').count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_an_address_is_found() {
        for query in [
            "token=abc",
            "table=t&access_token=",
            "table=t&x=eyJhbGciOiJIUzI1NiJ9.e30.abc",
            "Authorization=Bearer%20eyJhbGciOiJIUzI1NiJ9.e30.abc",
            "JWT=x",
        ] {
            let problem = refuse_token_in(query).unwrap_err();
            assert_eq!(problem.status(), 400, "{query}");
            assert!(!problem.to_string().contains("e30"));
        }
        for query in ["table=t&token=eq.abc", "table=t&name=like.eyJ*", ""] {
            assert!(refuse_token_in(query).is_ok(), "{query}");
        }
    }

    #[test]
    fn a_header_that_says_two_things_says_nothing() {
        let headers = |list: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in list {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
            headers
        };
        let auth = header::AUTHORIZATION;
        assert_eq!(
            bearer(&headers(&[(auth.clone(), "bEaReR  a.b.c ")])).unwrap(),
            Some("a.b.c")
        );
        assert_eq!(
            bearer(&headers(&[(auth.clone(), "Basic abc")]))
                .unwrap_err()
                .status(),
            401
        );
        let twice = headers(&[(auth.clone(), "Bearer a"), (auth, "Bearer b")]);
        assert_eq!(bearer(&twice).unwrap_err().status(), 400);
        let protocol = header::SEC_WEBSOCKET_PROTOCOL;
        let offers = headers(&[(protocol.clone(), "plank.v1, bearer.a.b.c")]);
        assert_eq!(offered(&offers).unwrap(), Some("a.b.c"));
        let twice = headers(&[(protocol.clone(), "bearer.a"), (protocol, "bearer.b")]);
        assert_eq!(offered(&twice).unwrap_err().status(), 400);
        let cookies = headers(&[(header::COOKIE, "a=b; plank_session=x.y.z; c=d")]);
        assert_eq!(cookie(&cookies).unwrap(), Some("x.y.z"));
        let twice = headers(&[(header::COOKIE, "plank_session=x; plank_session=y")]);
        assert_eq!(cookie(&twice).unwrap_err().status(), 400);
        let other = headers(&[(header::COOKIE, "plank_session_2=x; plank=y")]);
        assert_eq!(cookie(&other).unwrap(), None);
        // The one that is bound to the host wins, and over TLS the other one counts for nothing.
        let both = "plank_session=x; __Host-plank_session=y; plank_session=z";
        assert_eq!(
            cookie(&headers(&[(header::COOKIE, both)])).unwrap(),
            Some("y")
        );
        let tls = header::HeaderName::from_static("x-forwarded-proto");
        let plain = headers(&[(header::COOKIE, "plank_session=x"), (tls, "https")]);
        assert_eq!(cookie(&plain).unwrap(), None);
    }
}
