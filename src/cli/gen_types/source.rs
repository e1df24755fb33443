//! Where the tables are looked up: in a database, or by asking a server.

use std::path::PathBuf;

use serde::Deserialize;

use crate::app::{self, AppError};
use crate::config::{Config, DatabaseArgs};
use crate::limits::TYPES_BYTES_MAX;
use crate::store::shapes::{self, Shapes};

use super::super::doctor::http::Answer;
use super::super::tail::{Address, Credential, UNAUTHENTICATED};
use super::super::watch::text;

/// What the answer of `/api/types` has besides the shapes. Not one structure with them: serde's `flatten` reads no numbers as names.
#[derive(Deserialize)]
struct Settings {
    stringify_wide_numbers: bool,
}

/// Of a database.
///
/// # Errors
/// If it is not reached, or has no plank.
pub async fn database(args: &DatabaseArgs, all: bool) -> Result<Shapes, AppError> {
    let config = Config::for_database(args).map_err(text)?;
    let database = app::database_beside(&config)?;
    let shapes = shapes::read(&database.listen, all).await;
    shapes.map_err(text)
}

/// Of a server: the tables that the token may see, and whether it writes `bigint` and `numeric` as texts.
///
/// # Errors
/// If it is not reached, or does not take the token.
pub async fn server(url: &str, token_file: Option<PathBuf>) -> Result<(Shapes, bool), AppError> {
    let address = Address::parse(url)?;
    let credential = Credential::new(token_file).map_err(AppError)?;
    let token = credential.header().map_err(|e| AppError(e.to_string()))?;
    let token = token.as_ref().and_then(|token| token.to_str().ok());
    let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    let more = format!("Accept: application/json\r\nConnection: close\r\n{token}");
    let failed = |why: String| AppError(format!("{}: {why}", address.shown));
    let answer = Answer::get(&address, "/api/types", &more).await;
    let answer = answer.map_err(failed)?;
    match answer.status {
        200 => {}
        401 => return Err(failed(UNAUTHENTICATED.into())),
        404 => {
            return Err(failed(
                "it has no /api/types; is that address a plank, and as new as this one?".into(),
            ));
        }
        status => {
            return Err(failed(format!(
                "it answers {status}; is that address a plank?"
            )));
        }
    }
    let body = answer.whole(TYPES_BYTES_MAX).await.map_err(failed)?;
    let unread = |error: serde_json::Error| failed(format!("its answer can't be read: {error}"));
    let settings: Settings = serde_json::from_slice(&body).map_err(unread)?;
    let shapes = serde_json::from_slice(&body).map_err(unread)?;
    Ok((shapes, settings.stringify_wide_numbers))
}
