//! Tokens: JSON Web Tokens (RFC 7519), checked as RFC 8725 asks for.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Map, Value, json};

use crate::limits::{CLAIM_SECONDS_MAX, TOKEN_BYTES_MAX, TOKEN_LEEWAY};

use super::keys::Keys;
use super::principal::{Principal, unix_now_s};
use super::revoked::Revoked;

/// Why a token is not taken. The text is for the sender, and shows nothing of the token.
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
    /// Signed with another key.
    #[error("its signature is wrong")]
    Signature,
    /// `exp`
    #[error("it has expired; get a new one")]
    Expired,
    /// `exp`, `nbf` or `iat` in another unit.
    #[error("its claim {0} is in milliseconds; it has to be in seconds since 1970 (RFC 7519)")]
    Milliseconds(&'static str),
    /// `nbf` or `iat`
    #[error("it is not valid yet; is the clock of the issuer right?")]
    NotYet,
    /// `aud`
    #[error("it is for another audience")]
    Audience,
    /// `iss`
    #[error("it is of another issuer")]
    Issuer,
    /// `plank.revoke`
    #[error("it has been revoked; get a new one")]
    Revoked,
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
    revoked: Revoked,
}

impl Tokens {
    /// With these keys. `aud` and `iss` are checked if they are given here.
    pub fn new(keys: Keys, audience: Option<String>, issuer: Option<String>) -> Self {
        Self {
            keys,
            audience,
            issuer,
            revoked: Revoked::default(),
        }
    }

    /// Whose tokens have been taken back.
    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Those that it checks with.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The audience that a token needs.
    pub(super) fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The issuer that a token needs.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether keys come from a URL.
    pub fn has_url(&self) -> bool {
        self.keys.has_url()
    }

    /// Whether the key of a token is not known and may be at the URL by now.
    pub fn is_pending(&self, token: &str) -> bool {
        self.keys.may_know_more() && self.lacks_key(token)
    }

    /// The same. Such a key is asked for, and its answer is waited for by nobody.
    pub fn ask_for_key_of(&self, token: &str) -> bool {
        let is_pending = self.is_pending(token);
        if is_pending {
            self.keys.want();
        }
        is_pending
    }

    /// Asks for a key that is not known, and waits for the answer.
    pub async fn fetch_key_of(&self, token: &str) {
        if self.is_pending(token) {
            self.keys.ask().await;
        }
    }

    /// Whether the keys have never come that a token may be signed with.
    pub fn is_away(&self, token: &str) -> bool {
        self.keys.are_away() && self.lacks_key(token)
    }

    fn lacks_key(&self, token: &str) -> bool {
        let is_short = token.len() <= TOKEN_BYTES_MAX;
        let header = decode_header(token).ok().filter(|_| is_short);
        // The URL has no secrets.
        header.is_some_and(|h| h.alg != Algorithm::HS256 && self.keys.of(&h).is_none())
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
        // The signature is good, it is looked at first: what the claims say may be told.
        if let Some(unit) = in_milliseconds(&claims) {
            return Err(unit);
        }
        check_times(&claims, unix_now_s())?;
        let principal = Principal::of(claims).ok_or(Rejected::Claims)?;
        match self.revoked.has(&principal) {
            true => Err(Rejected::Revoked),
            false => Ok(Arc::new(principal)),
        }
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

/// The first of the times that is in milliseconds. As seconds it would be a token that never ends.
fn in_milliseconds(claims: &Map<String, Value>) -> Option<Rejected> {
    let is_so = |name: &&str| {
        let time = claims.get(*name).and_then(Value::as_f64);
        time.is_some_and(|time| time >= CLAIM_SECONDS_MAX)
    };
    let name = ["exp", "nbf", "iat"].into_iter().find(is_so)?;
    Some(Rejected::Milliseconds(name))
}

/// The claims of a token, with any signature.
pub(super) fn payload(token: &str) -> Option<Map<String, Value>> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1)?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
    serde_json::from_slice(&payload.ok()?).ok()
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
