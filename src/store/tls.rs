//! TLS to PostgreSQL, with rustls: what the certificate of a server has to be, and what plank shows of itself.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};
use rustls::{SignatureScheme, SupportedProtocolVersion};
use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls;

use crate::config::{Check, Identity, Roots, Tls};

use super::certificate;

/// What is spoken inside, for a server that has to be told (`sslnegotiation=direct`).
const ALPN: &[u8] = b"postgresql";

/// What connects with this. The files are read anew each time, so that they can be changed while plank runs.
///
/// # Errors
/// If a file can't be used, or there are no roots: says what to do.
pub fn connector(tls: &Tls) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let trust = match &tls.check {
        Check::Nothing => Trust::Anybody,
        Check::Chain(roots) => Trust::Chain(Chain::new(roots, &provider)?),
        Check::Full(roots) => Trust::Full(Chain::new(roots, &provider)?),
    };
    let verifier = Arc::new(Verifier {
        provider: provider.clone(),
        trust,
    });
    let versions: Vec<&'static SupportedProtocolVersion> = [&TLS13, &TLS12]
        .into_iter()
        .filter(|version| match version.version {
            rustls::ProtocolVersion::TLSv1_3 => !tls.at_most_12,
            _ => !tls.at_least_13,
        })
        .collect();
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|_| "ssl_min_protocol_version is above ssl_max_protocol_version".to_owned())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            config.with_client_cert_resolver(Arc::new(Own::read(identity, &provider)?))
        }
    };
    config.enable_sni = tls.sends_name;
    if tls.is_direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

/// Makes such connectors for tokio-postgres, one for each attempt: the files are read anew.
pub(super) struct Maker<'a>(pub &'a Tls);

/// What is asked for with TLS can't be done: a file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unusable(String);

impl MakeTlsConnect<Socket> for Maker<'_> {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let mut connector = connector(self.0).map_err(Unusable)?;
        Ok(MakeTlsConnect::<Socket>::make_tls_connect(
            &mut connector,
            host,
        )?)
    }
}

/// What of the settings can't be used, if that is what the error is about.
pub(super) fn unusable(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(unusable) = error.downcast_ref::<Unusable>() {
            return Some(unusable.to_string());
        }
        cause = error.source();
    }
    None
}

/// Why a certificate was refused, if that is what the error is about.
pub fn refused(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(|e| e.get_ref());
        let tls = inner
            .and_then(|e| e.downcast_ref::<Error>())
            .or(error.downcast_ref());
        if let Some(Error::InvalidCertificate(why)) = tls {
            return Some(why.to_string());
        }
        cause = error.source();
    }
    None
}

/// Those who are trusted.
#[derive(Debug)]
struct Chain {
    /// None where rustls can read none of them.
    usual: Option<Arc<WebPkiServerVerifier>>,
    /// Those of a file, as they are.
    roots: Vec<CertificateDer<'static>>,
}

impl Chain {
    fn new(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        let (roots, missing) = match roots {
            Roots::System => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                let missing = "the system has no root certificates; install ca-certificates, or name a file with sslrootcert";
                // That is a list which browsers use: certificates of the usual form only.
                (Vec::new(), missing.to_owned())
            }
            Roots::File(path) => {
                let name = path.display();
                let read = certificates(path)
                    .map_err(|e| format!("sslrootcert={name} can't be read: {e}"))?;
                store.add_parsable_certificates(read.iter().cloned());
                (
                    read,
                    format!("sslrootcert={name} has no certificate in it; it has to be in PEM"),
                )
            }
        };
        if store.is_empty() && roots.is_empty() {
            return Err(missing);
        }
        let usual = match store.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
                    .build()
                    .map_err(|e| e.to_string())?,
            ),
        };
        Ok(Self { usual, roots })
    }

    fn verify(
        &self,
        shown: &Shown<'_>,
        host: Option<&ServerName<'_>>,
        provider: &CryptoProvider,
    ) -> Result<(), Error> {
        let usual = self.usual.as_ref().map(|usual| {
            let name = shown.name;
            let verified =
                usual.verify_server_cert(shown.certificate, shown.between, name, &[], shown.now);
            match verified {
                // The name is looked at last, when everything else is right.
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) if host.is_none() => Ok(()),
                other => other.map(drop),
            }
        });
        if let Some(Ok(())) = usual {
            return Ok(());
        }
        let algorithms = &provider.signature_verification_algorithms;
        let lenient = certificate::verify(
            shown.certificate,
            shown.between,
            &self.roots,
            host,
            shown.now,
            algorithms,
        );
        lenient.map_err(|own| match usual {
            // rustls says more of a name or a date; of a form that it does not know it says only that.
            Some(Err(
                usual @ Error::InvalidCertificate(
                    CertificateError::NotValidForNameContext { .. }
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYetContext { .. },
                ),
            )) => usual,
            _ => own,
        })
    }
}

fn certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path).and_then(|all| all.collect::<Result<Vec<_>, _>>())
}

/// What a server has shown, and when.
struct Shown<'a> {
    certificate: &'a CertificateDer<'a>,
    between: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    now: UnixTime,
}

/// Whom a certificate has to be from.
#[derive(Debug)]
enum Trust {
    /// `sslmode=prefer` and `require`.
    Anybody,
    /// `sslmode=verify-ca`: whatever name is in it.
    Chain(Chain),
    /// `sslmode=verify-full`.
    Full(Chain),
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

/// Whether rustls does not know the form of the certificate. It says nothing of the signature then.
fn is_unknown_form(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::BadEncoding)
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown {
            certificate,
            between,
            name,
            now,
        };
        match &self.trust {
            Trust::Anybody => Ok(()),
            Trust::Chain(chain) => chain.verify(&shown, None, &self.provider),
            Trust::Full(chain) => chain.verify(&shown, Some(name), &self.provider),
        }
        .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls12_signature(message, shown, signed, algorithms) {
            Err(error) if is_unknown_form(&error) => {
                certificate::verify_tls12(message, shown, signed, algorithms)
                    .map(|()| HandshakeSignatureValid::assertion())
            }
            other => other,
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, shown, signed, algorithms) {
            Err(error) if is_unknown_form(&error) => {
                let key = certificate::public_key(shown).ok_or(error)?;
                let key = SubjectPublicKeyInfoDer::from(key);
                verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
            }
            other => other,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// What plank shows of itself, whatever the server asks for.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl Own {
    fn read(identity: &Identity, provider: &CryptoProvider) -> Result<Self, String> {
        let Identity { certificate, key } = identity;
        let name = certificate.display();
        let chain =
            certificates(certificate).map_err(|e| format!("sslcert={name} can't be read: {e}"))?;
        if chain.is_empty() {
            return Err(format!(
                "sslcert={name} has no certificate in it; it has to be in PEM"
            ));
        }
        let name = key.display();
        let about = fs::metadata(key).map_err(|e| format!("sslkey={name} can't be read: {e}"))?;
        // As libpq: root may let a group read what is its own.
        let others = if about.uid() == 0 { 0o037 } else { 0o077 };
        if about.mode() & others != 0 {
            return Err(format!("sslkey={name} can be read by others; chmod 600 it"));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| {
            format!(
                "sslkey={name} can't be read: {e}; it has to be in PEM, without a password (openssl pkey -in KEY -out KEY2)"
            )
        })?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|e| format!("sslkey={name} can't be used: {e}"))?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
