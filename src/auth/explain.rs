//! What is wrong with a token, for an operator who has it: `plank token --check`. A server tells less of it.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::keys;
use super::principal::unix_now_s;
use super::token::{Rejected, Tokens, payload};

/// What a token says, and whether a server with these settings takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What is in it: a name, and what it says.
    pub facts: Vec<(&'static str, String)>,
    /// Nothing if it is taken; else why not, and what to do.
    pub fault: Option<String>,
}

/// Looks at a token. `secret_file` has the bytes of the file with the secret, for mistakes that are made with it.
pub fn explain(tokens: &Tokens, secret_file: Option<&[u8]>, token: &str) -> Explained {
    let token = token.trim();
    let mut facts = Vec::new();
    if let Ok(header) = decode_header(token) {
        let kid = header
            .kid
            .map_or(String::new(), |kid| format!(", kid {kid:?}"));
        facts.push(("signed", format!("{:?}{kid}", header.alg)));
    }
    let claims = payload(token).unwrap_or_default();
    for name in ["sub", "role", "aud", "iss"] {
        if let Some(value) = claims.get(name) {
            facts.push((name, value.to_string()));
        }
    }
    for name in ["exp", "nbf", "iat"] {
        if let Some(value) = claims.get(name) {
            facts.push((name, when(value)));
        }
    }
    let fault = tokens.check(token).err().map(|why| {
        let more = more(tokens, secret_file, token, &claims, why);
        format!("{why}{more}")
    });
    Explained { facts, fault }
}

/// What an operator has to know beyond what a client is told.
fn more(
    tokens: &Tokens,
    secret_file: Option<&[u8]>,
    token: &str,
    claims: &Map<String, Value>,
    why: Rejected,
) -> String {
    match why {
        Rejected::Malformed if token.starts_with("Bearer ") => {
            "; give the token without the word Bearer before it".into()
        }
        Rejected::Malformed => "; it has to have three parts with dots between them, each in base64url".into(),
        Rejected::UnknownKey => format!("; the server's keys are: {}", tokens.keys().names()),
        Rejected::Signature => secret_file
            .and_then(|bytes| other_secret(bytes, token))
            .map_or("; it was signed with another key, or changed on its way".into(), |how| {
                format!(
                    "; it was signed with the secret {how}. plank takes the bytes of the file as they are, without a line break at \
                     their end: sign with those, or put into the file what signs"
                )
            }),
        Rejected::Claims => missing(claims),
        Rejected::Audience => expected("aud", tokens.audience()),
        Rejected::Issuer => expected("iss", tokens.issuer()),
        _ => String::new(),
    }
}

fn expected(name: &str, wanted: Option<&str>) -> String {
    format!("; {name} has to be {:?}", wanted.unwrap_or_default())
}

fn missing(claims: &Map<String, Value>) -> String {
    let mut wrong = Vec::new();
    for name in ["sub", "role"] {
        match claims.get(name) {
            None => wrong.push(format!("{name} is missing")),
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(value) => wrong.push(format!("{name} is {value}, and has to be a text")),
        }
    }
    for (name, is_needed) in [("exp", true), ("iat", false)] {
        match claims.get(name) {
            None if is_needed => wrong.push(format!("{name} is missing")),
            None | Some(Value::Number(_)) => {}
            Some(value) => wrong.push(format!(
                "{name} is {value}, and has to be a number of seconds since 1970"
            )),
        }
    }
    format!(": {}", wrong.join("; "))
}

/// In which way the secret of a file signs a token that it does not sign as it is.
fn other_secret(bytes: &[u8], token: &str) -> Option<&'static str> {
    let signs = |secret: &[u8]| {
        let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_secret(secret);
        decode::<Map<String, Value>>(token, &key, &validation).is_ok()
    };
    let text = bytes.trim_ascii();
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .any(|alphabet| {
            let decoded = GeneralPurpose::new(alphabet, config).decode(text);
            decoded.is_ok_and(|secret| signs(&secret))
        });
    if base64 {
        return Some("decoded from base64");
    }
    if hex(text).is_some_and(|secret| signs(&secret)) {
        return Some("decoded from hex");
    }
    if signs(bytes) {
        return Some("together with the line break at the end of the file");
    }
    signs(text).then_some("without the blanks around it")
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

/// A time as the token has it, and how far it is from now.
fn when(value: &Value) -> String {
    let Some(seconds) = value.as_f64() else {
        return value.to_string();
    };
    let apart = seconds - unix_now_s() as f64;
    let amount = match apart.abs() {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    };
    match apart >= 0.0 {
        true => format!("{value}, in {amount}"),
        false => format!("{value}, {amount} ago"),
    }
}

/// The bytes of a file with a secret, also of one that no server would take.
///
/// # Errors
/// See [`keys::secret`].
pub fn secret_bytes(path: &std::path::Path) -> Result<Vec<u8>, keys::KeyError> {
    keys::secret(path)?;
    keys::raw_secret(path)
}
