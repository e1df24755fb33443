//! Whether clients have to authenticate, and how that is checked.

use std::path::PathBuf;

use actix_http::Uri;
use clap::Args;

use super::ConfigError;
use super::login::LoginUrl;

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

    /// A file with the secret that tokens are signed with (HS256), of at least 32 bytes. Its bytes are the secret as they
    /// are, without a line break at the end; nothing is decoded. Others may not read it (chmod o-rw)
    #[arg(long, env = "PLANK_JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// A JWKS file with the public keys that tokens are signed with (RS256, ES256, EdDSA); read again when it changes
    #[arg(long, env = "PLANK_JWT_JWKS_FILE", value_name = "FILE")]
    pub jwt_jwks_file: Option<PathBuf>,

    /// A URL of such a JWKS, https, or http on this machine. Read every 5 minutes, and when a token names a key that is not
    /// known, at most once a minute; while it does not answer the old keys stay
    #[arg(long, env = "PLANK_JWT_JWKS_URL", value_name = "URL")]
    pub jwt_jwks_url: Option<String>,

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

    /// With --auth on, where the dashboard sends people to log in, https, or http on this machine. That page sends them back to
    /// return_to#token=TOKEN&state=STATE; docs/DASHBOARD.md has what it must check [default: people paste a token]
    #[arg(long, env = "PLANK_LOGIN_URL", value_name = "URL")]
    pub login_url: Option<String>,
}

/// How tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// See [`AuthArgs::jwt_secret_file`].
    pub secret_file: Option<PathBuf>,
    /// See [`AuthArgs::jwt_jwks_file`].
    pub jwks_file: Option<PathBuf>,
    /// See [`AuthArgs::jwt_jwks_url`].
    pub jwks_url: Option<JwksUrl>,
    /// See [`AuthArgs::jwt_audience`].
    pub audience: Option<String>,
    /// See [`AuthArgs::jwt_issuer`].
    pub issuer: Option<String>,
    /// See [`AuthArgs::metrics_role`].
    pub metrics_role: String,
    /// See [`AuthArgs::metrics_on_loopback`].
    pub metrics_on_loopback: bool,
    /// See [`AuthArgs::login_url`].
    pub login_url: Option<LoginUrl>,
}

/// Where a JWKS is read: `https://...`, or `http://...` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl(Uri);

impl JwksUrl {
    /// Reads one.
    ///
    /// # Errors
    /// If the keys would come over a link that others can change. The text repeats nothing: there may be a password in it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |why| ConfigError(format!("--jwt-jwks-url {why}"));
        let uri: Uri = (text.trim().parse())
            .map_err(|_| refuse("is no URL; write it as https://HOST/PATH"))?;
        let authority = uri.authority().map_or("", |a| a.as_str());
        if authority.contains('@') {
            return Err(refuse(
                "has a user or a password, which would be in logs; the keys are public",
            ));
        }
        let has_host = !authority.is_empty();
        let url = Self(uri);
        match url.0.scheme_str() {
            Some("https") if has_host => Ok(url),
            Some("http") if url.is_loopback() => Ok(url),
            _ => Err(refuse(
                "has to be https://HOST/PATH; http:// only from this machine (127.0.0.1, localhost), for anybody on the way could \
                 put in a key",
            )),
        }
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<std::net::IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// To ask there.
    pub fn as_str(&self) -> String {
        self.0.to_string()
    }

    /// For the log: without the query.
    pub fn shown(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map_or("", |a| a.as_str());
        format!("{scheme}://{authority}{}", self.0.path())
    }
}

impl AuthArgs {
    fn jwks_url(&self) -> Result<Option<JwksUrl>, ConfigError> {
        let url = self.jwt_jwks_url.as_deref();
        url.map(JwksUrl::parse).transpose()
    }

    fn login_url(&self) -> Result<Option<LoginUrl>, ConfigError> {
        let url = self.login_url.as_deref();
        url.map(LoginUrl::parse).transpose()
    }

    /// None if nobody has to log in.
    ///
    /// # Errors
    /// If a flag has no meaning, or one is missing.
    pub fn resolve(&self) -> Result<Option<Auth>, ConfigError> {
        let has_keys = self.jwt_secret_file.is_some()
            || self.jwt_jwks_file.is_some()
            || self.jwt_jwks_url.is_some();
        match (self.auth == "on", has_keys) {
            (true, true) => Ok(Some(Auth {
                secret_file: self.jwt_secret_file.clone(),
                jwks_file: self.jwt_jwks_file.clone(),
                jwks_url: self.jwks_url()?,
                audience: self.jwt_audience.clone(),
                issuer: self.jwt_issuer.clone(),
                metrics_role: self.metrics_role.clone(),
                metrics_on_loopback: self.metrics_on_loopback,
                login_url: self.login_url()?,
            })),
            (true, false) => Err(ConfigError(
                "--auth on needs the keys that tokens are signed with: give --jwt-secret-file, --jwt-jwks-file or --jwt-jwks-url".into(),
            )),
            // An operator who has set keys believes that they are looked at.
            (false, true) => Err(ConfigError(
                "--jwt-secret-file, --jwt-jwks-file and --jwt-jwks-url have no meaning while --auth is off; say --auth on, or leave them out"
                    .into(),
            )),
            (false, false) if self.login_url.is_some() => Err(ConfigError(
                "--login-url has no meaning while --auth is off; say --auth on, or leave it out".into(),
            )),
            (false, false) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in [
            "https://id.example/keys?tenant=1",
            "http://127.0.0.1:4000/jwks.json",
            "http://localhost/",
            "http://[::1]:80/x",
        ] {
            assert!(JwksUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example/keys",
            "http://127.0.0.1.evil.example/",
            "https://u:geheim@id.example/",
            "file:///etc/keys",
            "id.example/keys",
            "https:///keys",
            "",
        ] {
            let error = JwksUrl::parse(bad).unwrap_err().to_string();
            assert!(error.contains("--jwt-jwks-url"), "{bad}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
        let url = JwksUrl::parse("https://id.example/keys?code=geheim").unwrap();
        assert_eq!(url.shown(), "https://id.example/keys");
    }
}
