//! A client of HTTP that blocks, for the few questions that plank asks itself.

use std::sync::Arc;
use std::time::Duration;

use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;

/// Its settings: the root certificates of this machine, all within `patience`, any status an answer. No redirect, which could lead to
/// a server, or to a scheme, that is not the one in the settings.
pub(super) fn config(patience: Duration) -> ConfigBuilder<AgentScope> {
    let roots = load_native_certs().certs;
    let roots = roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
        .build();
    Config::builder()
        .tls_config(tls)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .user_agent(concat!("plank/", env!("CARGO_PKG_VERSION")))
}

/// One with these settings.
pub(super) fn agent(patience: Duration) -> Agent {
    Agent::new_with_config(config(patience).build())
}
