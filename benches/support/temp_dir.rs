//! A directory for everything that a benchmark writes. Nothing of it is left.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Outcome;

/// For a server that was only told to end: with a log of many million rows its last checkpoint takes a while.
const SERVER_END_MAX: Duration = Duration::from_secs(60);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Removed on a drop.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// As root PostgreSQL runs as another user, who has to get through.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn new() -> Outcome<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plank-bench-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o755).create(&path)?;
        let dir = Self { path };
        // Whatever the umask says.
        fs::set_permissions(&dir.path, Permissions::from_mode(0o755))?;
        Ok(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where PostgreSQL's data is.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // After an error or a signal the server has been told to end, but nobody has waited for it. What it still
        // writes would be left behind. Its pid file is the last thing that it removes.
        let pid_file = self.data().join("pgdata/postmaster.pid");
        let told = Instant::now();
        while pid_file.exists() && told.elapsed() < SERVER_END_MAX {
            std::thread::sleep(Duration::from_millis(50));
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("load: {} is left: {error}", self.path.display());
        }
    }
}
