//! The signatures behind jsonwebtoken, over ring, which is in the tree for TLS already. Of the algorithms only those that
//! plank pins keys for: a token can't ask for another.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::{hmac, signature as ring_signature};
use signature::{Error as BadSignature, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // JWKs are read, never written.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has to come before the first token. Doing it twice does no harm.
pub fn install() {
    let _ = PROVIDER.install_default();
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hmac::new(key.as_bytes()))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let algorithm = *algorithm;
    let of = |params: &'static dyn ring_signature::VerificationAlgorithm| {
        let key = key.try_get_as_bytes()?.to_vec();
        Ok::<Box<dyn JwtVerifier>, Error>(Box::new(Public {
            algorithm,
            params,
            key,
        }))
    };
    match (algorithm, key.family(), key.kind()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac, _) => {
            Ok(Box::new(Hmac::new(key.try_get_as_bytes()?)))
        }
        (Algorithm::RS256, AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Ok(Box::new(Rsa(ring_signature::RsaPublicKeyComponents {
                n: n.clone(),
                e: e.clone(),
            })))
        }
        (Algorithm::ES256, AlgorithmFamily::Ec, _) => of(&ring_signature::ECDSA_P256_SHA256_FIXED),
        (Algorithm::EdDSA, AlgorithmFamily::Ed, _) => of(&ring_signature::ED25519),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// HS256.
struct Hmac(hmac::Key);

impl Hmac {
    fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, BadSignature> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hmac {
    /// In constant time.
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), BadSignature> {
        hmac::verify(&self.0, message, signature).map_err(|_| BadSignature::new())
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// RS256, with keys of 2048 to 8192 bits.
struct Rsa(ring_signature::RsaPublicKeyComponents<Vec<u8>>);

impl Verifier<Vec<u8>> for Rsa {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), BadSignature> {
        let params = &ring_signature::RSA_PKCS1_2048_8192_SHA256;
        let verified = self.0.verify(params, message, signature);
        verified.map_err(|_| BadSignature::new())
    }
}

impl JwtVerifier for Rsa {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

/// ES256 and EdDSA.
struct Public {
    algorithm: Algorithm,
    params: &'static dyn ring_signature::VerificationAlgorithm,
    key: Vec<u8>,
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), BadSignature> {
        let key = ring_signature::UnparsedPublicKey::new(self.params, &self.key);
        let verified = key.verify(message, signature);
        verified.map_err(|_| BadSignature::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
