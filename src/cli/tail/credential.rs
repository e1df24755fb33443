//! How `plank tail` says who it is: with a token of a file, which is read for each connection, or of the environment. Never
//! with a flag: everybody on the machine can read those.

use std::path::PathBuf;

use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::connect::ConnectError;

/// The variable with a token.
const VARIABLE: &str = "PLANK_TOKEN";

/// See the module's documentation.
#[derive(Debug)]
pub enum Credential {
    /// The server needs none, or it is tried without.
    None,
    /// That of [`VARIABLE`].
    Variable(HeaderValue),
    /// In a file.
    File(PathBuf),
}

impl Credential {
    /// Of the settings; a file wins.
    ///
    /// # Errors
    /// If what is there can't be a token.
    pub fn new(file: Option<PathBuf>) -> Result<Self, String> {
        if let Some(file) = file {
            return Ok(Self::File(file));
        }
        match std::env::var(VARIABLE) {
            Ok(token) if !token.trim().is_empty() => Ok(Self::Variable(header(VARIABLE, &token)?)),
            _ => Ok(Self::None),
        }
    }

    /// Whether another one may be there for the next connection.
    pub fn may_change(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The header for a connection.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn header(&self) -> Result<Option<HeaderValue>, ConnectError> {
        match self {
            Self::None => Ok(None),
            Self::Variable(value) => Ok(Some(value.clone())),
            Self::File(path) => {
                let name = format!("--token-file {}", path.display());
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|e| ConnectError::Fatal(format!("{name}: {e}")))?;
                header(&name, &text).map(Some).map_err(ConnectError::Fatal)
            }
        }
    }
}

fn header(name: &str, token: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| format!("{name} is no token"))?;
    value.set_sensitive(true);
    Ok(value)
}
