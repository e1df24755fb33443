//! Every error of a route, as `application/problem+json` (RFC 9457). Nothing internal leaves.

use std::fmt;
use std::sync::LazyLock;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;
use crate::throttle::Throttle;

/// Seconds after which a client should try again when the database is away.
const RETRY_AFTER_S: &str = "2";

/// While the database is away every request would say so.
static AWAY: LazyLock<Throttle> = LazyLock::new(Throttle::default);

/// One part of the request that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema, PartialEq, Eq)]
pub struct FieldError {
    /// Its name; of a nested member with dots.
    pub field: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// What PostgREST's clients look for in an error of `/rest`.
#[derive(Clone, Debug, Default, Serialize, ToSchema, PartialEq, Eq)]
pub struct Members {
    /// An SQLSTATE of PostgreSQL, or a code of PostgREST's.
    pub code: String,
    /// For people.
    pub message: String,
    /// For people.
    pub details: Option<String>,
    /// For people: what to do.
    pub hint: Option<String>,
    /// The operation of a batch that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    /// The last part of `type`: stable, for programs.
    kind: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Of `/rest` only.
    members: Option<Box<Members>>,
}

/// Why a request could not be served, as RFC 9457 says it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    /// Stable, for programs: `urn:plank:problem:` and a word.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:plank:problem:[a-z-]+$")]
    kind: String,
    /// The words of the status.
    title: &'a str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For people: what happened, and what to do.
    detail: &'a str,
    /// Every part of the request that is wrong, with 400 and 422.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false, min_items = 1)]
    errors: &'a [FieldError],
    /// Of `/rest` only.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Option<&'a Members>,
}

/// A problem of `/rest`, with the members that PostgREST's clients look for.
#[derive(ToSchema)]
#[schema(as = RestProblem)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct RestBody<'a> {
    #[serde(flatten)]
    problem: Body<'a>,
    #[serde(flatten)]
    members: Members,
}

impl Problem {
    /// A problem whose `detail` is for people: what happened, and what to do.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            members: None,
        }
    }

    /// 400: the request can't be read; `field` is the part of it that is wrong.
    pub fn malformed(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            format!("{field}: {detail}"),
        );
        problem.errors.push(FieldError {
            field: field.into(),
            detail,
        });
        problem
    }

    /// 422: the body was read, and these members can't be accepted.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let list: Vec<String> = errors
            .iter()
            .map(|e| format!("{} {}", e.field, e.detail))
            .collect();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", list.join("; "));
        problem.errors = errors;
        problem
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 405; `allow` lists what would have been allowed.
    pub fn method(allow: &str) -> Self {
        let detail = format!("this address takes {allow}");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
        match HeaderValue::from_str(allow) {
            Ok(value) => problem.with_header(header::ALLOW, value),
            Err(_) => problem,
        }
    }

    /// 503.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S))
    }

    /// 409: another row, or another writer, is in the way. Nothing was done.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 504: nobody knows whether the write was done. Without `Retry-After`, which a client would take for "it was not".
    pub fn outcome_unknown() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "outcome-unknown",
            "the connection to the database was lost while the write was committed: it may be there, or not; look before \
             you send it again",
        )
    }

    /// Says it in other words.
    pub fn set_detail(&mut self, detail: impl Into<String>) {
        self.detail = detail.into();
    }

    /// What it says of a part of the request.
    pub fn with_error(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    /// Says it as PostgREST's clients read it, too.
    pub fn with_members(mut self, members: Members) -> Self {
        self.members = Some(Box::new(members));
        self
    }

    /// The same with the code, and the text that it has already; nothing changes where it has been said.
    pub fn with_code(mut self, code: &str) -> Self {
        let message = &self.detail;
        self.members.get_or_insert_with(|| {
            Box::new(Members {
                code: code.into(),
                message: message.clone(),
                ..Members::default()
            })
        });
        self
    }

    /// Which operation of a batch it is about.
    pub fn at_index(mut self, index: usize) -> Self {
        if let Some(members) = &mut self.members {
            members.index = Some(index);
        }
        self
    }

    /// The last part of its `type`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Adds a header to the response.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Those that the response has besides the ones of its body.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The body.
    pub fn json(&self) -> String {
        let body = Body {
            kind: format!("urn:plank:problem:{}", self.kind),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            members: self.members.as_deref(),
        };
        // Strings and a number always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The whole response, for a socket that has left actix-web already.
    pub fn raw_response(&self) -> String {
        let body = self.json();
        let headers: String = (self.headers.iter())
            .filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value.to_str().ok()?)))
            .collect();
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            self.status.as_u16(),
            self.status.canonical_reason().unwrap_or("Error"),
            body.len()
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response
            .content_type("application/problem+json")
            .body(self.json())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) | StoreError::Stale(why) => {
                if let Some(kept_back) = AWAY.pass() {
                    log::warn!(
                        "request refused, database away reason=\"{why}\" not-logged={kept_back}"
                    );
                }
                Self::unavailable("the database is away or too busy; try again in a moment")
            }
            StoreError::Invalid { field, detail } => {
                Self::invalid(vec![FieldError { field, detail }])
            }
            StoreError::Unknown(why) => {
                log::warn!("commit not answered reason=\"{why}\"");
                Self::outcome_unknown()
            }
            StoreError::Race(why) => {
                log::debug!("write given up reason=\"{why}\"");
                Self::conflict("others write the same rows at the same time; try again")
            }
            StoreError::Collision(why) => Self::conflict(why),
            StoreError::Forbidden(why) => {
                log::warn!("write refused by the database reason=\"{why}\"");
                Self::new(
                    StatusCode::FORBIDDEN,
                    "forbidden",
                    "the database does not let plank do that; the log of the server says what is missing",
                )
            }
            StoreError::Refused(fault) => Self::conflict(fault.message),
            StoreError::Internal(why) => {
                log::error!("request failed reason=\"{why}\"");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "something went wrong here; the log of the server says what",
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let body: serde_json::Value =
            serde_json::from_str(&Problem::malformed("id", "no \"number\"").json()).unwrap();
        assert_eq!(body["type"], "urn:plank:problem:malformed");
        assert_eq!(body["title"], "Bad Request");
        assert_eq!(body["status"], 400);
        assert_eq!(body["errors"][0]["field"], "id");
    }

    #[test]
    fn nothing_internal_leaves() {
        let problem = Problem::from(StoreError::Internal(
            "relation \"secret\" does not exist".into(),
        ));
        assert!(!problem.json().contains("secret"));
        assert!(
            Problem::from(StoreError::Unavailable("10.0.0.7".into()))
                .raw_response()
                .contains("retry-after: 2\r\n")
        );
    }
}
