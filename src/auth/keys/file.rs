//! Reads files with keys. A file that others may read or write is refused: a user who can read a secret, or change a key, makes
//! tokens.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::limits::{KEYS_BYTES_MAX, SECRET_BYTES_MIN};

use super::KeyError;

/// `r` and `w` for others, as in `chmod o-rw`.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A secret: nobody but its owner and its group may read it.
    Secret,
    /// Public keys: everybody may read them.
    Public,
}

impl Kind {
    fn flag(self) -> &'static str {
        match self {
            Self::Secret => "--jwt-secret-file",
            Self::Public => "--jwt-jwks-file",
        }
    }

    /// An error about a file of this kind.
    pub(super) fn fail(self, path: &Path, why: impl std::fmt::Display) -> KeyError {
        KeyError(format!("{} {}: {why}", self.flag(), path.display()))
    }
}

/// The bytes of a file, if it is one that keys may come from.
pub(super) fn read(kind: Kind, path: &Path) -> Result<Vec<u8>, KeyError> {
    let fail = |why: String| kind.fail(path, why);
    // Without waiting: a pipe that nobody writes to would hold the start up.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|e| fail(e.to_string()))?;
    // Of the file that is open, and not of what has its name by now.
    let facts = file.metadata().map_err(|e| fail(e.to_string()))?;
    if !facts.is_file() {
        return Err(fail(
            "is no regular file; a device or a pipe gives something else each time".into(),
        ));
    }
    if facts.mode() & OTHERS_WRITE != 0 {
        return Err(fail(format!(
            "everybody on this machine may write it, and so make tokens; do: chmod o-w {}",
            path.display()
        )));
    }
    if kind == Kind::Secret && facts.mode() & OTHERS_READ != 0 {
        return Err(fail(format!(
            "everybody on this machine may read it, and so make tokens; do: chmod o-r {} (in Kubernetes: defaultMode: 0440)",
            path.display()
        )));
    }
    let mut bytes = Vec::new();
    let mut bounded = file.take(KEYS_BYTES_MAX + 1);
    bounded
        .read_to_end(&mut bytes)
        .map_err(|e| fail(e.to_string()))?;
    match bytes.len() as u64 > KEYS_BYTES_MAX {
        true => Err(fail(format!("has more than {KEYS_BYTES_MAX} bytes"))),
        false => Ok(bytes),
    }
}

/// The secret in the bytes of a file: all of them as they are, but for one line break at the end, which is an editor's.
/// Nothing is decoded, neither base64 nor hex.
pub(super) fn secret(path: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>, KeyError> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.len() < SECRET_BYTES_MIN {
        let why = format!(
            "the secret has {} bytes, and one below {SECRET_BYTES_MIN} can be guessed; make one with: openssl rand -base64 48",
            bytes.len()
        );
        return Err(Kind::Secret.fail(path, why));
    }
    Ok(bytes)
}
