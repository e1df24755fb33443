//! Who has to say who he is, and how that is checked.

use std::path::PathBuf;

use clap::Args;

use super::ConfigError;

/// The settings of tokens.
#[derive(Args, Clone, Debug)]
pub struct AuthArgs {
    /// on: who has no token sees nothing, and who has one what plank.allow lets its role see
    #[arg(
        long,
        env = "PLANK_AUTH",
        default_value = "off",
        value_parser = ["off", "on"],
        value_name = "off|on"
    )]
    pub auth: String,

    /// A file with the secret that tokens are signed with (HS256), of at least 32 bytes
    #[arg(long, env = "PLANK_JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// A JWKS file with the public keys that tokens are signed with (RS256, ES256, EdDSA); read again when it changes
    #[arg(long, env = "PLANK_JWT_JWKS_FILE", value_name = "FILE")]
    pub jwt_jwks_file: Option<PathBuf>,

    /// The claim `aud` that a token needs [default: any]
    #[arg(long, env = "PLANK_JWT_AUDIENCE", value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// The claim `iss` that a token needs [default: any]
    #[arg(long, env = "PLANK_JWT_ISSUER", value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// With --auth on, the role whose tokens may read /metrics
    #[arg(
        long,
        env = "PLANK_METRICS_ROLE",
        default_value = "metrics",
        value_name = "ROLE"
    )]
    pub metrics_role: String,

    /// With --auth on, let programs on this machine read /metrics without a token. Not where a proxy on this machine passes
    /// requests on: plank can't always tell those from a program's
    #[arg(long, env = "PLANK_METRICS_ON_LOOPBACK")]
    pub metrics_on_loopback: bool,
}

/// How tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// See [`AuthArgs::jwt_secret_file`].
    pub secret_file: Option<PathBuf>,
    /// See [`AuthArgs::jwt_jwks_file`].
    pub jwks_file: Option<PathBuf>,
    /// See [`AuthArgs::jwt_audience`].
    pub audience: Option<String>,
    /// See [`AuthArgs::jwt_issuer`].
    pub issuer: Option<String>,
    /// See [`AuthArgs::metrics_role`].
    pub metrics_role: String,
    /// See [`AuthArgs::metrics_on_loopback`].
    pub metrics_on_loopback: bool,
}

impl AuthArgs {
    /// None if nobody has to log in.
    ///
    /// # Errors
    /// If a flag has no meaning, or one is missing.
    pub fn resolve(&self) -> Result<Option<Auth>, ConfigError> {
        let has_keys = self.jwt_secret_file.is_some() || self.jwt_jwks_file.is_some();
        match (self.auth == "on", has_keys) {
            (true, true) => Ok(Some(Auth {
                secret_file: self.jwt_secret_file.clone(),
                jwks_file: self.jwt_jwks_file.clone(),
                audience: self.jwt_audience.clone(),
                issuer: self.jwt_issuer.clone(),
                metrics_role: self.metrics_role.clone(),
                metrics_on_loopback: self.metrics_on_loopback,
            })),
            (true, false) => Err(ConfigError(
                "--auth on needs the keys that tokens are signed with: give --jwt-secret-file or --jwt-jwks-file".into(),
            )),
            // Whoever has set keys believes that they are looked at.
            (false, true) => Err(ConfigError(
                "--jwt-secret-file and --jwt-jwks-file have no meaning while --auth is off; say --auth on, or leave them out"
                    .into(),
            )),
            (false, false) => Ok(None),
        }
    }
}
