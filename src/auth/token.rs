//! Tokens: JSON Web Tokens (RFC 7519), checked as RFC 8725 asks for.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Map, Value, json};

use crate::limits::{TOKEN_BYTES_MAX, TOKEN_LEEWAY};

use super::keys::Keys;
use super::principal::{Principal, unix_now_s};

/// Why a token is not taken. What it says is for whoever sent it, and has nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is no token.
    #[error("it is no JSON Web Token")]
    Malformed,
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("it has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Another algorithm than that of a key, or a name that no key has.
    #[error("no key of this server fits its algorithm and key id")]
    UnknownKey,
    /// Signed by somebody else.
    #[error("its signature is wrong")]
    Signature,
    /// `exp`
    #[error("it has expired; get a new one")]
    Expired,
    /// `nbf` or `iat`
    #[error("it is not valid yet; is the clock of whoever made it right?")]
    NotYet,
    /// `aud`
    #[error("it is for another audience")]
    Audience,
    /// `iss`
    #[error("it is of another issuer")]
    Issuer,
    /// Something that is required is not there.
    #[error("it needs the claims sub and role, as texts, and exp, as a number")]
    Claims,
    /// An extension that has to be understood.
    #[error("it has a header that says crit, and that is not served")]
    Critical,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Tokens {
    keys: Keys,
    audience: Option<String>,
    issuer: Option<String>,
}

impl Tokens {
    /// With these keys. `aud` and `iss` are checked if they are given here.
    pub fn new(keys: Keys, audience: Option<String>, issuer: Option<String>) -> Self {
        Self {
            keys,
            audience,
            issuer,
        }
    }

    /// Who sent a token.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn check(&self, token: &str) -> Result<Arc<Principal>, Rejected> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::TooLong);
        }
        if token.split('.').count() != 3 {
            return Err(Rejected::Malformed);
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            // `none` is no algorithm, and neither is one that nobody knows.
            ErrorKind::Json(e) if e.to_string().contains("variant") => Rejected::UnknownKey,
            _ => Rejected::Malformed,
        })?;
        if is_critical(token) {
            return Err(Rejected::Critical);
        }
        let (algorithm, key) = self.keys.of(&header).ok_or(Rejected::UnknownKey)?;
        let mut validation = Validation::new(algorithm);
        // By `check_times`: it would not read all forms of a number.
        validation.validate_exp = false;
        validation.validate_aud = self.audience.is_some();
        let mut required = vec!["sub"];
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let claims = decode::<Map<String, Value>>(token, &key, &validation);
        let claims = claims.map_err(|error| rejected(error.kind()))?.claims;
        check_times(&claims, unix_now_s())?;
        Principal::of(claims).map(Arc::new).ok_or(Rejected::Claims)
    }
}

/// `exp`, `nbf` and `iat` are numbers of seconds in any form that JSON has: 1900000000, 1900000000.5, 1.9e9 (RFC 7519,
/// section 2, NumericDate).
fn check_times(claims: &Map<String, Value>, now_s: u64) -> Result<(), Rejected> {
    let time = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(time) => time.as_f64().map(Some).ok_or(Rejected::Claims),
    };
    let (now, leeway) = (now_s as f64, TOKEN_LEEWAY.as_secs_f64());
    if time("exp")?.ok_or(Rejected::Claims)? < now - leeway {
        return Err(Rejected::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|time| time > now + leeway) {
            return Err(Rejected::NotYet);
        }
    }
    Ok(())
}

fn rejected(error: &ErrorKind) -> Rejected {
    match error {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Rejected::Signature,
        ErrorKind::ExpiredSignature => Rejected::Expired,
        ErrorKind::ImmatureSignature => Rejected::NotYet,
        ErrorKind::InvalidAudience => Rejected::Audience,
        ErrorKind::InvalidIssuer => Rejected::Issuer,
        ErrorKind::MissingRequiredClaim(name) if name == "aud" => Rejected::Audience,
        ErrorKind::MissingRequiredClaim(name) if name == "iss" => Rejected::Issuer,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Rejected::Claims,
        _ => Rejected::Malformed,
    }
}

/// Whether the header has `crit` (RFC 7515, 4.1.11): what is critical has to be understood, and nothing is.
fn is_critical(token: &str) -> bool {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap_or_default();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header);
    let header = header
        .ok()
        .and_then(|h| serde_json::from_slice::<Map<String, Value>>(&h).ok());
    header.is_none_or(|header| header.contains_key("crit"))
}

/// Makes a token (HS256) of these claims.
///
/// # Errors
/// Never with claims that are JSON.
pub fn mint(
    secret: &[u8],
    sub: &str,
    role: &str,
    mut claims: Map<String, Value>,
    ttl_s: u64,
) -> Result<String, jsonwebtoken::errors::Error> {
    super::provider::install();
    let now = unix_now_s();
    for (name, value) in [
        ("sub", json!(sub)),
        ("role", json!(role)),
        ("iat", json!(now)),
        ("exp", json!(now.saturating_add(ttl_s))),
    ] {
        claims.insert(name.into(), value);
    }
    encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(secret),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_taken_in_every_form_that_a_number_has() {
        let check = |text: &str| {
            let claims: Map<String, Value> = serde_json::from_str(text).unwrap();
            check_times(&claims, 1_000_000_000)
        };
        for good in [
            r#"{"exp":1000000000}"#,
            r#"{"exp":999999996,"nbf":1000000004,"iat":1000000004.5}"#,
            r#"{"exp":1000000000.25,"nbf":999999999.75,"iat":999999999.999}"#,
            r#"{"exp":1e9,"nbf":1E+9,"iat":10000000000e-1}"#,
            r#"{"exp":1.0e300,"nbf":-1,"iat":0}"#,
            r#"{"exp":18446744073709551616,"nbf":null}"#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            (r#"{"exp":999999994}"#, Rejected::Expired),
            (r#"{"exp":9.99999e8}"#, Rejected::Expired),
            (r#"{"exp":-1e9}"#, Rejected::Expired),
            (r#"{"exp":2e9,"nbf":1.1e9}"#, Rejected::NotYet),
            (r#"{"exp":2e9,"iat":1000000005.5}"#, Rejected::NotYet),
            (r#"{}"#, Rejected::Claims),
            (r#"{"exp":null}"#, Rejected::Claims),
            (r#"{"exp":"2000000000"}"#, Rejected::Claims),
            (r#"{"exp":2e9,"nbf":"1"}"#, Rejected::Claims),
            (r#"{"exp":2e9,"iat":[1]}"#, Rejected::Claims),
            (r#"{"exp":1e400}"#, Rejected::Claims),
        ] {
            assert_eq!(check(bad), Err(why), "{bad}");
        }
    }
}
