//! Reads a JWKS (RFC 7517). It is public, so a private key in it is refused: everybody who can read the set could sign.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::Key;

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// Members that only private and symmetric keys have (RFC 7518, 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What is wrong with a set that has no key for plank.
pub(super) const NO_KEY: &str =
    "has no key that can be used: RSA of 2048 bits (RS256), EC P-256 (ES256) or Ed25519 (EdDSA)";

/// The keys of a set, which may be none. `place` is where it came from, for the log.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Vec<Key>, String> {
    let set: KeySet = serde_json::from_slice(bytes).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        format!("is no JWKS, {{\"keys\": [...]}}: line {line}, column {column}")
    })?;
    if let Some(i) = set.keys.iter().position(is_private) {
        return Err(format!(
            "has a private or secret key (at place {i}), so everybody who can read the set can make tokens; give public keys \
             only, and a secret with --jwt-secret-file; the key that was in there is worth nothing any more"
        ));
    }
    let mut keys: Vec<Key> = Vec::new();
    for (i, value) in set.keys.into_iter().enumerate() {
        // A set may have keys for other purposes.
        match key(value) {
            Ok(key) => keys.push(key),
            Err(why) => log::warn!("key left out from={place} place={i} reason={why:?}"),
        }
    }
    let is_twice = |k: &Key| k.kid.is_some() && keys.iter().filter(|o| o.kid == k.kid).count() > 1;
    match keys.iter().find(|key| is_twice(key)) {
        Some(twice) => {
            let kid = twice.kid.as_deref().unwrap_or_default();
            Err(format!("has two keys of the name {kid:?}"))
        }
        None => Ok(keys),
    }
}

fn is_private(key: &Value) -> bool {
    PRIVATE.iter().any(|member| key.get(member).is_some())
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
