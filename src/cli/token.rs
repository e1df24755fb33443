//! `plank token`: makes a token for the secret of a server (HS256).

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use crate::app::AppError;
use crate::auth::{keys, token};
use crate::config;

/// The arguments of `plank token`.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// Whose it is: the claim `sub`
    #[arg(long, value_name = "NAME")]
    sub: String,

    /// What plank.allow knows him as: the claim `role`
    #[arg(long, value_name = "ROLE")]
    role: String,

    /// Another claim, as NAME=VALUE; VALUE is JSON if it can be read as such (7, true, [1,2]), else a text; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,

    /// How long it is good, as 90s, 30m, 12h or 7d
    #[arg(long, default_value = "12h", value_name = "TIME")]
    ttl: String,

    /// The file with the secret of the server
    #[arg(long, env = "PLANK_JWT_SECRET_FILE", value_name = "FILE")]
    jwt_secret_file: PathBuf,

    /// The claim `aud`, where the server asks for one
    #[arg(long, env = "PLANK_JWT_AUDIENCE", value_name = "TEXT")]
    jwt_audience: Option<String>,

    /// The claim `iss`, where the server asks for one
    #[arg(long, env = "PLANK_JWT_ISSUER", value_name = "TEXT")]
    jwt_issuer: Option<String>,
}

/// Prints the token.
pub fn run(args: &TokenArgs) -> Result<(), AppError> {
    let of = |e: &dyn std::fmt::Display| AppError(e.to_string());
    for (flag, value) in [("--sub", &args.sub), ("--role", &args.role)] {
        if value.is_empty() {
            return Err(AppError(format!("{flag} is empty")));
        }
    }
    let ttl = config::duration("--ttl", &args.ttl).map_err(|e| of(&e))?;
    let secret = keys::secret(&args.jwt_secret_file).map_err(|e| of(&e))?;
    let mut claims = claims(&args.claims)?;
    for (name, value) in [("aud", &args.jwt_audience), ("iss", &args.jwt_issuer)] {
        if let Some(value) = value {
            claims.insert(name.into(), value.as_str().into());
        }
    }
    let token = token::mint(&secret, &args.sub, &args.role, claims, ttl.as_secs());
    let token = token.map_err(|e| of(&e))?;
    writeln!(std::io::stdout(), "{token}").map_err(|e| of(&e))
}

fn claims(list: &[String]) -> Result<Map<String, Value>, AppError> {
    let mut claims = Map::new();
    for text in list {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| {
                AppError(format!(
                    "--claim is {text:?}; write it as NAME=VALUE, as in --claim tenant=7"
                ))
            })?;
        if ["sub", "role", "exp", "iat"].contains(&name) {
            return Err(AppError(format!(
                "--claim {name}: this claim has a flag of its own, or is set by plank"
            )));
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        if claims.insert(name.to_owned(), value).is_some() {
            return Err(AppError(format!("--claim {name} is there twice")));
        }
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_json_or_a_text() {
        let list = ["tenant=7", "teams=[\"a\",2]", "name=ann=x", "empty="].map(String::from);
        let expected = json!({"tenant": 7, "teams": ["a", 2], "name": "ann=x", "empty": ""});
        assert_eq!(Value::Object(claims(&list).unwrap()), expected);
        for bad in ["x", "=7", "sub=bob", "exp=1"] {
            assert!(claims(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(claims(&["a=1".into(), "a=2".into()]).is_err());
    }
}
