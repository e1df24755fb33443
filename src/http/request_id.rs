//! The name of a request: in its answer, and in every line of the log that is written for its sake.

use actix_web::http::header::{HeaderMap, HeaderName};

/// Also taken from a proxy, which may have the same name in its own log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of a name that was given.
const GIVEN_MAX: usize = 64;

tokio::task_local! {
    /// The request that is being answered.
    pub(super) static REQUEST_ID: String;
}

/// Of the request for whose sake this is called, if it is.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// The one that it came with, if that can be put into a log, or a new one.
pub(super) fn of(headers: &HeaderMap) -> String {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    match given.filter(|id| (1..=GIVEN_MAX).contains(&id.len()) && id.bytes().all(is_plain)) {
        Some(given) => given.to_owned(),
        None => format!("{:016x}", fastrand::u64(..)),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_name_that_was_given_is_kept_if_it_is_one() {
        let name = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(given).unwrap());
            of(&headers)
        };
        assert_eq!(name("0f-a_9.Z"), "0f-a_9.Z");
        for no_name in ["", "a b", "x\"y", &"a".repeat(65)] {
            assert_eq!(name(no_name).len(), 16);
        }
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
