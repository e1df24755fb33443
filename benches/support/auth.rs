//! A plank where clients have to log in, and their tokens.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use plank::auth::token::mint;
use serde_json::{Map, Value};

use super::Outcome;
use super::bed::{Bed, Setup};
use super::temp_dir::TempDir;

const SECRET: &[u8] = b"a secret of a benchmark, as long as it has to be";

/// For a run.
const TTL_S: u64 = 3_600;

/// Starts one with `--auth on`, and its database. The secret lasts as long as the directory.
///
/// # Errors
/// If that is not possible.
pub async fn bed() -> Outcome<(Bed, TempDir)> {
    let dir = TempDir::new()?;
    let secret = dir.path().join("secret");
    fs::write(&secret, SECRET)?;
    fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
    // Two words for as long as the process lives.
    let secret: &'static str = String::leak(secret.display().to_string());
    let plank_args = Vec::leak(vec!["--auth", "on", "--jwt-secret-file", secret]);
    let bed = Bed::start_with(Setup {
        plank_args,
        ..Setup::default()
    });
    Ok((bed.await?, dir))
}

/// A token of this principal.
///
/// # Errors
/// If it can't be signed.
pub fn token(sub: &str, role: &str, claims: Map<String, Value>) -> Outcome<String> {
    Ok(mint(SECRET, sub, role, claims, TTL_S)?)
}
