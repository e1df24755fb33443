//! An authenticated subject and its role, as its token names them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::feed::Claims;

/// Claims about the token and not about the person: two tokens that differ in nothing else are of the same principal.
const OF_THE_TOKEN: [&str; 6] = ["exp", "nbf", "iat", "jti", "aud", "iss"];

/// What a token says, after it has been checked.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Principal {
    /// The claim `sub`.
    pub sub: String,
    /// The claim `role`, which policies are for.
    pub role: String,
    /// The claim `exp`: when it ends, in seconds of Unix time.
    pub exp: u64,
    /// The claim `iat`: when its token was issued, in seconds of Unix time. A fresh token of the same one has another.
    #[serde(default)]
    pub iat: Option<f64>,
    /// All claims about the person, `sub` and `role` among them.
    claims: Map<String, Value>,
}

impl Principal {
    /// Of the claims of a token that has been checked. None without `sub`, `role` or `exp`, and if one of them is of another
    /// type.
    pub fn of(mut claims: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| {
            let text = claims.get(name)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let (sub, role) = (text("sub")?, text("role")?);
        let exp = claims.get("exp")?;
        // RFC 7519 allows fractions.
        let exp = exp.as_u64().or_else(|| exp.as_f64().map(|s| s as u64))?;
        let iat = claims.get("iat").and_then(Value::as_f64);
        for name in OF_THE_TOKEN {
            claims.remove(name);
        }
        Some(Self {
            sub,
            role,
            exp,
            iat,
            claims,
        })
    }

    /// Whether a newer token is of the same person, who may do the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.claims == other.claims
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        unix_now_s() >= self.exp
    }
}

impl Claims for Principal {
    fn role(&self) -> &str {
        &self.role
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.claims.get(name) {
            return Some(value);
        }
        let (first, rest) = name.split_once('.')?;
        rest.split('.')
            .try_fold(self.claims.get(first)?, |value, part| value.get(part))
    }
}

/// The viewer of a request or a subscription. There is no default: a session that is not authenticated has none.
#[derive(Clone, Debug, PartialEq)]
pub enum Viewer {
    /// Nobody has to log in (`--auth off`), and everybody sees everything.
    Everybody,
    /// What policies let this one see.
    One(Arc<Principal>),
}

impl Viewer {
    /// The one, if it is one.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Everybody => None,
            Self::One(principal) => Some(principal),
        }
    }
}

/// The time of day, as Unix time.
pub fn unix_now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Its seconds.
pub fn unix_now_s() -> u64 {
    unix_now().as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(claims: Value) -> Option<Principal> {
        match claims {
            Value::Object(claims) => Principal::of(claims),
            _ => None,
        }
    }

    #[test]
    fn what_is_required_is_there_and_of_its_type() {
        assert!(of(json!({"sub": "ann", "role": "viewer", "exp": 7})).is_some());
        assert_eq!(
            of(json!({"sub": "ann", "role": "viewer", "exp": 7.5}))
                .unwrap()
                .exp,
            7
        );
        for claims in [
            json!({"role": "viewer", "exp": 7}),
            json!({"sub": "ann", "exp": 7}),
            json!({"sub": "ann", "role": "viewer"}),
            json!({"sub": "", "role": "viewer", "exp": 7}),
            json!({"sub": 1, "role": "viewer", "exp": 7}),
            json!({"sub": "ann", "role": ["viewer"], "exp": 7}),
            json!({"sub": "ann", "role": "viewer", "exp": "7"}),
            json!({"sub": "ann", "role": "viewer", "exp": -7.5e300}),
        ] {
            let found = of(claims.clone()).filter(|p| p.exp > 0);
            assert!(found.is_none(), "{claims}");
        }
    }

    #[test]
    fn a_claim_within_another_is_named_with_dots() {
        let ann = of(
            json!({"sub": "ann", "role": "r", "exp": 7, "a.b": 1, "org": {"id": 5, "x": {"y": true}}}),
        );
        let ann = ann.unwrap();
        assert_eq!(ann.claim("a.b"), Some(&json!(1)));
        assert_eq!(ann.claim("org.id"), Some(&json!(5)));
        assert_eq!(ann.claim("org.x.y"), Some(&json!(true)));
        assert_eq!(ann.claim("sub"), Some(&json!("ann")));
        for missing in ["org.z", "exp", "a", "org.id.x", ""] {
            assert_eq!(ann.claim(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_fresh_token_of_the_same_person_is_the_same() {
        let token = |exp: u64, role: &str| {
            of(json!({"sub": "ann", "role": role, "exp": exp, "jti": exp})).unwrap()
        };
        assert!(token(7, "viewer").is_same(&token(9, "viewer")));
        assert!(!token(7, "viewer").is_same(&token(9, "admin")));
    }
}
