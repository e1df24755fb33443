//! Reads a request body as a JSON object, with one clear error for each way in which it can be something else.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::problem::Problem;

/// For a body to arrive.
const BODY_MAX: Duration = Duration::from_secs(20);

/// The members of the body, which has to be an object of one of the media types `accepted`.
///
/// # Errors
/// 415, 413, 408 or 400.
pub async fn object(
    request: &HttpRequest,
    payload: web::Payload,
    accepted: &[&str],
    bytes_max: usize,
) -> Result<Map<String, Value>, Problem> {
    let bytes = bytes(request, payload, accepted, bytes_max).await?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Problem::malformed("body", "has to be a JSON object")),
        Err(error) => Err(Problem::malformed("body", format!("is no JSON: {error}"))),
    }
}

/// The body, of one of the media types `accepted`.
///
/// # Errors
/// 415, 413, 408 or 400.
pub async fn bytes(
    request: &HttpRequest,
    payload: web::Payload,
    accepted: &[&str],
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("none");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !accepted.iter().any(|a| a.eq_ignore_ascii_case(essence)) {
        return Err(wrong_type(content_type, accepted));
    }
    // "identity" is reserved for saying that there is none (RFC 9110, section 12.5.3), and some clients send it.
    let codings = request.headers().get_all(CONTENT_ENCODING);
    let mut codings = codings.filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if let Some(coding) = codings.next() {
        return Err(coded(&String::from_utf8_lossy(coding.as_bytes())));
    }
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|n| n > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    match timeout(BODY_MAX, payload.to_bytes_limited(bytes_max)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(error))) => Err(Problem::malformed(
            "body",
            format!("can't be read: {error}"),
        )),
        Ok(Err(_)) => Err(too_large(bytes_max)),
        Err(_) => Err(late()),
    }
}

/// 415.
pub(super) fn wrong_type(content_type: &str, accepted: &[&str]) -> Problem {
    let accepted = accepted.join(" or ");
    let detail = format!("the content type is {content_type}; send {accepted}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", detail)
}

/// 415 (RFC 9110, section 15.5.16).
fn coded(coding: &str) -> Problem {
    let detail =
        format!("the body has the content encoding {coding}; send it as it is, without one");
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content-encoding",
        detail,
    );
    problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
}

/// 413.
pub(super) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body has more than {bytes_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

/// 408.
pub(super) fn late() -> Problem {
    let detail = "the body did not arrive in time";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
}
