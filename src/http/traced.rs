//! The header `traceparent` of a request.

use actix_web::http::header::HeaderMap;

use crate::trace::TraceParent;

/// The trace that a request belongs to. A header that is malformed, or there twice, counts as none, as W3C Trace Context asks for.
pub fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all("traceparent");
    let only = values.next().filter(|_| values.next().is_none());
    TraceParent::parse(only?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn one_good_header_is_a_trace_and_anything_else_is_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (values, is_one) in [
            (&[][..], false),
            (&[good.as_bytes()], true),
            (&[good.as_bytes(), good.as_bytes()], false),
            (&[good.as_bytes(), b"x"], false),
            (&[b"x"], false),
            (&[b"00-\xff"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value).unwrap();
                headers.append(HeaderName::from_static("traceparent"), value);
            }
            assert_eq!(trace(&headers).is_some(), is_one, "{values:?}");
        }
    }
}
