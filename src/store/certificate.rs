//! Certificates of a server that rustls refuses and libpq takes: of X.509 version 1, with the name in CN only, or signed by
//! themselves. PostgreSQL's own manual makes such ones. Everything else is rustls' business.

use std::path::Path;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error};
use tokio_rustls::rustls;
use x509_cert::Certificate;
use x509_cert::der::asn1::Ia5StringRef;
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::oid::db::rfc5280::{
    ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME,
    ID_KP_SERVER_AUTH,
};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

/// Certificates between a server's and its root.
const CHAIN_MAX: usize = 8;

/// One that has been read.
pub(super) struct Read<'a> {
    der: &'a [u8],
    /// The part that is signed.
    signed: &'a [u8],
    certificate: Certificate,
}

impl<'a> Read<'a> {
    /// Reads one.
    pub(super) fn new(der: &'a [u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let mut reader = SliceReader::new(der).ok()?;
        let signed = reader.sequence(|inner| {
            let signed = inner.tlv_bytes()?;
            inner.tlv_bytes()?;
            inner.tlv_bytes()?;
            Ok(signed)
        });
        Some(Self {
            der,
            signed: signed.ok()?,
            certificate,
        })
    }

    /// The key, as a signature is checked with.
    fn key(&self) -> Option<&[u8]> {
        let info = &self.certificate.tbs_certificate.subject_public_key_info;
        info.subject_public_key.as_bytes()
    }

    /// The value of an extension, if it is there.
    fn extension<T: Decode<'a>>(
        &'a self,
        id: x509_cert::der::oid::ObjectIdentifier,
    ) -> Result<Option<T>, CertificateError> {
        let all = self.certificate.tbs_certificate.extensions.iter().flatten();
        let mut found = all.filter(|extension| extension.extn_id == id);
        match found.next() {
            None => Ok(None),
            Some(extension) => T::from_der(extension.extn_value.as_bytes())
                .map(Some)
                .map_err(|_| CertificateError::BadEncoding),
        }
    }

    fn is_known(&self) -> bool {
        let mut all = self.certificate.tbs_certificate.extensions.iter().flatten();
        all.all(|extension| {
            !extension.critical
                || [
                    ID_CE_BASIC_CONSTRAINTS,
                    ID_CE_KEY_USAGE,
                    ID_CE_EXT_KEY_USAGE,
                    ID_CE_SUBJECT_ALT_NAME,
                ]
                .contains(&extension.extn_id)
        })
    }

    fn is_own_issuer(&self) -> bool {
        let part = &self.certificate.tbs_certificate;
        part.issuer == part.subject
    }

    /// Whether it is the time for it.
    fn check_time(&self, now: UnixTime) -> Result<(), CertificateError> {
        let validity = &self.certificate.tbs_certificate.validity;
        let now = now.as_secs();
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(CertificateError::NotValidYet);
        }
        match now > validity.not_after.to_unix_duration().as_secs() {
            true => Err(CertificateError::Expired),
            false => Ok(()),
        }
    }

    /// Whether it may sign others, of which `below` stand between it and the server's.
    fn check_authority(&'a self, below: usize) -> Result<(), CertificateError> {
        let constraints = self.extension::<BasicConstraints>(ID_CE_BASIC_CONSTRAINTS)?;
        let usage = self.extension::<KeyUsage>(ID_CE_KEY_USAGE)?;
        let may_sign = match constraints {
            Some(constraints) => {
                constraints.ca
                    && constraints
                        .path_len_constraint
                        .is_none_or(|longest| below <= usize::from(longest))
            }
            // Before version 3 there was no way to say it: OpenSSL lets a root.
            None => self.certificate.tbs_certificate.extensions.is_none() && self.is_own_issuer(),
        };
        match may_sign && usage.is_none_or(|usage| usage.key_cert_sign()) {
            true => Ok(()),
            false => Err(CertificateError::InvalidPurpose),
        }
    }

    /// Whether the key of `issuer` has signed it.
    fn check_signature(
        &self,
        issuer: &Read<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), CertificateError> {
        let key_algorithm = &issuer
            .certificate
            .tbs_certificate
            .subject_public_key_info
            .algorithm;
        let key_algorithm = key_algorithm
            .to_der()
            .map_err(|_| CertificateError::BadEncoding)?;
        let algorithm = self.certificate.signature_algorithm.to_der();
        let algorithm = algorithm.map_err(|_| CertificateError::BadEncoding)?;
        let (Some(key), Some(signature)) = (issuer.key(), self.certificate.signature.as_bytes())
        else {
            return Err(CertificateError::BadEncoding);
        };
        let fits = algorithms.all.iter().filter(|known| {
            contents(&key_algorithm) == Some(known.public_key_alg_id().as_ref())
                && contents(&algorithm) == Some(known.signature_alg_id().as_ref())
        });
        for known in fits {
            if known.verify_signature(key, self.signed, signature).is_ok() {
                return Ok(());
            }
        }
        Err(CertificateError::BadSignature)
    }

    /// Whether it is of this host, as libpq decides: the alternative names, or CN where it has none of a host.
    fn check_name(&'a self, host: &ServerName<'_>) -> Result<(), CertificateError> {
        let names = self.extension::<SubjectAltName>(ID_CE_SUBJECT_ALT_NAME)?;
        let names = names.map(|names| names.0).unwrap_or_default();
        let mut has_hosts = false;
        for name in &names {
            let fits = match (name, host) {
                (GeneralName::DnsName(name), ServerName::DnsName(host)) => {
                    fits(name.as_str(), host.as_ref())
                }
                (GeneralName::IpAddress(address), ServerName::IpAddress(host)) => {
                    let host: std::net::IpAddr = (*host).into();
                    match host {
                        std::net::IpAddr::V4(v4) => address.as_bytes() == v4.octets(),
                        std::net::IpAddr::V6(v6) => address.as_bytes() == v6.octets(),
                    }
                }
                _ => false,
            };
            if fits {
                return Ok(());
            }
            has_hosts |= matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
        }
        let host = host.to_str();
        if !has_hosts && self.common_name().is_some_and(|name| fits(&name, &host)) {
            return Ok(());
        }
        Err(CertificateError::NotValidForName)
    }

    fn common_name(&self) -> Option<String> {
        let subject = &self.certificate.tbs_certificate.subject;
        let mut parts = subject.0.iter().flat_map(|part| part.0.iter());
        let name = parts.find(|part| part.oid == CN)?;
        let text = std::str::from_utf8(name.value.value()).ok()?;
        // No text with a NUL or the like is the name of a host.
        Ia5StringRef::new(text).ok()?;
        Some(text.to_owned())
    }
}

/// Whether a name of a certificate, perhaps with a wildcard for its first label, is that of the host.
fn fits(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(tail), Some((label, rest))) = (name.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    !label.is_empty() && tail.contains('.') && tail.eq_ignore_ascii_case(rest)
}

/// What is in a DER value, without its tag and length.
fn contents(der: &[u8]) -> Option<&[u8]> {
    let length = *der.get(1)?;
    let head = match length {
        0..0x80 => 2,
        _ => 2 + usize::from(length & 0x7f),
    };
    der.get(head..)
}

/// Whether a server's certificate leads to one of the roots, and, with a `host`, is of it.
///
/// # Errors
/// Why not.
pub(super) fn verify(
    server: &[u8],
    between: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    host: Option<&ServerName<'_>>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    check(server, between, roots, host, now, algorithms).map_err(Error::InvalidCertificate)
}

fn check(
    server: &[u8],
    between: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    host: Option<&ServerName<'_>>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), CertificateError> {
    let server = Read::new(server).ok_or(CertificateError::BadEncoding)?;
    let read = |all: &'_ [CertificateDer<'_>]| -> Vec<Vec<u8>> {
        all.iter().map(|der| der.as_ref().to_vec()).collect()
    };
    let (roots, between) = (read(roots), read(between));
    let roots: Vec<Read<'_>> = roots.iter().filter_map(|der| Read::new(der)).collect();
    let between: Vec<Read<'_>> = between
        .iter()
        .take(CHAIN_MAX)
        .filter_map(|der| Read::new(der))
        .collect();
    server.check_time(now)?;
    if !server.is_known() {
        return Err(CertificateError::BadEncoding);
    }
    let purposes = server.extension::<ExtendedKeyUsage>(ID_CE_EXT_KEY_USAGE)?;
    if purposes.is_some_and(|purposes| !purposes.0.contains(&ID_KP_SERVER_AUTH)) {
        return Err(CertificateError::InvalidPurpose);
    }
    if let Some(host) = host {
        server.check_name(host)?;
    }
    // One that is a root itself.
    if server.is_own_issuer() && roots.iter().any(|root| root.der == server.der) {
        return Ok(());
    }
    let mut current = &server;
    for below in 0..CHAIN_MAX {
        let name = &current.certificate.tbs_certificate.issuer;
        let is_issuer = |other: &&Read<'_>| {
            other.certificate.tbs_certificate.subject == *name
                && other.is_known()
                && current.check_signature(other, algorithms).is_ok()
        };
        if let Some(root) = roots.iter().find(is_issuer) {
            root.check_time(now)?;
            return root.check_authority(below);
        }
        let Some(next) = between.iter().find(is_issuer) else {
            return Err(CertificateError::UnknownIssuer);
        };
        next.check_time(now)?;
        next.check_authority(below)?;
        current = next;
    }
    Err(CertificateError::UnknownIssuer)
}

/// Days until the first certificate of a file expires; none if it can't be read.
pub(super) fn days_left(path: &Path) -> Option<f64> {
    let all = CertificateDer::pem_file_iter(path).ok()?;
    let all = all.collect::<Result<Vec<_>, _>>().ok()?;
    let now = UnixTime::now().as_secs() as f64;
    let ends = all.iter().filter_map(|der| {
        let read = Read::new(der)?;
        let validity = &read.certificate.tbs_certificate.validity;
        Some(validity.not_after.to_unix_duration().as_secs() as f64)
    });
    ends.min_by(f64::total_cmp)
        .map(|end| (end - now) / 86_400.0)
}

/// Whether the owner of a certificate has signed what was said in the handshake of TLS 1.2.
///
/// # Errors
/// If not.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let bad = |why| Error::InvalidCertificate(why);
    let read = Read::new(certificate).ok_or(bad(CertificateError::BadEncoding))?;
    let key = read.key().ok_or(bad(CertificateError::BadEncoding))?;
    let info = &read
        .certificate
        .tbs_certificate
        .subject_public_key_info
        .algorithm;
    let info = info
        .to_der()
        .map_err(|_| bad(CertificateError::BadEncoding))?;
    let mapping = algorithms.mapping.iter();
    let possible = mapping.filter(|(scheme, _)| *scheme == signed.scheme);
    let mut possible = possible.flat_map(|(_, algorithms)| *algorithms);
    let fits = possible.any(|known| {
        contents(&info) == Some(known.public_key_alg_id().as_ref())
            && known
                .verify_signature(key, message, signed.signature())
                .is_ok()
    });
    match fits {
        true => Ok(()),
        false => Err(bad(CertificateError::BadSignature)),
    }
}

/// The key of a certificate, as TLS 1.3 names a raw one.
pub(super) fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let read = Read::new(certificate)?;
    read.certificate
        .tbs_certificate
        .subject_public_key_info
        .to_der()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, host, expected) in [
            ("db.example.org", "DB.example.org", true),
            ("*.example.org", "db.example.org", true),
            ("*.example.org", "a.db.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("*", "example", false),
            ("db*.example.org", "db1.example.org", false),
        ] {
            assert_eq!(fits(name, host), expected, "{name} {host}");
        }
    }
}
