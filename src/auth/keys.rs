//! The keys that tokens are signed with: a secret (HS256), or public keys in a JWKS file (RFC 7517). Each key is pinned to
//! one algorithm: what a token's header asks for only says which key to try.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::{KEYS_BYTES_MAX, KEYS_LOOK_INTERVAL, SECRET_BYTES_MIN};

/// Why a file of keys can't be used. The text is for the operator, and has nothing of what is in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

/// A key, with the one algorithm that it is for.
#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// What the files had when they were read last.
#[derive(Debug, Default)]
struct Loaded {
    keys: Vec<Arc<Key>>,
    /// When each file was changed last.
    changed: [Option<SystemTime>; 2],
}

/// The keys of a server. A file that changes is read again; one that can't be read leaves the keys as they were.
#[derive(Debug)]
pub struct Keys {
    secret_file: Option<PathBuf>,
    jwks_file: Option<PathBuf>,
    loaded: RwLock<(Instant, Arc<Loaded>)>,
}

impl Keys {
    /// Reads the files.
    ///
    /// # Errors
    /// If one can't be read, or has no key that can be used.
    pub fn load(
        secret_file: Option<PathBuf>,
        jwks_file: Option<PathBuf>,
    ) -> Result<Self, KeyError> {
        super::provider::install();
        let loaded = read(secret_file.as_deref(), jwks_file.as_deref())?;
        Ok(Self {
            secret_file,
            jwks_file,
            loaded: RwLock::new((Instant::now(), Arc::new(loaded))),
        })
    }

    /// The key that a token of this header has to be signed with.
    pub(super) fn of(&self, header: &Header) -> Option<(Algorithm, DecodingKey)> {
        let loaded = self.now();
        let of_algorithm = || loaded.keys.iter().filter(|k| k.algorithm == header.alg);
        let is_named = |key: &&Arc<Key>| key.kid.is_some() && key.kid == header.kid;
        if let Some(key) = of_algorithm().find(is_named) {
            return Some((key.algorithm, key.key.clone()));
        }
        let mut fits = of_algorithm().filter(|key| match (&key.kid, &header.kid) {
            (Some(_), Some(_)) => false,
            // A secret has no name, and neither has the only key of a file.
            (None, _) => true,
            (Some(_), None) => false,
        });
        let key = fits.next()?;
        // Which of several it is has to be said.
        fits.next()
            .is_none()
            .then(|| (key.algorithm, key.key.clone()))
    }

    /// The keys, looked at again if the last look was long ago.
    fn now(&self) -> Arc<Loaded> {
        let (looked, loaded) = {
            let guard = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
            (guard.0, guard.1.clone())
        };
        if looked.elapsed() < KEYS_LOOK_INTERVAL {
            return loaded;
        }
        let mut guard = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if guard.0.elapsed() < KEYS_LOOK_INTERVAL {
            return guard.1.clone();
        }
        guard.0 = Instant::now();
        let (secret_file, jwks_file) = (self.secret_file.as_deref(), self.jwks_file.as_deref());
        let changed = [secret_file.and_then(changed), jwks_file.and_then(changed)];
        if changed == guard.1.changed {
            return guard.1.clone();
        }
        match read(secret_file, jwks_file) {
            Ok(loaded) => {
                log::info!("keys read again keys={}", loaded.keys.len());
                guard.1 = Arc::new(loaded);
            }
            Err(error) => {
                log::error!("keys can't be read again, the old ones stay reason=\"{error}\"");
                // Said once for each change.
                let keys = guard.1.keys.clone();
                guard.1 = Arc::new(Loaded { keys, changed });
            }
        }
        guard.1.clone()
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

fn read(secret_file: Option<&Path>, jwks_file: Option<&Path>) -> Result<Loaded, KeyError> {
    let mut loaded = Loaded {
        keys: Vec::new(),
        changed: [secret_file.and_then(changed), jwks_file.and_then(changed)],
    };
    if let Some(path) = secret_file {
        let key = DecodingKey::from_secret(&secret(path)?);
        loaded.keys.push(Arc::new(Key {
            kid: None,
            algorithm: Algorithm::HS256,
            key,
        }));
    }
    if let Some(path) = jwks_file {
        loaded.keys.extend(jwks(path)?.into_iter().map(Arc::new));
    }
    Ok(loaded)
}

fn bytes_of(flag: &str, path: &Path) -> Result<Vec<u8>, KeyError> {
    let fail = |why: String| KeyError(format!("{flag} {}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if size.len() > KEYS_BYTES_MAX {
        return Err(fail(format!("has more than {KEYS_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}

/// The secret in a file; a line break at its end is an editor's.
///
/// # Errors
/// If it can't be read, or is too short to be a secret.
pub fn secret(path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut secret = bytes_of("--jwt-secret-file", path)?;
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
    if secret.len() < SECRET_BYTES_MIN {
        let why = format!(
            "the secret has {} bytes, and one below {SECRET_BYTES_MIN} can be guessed; make one with: openssl rand -base64 48",
            secret.len()
        );
        return Err(KeyError(format!(
            "--jwt-secret-file {}: {why}",
            path.display()
        )));
    }
    Ok(secret)
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

fn jwks(path: &Path) -> Result<Vec<Key>, KeyError> {
    let fail = |why: String| KeyError(format!("--jwt-jwks-file {}: {why}", path.display()));
    let set: KeySet = serde_json::from_slice(&bytes_of("--jwt-jwks-file", path)?)
        .map_err(|e| fail(format!("is no JWKS, {{\"keys\": [...]}}: {}", place(&e))))?;
    let mut keys: Vec<Key> = Vec::new();
    for (i, value) in set.keys.into_iter().enumerate() {
        // A set may have keys for other purposes.
        match key(value) {
            Ok(key) => keys.push(key),
            Err(why) => log::warn!(
                "key left out file={} place={i} reason={why:?}",
                path.display()
            ),
        }
    }
    if keys.is_empty() {
        return Err(fail(
            "has no key that can be used: RSA of 2048 bits (RS256), EC P-256 (ES256) or Ed25519 (EdDSA)".into(),
        ));
    }
    let is_twice = |k: &Key| k.kid.is_some() && keys.iter().filter(|o| o.kid == k.kid).count() > 1;
    if let Some(twice) = keys.iter().find(|key| is_twice(key)) {
        let kid = twice.kid.as_deref().unwrap_or_default();
        return Err(fail(format!("has two keys of the name {kid:?}")));
    }
    Ok(keys)
}

/// Where a mistake is, and nothing of what is there.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

fn key(value: Value) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| "it is no JWK")?;
    let common = &jwk.common;
    if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return Err("it is not for signatures".into());
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(p) if p.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        // Who can read a public file could sign with it.
        AlgorithmParameters::OctetKey(_) => {
            return Err("it is a secret; give it with --jwt-secret-file".into());
        }
        _ => return Err("its kind is not served".into()),
    };
    if let Some(named) = common.key_algorithm
        && named.to_string() != format!("{algorithm:?}")
    {
        return Err(format!("its algorithm is {named}, and not {algorithm:?}"));
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "its numbers can't be read")?;
    if let jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind()
        && n.len() < 256
    {
        return Err("it has fewer than 2048 bits".into());
    }
    Ok(Key {
        kid: common.key_id.clone(),
        algorithm,
        key,
    })
}
