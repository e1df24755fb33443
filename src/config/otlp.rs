//! Where spans go.

use actix_http::Uri;

use super::ConfigError;

/// A collector of OpenTelemetry: `http://HOST:4318` or `https://...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(Uri);

impl OtlpEndpoint {
    /// Reads one.
    ///
    /// # Errors
    /// If it is no URL of HTTP. The text repeats nothing: there may be a password in it.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |why| ConfigError(format!("--otlp-endpoint {why}"));
        let uri: Uri = (text.trim().parse())
            .map_err(|_| refuse("is no URL; write it as http://127.0.0.1:4318"))?;
        let authority = uri.authority().map_or("", |a| a.as_str());
        if authority.contains('@') {
            return Err(refuse("has a user or a password, which would be in logs"));
        }
        if uri.query().is_some() {
            return Err(refuse("has a query; a collector takes none"));
        }
        match uri.scheme_str() {
            Some("http" | "https") if !authority.is_empty() => Ok(Self(uri)),
            _ => Err(refuse(
                "has to be http://HOST:PORT or https://HOST; the usual port is 4318 (OTLP over HTTP, not gRPC)",
            )),
        }
    }

    /// As it was written.
    pub fn shown(&self) -> String {
        self.0.to_string().trim_end_matches('/').to_owned()
    }

    /// Where traces are sent.
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_base_that_the_signal_is_appended_to() {
        for (text, url) in [
            (
                "http://127.0.0.1:4318",
                Some("http://127.0.0.1:4318/v1/traces"),
            ),
            (
                " http://collector:4318/ ",
                Some("http://collector:4318/v1/traces"),
            ),
            (
                "https://otlp.example/tenant/",
                Some("https://otlp.example/tenant/v1/traces"),
            ),
            ("collector:4318", None),
            ("grpc://collector:4317", None),
            ("http://user:secret@collector", None),
            ("http://collector/?key=secret", None),
            ("http://", None),
            ("", None),
            ("/v1", None),
        ] {
            let read = OtlpEndpoint::parse(text);
            if let Err(error) = &read {
                let error = error.to_string();
                assert!(
                    error.starts_with("--otlp-endpoint ") && !error.contains("secret"),
                    "{error}"
                );
            }
            assert_eq!(
                read.ok().map(|endpoint| endpoint.traces()).as_deref(),
                url,
                "{text}"
            );
        }
    }
}
