//! `plank token`: makes a token for the secret of a server (HS256).

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::app::{self, AppError};
use crate::auth::{Keys, Tokens, explain, keys, token};
use crate::config::{self, JwksUrl};
use crate::limits::TOKEN_BYTES_MAX;
use crate::text::one_line;

/// The arguments of `plank token`.
#[derive(Args, Debug)]
#[command(
    after_help = "The secret is the bytes of the file as they are, without a line break at the end: nothing is decoded.\n\n\
    Examples:\n  \
      plank token --sub ann --role sales --claim region=north --jwt-secret-file secret\n  \
      plank token --check - --jwt-secret-file secret < token"
)]
pub struct TokenArgs {
    /// Whose it is: the claim `sub`
    #[arg(long, value_name = "NAME", required_unless_present = "check")]
    sub: Option<String>,

    /// What plank.allow knows it as: the claim `role`
    #[arg(long, value_name = "ROLE", required_unless_present = "check")]
    role: Option<String>,

    /// Another claim, as NAME=VALUE; VALUE is JSON if it can be read as such (7, true, [1,2]), else a text; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,

    /// How long it is good, as 90s, 30m, 12h or 7d
    #[arg(long, default_value = "12h", value_name = "TIME")]
    ttl: String,

    /// Say what is in a token, and why a server with these settings does not take it; - reads it from standard input. The
    /// exit status is 1 if it is not taken
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["sub", "role", "claims", "ttl"])]
    check: Option<String>,

    /// The file with the secret of the server
    #[arg(
        long,
        env = "PLANK_JWT_SECRET_FILE",
        value_name = "FILE",
        required_unless_present = "check"
    )]
    jwt_secret_file: Option<PathBuf>,

    /// With --check: the file with the public keys of the server
    #[arg(long, env = "PLANK_JWT_JWKS_FILE", value_name = "FILE")]
    jwt_jwks_file: Option<PathBuf>,

    /// With --check: the URL with the public keys of the server
    #[arg(long, env = "PLANK_JWT_JWKS_URL", value_name = "URL")]
    jwt_jwks_url: Option<String>,

    /// The claim `aud`, where the server asks for one
    #[arg(long, env = "PLANK_JWT_AUDIENCE", value_name = "TEXT")]
    jwt_audience: Option<String>,

    /// The claim `iss`, where the server asks for one
    #[arg(long, env = "PLANK_JWT_ISSUER", value_name = "TEXT")]
    jwt_issuer: Option<String>,
}

fn error(error: impl std::fmt::Display) -> AppError {
    AppError(error.to_string())
}

/// Prints the token, or what is wrong with one.
pub fn run(args: &TokenArgs) -> Result<(), AppError> {
    super::start_logger("error");
    if let Some(token) = &args.check {
        return check(args, token);
    }
    let given = |flag: &str, value: &Option<String>| {
        let value = value.clone().unwrap_or_default();
        match value.is_empty() {
            true => Err(AppError(format!("{flag} is empty"))),
            false => Ok(value),
        }
    };
    let (sub, role) = (given("--sub", &args.sub)?, given("--role", &args.role)?);
    let ttl = config::duration("--ttl", &args.ttl).map_err(error)?;
    let file = args.jwt_secret_file.as_deref();
    let secret = keys::secret(file.unwrap_or(Path::new(""))).map_err(error)?;
    let mut claims = claims(&args.claims)?;
    for (name, value) in [("aud", &args.jwt_audience), ("iss", &args.jwt_issuer)] {
        if let Some(value) = value {
            claims.insert(name.into(), value.as_str().into());
        }
    }
    let token = token::mint(&secret, &sub, &role, claims, ttl.as_secs()).map_err(error)?;
    writeln!(std::io::stdout(), "{token}").map_err(error)
}

fn check(args: &TokenArgs, token: &str) -> Result<(), AppError> {
    let token = match token {
        "-" => {
            let mut text = String::new();
            let input = std::io::stdin().lock();
            let mut input = input.take(2 * TOKEN_BYTES_MAX as u64);
            input.read_to_string(&mut text).map_err(error)?;
            text
        }
        token => token.to_owned(),
    };
    let url = args.jwt_jwks_url.as_deref().map(JwksUrl::parse);
    let url = url.transpose().map_err(error)?;
    let file = args.jwt_secret_file.as_deref();
    if file.is_none() && args.jwt_jwks_file.is_none() && url.is_none() {
        return Err(AppError(
            "--check needs the keys of the server: give --jwt-secret-file, --jwt-jwks-file or --jwt-jwks-url as the server has them"
                .into(),
        ));
    }
    let secret = file.map(explain::secret_bytes).transpose();
    let secret = secret.map_err(error)?;
    let keys = Keys::load(
        args.jwt_secret_file.clone(),
        args.jwt_jwks_file.clone(),
        url.as_ref().map(JwksUrl::shown),
    );
    let keys = keys.map_err(error)?;
    if let Some(url) = &url {
        let answer = app::read_jwks(url);
        let answer = answer.map_err(|why| AppError(format!("--jwt-jwks-url: {why}")))?;
        keys.take_answer(Ok(answer));
    }
    let (audience, issuer) = (args.jwt_audience.clone(), args.jwt_issuer.clone());
    let tokens = Tokens::new(keys, audience, issuer);
    let explained = explain::explain(&tokens, secret.as_deref(), &token);
    let mut out = std::io::stdout();
    for (name, said) in &explained.facts {
        writeln!(out, "{name:7} {}", one_line(said)).map_err(error)?;
    }
    match explained.fault {
        None => writeln!(out, "The token is taken.").map_err(error),
        Some(why) => Err(AppError(format!("the token is not taken: {why}"))),
    }
}

/// Claims, each as NAME=VALUE.
pub(super) fn claims(list: &[String]) -> Result<Map<String, Value>, AppError> {
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
